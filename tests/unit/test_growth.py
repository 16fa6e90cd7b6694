"""What costs the same however much a connection has kept, counted at two sizes; and how the bench judges growth."""

from dataclasses import replace
from datetime import timedelta
from functools import partial

import pytest

from bench.judgement import exponent, is_log_like, jain_index
from shared.connection_rows import Tombstone
from shared.connections import run_key
from shared.erasing import Erasing
from shared.errors import Throttled
from shared.fetch import pages
from shared.identifiers import new_entry_id, shard_of
from shared.keep_rows import Keeping, Stage
from shared.keeping import contents, deleted
from shared.keeping.contents import Contents
from shared.keeping.deleted import Deleted
from shared.keeping.rounds import Round, day_of
from shared.outbox import moves
from shared.outbox.rows import Entry
from shared.outbox.work import Status
from shared.ports import Insert, Operation, Update
from shared.receipts import DELIVER, Receipt, ReceiptStatus, Work, hash_of, insertion, packed
from shared.rows import encode
from shared.schedule import SEND, Wakeup
from shared.send import batch, entries
from shared.send.entries import Wanted
from shared.send.storing import opening
from shared.times import from_text, to_text
from tests.fakes.intake import BOX, GRANT, World
from tests.scenes.sending import Sending

WIRE = "%Y-%m-%dT%H:%M:%SZ"


def test_what_grows_with_the_logarithm_passes_and_what_grows_with_the_size_does_not() -> None:
    """Constant and logarithmic figures pass; linear ones, square ones and a step at the end do not."""
    sizes = (1_000, 10_000, 100_000)

    assert [True, True, True, False, False, False] == [
        is_log_like(sizes, figures)
        for figures in ((5, 5, 5), (3, 4, 5), (9, 8, 7), (1, 10, 100), (1, 100, 10_000), (5, 5, 50))
    ]
    assert [True, False] == [is_log_like(sizes, (3, 4, 14), slack) for slack in (10, 1)]
    assert [0, 1, 2] == [round(exponent(sizes, figures), 6) for figures in ((4, 4, 4), (1, 10, 100), (1, 100, 10_000))]


def test_jains_index_tells_how_evenly_work_is_shared() -> None:
    """All the same is 1, one that gets everything 1/n, and half of them half."""
    assert [1.0, 0.25, 0.5, 1.0] == [jain_index(shares) for shares in ([3, 3, 3, 3], [8, 0, 0, 0], [1, 1, 0, 0], [])]


def stored(world: World, key: str, count: int, *, work: bool = False) -> list[Receipt]:
    """Write *count* receipts, a minute between any two, the newest two hours old; return them, newest first."""
    newest = world.clock() - timedelta(hours=2)
    made = []
    for number in range(count):
        at, name = newest - timedelta(minutes=number), f"m{number:06d}"
        status = ReceiptStatus.STORED if work else ReceiptStatus.DELIVERED
        received, blob = at.strftime(WIRE), f"{GRANT}/{key}/{at:%Y%m%d}/{hash_of(name)}/run.eml"
        made.append(Receipt(hash_of(name), name, status, to_text(at), received_at=received, subject="s", blob=blob))
    rows = [insertion(one, [Work(DELIVER, one.stored_moment(), one.hash)] if work else []) for one in made]
    for part in packed(rows):
        world.tables.receipts.commit(key, [operation for group in part for operation in group])
    return made


def calls_of_a_sweep(count: int, *, late: bool = False) -> tuple[int, int]:
    """Sweep some 100 of *count* stored mails, which came long before if *late*; return calls of receipts, and found."""
    world = World()
    key = world.connect()
    world.go(key)
    made = stored(world, key, count)[count // 2 :][:100]
    for one in made:
        at = from_text(one.received_at) - timedelta(days=9 if late else 0)
        world.graph.arrive(one.graph_id, received_at=at.strftime(WIRE))
        world.graph.lost.add(one.graph_id)
    world.clock.advance(2 * 86_400)
    swept = {"swept_at": to_text(world.clock() - timedelta(days=2))}
    world.tables.connections.commit(shard_of(BOX), [Update(run_key(key), swept, "*")])
    before = world.tables.receipts.calls.total()
    world.go(key)
    return world.tables.receipts.calls.total() - before, world.run(key).swept


def test_a_sweep_does_not_read_the_whole_list_of_receipts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Mail stored as it came costs a read a page, that of a first walk a look-up each: never the whole list."""
    monkeypatch.setattr(pages, "MOST_INDEX", 200)
    small, large, larger = (calls_of_a_sweep(count) for count in (200, 1_200, 2_400))

    assert [(small[0] + 1, 0)] * 2 == [large, larger]
    assert [(small[0] + 101, 0)] * 2 == [calls_of_a_sweep(count, late=True) for count in (1_200, 2_400)]


def calls_of_holding(count: int) -> int:
    """Let a day expire on which *count* mails were stored and never delivered; return the reads of receipts."""
    world = World()
    key = world.connect()
    view = world.turns.look(BOX)
    made = stored(world, key, count, work=True)
    now = from_text(made[-1].stored_at) + timedelta(days=40)
    house = Contents(Round(world.tables, world.blobs, view.connections[key], now, lambda: True))
    before = world.tables.receipts.calls["read"]
    days = sorted({day_of(one.stored_moment()) for one in made})
    house.expire(replace(Keeping(key), expired_day=day_of(from_text(made[-1].stored_at) - timedelta(days=1))))
    assert count == len(world.rows(key, contents.HELD))
    return world.tables.receipts.calls["read"] - before - len(days)


def test_holding_undelivered_mail_reads_a_page_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is held already is read once in a run, not once more for each page."""
    monkeypatch.setattr(contents, "PAGE", 10)

    assert (80 - 20) // 10 == calls_of_holding(80) - calls_of_holding(20)


@pytest.mark.parametrize("count", [20, 90])
def test_each_slice_of_a_purge_goes_on_where_the_last_ended(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many mails there are, a slice that may do two pages empties two, and reads no page of the ones before."""
    monkeypatch.setattr(deleted, "PAGE", 10)
    world = World()
    key = world.connect()
    stored(world, key, count)
    now = world.clock()
    stone = Tombstone(key, to_text(now - timedelta(hours=1)), "incoming", GRANT, "user", "inbox")
    world.tables.connections.commit(shard_of(BOX), [Insert(f"b|{BOX}|gone|{key}", encode(stone))])
    record, reads = Keeping(key, stage=Stage.PURGE), []
    while record.stage is Stage.PURGE:
        looks = iter([True, True])
        purge = Deleted(world.tables, world.blobs, Erasing(world.tables, world.blobs), now, partial(next, looks, False))
        before = world.tables.receipts.calls["read"]
        step = purge.next(record)
        assert step is not None
        record = step[0]
        reads.append(world.tables.receipts.calls["read"] - before)

    assert {""} == {world.receipt(key, f"m{number:06d}").subject for number in range(count)}
    assert (True, True) == (max(reads) <= 5, len(reads) <= count // 20 + 2)


def outbox(count: int) -> tuple[Sending, list[str]]:
    """Return an outbox in which *count* mails wait, and their ids, oldest first."""
    world, made = Sending(), []
    rows: list[list[Operation]] = []
    for number in range(count):
        at = world.clock() - timedelta(seconds=count - number)
        entry_id = new_entry_id(world.connection.id, int(at.timestamp() * 1000))
        entry = Entry(entry_id, world.connection.id, to_text(at), f"{world.connection.id}/{entry_id}/x", subject="s")
        work = moves.accept(entry_id, entry.payload, at, None)
        rows.append([row for row in opening(entry, work, "h") if isinstance(row, Insert)])
        made.append(entry_id)
    for part in packed(rows):
        world.tables.outbox.commit(world.connection.id, [operation for group in part for operation in group])
    return world, made


def test_listing_what_waits_reads_no_more_than_it_may(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where very many mails wait, a page of them comes from the newest thousand entries, and the cursor leads on."""
    monkeypatch.setattr(entries, "_SCANNED", 200)
    counted = []
    for count in (300, 600):
        world, made = outbox(count)
        before = world.tables.outbox.calls.total()
        page = world.entries.page(world.connection.id, Wanted(status=Status.QUEUED))
        counted.append(world.tables.outbox.calls.total() - before)
        following = world.entries.page(
            world.connection.id, Wanted(status=Status.QUEUED, cursor=page.next_cursor or "", limit=200)
        )
        assert made[::-1][:250] == [entry.id for entry in (*page.entries, *following.entries)]
        assert following.next_cursor
        assert [] == world.entries.page(world.connection.id, Wanted(status=Status.SENDING)).entries

    assert counted[0] == counted[1]


def test_a_mailbox_that_must_wait_is_not_read_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """A drain that may send nothing looks at the oldest mails only, and gives up those that have waited too long."""
    monkeypatch.setattr(batch, "PAGE", 20)
    counted = []
    for count in (30, 150):
        world, _ = outbox(count)
        world.rights.fault = Throttled("Graph asked to wait.", retry_after=60)
        before = world.tables.outbox.calls.total()
        world.drain.run(Wakeup(SEND, world.connection.id))
        counted.append(world.tables.outbox.calls.total() - before)
    assert counted[0] == counted[1]

    world, made = outbox(150)
    world.rights.fault = Throttled("Graph asked to wait.", retry_after=60)
    world.clock.advance(world.connection.hold_hours * 3600 - 60)
    world.drain.run(Wakeup(SEND, world.connection.id))
    assert [Status.FAILED, Status.FAILED, Status.QUEUED] == [world.entry(made[at]).status for at in (0, 89, 92)]
