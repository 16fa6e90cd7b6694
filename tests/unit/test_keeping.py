"""Housekeeping of received mail: content goes when it may, undelivered mail never unannounced, whoever dies when."""

from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.connections import Connection
from shared.errors import StorageUnavailable
from shared.keep_rows import SYSTEM, Keeping, keep_key, shard_of_kept
from shared.notices import EventType
from shared.ports import ANY, Delete, Insert, Update
from shared.receipts import DELIVER, Receipt, ReceiptStatus, Work, hash_of, insertion, read_receipt, receipt_key
from shared.rows import decode
from shared.schedule import KEEP, Wakeup
from shared.stored_mail import INDEX_SUFFIX
from shared.times import to_text
from tests.scenes.administration import Administration

DAY = timedelta(days=1)


class House:
    """A connection with mail of several days, and its housekeeping."""

    def __init__(self, **changes: object) -> None:
        self.admin = Administration()
        options = {"options": {"retention_days": 2} | changes}
        self.connection: Connection = self.admin.connection(self.admin.consented(), **options)

    def mail(self, identifier: str, *, status: ReceiptStatus = ReceiptStatus.DELIVERED, work: bool = False) -> str:
        """Store a mail now; return its blob's path."""
        now, connection = self.admin.clock(), self.connection
        message_hash = hash_of(identifier)
        blob = f"{connection.grant_id}/{connection.id}/{now:%Y%m%d}/{message_hash}/run-0.eml"
        if status is ReceiptStatus.QUARANTINED:
            blob = ""
        else:
            self.admin.blobs.received.put(blob, b"mail")
        receipt = Receipt(
            message_hash,
            identifier,
            status,
            to_text(now),
            mailbox="box@contoso.example",
            received_at=to_text(now),
            subject="Secret",
            sender="ann@contoso.example",
            internet_message_id="<1@contoso.example>",
            blob=blob,
            sha256="f" * 64,
            size=4,
            delivered_at=to_text(now) if status is ReceiptStatus.DELIVERED else "",
        )
        rows = [Work(DELIVER, now, message_hash)] if work else []
        self.admin.tables.receipts.commit(connection.id, insertion(receipt, rows))
        return blob

    def receipt(self, identifier: str) -> Receipt | None:
        """Return the receipt of a message."""
        row = self.admin.tables.receipts.get(self.connection.id, receipt_key(hash_of(identifier)))
        return read_receipt(row.values) if row else None

    def blob(self, identifier: str) -> bool:
        """Tell whether content of a message is stored."""
        return any(hash_of(identifier) in path for path in self.admin.blobs.received.contents)

    def record(self) -> Keeping:
        """Return the record of housekeeping."""
        row = self.admin.tables.connections.get(self.connection.shard, keep_key(self.connection.id))
        assert row is not None
        return decode(Keeping, row.values)

    def keep(self) -> None:
        """Wake housekeeping as its due row would."""
        record = self.record()
        self.admin.keep.handle(Wakeup(KEEP, self.connection.id, record.seq, record.due))

    def days(self, number: int) -> None:
        """Let days pass, each with its housekeeping."""
        for _ in range(number):
            self.admin.clock.advance(DAY.total_seconds() + 2)
            self.keep()

    def notices(self) -> list[str]:
        """Return the types of the notices that stand."""
        rows = self.admin.tables.receipts.read(self.connection.id, "we|", "we~").rows
        return [str(row.values["type"]) for row in rows]


PERSONAL = ("mailbox", "subject", "sender", "internet_message_id", "blob")


def personal(receipt: Receipt | None) -> list[str]:
    """Return what of a receipt is personal."""
    return [str(getattr(receipt, name)) for name in PERSONAL if getattr(receipt, name)]


def test_content_and_what_is_personal_go_after_the_retention() -> None:
    """Id, hash, times and outcome stay; the day after is not touched."""
    house = House()
    house.mail("old")
    house.days(2)
    house.mail("young")
    assert house.blob("old")
    house.days(1)

    old = house.receipt("old")
    assert old is not None
    assert (False, True) == (house.blob("old"), house.blob("young"))
    assert (ReceiptStatus.EXPIRED, [], "f" * 64, 4) == (old.status, personal(old), old.sha256, old.size)
    assert old.delivered_at
    assert 5 == len(personal(house.receipt("young")))


def test_quarantined_mail_loses_what_is_personal_and_keeps_its_reason() -> None:
    """It can still be found by its status, and fetched again by its id in the mailbox."""
    house = House()
    house.mail("bad", status=ReceiptStatus.QUARANTINED)
    house.days(4)

    bad = house.receipt("bad")
    assert bad is not None
    assert (ReceiptStatus.QUARANTINED, [], "bad") == (bad.status, personal(bad), bad.graph_id)


def test_undelivered_mail_goes_only_seven_days_after_an_event() -> None:
    """At the end of the retention an event names it; a week later it goes with its work, not a day before."""
    house = House()
    house.mail("stuck", status=ReceiptStatus.STORED, work=True)
    house.days(2)
    assert [] == house.notices()
    house.days(1)
    assert ([EventType.CONNECTION_FAILED.value], True) == (house.notices(), house.blob("stuck"))
    house.days(6)
    assert ([EventType.CONNECTION_FAILED.value], True) == (house.notices(), house.blob("stuck"))
    house.days(1)

    stuck = house.receipt("stuck")
    assert stuck is not None
    assert (False, [], ReceiptStatus.EXPIRED) == (house.blob("stuck"), personal(stuck), stuck.status)
    assert [] == house.admin.tables.receipts.read(house.connection.id, "w", "wl").rows[1:]


def test_mail_that_was_delivered_late_goes_at_the_next_look() -> None:
    """Once its work is gone, nothing holds it."""
    house = House()
    house.mail("late", status=ReceiptStatus.STORED, work=True)
    house.days(3)
    for row in house.admin.tables.receipts.read(house.connection.id, "wd|", "wd~").rows:
        house.admin.tables.receipts.commit(house.connection.id, [Delete(row.key)])
    assert house.blob("late")
    house.days(1)

    assert (False, []) == (house.blob("late"), personal(house.receipt("late")))


def test_blobs_of_runs_that_died_are_swept_after_a_day() -> None:
    """A blob that no receipt names goes once its day is a day past; what a receipt names stays."""
    house = House(retention_days=30)
    kept = house.mail("kept")
    house.admin.blobs.received.put(kept.replace("run-0", "dead-0"), b"twin")
    house.admin.blobs.received.put(kept.replace(hash_of("kept"), hash_of("never")), b"orphan")
    house.days(1)
    assert 3 == len(house.admin.blobs.received.contents)
    house.days(1)

    assert [kept] == list(house.admin.blobs.received.contents)


def test_what_was_found_in_a_large_mail_stays_and_goes_with_it() -> None:
    """The blob beside it is swept as little as the mail, and outlives it as little."""
    house = House(retention_days=30)
    kept = house.mail("kept")
    row = house.admin.tables.receipts.read(house.connection.id, "m|", "m~").rows[0]
    house.admin.tables.receipts.commit(house.connection.id, [Update(row.key, {"size": 30 * 1024 * 1024}, ANY)])
    house.admin.blobs.received.put(kept + INDEX_SUFFIX, b"{}")
    house.days(3)
    assert {kept, kept + INDEX_SUFFIX} == set(house.admin.blobs.received.contents)
    house.days(30)

    assert {} == house.admin.blobs.received.contents


def test_receipts_go_after_400_days() -> None:
    """Nothing at all is left of mail that old, and younger receipts stay."""
    house = House()
    house.mail("ancient")
    house.mail("bad", status=ReceiptStatus.QUARANTINED)
    house.days(1)
    house.mail("newer")
    house.admin.clock.advance((399 * DAY + timedelta(hours=12)).total_seconds())
    house.keep()

    assert (None, None) == (house.receipt("ancient"), house.receipt("bad"))
    assert house.receipt("newer") is not None
    assert 2 == len(house.admin.tables.receipts.read(house.connection.id, "-", "~").rows)


def test_a_day_of_housekeeping_costs_few_calls_and_leaves_one_due_row() -> None:
    """Of a connection without mail a run asks about a dozen questions, and there is one due row afterwards."""
    house = House()
    house.days(3)
    before = house.admin.tables.calls()
    house.days(1)

    assert house.admin.tables.calls() - before <= 14
    mine = [key for key in house.admin.due_rows() if key.endswith(house.connection.id) and "|keep|" in key]
    assert [house.record().due] == mine


@settings(max_examples=40)
@given(
    retention=st.integers(1, 5),
    mails=st.lists(st.tuples(st.integers(0, 8), st.booleans()), max_size=8),
    looks=st.lists(st.integers(0, 8), max_size=4),
)
def test_nothing_younger_goes_and_nothing_older_stays(
    retention: int, mails: list[tuple[int, bool]], looks: list[int]
) -> None:
    """Whenever housekeeping runs, exactly the mail of days that are past the retention, and delivered, is gone."""
    house = House(retention_days=retention)
    start: datetime = house.admin.clock()
    for day in range(9):
        now = start + day * DAY
        house.admin.clock.advance((now - house.admin.clock()).total_seconds())
        for number, (at, open_work) in enumerate(mails):
            if at == day:
                status = ReceiptStatus.STORED if open_work else ReceiptStatus.DELIVERED
                house.mail(f"{number}", status=status, work=open_work)
        if day not in looks:
            continue
        house.admin.keep.handle(Wakeup(KEEP, house.connection.id))
        if house.record().next_at != to_text((house.admin.clock() + DAY).replace(microsecond=0)):
            continue  # it was not due yet
        for number, (at, open_work) in enumerate(mails):
            if at <= day:
                gone = at < day - retention and not open_work
                assert gone is not house.blob(f"{number}")


@pytest.mark.parametrize("after_effect", [False, True])
@pytest.mark.parametrize("at", range(18, 52))  # a tick reads its 16 shards first
def test_a_death_between_any_two_calls_costs_nothing(at: int, after_effect: bool) -> None:
    """Whatever call of a run dies, before or after its effect: its due row fires, and the end is the same."""
    house = House()
    house.mail("old")
    house.mail("stuck", status=ReceiptStatus.STORED, work=True)
    house.admin.clock.advance((3 * DAY).total_seconds() + 2)
    seen = 0

    def fail(method: str, failures: object) -> None:
        nonlocal seen
        seen += 1
        if seen == at:
            failures.plan(method, after_effect=after_effect)  # type: ignore[attr-defined]

    fakes = (house.admin.tables.connections, house.admin.tables.receipts, house.admin.blobs.received)
    for fake in fakes:
        fake.failures.before = lambda method, failures=fake.failures: fail(method, failures)
    for _ in range(4):
        try:
            house.admin.pass_time(400)
        except StorageUnavailable:
            continue
    for fake in fakes:
        fake.failures.before = None

    assert (False, True) == (house.blob("old"), house.blob("stuck"))
    assert [] == personal(house.receipt("old"))
    assert 1 == len(set(house.notices()))
    told = house.admin.tables.receipts.read(house.connection.id, "we|", "we~").rows
    assert 1 == len({row.key.rpartition("|")[2] for row in told})
    assert 1 == len(house.admin.tables.receipts.read(house.connection.id, "wk|", "wk~").rows)


def test_links_and_audit_rows_go_by_age() -> None:
    """Consent links end with their month of grace, audit rows after two years; younger ones stay."""
    house = House()
    admin, first = house.admin, house.admin.clock()
    house.days(1)
    assert admin.tables.connections.get(shard_of_kept(SYSTEM), keep_key(SYSTEM)) is not None
    tickets, months = len(admin.tables.tickets.everything()), {part for part, _ in admin.tables.audit.everything()}
    assert (True, {f"{first:%Y%m}"}) == (tickets > 0, months)
    admin.clock.advance((70 * DAY).total_seconds())
    admin.keep.handle(Wakeup(KEEP, SYSTEM))
    assert 0 == len(admin.tables.tickets.everything())
    assert months == {part for part, _ in admin.tables.audit.everything()}
    admin.clock.advance((800 * DAY).total_seconds())
    admin.tables.audit.commit(f"{admin.clock():%Y%m}", [Insert("1|x", {"action": "x"})])
    admin.keep.handle(Wakeup(KEEP, SYSTEM))

    assert {f"{admin.clock():%Y%m}"} == {part for part, _ in admin.tables.audit.everything()}


def test_more_open_work_than_one_read_holds_keeps_its_mail(monkeypatch: pytest.MonkeyPatch) -> None:
    """What waits is read page by page, and each mail of it is spared."""
    monkeypatch.setattr("shared.keeping.contents.OPEN_PAGE", 2)
    house = House()
    for name in "abcde":
        house.mail(name, status=ReceiptStatus.STORED, work=True)
    house.days(3)
    assert [True] * 5 == [house.blob(name) for name in "abcde"]
