"""How accepted mail wakes its drain: one message serves many mails, and no mail is left without one."""

import threading
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import StorageUnavailable
from shared.outbox.work import Status
from shared.send import waking
from shared.send.waking import BURST_SECONDS, HIDDEN_SECONDS, SharedWakeups
from tests.fakes import MovableClock
from tests.scenes.sending import QUEUE, KilledError, Killer, Sending


def sent(world: Sending) -> set[str]:
    """Return the ids of the mails of which there is a copy."""
    assert {1} >= set(world.exchange.copies.values())
    return set(world.exchange.copies)


def delays(world: Sending) -> list[float]:
    """Return how long each message to senders was hidden."""
    return [message.delay_seconds for message in world.wakeups.sent if message.queue == QUEUE]


def test_a_lone_mail_is_not_kept_waiting() -> None:
    """Who sends one mail now and then has a message for each, to be seen at once."""
    world = Sending()
    for _ in range(3):
        world.accept()
        world.work()
        world.clock.advance(BURST_SECONDS)

    assert [0, 0, 0] == delays(world)
    assert 3 == len(sent(world))


def test_mails_of_one_moment_share_two_messages() -> None:
    """The first wakes at once, the second a little later for all that came after the first was taken."""
    world = Sending()
    first = world.accept()
    world.work()
    ids = {first, *(world.accept() for _ in range(20))}
    world.work()
    assert {first} == sent(world)
    world.clock.advance(HIDDEN_SECONDS)
    world.work()

    assert ([0, HIDDEN_SECONDS], ids) == (delays(world), sent(world))


def test_a_stream_of_mails_has_two_messages_a_second_and_nobody_waits() -> None:
    """Twenty mails a second are all sent soon, at a tenth of the messages."""
    world, waited = Sending(), []
    accepted: dict[str, float] = {}
    for number in range(200):
        if number < 160:
            accepted[world.accept()] = world.clock.monotonic()
        world.work()
        waited += [world.clock.monotonic() - accepted.pop(one) for one in sent(world) & accepted.keys()]
        world.clock.advance(0.05)

    assert {} == accepted
    assert max(waited) <= HIDDEN_SECONDS
    assert len(delays(world)) <= 2 * 8 + 1


def test_scheduled_mails_of_one_moment_share_a_message_that_waits_for_it() -> None:
    """Nobody is woken before there is something to do."""
    world = Sending()
    at = world.clock() + timedelta(seconds=90)
    ids = {world.accept(send_at=at) for _ in range(30)}
    assert 1 == len(delays(world))
    world.clock.advance(87)
    assert [] == world.wakeups.take(QUEUE)
    world.clock.advance(3)
    world.work()

    assert ids == sent(world)


def test_a_mail_for_now_does_not_wait_for_the_message_of_a_scheduled_one() -> None:
    """A message that comes too late for a mail does not serve it."""
    world = Sending()
    world.accept(send_at=world.clock() + timedelta(seconds=90))
    entry_id = world.accept()
    world.work()

    assert {entry_id} == sent(world)


@pytest.mark.parametrize("skew", [-120, 120])
def test_a_scheduled_mail_is_in_time_whatever_clock_its_host_has(skew: int) -> None:
    """The wait is counted from storage's answer."""
    world = Sending()
    world.acceptance = replace(world.acceptance, now=lambda: world.clock() + timedelta(seconds=skew))
    entry_id = world.accept(send_at=world.clock() + timedelta(seconds=200))
    world.clock.advance(200)
    world.work()

    assert {entry_id} == sent(world)


def test_a_message_that_was_not_put_serves_nobody() -> None:
    """The next mail puts its own, and takes the first one along."""
    world = Sending()
    world.wakeups.failures.plan("put")
    ids = {world.accept(), world.accept()}
    world.work()

    assert ids == sent(world)


def test_another_instance_puts_messages_of_its_own() -> None:
    """What one process knows of the queue says nothing to another."""
    world = Sending()
    other = replace(world.acceptance, wakeups=SharedWakeups(world.wakeups, world.clock.monotonic))
    first = world.accept()
    world.work()
    world.acceptance = other
    second = world.accept()
    world.work()

    assert ({first, second}, [0, 0]) == (sent(world), delays(world))


@pytest.mark.parametrize("at", range(1, 9))
def test_whoever_dies_while_accepting_leaves_the_others_their_message(at: int) -> None:
    """Killed between any two calls: what was stored is sent, by the next mail's message or by the due row."""
    world = Sending(killer=Killer(at=at))
    world.wakeups.failures.before = lambda method: world.killer.step(f"before {method}")
    world.accept()
    world.killer.armed = True
    for _ in range(4):
        try:
            world.accept()
        except KilledError:
            world.killer.armed = False
            # The process is gone, and with it what it knew.
            world.acceptance = replace(world.acceptance, wakeups=SharedWakeups(world.wakeups, world.clock.monotonic))
    world.killer.armed = False
    stored = {key for key in world.stored() if key.startswith("m|")}
    world.run(300)

    assert len(stored) == len(sent(world)) >= 4
    assert [] == [key for key in world.stored() if key.startswith("w|")]


MOVES = st.lists(
    st.tuples(
        st.sampled_from([0.0, 0.05, 0.4, 0.999, 1.0, 1.5, 2.0, 3.1]),
        st.sampled_from(["one", "other", "later", "work", "put fails", "drain meanwhile"]),
    ),
    max_size=25,
)


@given(MOVES)
def test_every_mail_is_woken_for_whenever_drains_look(moves: list[tuple[float, str]]) -> None:
    """Two instances accept, drains look at any moment, even within an acceptance: no mail needs its due row."""
    world = Sending()
    one = world.acceptance
    other = replace(one, wakeups=SharedWakeups(world.wakeups, world.clock.monotonic))
    ids: set[str] = set()
    failing: set[str] = set()

    def meanwhile(_: str) -> None:
        world.work()

    for seconds, move in moves:
        world.clock.advance(seconds)
        world.acceptance = other if move == "other" else one
        if move == "work":
            world.work()
            continue
        if move == "put fails":
            world.wakeups.failures.plan("put")
        if move == "drain meanwhile":
            world.tables.outbox.failures.before = world.wakeups.failures.before = meanwhile
        before = len(world.wakeups.sent)
        later = timedelta(seconds=2.5 if move == "later" else -1)
        made = world.accept(send_at=world.clock() + later)
        world.tables.outbox.failures.before = world.wakeups.failures.before = None
        world.wakeups.failures = type(world.wakeups.failures)()
        failed = move == "put fails" and len(world.wakeups.sent) == before
        (failing if failed else ids).add(made)
    for _ in range(8):
        world.clock.advance(1)
        world.work()

    # Where the put failed the mail may still have been covered; if not, the minute's due row is there for it.
    assert ids <= sent(world)
    world.run(300)
    assert ids | failing == sent(world)
    assert {Status.ACCEPTED} >= {world.entry(entry_id).status for entry_id in ids | failing}


def test_a_queue_that_does_not_answer_holds_up_nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever waits for another's message gives up soon and puts one."""
    monkeypatch.setattr(waking, "_QUEUEING_SECONDS", 0.01)
    slow, over, put = threading.Event(), threading.Event(), []

    class Queue:
        def put(self, _queue: str, body: Mapping[str, Any], _delay: float = 0) -> None:
            put.append(body["id"])
            if len(put) == 1:
                slow.set()
                assert over.wait(10)
                raise StorageUnavailable("no answer")

    wakeups = SharedWakeups(Queue(), MovableClock().monotonic)
    first = threading.Thread(target=wakeups.wake, args=("conn",))
    first.start()
    assert slow.wait(10)
    wakeups.wake("conn")
    over.set()
    first.join()

    assert ["conn", "conn"] == put
