"""Housekeeping beside those who write at the same moment, and over more than one run has time for."""

from dataclasses import replace
from datetime import timedelta

from shared.keeping.contents import Contents
from shared.keeping.rounds import Round
from shared.keeping.run import AGAIN
from shared.notices import EventType
from shared.ports import ANY, Delete, Update
from shared.receipts import DELIVER, ReceiptStatus, Work, hash_of, receipt_key
from shared.schedule import KEEP, Wakeup
from shared.times import from_text
from tests.unit.test_keeping import DAY, House, personal


def contents(house: House, calls: int) -> Contents:
    """Return the housekeeping of a run that has time for *calls* steps."""
    left = iter(range(calls))
    admin = house.admin
    return Contents(
        Round(admin.tables, admin.blobs, house.connection, admin.clock(), lambda: next(left, None) is not None)
    )


def test_a_receipt_that_changes_while_it_expires_expires_all_the_same() -> None:
    """Nobody comes back to a day that is done, so nothing personal may be left of it."""
    house = House()
    house.mail("old")
    house.days(2)
    receipts = house.admin.tables.receipts

    def change(method: str) -> None:
        if method == "commit":
            receipts.failures.before = None
            receipts.commit(house.connection.id, [Update(receipt_key(hash_of("old")), {"attempts": 7}, ANY)])

    receipts.failures.before = change
    house.days(1)

    old = house.receipt("old")
    assert old is not None
    assert (ReceiptStatus.EXPIRED, 7, []) == (old.status, old.attempts, personal(old))


def test_mail_that_its_destination_refused_stays_a_week_after_an_event() -> None:
    """It was never delivered, though nobody tries it any more: a person may want it still."""
    house = House()
    house.mail("failed", status=ReceiptStatus.FAILED)
    house.days(3)
    assert ([EventType.CONNECTION_FAILED], True) == (house.notices(), house.blob("failed"))
    house.days(6)
    assert house.blob("failed")
    house.days(2)

    failed = house.receipt("failed")
    assert failed is not None
    assert (False, ReceiptStatus.EXPIRED, []) == (house.blob("failed"), failed.status, personal(failed))
    rows = house.admin.tables.receipts.read(house.connection.id, "-", "~").rows
    assert [] == [row.key for row in rows if row.key.startswith(("v|", "wk|"))]


def test_a_day_with_more_blobs_than_a_run_has_time_for_is_swept_in_the_end() -> None:
    """Each run goes on where the one before stopped."""
    house = House(retention_days=30)
    kept = house.mail("kept")
    for number in range(7):
        house.admin.blobs.received.put(kept.replace(hash_of("kept"), hash_of(f"orphan-{number}")), b"orphan")
    record = house.record()
    house.admin.clock.advance((2 * DAY + timedelta(minutes=1)).total_seconds())
    for _ in range(5):
        record = contents(house, 2).sweep(record)

    assert [kept] == list(house.admin.blobs.received.contents)
    assert ("", True) == (record.sweep_cursor, record.swept_day > house.record().swept_day)


def test_much_undelivered_mail_costs_few_reads_a_day() -> None:
    """What is held already is neither read nor written again, so that a run gets past it."""
    house = House()
    for number in range(40):
        house.mail(f"m{number}", status=ReceiptStatus.STORED, work=True)
    house.days(3)
    before = house.admin.tables.calls()
    house.days(1)

    assert 40 == len(house.admin.blobs.received.contents)
    assert house.admin.tables.calls() - before <= 16
    assert 1 == len(house.notices())


def test_old_receipts_go_though_a_row_of_theirs_is_missing() -> None:
    """A view row that is not there keeps no other row, and no run from its end."""
    house = House()
    house.mail("bad", status=ReceiptStatus.QUARANTINED)
    house.mail("other")
    receipts = house.admin.tables.receipts
    for row in receipts.read(house.connection.id, "v|", "v~").rows:
        receipts.commit(house.connection.id, [Delete(row.key)])
    house.admin.clock.advance((401 * DAY).total_seconds())
    contents(house, 3).forget()

    assert [] == receipts.read(house.connection.id, "-", "~").rows


def test_work_that_is_asked_for_while_content_is_held_does_not_end_it_early() -> None:
    """The week that was announced is waited for, whoever redelivers meanwhile."""
    house = House()
    house.mail("stuck", status=ReceiptStatus.STORED, work=True)
    house.days(3)
    again = Work(DELIVER, house.admin.clock(), hash_of("stuck"))
    house.admin.tables.receipts.commit(house.connection.id, [replace(again, attempts=1).insert()])
    house.days(6)
    assert house.blob("stuck")
    house.days(2)

    assert not house.blob("stuck")
    assert [] == house.admin.tables.receipts.read(house.connection.id, "wd|", "wd~").rows


def test_a_run_that_ends_early_and_gets_nowhere_waits() -> None:
    """Where time is up before anything is done, the next run is an hour later, and not at once for ever."""
    house = House()
    house.admin.clock.advance((4 * DAY).total_seconds())
    ticks = iter(range(0, 10**6, 100))
    hurried = replace(house.admin.keep, monotonic=lambda: float(next(ticks)))
    waits = []
    for _ in range(2):
        hurried.handle(Wakeup(KEEP, house.connection.id))
        waits.append(from_text(house.record().next_at) - house.admin.clock().replace(microsecond=0))
        house.admin.clock.advance(1)

    assert [timedelta(0), AGAIN] == waits
