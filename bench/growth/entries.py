"""What each path through outgoing mail costs where a connection has 1,000 to 100,000 entries, sent or still waiting."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from bench.growth.receipts import RARE, Figures, costs
from shared.errors import Throttled
from shared.identifiers import new_entry_id
from shared.outbox import moves
from shared.outbox.rows import Entry, KeyUse, entry_key, key_hash, key_key, view_key, with_progress
from shared.outbox.work import Status
from shared.ports import Insert, Operation
from shared.receipts import packed
from shared.rows import encode
from shared.schedule import SEND, Wakeup
from shared.send.entries import Wanted
from shared.send.storing import opening
from shared.times import to_text
from tests.scenes.sending import MAIL, Sending

FRESH = 10
EVERY = timedelta(minutes=1)


class Outbox:
    """A connection with *size* entries in memory, the newest a day old, or *waiting* and minutes old."""

    def __init__(self, size: int, *, waiting: bool = False) -> None:
        self.world, self.size, self.waiting = Sending(confirms=True), size, waiting
        table, key = self.world.tables.outbox, self.world.connection.id
        for part in packed(self._rows(number) for number in range(size)):
            table.commit(key, [operation for group in part for operation in group])

    def _rows(self, number: int) -> list[Operation]:
        """Return the rows of an entry, 0 for the oldest."""
        connection = self.world.connection
        every = timedelta(milliseconds=20) if self.waiting else EVERY
        at = self.world.clock() - timedelta(0 if self.waiting else 1) - (self.size - number) * every
        entry_id, key = new_entry_id(connection.id, int(at.timestamp() * 1000)), key_hash(f"key-{number}")
        payload = f"{connection.id}/{entry_id}/hash"
        entry = Entry(
            entry_id,
            connection.id,
            to_text(at),
            payload,
            10_000,
            f"Order {number}",
            ("ann@example.com",),
            recipients=1,
            key_hash=key,
        )
        work = moves.accept(entry_id, payload, at, None)
        if self.waiting:
            return [row for row in opening(entry, work, "h") if isinstance(row, Insert)]
        status = Status.SENT if number % RARE else Status.FAILED
        ended = with_progress(entry, work)
        rows: list[Operation] = [Insert(entry_key(entry_id), {**encode(ended), "status": status.value})]
        rows.append(Insert(key_key(key), encode(KeyUse(entry_id, "h", to_text(at)))))
        if status is Status.FAILED:
            rows.append(Insert(view_key(status, entry_id), {"at": to_text(at)}))
        return rows


def measure(size: int) -> Figures:
    """Return calls of storage and seconds of each path at *size* entries."""
    outbox, found = Outbox(size), dict[str, dict[str, float]]()
    world = outbox.world

    def path(name: str, do: Callable[[], object]) -> None:
        found[name] = costs(world, do)

    _sending(world, path)
    _lists(world, path)
    outbox = Outbox(size, waiting=True)
    world = outbox.world
    _backlog(world, path)
    return found


def _sending(world: Sending, path: Callable[[str, Callable[[], object]], None]) -> None:
    world.accept()  # once a minute and process, a due row is made sure of
    world.work()
    world.clock.advance(1)
    path("accept", lambda: world.accept(MAIL, key="new"))
    path("accept again, same key", lambda: world.accept(MAIL, key="new"))
    for _ in range(FRESH - 1):
        world.accept()
    path("drain of 10", lambda: world.drain.run(Wakeup(SEND, world.connection.id)))
    world.clock.advance(61)
    path("confirmation of 10", lambda: world.drain.run(Wakeup(SEND, world.connection.id, due="due|0|send|x")))


def _lists(world: Sending, path: Callable[[str, Callable[[], object]], None]) -> None:
    key, entries = world.connection.id, world.entries
    first = entries.page(key, Wanted())
    path("list, first page", lambda: entries.page(key, Wanted()))
    path("list, next page", lambda: entries.page(key, Wanted(cursor=first.next_cursor or "")))
    path("list, failed", lambda: entries.page(key, Wanted(status=Status.FAILED)))
    path("list, queued (none)", lambda: entries.page(key, Wanted(status=Status.QUEUED)))
    path("list, subject searched for", lambda: entries.page(key, Wanted(subject="order 1")))
    path("look-up", lambda: entries.get(first.entries[-1].id))


def _backlog(world: Sending, path: Callable[[str, Callable[[], object]], None]) -> None:
    """All entries wait: what the first pages, and a mailbox that Graph wants left alone, cost."""
    key, entries = world.connection.id, world.entries
    path("accept amid waiting", lambda: world.accept(MAIL, key="one more"))
    path("list, queued amid waiting", lambda: entries.page(key, Wanted(status=Status.QUEUED)))
    path("list, first page amid waiting", lambda: entries.page(key, Wanted()))
    path("cancel amid waiting", lambda: entries.cancel(entries.page(key, Wanted(limit=1)).entries[0].id))
    world.rights.fault = Throttled("Graph asked to leave this mailbox alone.", retry_after=60)
    path("drain amid waiting, mailbox paused", lambda: world.drain.run(Wakeup(SEND, key)))
