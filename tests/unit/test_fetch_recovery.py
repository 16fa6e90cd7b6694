"""What a fetch that died, was paused, disabled or had to yield leaves, and how the next one makes up for it."""

from dataclasses import replace
from datetime import timedelta

import pytest

from shared.codes import Code
from shared.connections import Action, AfterFetch, Direction, box_key, connection_key
from shared.errors import ItemFault, StorageUnavailable, Unreachable
from shared.fetch import after
from shared.fetch.job import claim_length
from shared.fetch.run import FetchLimits
from shared.identifiers import shard_of
from shared.ports import Update
from shared.rows import encode
from shared.schedule import FETCH, SEND, Wakeup
from shared.tick import Tick
from shared.times import from_text, to_text
from tests.fakes.graph_reading import gone
from tests.fakes.intake import BOX, World

ARCHIVE = AfterFetch(Action.MOVE, "archive")


@pytest.fixture
def world() -> World:
    """Return a fresh mailbox."""
    return World()


def died(world: World, after_fetch: AfterFetch) -> str:
    """Return a connection whose fetch died before anything followed the storing of two mails; its claim has ended."""
    key = world.connect(after_fetch=after_fetch)
    world.graph.arrive("a", "b")
    world.graph.failures.plan("apply", RuntimeError("killed"))
    with pytest.raises(RuntimeError):
        world.go(key)
    world.clock.advance(91)
    return key


def set_action(world: World, key: str, action: AfterFetch) -> None:
    """Change what follows a fetch."""
    connection = world.turns.look(BOX).connections[key]
    values = encode(replace(connection, after_fetch=action))
    world.tables.connections.commit(shard_of(BOX), [Update(connection_key(key), values, "*")])


def test_an_action_taken_back_moves_nothing(world: World) -> None:
    """Work that a dead run left for `read` or `move` ends without a word to Graph once the action is `none`."""
    key = died(world, AfterFetch(Action.READ))
    set_action(world, key, AfterFetch(Action.NONE))
    world.graph.calls.clear()
    world.go(key)
    assert (world.graph.moves, world.graph.read, world.graph.calls.count("apply")) == ([], set(), 0)
    assert (world.rows(key, "wa"), world.run(key).pending) == ([], False)


def test_a_pause_does_not_forget_what_a_dead_run_left(world: World) -> None:
    """The run after the death finds the mailbox paused; the one after that still moves the mail."""
    key = died(world, ARCHIVE)
    until = to_text(world.clock() + timedelta(seconds=60))
    world.tables.connections.commit(shard_of(BOX), [Update(box_key(BOX), {"paused_until": until}, "*")])
    world.go(key)
    assert (world.run(key).claim, world.run(key).pending, world.run(key).recheck) == ("", True, True)
    world.go_on(key)
    assert (sorted(world.graph.moves), world.rows(key, "wa"), world.run(key).pending) == (["a", "b"], [], False)


def test_more_work_than_one_read_is_done_in_the_next_run(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The record says that work is left as long as a read of it was full."""
    monkeypatch.setattr(after, "MOST_WORK", 2)
    key = world.connect(after_fetch=ARCHIVE)
    world.graph.arrive(*"abcde")
    world.graph.items = {f"apply:{name}": [Unreachable("503")] for name in "abcde"}
    world.go(key)
    moved = []
    for _ in range(3):
        world.go_on(key)
        moved.append(len(world.graph.moves))
    assert (moved, world.rows(key, "wa"), world.run(key).pending) == ([2, 4, 5], [], False)


def test_a_target_folder_that_is_gone_is_no_message_that_is_gone(world: World) -> None:
    """Graph says 404 for both; mail that still lies there bears the fault on its receipt."""
    key = world.connect(after_fetch=ARCHIVE)
    world.graph.arrive("a", "b")
    world.graph.items = {"apply:a": [gone()], "apply:b": [gone()], "placed:b": [gone()]}
    world.go(key)
    fault = world.receipt(key, "a").after_fault
    assert (fault.code if fault else "", world.receipt(key, "b").after_fault) == ("folder_not_found", None)
    assert world.rows(key, "wa") == []


def test_a_message_that_cannot_be_looked_up_is_still_moved(world: World) -> None:
    """Only a message that is gone, or lies there, needs no move."""
    key = died(world, ARCHIVE)
    world.graph.items["placed:a"] = [ItemFault("refused", Code.MESSAGE_REFUSED)]
    world.go(key)
    assert (sorted(world.graph.moves), world.rows(key, "wa")) == (["a", "b"], [])


def test_a_claim_ends_half_a_lease_after_the_lease(world: World) -> None:
    """With leases of 6 s a death costs 9 s, with leases of 60 s it costs 90 s, never more than two minutes."""
    assert [claim_length(lease).total_seconds() for lease in (6.0, 60.0, 100.0)] == [9.0, 90.0, 120.0]
    world.turns.lease_seconds = 6.0
    key = world.connect()
    world.graph.failures.plan("page", RuntimeError("killed"))
    with pytest.raises(RuntimeError):
        world.go(key)
    assert [(row.kind, row.at - world.clock()) for row in world.due_rows()] == [(FETCH, timedelta(seconds=9))]


def test_a_long_run_that_dies_is_noticed_soon(world: World) -> None:
    """What the tick woke in vain fires again once the lease of the turn has ended, not five minutes on."""
    key = world.connect()
    world.graph.arrive("a")
    tick = Tick(world.tables, world.wakeups, world.clock)

    def long_run(_: str) -> None:
        world.graph.failures.before = None
        lease = to_text(world.clock() + timedelta(seconds=91 + 55))
        world.clock.advance(91)
        world.tables.connections.commit(shard_of(BOX), [Update(box_key(BOX), {"lease_until": lease}, "*")])
        tick.run()
        world.fetch().run(Wakeup.from_body(world.woken(FETCH)[-1]))
        raise RuntimeError("killed")

    world.graph.failures.before = long_run
    with pytest.raises(RuntimeError):
        world.go(key)
    assert [(row.kind, row.at - world.clock()) for row in world.due_rows()] == [(FETCH, timedelta(seconds=55 + 30))]
    world.clock.advance(86)
    tick.run()
    world.fetch().run(Wakeup.from_body(world.woken(FETCH)[-1]))
    assert (len(world.rows(key, "m")), world.run(key).claim) == (1, "")
    assert [row.key for row in world.due_rows() if row.kind == FETCH] == [world.run(key).due]


def test_fetch_yields_to_a_sender_though_its_own_kind_left_word(world: World) -> None:
    """A long walk whose next wake-up arrives before a page is done must not keep senders out for ever."""
    world.limits = FetchLimits(page_size=1)
    key, sender = world.connect(), world.connect(direction=Direction.OUTGOING)
    world.graph.arrive("a", "b", "c")

    def leave_word(_: str) -> None:
        world.want(SEND)
        world.want(FETCH)
        world.clock.advance(16)  # the next renewal reads the word

    world.graph.failures.before = leave_word
    world.go(key)
    box = world.turns.look(BOX).box
    assert (box.holder, box.reserved_for, box.wanted_fetch) == ("", SEND, "")
    assert [body["id"] for body in world.woken(SEND)] == [sender]
    own = [item for item in world.wakeups.sent if item.body["kind"] == FETCH]
    assert [(item.body["id"], item.delay_seconds) for item in own] == [(key, 3.0)]
    assert 0 < len(world.rows(key, "m")) < 3


def test_a_commit_without_an_answer_still_wakes_the_senders(world: World) -> None:
    """Whom the turn was reserved for stands in the row."""
    key, sender = world.connect(), world.connect(direction=Direction.OUTGOING)

    def last_call(method: str) -> None:
        if method == "commit" and world.graph.calls:
            world.tables.connections.failures.before = None
            world.want(SEND)
            world.tables.connections.failures.before = lost

    def lost(method: str) -> None:
        view = world.turns.look(BOX)
        if method == "commit" and view.box.wanted_send:
            world.tables.connections.failures.before = None
            world.tables.connections.failures.plan("commit", StorageUnavailable("lost"), after_effect=True)

    world.tables.connections.failures.before = last_call
    world.go(key)
    assert [body["id"] for body in world.woken(SEND)] == [sender]
    assert from_text(world.run(key).next_at) > world.clock()
