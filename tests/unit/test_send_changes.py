"""Sending while the world around it changes: workers die, connections are disabled, enabled and deleted."""

import threading
from datetime import timedelta

import pytest

from shared.codes import Code
from shared.connections import Run, connection_key, run_key
from shared.errors import Conflict, NotFound
from shared.outbox.rows import GATE_KEY
from shared.outbox.work import Status
from shared.ports import ANY, Update
from shared.rows import decode
from shared.schedule import Wakeup
from shared.send.accept import Submission
from shared.send.batch import THREADS, Batch
from shared.send.claim import claim_length
from shared.tick import Tick
from shared.times import from_text
from tests.fakes.exchange import lost_answer
from tests.scenes.sending import MAIL, QUEUE, KilledError, Killer, Sending


def run_of(scene: Sending) -> Run:
    """Return the run as it stands."""
    row = scene.tables.connections.get(scene.connection.shard, run_key(scene.connection.id))
    assert row is not None
    return decode(Run, row.values)


def disable(scene: Sending) -> None:
    """Disable the connection as an administrator does."""
    scene.changes().change(scene.connection.id, {"enabled": False})


@pytest.mark.parametrize(("lease", "seconds"), [(6, 12), (60, 120)])
def test_a_claim_ends_within_two_leases(lease: float, seconds: float) -> None:
    """What a dead worker leaves fires soon after its lease, whatever the lease is scaled to."""
    scene = Sending(killer=Killer(6))
    scene.turns.lease_seconds = lease
    entry_id = scene.accept()
    started = scene.clock()
    scene.work()
    ends = from_text(run_of(scene).next_at)

    assert started + timedelta(seconds=lease + 1) < ends <= started + timedelta(seconds=seconds)
    scene.clock.advance((ends - started).total_seconds() + 1)  # storage tells its time in whole seconds
    Tick(scene.tables, scene.wakeups, scene.clock).run()
    scene.work()
    assert (Status.ACCEPTED, 1) == (scene.entry(entry_id).status, scene.exchange.copies[entry_id])


def test_a_due_row_that_fires_while_a_dead_workers_lease_stands_fires_again_when_it_ends() -> None:
    """The worker renewed its lease and died before it moved its due row on: that costs no five minutes."""
    scene = Sending(killer=Killer(6))
    entry_id = scene.accept()
    scene.work()
    lease = scene.clock() + timedelta(seconds=120)
    row = f"b|{scene.connection.box}|box"
    scene.tables.connections.commit(
        scene.connection.shard, [Update(row, {"lease_until": lease.strftime("%Y-%m-%dT%H:%M:%S.000Z")}, ANY)]
    )
    for _ in range(14):
        scene.clock.advance(10)
        Tick(scene.tables, scene.wakeups, scene.clock).run()
        scene.work()

    assert (Status.ACCEPTED, 1) == (scene.entry(entry_id).status, scene.exchange.copies[entry_id])


def test_disabling_holds_mail_and_enabling_sends_it_at_once() -> None:
    """The run of a disabled connection waits for the end of the hold; enabling does not wait for that."""
    scene = Sending()
    entry_id = scene.accept()
    disable(scene)
    scene.run(3600)
    assert (Status.QUEUED, {}) == (scene.entry(entry_id).status, dict(scene.exchange.calls))

    scene.changes().change(scene.connection.id, {"enabled": True})
    scene.work()
    assert (Status.ACCEPTED, 1) == (scene.entry(entry_id).status, scene.exchange.copies[entry_id])
    scene.run(1200)
    assert [] == scene.due_rows()


def test_an_enabled_connection_sends_though_the_wakeup_is_lost() -> None:
    """The due row stands since the transaction that enabled it."""
    scene = Sending()
    entry_id = scene.accept()
    disable(scene)
    scene.run(3600)
    scene.changes().change(scene.connection.id, {"enabled": True})
    scene.wakeups.take(QUEUE)
    scene.run(60)

    assert (Status.ACCEPTED, 1) == (scene.entry(entry_id).status, scene.exchange.copies[entry_id])


def test_disabling_stops_a_drain_that_is_under_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """A long drain reads the connections anew as often as it moves its claim on; what it is sending gets through."""
    scene, first, noticed = Sending(), threading.Lock(), threading.Event()
    ids = [scene.accept() for _ in range(3 * THREADS)]
    tended = Batch._finish

    def finish(batch: Batch, least: int) -> None:
        """Do what the drain does after each look at the connections, and let the others send on once it has stopped."""
        tended(batch, least)
        if batch.stopped:
            noticed.set()

    def slow(name: str) -> None:
        """Disable while the first mail is sent, which takes half of the claim; the others wait until it is noticed."""
        if name == "after send" and first.acquire(blocking=False):
            disable(scene)
            scene.clock.advance(claim_length(scene.turns).total_seconds() / 2 + 1)
        elif name == "after send":
            noticed.wait(30)

    monkeypatch.setattr(Batch, "_finish", finish)
    scene.exchange.step = slow
    scene.work()

    sent = scene.exchange.copies.total()
    assert noticed.is_set()
    assert 1 <= sent <= 1 + THREADS
    assert len(ids) - sent == sum(scene.entry(entry_id).status == Status.QUEUED for entry_id in ids)


def test_no_mail_gets_into_a_connection_that_is_deleted_in_the_same_instant() -> None:
    """Who has read the connection before it was deleted is refused by the transaction that would accept."""
    scene = Sending()
    read_before = scene.connection
    scene.changes().delete(scene.connection.id)

    with pytest.raises(NotFound):
        scene.acceptance.accept(read_before, Submission(MAIL))
    assert [] == scene.stored()


def test_a_mail_that_came_just_before_the_gate_closed_stops_the_deletion() -> None:
    """It is counted after the gate closed; then the gate opens again and mail is taken as before."""
    scene = Sending()
    came: list[str] = []

    def slip_in(_: str) -> None:
        if not came:
            came.append(scene.accept())

    scene.tables.outbox.failures.before = lambda method: slip_in(method) if method == "commit" else None
    with pytest.raises(Conflict) as refused:
        scene.changes().delete(scene.connection.id)
    scene.tables.outbox.failures.before = None
    second = scene.accept()
    scene.work()

    assert Code.WORK_PENDING == refused.value.code
    assert (1, 1) == (scene.exchange.copies[came[0]], scene.exchange.copies[second])


def test_a_deletion_that_died_behind_its_closed_gate_is_repeated() -> None:
    """No mail gets in meanwhile, and the repeat goes through."""
    scene = Sending(killer=Killer())
    connections = scene.tables.connections

    def die(method: str) -> None:
        if method == "commit":
            raise KilledError(method)

    connections.failures.before = die
    with pytest.raises(KilledError):
        scene.changes().delete(scene.connection.id)
    connections.failures.before = None
    with pytest.raises(NotFound):
        scene.accept()
    scene.changes().delete(scene.connection.id)

    assert None is connections.get(scene.connection.shard, connection_key(scene.connection.id))
    assert None is scene.tables.outbox.get(scene.connection.id, GATE_KEY)


def test_mail_that_is_given_up_with_its_connection_says_so() -> None:
    """Never attempted: cancelled; with an attempt of unknown outcome: nobody can know; nothing stays open."""
    scene = Sending()
    scene.exchange.script = lambda name: (lost_answer(), True) if name == "send" else (None, True)
    tried = scene.accept()
    scene.work()
    waiting = scene.accept(send_at=scene.clock() + timedelta(hours=3))
    scene.changes().delete(scene.connection.id, discard=True)
    scene.work()

    assert (Status.OUTCOME_UNKNOWN, Status.CANCELLED) == (scene.entry(tried).status, scene.entry(waiting).status)
    assert [] == [key for key in scene.stored() if key.startswith("w|")]
    scene.run(1200)
    assert (1, 1) == (len(scene.due_rows()), scene.exchange.copies.total())
    scene.clock.advance(25 * 3600)  # its old drafts are looked for
    scene.run(600)
    assert ([], 1) == (scene.due_rows(), scene.exchange.copies.total())


def test_what_a_deleted_connection_left_waits_for_the_drain_that_began_before() -> None:
    """While somebody holds the mailbox, its mail is that worker's to end."""
    scene = Sending()
    scene.exchange.script = lambda name: (None, True)
    entry_id = scene.accept()

    def deleted(name: str) -> None:
        if name == "after create_draft":
            scene.changes().delete(scene.connection.id, discard=True)
            scene.drain.run(Wakeup.from_body(scene.wakeups.take(QUEUE)[-1]))
            assert Status.QUEUED == scene.entry(entry_id).status

    scene.exchange.step = deleted
    scene.work()
    assert (Status.ACCEPTED, 1) == (scene.entry(entry_id).status, scene.exchange.copies[entry_id])
    scene.run(1200)
    assert 1 == len(scene.due_rows())
    scene.clock.advance(25 * 3600)  # its old drafts are looked for
    scene.run(600)
    assert [] == scene.due_rows()
