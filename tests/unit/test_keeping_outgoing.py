"""Housekeeping of outgoing mail: each run goes on where the last ended, and mail for much later holds no other up."""

from collections import Counter
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from shared.identifiers import new_entry_id, new_ulid
from shared.keep_rows import Keeping
from shared.keeping.entries import LATE, Outgoing
from shared.keeping.rounds import DAY, Round
from shared.outbox.rows import Entry, Upload, entry_key, upload_key
from shared.outbox.work import Status
from shared.ports import ANY, Insert, Update
from shared.rows import decode, encode
from shared.times import to_text
from tests.scenes.sending import Sending

RETENTION = 2


class Kept:
    """An outgoing connection, and what its housekeeping has noted."""

    def __init__(self) -> None:
        self.world = Sending(retention_days=RETENTION)
        self.id, self.record = self.world.connection.id, Keeping("")

    def upload(self, *, row: bool = True) -> str:
        """Put a file that no mail names, now; return its path."""
        now = self.world.clock()
        ulid = new_ulid(int(now.timestamp() * 1000))
        path = f"{self.id}/{ulid}"
        self.world.blobs.uploads.put(path, b"file")
        if row:
            made = Upload(f"upl_{ulid}", "x", "text/plain", 4, "", path, to_text(now))
            self.world.tables.outbox.commit(self.id, [Insert(upload_key(made.id), encode(made))])
        return path

    def mail(self, status: Status = Status.SENT, not_before: datetime | None = None) -> str:
        """Write the entry of a mail that was accepted now."""
        now = self.world.clock()
        entry_id = new_entry_id(self.id, int(now.timestamp() * 1000))
        entry = Entry(entry_id, self.id, to_text(now), f"{self.id}/{entry_id}/x", subject="Secret", status=status)
        later = to_text(not_before) if not_before else ""
        ended = "" if status is Status.QUEUED else to_text(now)
        entry = replace(entry, not_before=later, finished_at=ended)
        self.world.blobs.outbox.put(entry.payload, b"mail")
        self.world.tables.outbox.commit(self.id, [Insert(entry_key(entry_id), encode(entry))])
        return entry_id

    def end(self, entry_id: str) -> None:
        """Let a mail be sent now."""
        values = {"status": Status.SENT.value, "finished_at": to_text(self.world.clock())}
        self.world.tables.outbox.commit(self.id, [Update(entry_key(entry_id), values, ANY)])

    def has(self, entry_id: str) -> bool:
        """Tell whether the bytes of a mail and what is personal in its entry are there; both are, or neither."""
        row = self.world.tables.outbox.get(self.id, entry_key(entry_id))
        assert row is not None
        entry = decode(Entry, row.values)
        stored = any(entry_id in path for path in self.world.blobs.outbox.contents)
        assert (stored, stored) == (bool(entry.payload), bool(entry.subject))
        return stored

    def late(self) -> list[str]:
        """Return the keys of the rows by which unfinished mails are found later."""
        return [key for _, key in self.world.tables.outbox.everything() if key.startswith(LATE)]

    def round(self, looks: int = 10**6) -> Outgoing:
        """Return housekeeping that may look at the clock so often before its time is up."""
        left = iter(range(looks))
        world = self.world

        def go_on() -> bool:
            return next(left, None) is not None

        return Outgoing(Round(world.tables, world.blobs, world.connection, world.clock(), go_on))

    def day(self) -> None:
        """Let a day pass, and expire what is to expire."""
        self.world.clock.advance(DAY.total_seconds())
        self.record = self.round().expire(self.record)


@pytest.mark.parametrize("count", [12, 36])
def test_each_run_looks_at_the_uploads_after_the_last_one_of_the_run_before(count: int) -> None:
    """However many stay since mails use them, a run that may look at five goes on behind them, and misses none."""
    kept = Kept()
    used = [kept.upload() for _ in range(count)]
    for path in used:
        row = {"used_at": to_text(kept.world.clock())}
        kept.world.tables.outbox.commit(kept.id, [Update(f"u|{path.rpartition('/')[2]}", row, ANY)])
    gone = [kept.upload(), kept.upload(row=False)]
    kept.world.clock.advance(DAY.total_seconds() + 60)
    fresh = kept.upload(row=False)
    runs, asked, before = 0, Counter[int](), 0
    while not runs or kept.record.upload_cursor:
        before = kept.world.tables.outbox.calls.total()
        kept.record = kept.round(5).uploads(kept.record)
        asked[kept.world.tables.outbox.calls.total() - before] += 1
        runs += 1

    assert sorted([*used, fresh]) == sorted(kept.world.blobs.uploads.contents)
    assert not set(gone) & set(kept.world.blobs.uploads.contents)
    assert (True, True) == (max(asked) <= 10, runs <= (2 * count + 4) // 5 + 1)


def test_a_mail_for_much_later_holds_up_no_other_and_goes_its_own_time_after_its_end() -> None:
    """Younger mail expires as ever, the scheduled one not before it was sent and the retention has passed since."""
    kept = Kept()
    later = kept.mail(Status.QUEUED, kept.world.clock() + timedelta(days=9, hours=12))
    kept.world.clock.advance(60)
    sent = kept.mail()
    for _ in range(3):
        kept.day()
    assert (True, False, 1) == (kept.has(later), kept.has(sent), len(kept.late()))
    reads = kept.world.tables.outbox.calls["get"]
    for _ in range(7):
        kept.day()
    assert (True, 0) == (kept.has(later), kept.world.tables.outbox.calls["get"] - reads - 1)
    kept.end(later)
    kept.day()
    assert kept.has(later)
    kept.day()

    assert (False, []) == (kept.has(later), kept.late())


def test_mail_that_waits_past_the_retention_goes_the_retention_after_its_end() -> None:
    """A mail that was held for days is looked at each day, and is there until it has been sent for as long."""
    kept = Kept()
    held = kept.mail(Status.QUEUED)
    for _ in range(5):
        kept.day()
    assert (True, 1) == (kept.has(held), len(kept.late()))
    kept.end(held)
    for _ in range(4):
        kept.day()

    assert (False, []) == (kept.has(held), kept.late())


def test_what_comes_past_the_retention_while_a_pass_goes_on_is_not_forgotten() -> None:
    """A pass ends at the time from which it began, so that the next one takes what has aged since."""
    kept = Kept()
    first = [kept.mail() for _ in range(4)]
    kept.world.clock.advance(DAY.total_seconds())
    second = kept.mail()
    kept.world.clock.advance((RETENTION - 0.5) * DAY.total_seconds())
    kept.record = kept.round(3).expire(kept.record)
    assert kept.record.cursor
    kept.day()
    kept.day()

    assert [False] * 5 == [kept.has(entry_id) for entry_id in (*first, second)]
