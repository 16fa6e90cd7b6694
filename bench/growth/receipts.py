"""
What each path through received mail costs where a connection has 1,000 to 100,000 receipts.

Measured on the tables in memory that the unit tests use, which keep the promises of Table storage, answer at most 1,000
rows at a time and count requests: Azurite looks through a whole partition at each write, so that it is the one whose
growth would be measured, and 100,000 receipts would take it hours.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from typing import Any

from shared.connection_admin.lists import ConnectionLists
from shared.connection_admin.redelivery import Asked
from shared.connection_rows import Tombstone
from shared.connections import connection_key, run_key
from shared.erasing import Erasing
from shared.erasure import Erasure
from shared.fetch.positions import Position
from shared.health import Health
from shared.identifiers import shard_of
from shared.keep_rows import Keeping, Stage, keep_key
from shared.keeping.deleted import Deleted
from shared.keeping.run import Keep
from shared.ports import Insert, Operation, Update, Upsert
from shared.receipts import (
    Receipt,
    ReceiptStatus,
    delivery_of,
    hash_of,
    insertion,
    packed,
    public_id,
)
from shared.received import Received, Wanted
from shared.rows import encode
from shared.schedule import FETCH, KEEP, DueRow, Wakeup
from shared.times import from_text, to_text
from tests.fakes import MemoryVault
from tests.fakes.graph_reading import mime_of
from tests.fakes.intake import BOX, GRANT
from tests.scenes.delivering import Post

SIZES = (1_000, 10_000, 100_000)
EVERY = timedelta(minutes=5)
"""Between two mails: some 288 a day, so that 100,000 are about a year's."""
FRESH = 10
PAGE = 50
RARE = 20
"""One of so many is in a rare state, so that 1,000 fill a page of them."""
SLICE = 20
"""How often a slice of a purge may look at the clock before it ends."""
SWEPT = 600
BATCHES = 64
"""So many of the oldest have content to deliver, which is more than one run does here."""
LONG = 16.0
"""Seconds that a receiver takes, so that one run ends after one batch."""
WIRE = "%Y-%m-%dT%H:%M:%SZ"
Figures = dict[str, dict[str, float]]


@dataclass
class Held:
    """A connection with *size* receipts in memory, the newest an hour old; *open* of the oldest are undelivered."""

    size: int
    open: int = 0

    def __post_init__(self) -> None:
        """Fetch what is there, which is nothing, and write the receipts."""
        self.post = Post()
        self.world, self.key = self.post.world, self.post.key
        self.world.go(self.key)
        self.newest = self.world.clock() - timedelta(hours=1)
        for part in packed(self._rows(number) for number in range(self.size)):
            self.world.tables.receipts.commit(self.key, [operation for group in part for operation in group])
        for number in range(max(self.size - BATCHES, 0), self.size if self.open else 0):
            receipt = self.receipt(number)
            self.world.blobs.received.put(receipt.blob, mime_of(receipt.graph_id))
        self.received = Received(
            self.world.tables,
            self.world.blobs.received,
            self.world.wakeups,
            lambda: b"k" * 32,
            "https://mail.example",
            self.world.clock,
        )

    def receipt(self, number: int) -> Receipt:
        """Return the receipt of a number, 0 for the newest."""
        at, graph_id = self.newest - number * EVERY, f"AAMkADk2Mm{number:09d}"
        moment, delivered = to_text(at), number < self.size - self.open
        return Receipt(
            hash=hash_of(graph_id),
            graph_id=graph_id,
            status=self._status(number) if delivered else ReceiptStatus.STORED,
            stored_at=moment,
            mailbox="box@bench.example",
            received_at=at.strftime(WIRE),
            subject=f"Order {number}",
            sender="customer@elsewhere.example",
            internet_message_id=f"<order-{number}@elsewhere.example>",
            blob=f"{GRANT}/{self.key}/{at:%Y%m%d}/{hash_of(graph_id)}/run.eml",
            sha256="0" * 64,
            size=14_000,
            attempts=1 if delivered else 0,
            delivered_at=moment if delivered else "",
        )

    def _status(self, number: int) -> ReceiptStatus:
        return ReceiptStatus.DELIVERED if number % RARE else ReceiptStatus.QUARANTINED

    def _rows(self, number: int) -> list[Operation]:
        receipt = self.receipt(number)
        waits = receipt.status is ReceiptStatus.STORED
        return insertion(receipt, [delivery_of(receipt, receipt.stored_moment())] if waits else [])

    def write_run(self, **changes: Any) -> None:
        """Change the run record."""
        values = encode(replace(self.world.run(self.key), **changes))
        self.world.tables.connections.commit(shard_of(BOX), [Update(run_key(self.key), values, "*")])

    def write_keeping(self, **changes: Any) -> Wakeup:
        """Write the record of housekeeping, due now; return what wakes it."""
        now = self.world.clock()
        due = DueRow(now, KEEP, self.key, 1)
        record = replace(Keeping(self.key, 1, to_text(now), due.key), **changes)
        rows = [Upsert(keep_key(self.key), encode(record)), Upsert(due.key, due.values)]
        self.world.tables.connections.commit(shard_of(BOX), rows)
        return Wakeup(KEEP, self.key, 1, due.key)

    def keep(self) -> Keep:
        """Return housekeeping."""
        world = self.world
        erasing = Erasing(world.tables, world.blobs)
        return Keep(world.tables, world.blobs, erasing, world.wakeups, world.clock.monotonic)


def measure(size: int) -> Figures:
    """Return calls of storage and seconds of each path at *size* receipts."""
    held, found = Held(size), dict[str, dict[str, float]]()

    def path(name: str, do: Callable[[], object]) -> None:
        found[name] = costs(held.world, do)

    _intake(held, path)
    _reading(held, path)
    _housekeeping(held, path)
    _purge(held, path)
    held = Held(size, open=size)
    held.post.receiver.before = partial(_pass_time, held)
    path("delivery of 16 amid undelivered", held.post.go)
    path(
        "erasing one amid undelivered",
        lambda: Erasure(held.world.tables, held.world.blobs.received).erase(_id(held, 0)),
    )
    return found


def costs(world: Any, do: Callable[[], object]) -> dict[str, float]:
    """Return calls of tables and blobs, queue messages and seconds of *do*."""

    def counted() -> int:
        blobs = (world.blobs.received, world.blobs.outbox, world.blobs.uploads)
        return int(world.tables.calls() + sum(box.calls.total() for box in blobs) + len(world.wakeups.sent))

    before, began = counted(), time.perf_counter()
    do()
    seconds = time.perf_counter() - began
    return {"calls": counted() - before, "ms": round(seconds * 1000, 2)}


Path = Callable[[str, Callable[[], object]], None]


def _pass_time(held: Held) -> None:
    held.world.clock.advance(LONG)


def _id(held: Held, number: int) -> str:
    return public_id(held.key, held.receipt(number).hash)


def _intake(held: Held, path: Path) -> None:
    """Fetch, deliver and sweep."""
    world, key = held.world, held.key
    path("fetch, nothing new", _fetch(held))
    world.graph.arrive(*(f"new-{number}" for number in range(FRESH)), received_at=world.clock().strftime(WIRE))
    path("fetch of 10", _fetch(held))
    path("delivery of 10", held.post.go)
    middle = min(held.size // 2, held.size - SWEPT // 2)
    for number in range(middle + SWEPT // 2, middle - SWEPT // 2, -1):
        receipt = held.receipt(number)
        world.graph.arrive(receipt.graph_id, received_at=receipt.received_at)
        world.graph.lost.add(receipt.graph_id)
    world.go_on(key)  # delta passes over them
    swept = to_text(world.clock() - timedelta(days=2))
    begins = Position(held.receipt(middle + SWEPT // 2).received_at).text
    held.write_run(sweep_from=begins, swept_at=swept)
    path("sweep of 500, nothing lost", _fetch(held))
    lost = [f"lost-{number}" for number in range(FRESH)]
    at = from_text(held.receipt(middle).received_at).strftime(WIRE)
    world.graph.arrive(*lost, received_at=at)
    world.graph.lost.update(lost)
    held.write_run(sweep_from=begins, swept_at=swept)
    path("sweep of 500, 10 lost", _fetch(held))
    old = held.newest - held.size * EVERY - timedelta(days=1)
    world.graph.messages = [replace(item, received_at=old.strftime(WIRE)) for item in world.graph.messages]
    held.write_run(sweep_from=Position(old.strftime(WIRE)).text, swept_at=swept)
    path("sweep of 500 stored long after they came", _fetch(held))
    world.graph.messages = []
    held.post.go()


def _fetch(held: Held) -> Callable[[], None]:
    """Let the connection's time come; return what its due row starts."""
    world = held.world
    run = world.run(held.key)
    world.clock.advance(max((from_text(run.next_at) - world.clock()).total_seconds(), 0) + 1)
    return partial(world.fetch().run, Wakeup(FETCH, held.key, run.seq, run.due))


def _reading(held: Held, path: Path) -> None:
    """Lists, look-ups and what the console shows."""
    world, key, received = held.world, held.key, held.received
    first = received.page(key, PAGE, "", Wanted())
    path("list, first page", lambda: received.page(key, PAGE, "", Wanted()))
    path("list, next page", lambda: received.page(key, PAGE, first.next_cursor or "", Wanted()))
    path("list, quarantined", lambda: received.page(key, PAGE, "", Wanted(ReceiptStatus.QUARANTINED)))
    path("list, stored (none)", lambda: received.page(key, PAGE, "", Wanted(ReceiptStatus.STORED)))
    path("look-up", lambda: received.get(_id(held, held.size // 2)))
    lists = ConnectionLists(world.tables, world.access, Any)  # type: ignore[arg-type]
    path("connection page", lambda: lists.get(key))
    health = Health(world.tables, world.wakeups, MemoryVault(world.clock), world.clock)
    path("health", health.report)
    path("redelivery of one", lambda: received.redeliver(_id(held, held.size // 2)))
    path("redelivery in bulk, counted", lambda: held.post.redeliveries().count(key, Asked("delivered")))
    since = held.newest - timedelta(hours=1)
    path("redelivery in bulk, asked for", lambda: held.post.redeliver("delivered", since=since))
    path("erasing one", lambda: Erasure(world.tables, world.blobs.received).erase(_id(held, held.size // 3)))


def _housekeeping(held: Held, path: Path) -> None:
    """A day of housekeeping, in which one day's mail expires."""
    now = held.world.clock()
    day = f"{now - timedelta(days=3):%Y%m%d}"
    woken = held.write_keeping(
        expired_day=f"{now - timedelta(days=4):%Y%m%d}",
        swept_day=f"{now - timedelta(days=2):%Y%m%d}",
        logged_day=day,
        entries_upto=to_text(now),
    )
    row = held.world.tables.connections.get(shard_of(BOX), connection_key(held.key))
    assert row is not None  # noqa: S101 - Held has made it
    values = {"retention_days": 2}
    held.world.tables.connections.commit(shard_of(BOX), [Update(connection_key(held.key), values, "*")])
    path("housekeeping, one day expires", lambda: held.keep().handle(woken))


def _purge(held: Held, path: Path) -> None:
    """Slices of the purge of a deleted connection: the second goes on where the first ended."""
    world, key = held.world, held.key
    now = world.clock()
    stone = Tombstone(key, to_text(now - timedelta(hours=1)), "incoming", GRANT, "user", "inbox")
    world.tables.connections.commit(shard_of(BOX), [Insert(f"b|{BOX}|gone|{key}", encode(stone))])
    record = Keeping(key, stage=Stage.PURGE)

    def slice_of(before: Keeping) -> Keeping:
        left = SLICE

        def go_on() -> bool:
            nonlocal left
            left -= 1
            return left > 0

        deleted = Deleted(world.tables, world.blobs, Erasing(world.tables, world.blobs), now, go_on)
        after = deleted.next(before)
        return after[0] if after else before

    records = [record]
    path("purge, first slice", lambda: records.append(slice_of(records[-1])))
    path("purge, second slice", lambda: records.append(slice_of(records[-1])))
