"""Mails for much later: thousands of them cost a drain nothing, and each is sent once, at its time."""

from datetime import UTC, datetime, timedelta

import pytest

from shared.errors import StorageUnavailable
from shared.outbox import moves
from shared.outbox.rows import ACTIVE_LAST, WORK_FIRST
from shared.outbox.work import Status
from shared.send.entries import Wanted
from shared.send.scheduled import AT_ONCE, bring_forward
from shared.send.storing import Writer
from shared.times import to_text
from tests.scenes.sending import QUEUE, Killer, Sending

WEEK = timedelta(days=7)


def rows_of_progress(world: Sending) -> list[str]:
    """Return the keys of progress rows and of the rows by time."""
    return [key for key in world.stored() if key.startswith(("w|", "t|"))]


def test_a_mail_for_later_than_a_queue_message_lives_is_sent_at_its_time() -> None:
    """Eight days and more are kept by due rows; no message is hidden longer than a few minutes."""
    world = Sending()
    entry_id = world.accept(send_at=world.clock() + WEEK + timedelta(days=2))
    world.work()
    world.clock.advance((WEEK + timedelta(days=2, minutes=-20)).total_seconds())
    world.run(60)
    assert (Status.QUEUED, {}) == (world.entry(entry_id).status, dict(world.exchange.calls))

    world.run(3600)

    assert (Status.ACCEPTED, 1) == (world.entry(entry_id).status, world.exchange.copies[entry_id])
    assert max(sent.delay_seconds for sent in world.wakeups.sent) <= 300
    assert ([], []) == (rows_of_progress(world), world.due_rows())


def test_mails_for_much_later_are_not_read_by_drains() -> None:
    """A drain reads as often with 120 scheduled mails as with none, and sends what is due."""
    world = Sending()
    later = [world.accept(send_at=world.clock() + timedelta(days=30, minutes=number)) for number in range(120)]
    world.work()
    entry_id = world.accept()
    world.tables.outbox.calls.clear()
    world.work()

    assert 1 == world.exchange.copies.total() == world.exchange.copies[entry_id]
    assert 3 == world.tables.outbox.calls["read"]  # one for the wake-up, the scan, and the first of what is for later
    assert [] == world.tables.outbox.read(world.connection.id, WORK_FIRST, ACTIVE_LAST).rows
    assert Status.QUEUED == world.entry(later[-1]).status


def test_a_thousand_mails_for_one_moment_are_sent_once_each() -> None:
    """Rows move in full transactions, and each mail has one copy."""
    world = Sending()
    at = world.clock() + timedelta(hours=5)
    ids = [world.accept(send_at=at) for _ in range(3 * AT_ONCE + 1)]
    world.work()
    world.clock.advance(5 * 3600)
    world.run(1200)

    assert {1} == {world.exchange.copies[entry_id] for entry_id in ids}
    assert {Status.ACCEPTED} == {world.entry(entry_id).status for entry_id in ids}


def test_a_mail_for_much_later_can_be_cancelled_and_is_listed() -> None:
    """Before its time it is listed as queued; cancelled, it leaves no row behind and is never sent."""
    world = Sending()
    at = world.clock() + timedelta(days=3)
    first, second = world.accept(send_at=at), world.accept(send_at=at)
    listed = [entry.id for entry in world.entries.page(world.connection.id, Wanted(status=Status.QUEUED)).entries]
    every = [entry.status for entry in world.entries.page(world.connection.id, Wanted()).entries]

    cancelled = world.entries.cancel(first)
    world.work()
    world.clock.advance(3 * 86400)
    world.run(1200)

    assert ({first, second}, [Status.QUEUED] * 2) == (set(listed), every)
    assert (Status.CANCELLED, Status.ACCEPTED) == (cancelled.status, world.entry(second).status)
    assert (0, 1, []) == (world.exchange.copies[first], world.exchange.copies[second], rows_of_progress(world))


def test_a_cancellation_in_the_instant_of_moving_wins_alone() -> None:
    """The others of its transaction move all the same."""
    world = Sending()
    at = world.clock() + timedelta(hours=1)
    ids = [world.accept(send_at=at) for _ in range(3)]
    world.clock.advance(3700)

    def cancel(method: str) -> None:
        if method == "commit":
            world.tables.outbox.failures.before = None
            world.entries.cancel(ids[1])

    world.tables.outbox.failures.before = cancel
    upcoming = bring_forward(Writer(world.tables.outbox, world.connection.id), world.clock())

    assert (None, Status.CANCELLED) == (upcoming, world.entry(ids[1]).status)
    assert 2 == len(rows_of_progress(world))
    world.run(600)
    assert [1, 0, 1] == [world.exchange.copies[entry_id] for entry_id in ids]


@pytest.mark.parametrize("after_effect", [False, True])
def test_a_move_whose_answer_is_lost_is_done_once(after_effect: bool) -> None:
    """Whether it happened or not, the next drain goes on from what stands."""
    world = Sending()
    ids = [world.accept(send_at=world.clock() + timedelta(hours=1)) for _ in range(3)]
    world.clock.advance(3700)
    world.tables.outbox.failures.plan("commit", after_effect=after_effect)
    with pytest.raises(StorageUnavailable):
        bring_forward(Writer(world.tables.outbox, world.connection.id), world.clock())

    world.run(1200)

    assert [1, 1, 1] == [world.exchange.copies[entry_id] for entry_id in ids]


@pytest.mark.parametrize("kill_at", range(1, 13))
def test_a_death_around_the_move_costs_no_copy_and_makes_none(kill_at: int) -> None:
    """Killed at any boundary of the drain that brings it forward, the mail is sent once."""
    killer = Killer()
    world = Sending(killer=killer)
    entry_id = world.accept(send_at=world.clock() + timedelta(hours=1))
    world.wakeups.take(QUEUE)
    world.clock.advance(3700)
    killer.at = kill_at
    entry = world.finish(entry_id)

    assert (Status.ACCEPTED, 1) == (entry.status, world.exchange.copies[entry_id])
    assert [] == rows_of_progress(world)


def test_a_host_whose_clock_is_fast_sends_nothing_before_its_time() -> None:
    """A time that only the host takes for past is kept, for storage's time to decide; one long past is not."""
    now = datetime(2026, 3, 2, 10, 2, tzinfo=UTC)
    soon, long_ago = now - timedelta(seconds=110), now - timedelta(hours=1)

    assert to_text(soon) == moves.accept("msg_1", "payload", now, soon).not_before
    assert "" == moves.accept("msg_1", "payload", now, long_ago).not_before
