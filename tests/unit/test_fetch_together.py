"""Where two features of fetch meet: work in rows and limits of a read, sweeps and pauses, lists and odd answers."""

from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta

import pytest

from shared.connection_admin.incoming import due_now
from shared.connection_rows import find
from shared.connections import Action, AfterFetch
from shared.errors import ItemFault, MailboxFault, Throttled, Unreachable
from shared.fetch import after, contents
from shared.fetch.run import FetchLimits
from shared.identifiers import shard_of
from shared.notices import EventType
from shared.ports import DeltaPage, GraphMailbox
from shared.receipts import hash_of
from shared.schedule import FETCH, Wakeup
from shared.times import from_text
from tests.fakes.graph_reading import broken, gone
from tests.fakes.intake import BOX, World

ARCHIVE = AfterFetch(Action.MOVE, "archive")


@pytest.fixture
def world() -> World:
    """Return a fresh mailbox that is swept every hour."""
    return World(limits=FetchLimits(page_size=4, sweep_seconds=3600))


def at(world: World, **before: float) -> str:
    """Return a time before now as Graph writes it."""
    return (world.clock() - timedelta(**before)).strftime("%Y-%m-%dT%H:%M:%SZ")


def taken(world: World, key: str) -> set[str]:
    """Return the ids of messages that have a receipt."""
    hashes = {row.removeprefix("m|") for row in world.rows(key, "m")}
    return {item.id for item in world.graph.messages if hash_of(item.id) in hashes}


def events(world: World) -> list[str]:
    """Return the types of the events that wait in the mailbox's rows."""
    rows = world.tables.connections.read(shard_of(BOX), f"b|{BOX}|evt|", f"b|{BOX}|evt~").rows
    return [str(row.values["type"]) for row in rows]


def test_more_waiting_work_than_one_read_is_no_reason_to_run_at_once(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What stands in rows for later brings the next fetch later, however much it is."""
    monkeypatch.setattr(after, "MOST_WORK", 2)
    key = world.connect()
    world.graph.arrive(*"abcde")
    world.graph.items = {name: [ItemFault("ill")] for name in "abcde"}
    world.go(key)
    world.graph.items = {name: [ItemFault("ill")] * 20 for name in "abcde"}
    for _ in range(3):  # the fifth was tried last
        world.go_on(key)
    wait = from_text(world.run(key).next_at) - world.clock()
    assert (5, True) == (len(world.rows(key, "wf")), wait > timedelta(seconds=30))


def test_a_429_never_uses_up_the_tries_of_after_fetch(world: World) -> None:
    """It says nothing of the message, which is moved once Graph lets us."""
    key = world.connect(after_fetch=ARCHIVE)
    world.graph.arrive("a")
    world.graph.items["apply:a"] = [Throttled("slow", retry_after=10) for _ in range(after.AFTER_TRIES + 2)]
    world.go(key)
    for _ in range(60):
        world.clock.advance(600)
        world.go_on(key)
    assert (["a"], None, []) == (world.graph.moves, world.receipt(key, "a").after_fault, world.rows(key, "wa"))


def test_a_move_refused_by_404_is_open_until_the_message_was_looked_for(world: World) -> None:
    """Graph says 404 for a folder that is gone too; while a look is throttled, nobody knows which it was."""
    key = world.connect(after_fetch=ARCHIVE)
    world.graph.arrive("a")
    world.graph.items = {"apply:a": [gone()], "placed:a": [Throttled("slow", retry_after=5)]}
    world.go(key)
    assert 1 == len(world.rows(key, "wa"))
    world.clock.advance(60)
    world.go_on(key)
    assert (["a"], []) == (world.graph.moves, world.rows(key, "wa"))


def test_a_pause_that_the_sweep_meets_is_everyones(world: World) -> None:
    """A 503 that names a wait stands in the turn's row, whoever met it."""
    key = world.connect()
    world.go(key)
    world.clock.advance(3600)
    trouble = Unreachable("503", retry_after=120)
    world.graph.list_page = lambda *_, **__: (_ for _ in ()).throw(trouble)  # type: ignore[method-assign]
    world.go(key)
    paused = world.turns.look(BOX).paused_until()
    assert paused is not None
    assert 120 <= (paused - world.clock()).total_seconds() < 125


def test_what_a_sweep_stored_before_its_trouble_is_moved_by_the_next_fetch(world: World) -> None:
    """Its receipts stand; their work is not left until the next sweep."""
    key = world.connect(after_fetch=ARCHIVE)
    world.go(key)
    world.clock.advance(3600)
    world.graph.arrive("a", received_at=at(world, hours=3))
    world.graph.arrive("b", received_at=at(world, hours=3), size=600_000)
    world.graph.arrive("c", received_at=at(world, hours=3), size=600_000)
    world.graph.lost.update("abc")
    world.graph.items = {name: [Unreachable("reset")] for name in "bc"}
    world.go(key)
    assert (set("abc"), [], 1) == (taken(world, key), world.graph.moves, len(world.rows(key, "wa")))
    world.clock.advance(60)
    world.go_on(key)
    assert ["a", "b", "c"] == sorted(world.graph.moves)


def test_a_sweep_that_keeps_failing_is_tried_as_often_as_the_fetch(world: World) -> None:
    """The look at work in rows that its trouble asks for comes with the next fetch, and not at once."""
    key = world.connect()
    world.go(key)
    world.clock.advance(3600)
    world.graph.list_page = lambda *_, **__: (_ for _ in ()).throw(broken())  # type: ignore[method-assign]
    world.go(key)
    for _ in range(3):
        world.go_on(key)
        assert timedelta(minutes=5) == from_text(world.run(key).next_at) - world.clock()


def test_another_try_by_a_person_that_fails_is_no_recovery(world: World) -> None:
    """Only a fetch that works says so."""
    key = world.connect()
    while not world.run(key).stopped:
        world.graph.failures.plan("page", MailboxFault("denied"))
        world.go_on(key)
    changed = due_now(find(world.tables, key))
    world.tables.connections.commit(shard_of(BOX), changed.operations)
    world.graph.failures.plan("page", MailboxFault("denied"))
    world.go(key)
    assert (False, [EventType.CONNECTION_FAILED.value]) == (world.run(key).stopped, events(world))
    world.go_on(key)
    assert [EventType.CONNECTION_FAILED.value, EventType.CONNECTION_RECOVERED.value] == sorted(events(world))


def test_a_429_of_one_connection_spares_the_others_of_its_mailbox(world: World) -> None:
    """They are fetched under the same turn, and wait as long."""
    keys = sorted([world.connect(), world.connect(folder_id="other")])
    world.graph.failures.plan("page", Throttled("slow", retry_after=90))
    world.go(keys[0])
    waits = [from_text(world.run(key).next_at) - world.clock() for key in keys]
    assert (1, timedelta(seconds=90)) == (len(world.graph.calls), waits[0])
    assert (timedelta(seconds=90), 0) == (waits[1], world.run(keys[1]).failures)


def test_an_empty_page_is_not_the_end_of_a_list(world: World) -> None:
    """Only a page without a link to the next is."""
    world.access.has_delta = False
    key = world.connect()
    world.graph.arrive("a", received_at=at(world, minutes=5))
    listed, rest = world.graph.list_page, [DeltaPage([], next_link="list:2"), DeltaPage([], next_link="list:3")]

    def empty_first(*args: object, **options: object) -> DeltaPage:
        return rest.pop(0) if len(rest) == 2 else listed(*args, **options)  # type: ignore[arg-type]

    def follow(mailbox: GraphMailbox, link: str, page_size: int) -> DeltaPage:
        if rest:
            return rest.pop(0)
        assert "list:3" == link
        return DeltaPage(world.graph.messages[:page_size])

    world.graph.list_page = empty_first  # type: ignore[method-assign]
    world.graph.next_page = follow  # type: ignore[method-assign]
    world.go(key)
    assert {"a"} == taken(world, key)


@pytest.mark.parametrize("page_size", [1, 4])
def test_mail_of_the_future_hides_no_mail_of_today(page_size: int) -> None:
    """Imported mail may bear any time; a folder without delta goes on from now, not from there."""
    world = World(limits=FetchLimits(page_size=page_size, pages=2, sweep_seconds=1e9))
    world.access.has_delta = False
    key = world.connect()
    world.graph.arrive("a", received_at=at(world, hours=1))
    world.graph.arrive("future", received_at="2099-01-01T00:00:00Z")
    for _ in range(4):
        world.go_on(key)
    world.clock.advance(300)
    world.graph.arrive("today", received_at=at(world, seconds=30))
    for _ in range(4):
        world.go_on(key)
    assert ({"a", "future", "today"}, 3) == (taken(world, key), world.run(key).taken)


def test_a_list_without_mail_never_reaches_back_behind_its_start(world: World) -> None:
    """A connection that starts now takes no mail of the minutes before, however often it looks."""
    world.access.has_delta = False
    key = world.connect(start="now")
    world.graph.arrive("before", received_at=at(world, minutes=2))
    for _ in range(3):
        world.go_on(key)
    run = world.run(key)
    world.fetch().run(Wakeup(FETCH, key, run.seq, run.due))
    assert set() == taken(world, key)


def test_a_run_that_dies_amid_large_mail_keeps_what_it_has(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a page that takes longer than the host lets a run last would begin anew for ever."""
    monkeypatch.setattr(contents, "LARGE_AT_ONCE", 2)
    world.limits = FetchLimits(page_size=20, sweep_seconds=1e9)
    key = world.connect()
    names = [f"m{number}" for number in range(9)]
    world.graph.arrive(*names, size=100_000_000)
    stream, left, kept = world.graph.content_stream, [3], []

    def until_killed(mailbox: GraphMailbox, message_id: str) -> Iterator[bytes]:
        left[0] -= 1
        if left[0] < 0:
            raise RuntimeError("killed")
        return stream(mailbox, message_id)

    world.graph.content_stream = until_killed  # type: ignore[method-assign]
    for _ in range(12):
        left[0] = 3
        if world.run(key).claim:
            world.clock.advance(91)
        with suppress(RuntimeError):
            world.go(key)
        kept.append(len(taken(world, key)))
        if kept[-1] == len(names):
            break
    assert (len(names), sorted(set(kept))) == (kept[-1], kept)
