"""How fast a mailbox sends: so many mails a minute, so many bytes in five, smoothed and never refused."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.codes import Code
from shared.compose.message import Outgoing
from shared.errors import MailboxFault
from shared.outbox.work import Status
from shared.schedule import SEND
from shared.send.pace import SMOOTHING_SECONDS, UPLOAD_BYTES, LaterError, Pace
from shared.turns import Turn
from tests.scenes.sending import BOX, MAIL, QUEUE, Sending

STEP = 1.0


def watched(world: Sending) -> list[datetime]:
    """Return the list to which the time of every ``/send`` is added."""
    times: list[datetime] = []
    world.exchange.step = lambda name: times.append(world.clock()) if name == "before send" else None
    return times


def play(world: Sending, seconds: float) -> None:
    """Let time pass in small steps, with every wake-up answered at once."""
    for _ in range(int(seconds / STEP)):
        world.work()
        world.clock.advance(STEP)
    world.work()


def at_most(times: Sequence[datetime], rate: int, burst: int) -> bool:
    """Tell whether no span of time holds more than a burst and what the rate brings in it."""
    return all(
        last - first + 1 <= burst + (times[last] - times[first]).total_seconds() * rate / 60 + 1
        for first in range(len(times))
        for last in range(first, len(times))
    )


def held(world: Sending) -> Turn:
    """Return the turn of the mailbox, taken."""
    turn = world.turns.claim(world.turns.look(BOX), SEND, lambda _: [])
    assert turn is not None
    return turn


def test_a_backlog_goes_out_at_thirty_a_minute() -> None:
    """One hundred mails: thirty at once, the rest at the rate, none refused and none early."""
    world = Sending(send_rate=30)
    times = watched(world)
    ids = [world.accept() for _ in range(100)]
    play(world, 70 * 2 + SMOOTHING_SECONDS + 5)

    assert {1} == {world.exchange.copies[entry_id] for entry_id in ids}
    assert 30 == sum(moment == times[0] for moment in times)
    assert at_most(times, 30, 30)
    assert max(later - earlier for earlier, later in pairwise(times)) <= timedelta(seconds=SMOOTHING_SECONDS + 1)
    assert {Status.ACCEPTED} == {world.entry(entry_id).status for entry_id in ids}


def test_waiting_for_the_rate_is_no_fault() -> None:
    """The connection stays without a fault while its mails wait for their turn, and nothing is lost with a wake-up."""
    world = Sending(send_rate=6)
    ids = [world.accept() for _ in range(9)]
    world.work()
    run = world.turns.look(BOX).runs[world.connection.id]
    assert (0, None) == (run.failures, run.fault)

    world.wakeups.take(QUEUE)
    world.clock.advance(400)
    world.wakeups.take(QUEUE)  # every message is lost: the due row fires
    world.run(1200)
    assert {1} == {world.exchange.copies[entry_id] for entry_id in ids}


def test_the_bucket_outlives_the_worker() -> None:
    """The next holder goes on where the last one stopped."""
    world = Sending(send_rate=10)
    first = [world.accept() for _ in range(10)]
    world.work()
    second = world.accept()
    world.work()
    assert ([1] * 10, 0) == ([world.exchange.copies[entry_id] for entry_id in first], world.exchange.copies[second])
    assert 0 == int(world.turns.look(BOX).box.send_tokens)


@settings(max_examples=8, deadline=None)
@given(
    rate=st.integers(4, 60),
    arrivals=st.lists(st.tuples(st.integers(0, 60), st.integers(1, 12)), min_size=1, max_size=3),
)
def test_no_span_of_time_holds_more_than_the_rate(rate: int, arrivals: list[tuple[int, int]]) -> None:
    """Whenever mails arrive, and however many, the rate holds; and all of them go out in time."""
    world = Sending(send_rate=rate)
    times, total, last = watched(world), 0, 0
    for pause, count in arrivals:
        for _ in range(count):
            world.accept()
        total, last = total + count, last + pause
        play(world, pause)
    play(world, total * 60 / rate + SMOOTHING_SECONDS + 65)

    assert total == len(times)
    assert at_most(times, rate, rate)


def test_a_quota_of_exchange_is_waited_for_by_the_hour() -> None:
    """Exchange's own limits are no matter of seconds: the mails stay queued, and go out once it allows."""
    world = Sending()
    times = watched(world)
    full = MailboxFault("quota", Code.SENDING_QUOTA_EXCEEDED, retryable=True, retry_after=3600.0)
    over = world.clock() + timedelta(hours=5)
    world.exchange.script = lambda name: (full, False) if name == "send" and world.clock() < over else (None, True)
    ids = [world.accept() for _ in range(3)]
    world.run(8 * 3600)

    assert {1} == {world.exchange.copies[entry_id] for entry_id in ids}
    assert len([moment for moment in times if moment < over]) <= 12
    assert min(later - earlier for earlier, later in pairwise(sorted(set(times)))) >= timedelta(minutes=59)


def test_uploads_are_spread_over_five_minutes() -> None:
    """What has gone up in five minutes stays below Graph's limit, and a mail beyond it goes later."""
    world = Sending()
    pace = Pace(held(world), 0, world.clock)
    pace.upload(UPLOAD_BYTES // 2)
    pace.upload(UPLOAD_BYTES // 2)
    with pytest.raises(LaterError) as refused:
        pace.upload(UPLOAD_BYTES // 3)
    assert 99 <= (refused.value.at - world.clock()).total_seconds() <= 101
    world.clock.advance(101)
    pace.upload(UPLOAD_BYTES // 3)


def test_a_mail_larger_than_the_limit_goes_alone() -> None:
    """It waits until nothing else has gone up, and then it goes."""
    world = Sending()
    pace = Pace(held(world), 0, world.clock)
    pace.upload(1000)
    with pytest.raises(LaterError) as refused:
        pace.upload(UPLOAD_BYTES * 2)
    world.clock.advance((refused.value.at - world.clock()).total_seconds() + 0.01)
    pace.upload(UPLOAD_BYTES * 2)


def test_a_mail_that_waits_for_its_bytes_is_sent_later() -> None:
    """No draft is made of it before, and others are not held up."""
    world = Sending()
    turn = held(world)
    Pace(turn, 0, world.clock).upload(UPLOAD_BYTES - 50_000)
    turn.release()
    large = world.accept(Outgoing(to=MAIL.to, subject="l", text="x" * 200_000))
    small = world.accept()
    world.work()
    assert (0, 1, 1) == (world.exchange.copies[large], world.exchange.copies[small], world.exchange.calls["send"])
    world.run(30)
    assert 1 == world.exchange.copies[large]


def test_those_who_only_wait_do_not_put_each_other_off() -> None:
    """A pause that Graph asked for ends when it said, whoever looks in meanwhile."""
    world, entries = Sending(), []
    world.accept()
    play(world, 5)
    world.turns.pause(BOX, world.clock() + timedelta(seconds=8))
    for _ in range(2):
        entries.append(world.accept())
        play(world, 5)
        world.connection = world.make()
    play(world, 20)

    assert [Status.ACCEPTED] * 2 == [world.entry(entry).status for entry in entries]
