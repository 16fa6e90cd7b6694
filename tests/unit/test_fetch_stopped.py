"""A mailbox that was given up is tried once a day for 30 days, and goes on without a gap once it is there again."""

from dataclasses import replace
from datetime import timedelta

import pytest

from shared.codes import Code
from shared.connections import Run, run_key
from shared.errors import CredentialFault, Fault, ItemFault, MailboxFault, Throttled, Unreachable
from shared.fetch import outcome
from shared.fetch.job import since_of
from shared.identifiers import shard_of
from shared.ports import Upsert
from shared.rows import encode
from shared.schedule import FETCH
from shared.times import from_text, to_text
from tests.fakes.intake import BOX, World

DAY = timedelta(days=1)
GONE = MailboxFault("no mailbox", Code.MAILBOX_NOT_ENABLED)


@pytest.fixture
def world() -> World:
    """Return one mailbox without connections."""
    return World()


def stopped(world: World, **changes: object) -> str:
    """Make a connection that was fetched once, then failed for a day and was stopped; return its id."""
    key = world.connect(**changes)
    world.go(key)
    failing = world.clock()
    while not world.run(key).stopped:
        world.graph.failures.plan("page", GONE)
        world.go_on(key)
    assert DAY <= world.clock() - failing < DAY + timedelta(hours=2)
    return key


def test_a_stopped_mailbox_is_probed_daily_for_thirty_days(world: World) -> None:
    """One call a day, and no due row is left when the last has failed: then only a person starts it again."""
    key = stopped(world)
    begun, probes = world.clock(), 0
    while world.run(key).next_at:
        world.graph.failures.plan("page", GONE)
        world.go_on(key)
        probes += 1

    assert 29 <= probes <= 31
    assert timedelta(days=29) < world.clock() - begun < timedelta(days=31)
    fetches = [due for due in world.due_rows() if due.kind == FETCH]
    assert (True, "", []) == (world.run(key).stopped, world.run(key).due, fetches)


def test_a_restored_mailbox_goes_on_without_a_gap(world: World) -> None:
    """What came while it was away is taken once, however old; what was known is not, nor mail of before the start."""
    world.graph.arrive("old", received_at=to_text(world.clock() - 400 * DAY))
    world.graph.arrive("known", received_at=to_text(world.clock() - timedelta(hours=1)))
    key = stopped(world, start=to_text(world.clock() - 2 * DAY))
    assert 1 == world.run(key).taken
    since = world.run(key).since
    world.graph.arrive("missed", received_at=to_text(world.clock() - timedelta(hours=3)))
    world.graph.arrive("moved here", received_at=to_text(world.clock() - timedelta(hours=60)))
    world.go_on(key)

    run = world.run(key)
    assert (False, None, 0, 3) == (run.stopped, run.fault, run.failures, run.taken)
    assert 3 == len(world.rows(key, "m"))
    assert since == run.since
    assert [run.due] == [due.key for due in world.due_rows() if due.kind == FETCH]


def test_a_resync_takes_nothing_from_before_the_start(world: World) -> None:
    """A connection that began an hour before its mailbox failed does not reach back behind its own beginning."""
    key = stopped(world, start="now")
    connection = world.turns.look(BOX).connections[key]
    world.go_on(key)

    assert since_of(connection, replace(world.run(key), since="")) == since_of(connection, world.run(key))


@pytest.mark.parametrize("fault", [Unreachable("503"), Throttled("429", retry_after=30)])
def test_a_network_that_fails_a_probe_decides_nothing(world: World, fault: Fault) -> None:
    """It is tried again soon, stays stopped, and keeps saying why it was stopped."""
    key = stopped(world)
    world.graph.failures.plan("page", fault)
    world.go_on(key)

    run = world.run(key)
    assert run.fault is not None
    assert (True, Code.MAILBOX_NOT_ENABLED.value) == (run.stopped, run.fault.code)
    assert timedelta(0) < from_text(run.next_at) - world.clock() <= timedelta(minutes=15)


def test_a_grant_that_fails_a_probe_costs_nothing_more(world: World) -> None:
    """A stopped connection of a broken grant looks once a day, not once a minute."""
    key = stopped(world)
    world.access.fault = CredentialFault("expired")
    world.go_on(key)

    run = world.run(key)
    assert (True, DAY) == (run.stopped, from_text(run.next_at) - world.clock())


def test_a_record_of_before_the_probes_is_left_to_a_person(world: World) -> None:
    """A connection that an older version has stopped has no time, so it is not due."""
    key = world.connect()
    run = replace(world.run(key), stopped=True, next_at="", due="")
    world.tables.connections.commit(shard_of(BOX), [Upsert(run_key(key), encode(run))])
    world.go(key)

    assert run == world.run(key)


@pytest.mark.parametrize(("hours", "stops"), [(23, False), (24, True)])
@pytest.mark.parametrize("fault", [MailboxFault("x"), ItemFault("x")])
def test_a_days_patience(fault: Fault, hours: int, stops: bool) -> None:
    """Licences and Exchange's access rules take hours to arrive; after a day somebody must look."""
    now = World().clock()
    run = Run("c", failures=9, failing_since=to_text(now - timedelta(hours=hours)))
    after = outcome.faulted(run, fault, now)

    assert (stops, DAY if stops else timedelta(hours=1)) == (after.stopped, from_text(after.next_at) - now)
