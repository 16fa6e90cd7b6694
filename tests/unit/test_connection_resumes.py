"""Incoming connections disabled, enabled, fetched on request, and given a new destination: what is due then."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from shared.connections import Connection, Delivery, Run, delivery_key, run_key
from shared.errors import Conflict
from shared.grants import Grant
from shared.ports import Update, Upsert
from shared.rows import decode, encode
from shared.schedule import DELIVER, FETCH, DueRow
from shared.times import from_text, to_text
from tests.fakes import MovableClock
from tests.scenes.administration import WEBHOOK, Administration


@pytest.fixture
def admin() -> Administration:
    """Return an administration in which Contoso has consented."""
    made = Administration()
    made.consented()
    return made


@pytest.fixture
def grant(admin: Administration) -> Grant:
    """Return Contoso's grant."""
    return admin.grants.all()[0]


def run_of(admin: Administration, connection: Connection) -> Run:
    """Return the run row."""
    return admin.lists.get(connection.id).run


def delivery_of(admin: Administration, connection: Connection) -> Delivery:
    """Return the delivery row."""
    row = admin.tables.connections.get(connection.shard, delivery_key(connection.id))
    assert row is not None
    return decode(Delivery, row.values)


def dues(admin: Administration, kind: str) -> list[str]:
    """Return the due rows of one kind."""
    return [key for key in admin.due_rows() if f"|{kind}|" in key]


def write(admin: Administration, connection: Connection, key: str, **values: Any) -> None:
    """Change a row as a worker would."""
    admin.tables.connections.commit(connection.shard, [Update(key, values, "*")])


def test_a_disabled_connection_has_nothing_due(admin: Administration, grant: Grant) -> None:
    """No row of it fires every five minutes for ever; a running fetch is fenced off and named in the record."""
    connection = admin.connection(grant)
    write(admin, connection, run_key(connection.id), claim="somebody")
    admin.changes.change(connection.id, {"enabled": False})
    run = run_of(admin, connection)
    assert (run.next_at, run.due, run.claim, run.config_version, dues(admin, FETCH)) == ("", "", "somebody", 2, [])


def test_disabling_copes_with_a_due_row_that_the_tick_moved(admin: Administration, grant: Grant) -> None:
    """The moved row names nobody any more; whoever it wakes removes it."""
    connection = admin.connection(grant)
    admin.pass_time(1)
    assert dues(admin, FETCH) != [run_of(admin, connection).due]
    admin.changes.change(connection.id, {"enabled": False})
    assert run_of(admin, connection).due == ""


def test_enabling_is_one_transaction_with_its_due_row(admin: Administration, grant: Grant) -> None:
    """No death leaves an enabled connection with nothing due; times are storage's."""
    connection = admin.connection(grant)
    admin.changes.change(connection.id, {"enabled": False})
    admin.clock.advance(3600)
    before = admin.tables.connections.calls["commit"]
    admin.changes.change(connection.id, {"enabled": True})
    run, sent = run_of(admin, connection), admin.wakeups.sent[-1]
    assert admin.tables.connections.calls["commit"] - before == 1
    assert (run.next_at, dues(admin, FETCH)) == (to_text(admin.clock()), [run.due])
    assert (sent.body["kind"], sent.body["seq"], sent.body["due"]) == (FETCH, run.seq, run.due)


def test_a_connection_made_disabled_is_due_once_enabled(admin: Administration, grant: Grant) -> None:
    """Until then it has neither due row nor wake-up, and cannot be fetched."""
    connection = admin.connection(grant, enabled=False)
    assert (dues(admin, FETCH), [item for item in admin.wakeups.sent if item.body["kind"] == FETCH]) == ([], [])
    with pytest.raises(Conflict):
        admin.changes.fetch(connection.id)
    admin.changes.change(connection.id, {"enabled": True})
    assert dues(admin, FETCH) == [run_of(admin, connection).due]


def test_what_a_dead_worker_left_is_remembered(admin: Administration, grant: Grant) -> None:
    """Being asked for by a person does not hide that a claim ended without a word."""
    connection = admin.connection(grant)
    write(admin, connection, run_key(connection.id), claim="dead")
    admin.changes.fetch(connection.id)
    assert run_of(admin, connection).claim == "dead"


def test_what_stopped_gets_a_day_more(admin: Administration, grant: Grant) -> None:
    """Else its next failure would stop it at once."""
    connection = admin.connection(grant)
    since = to_text(admin.clock() - timedelta(days=2))
    write(admin, connection, run_key(connection.id), stopped=True, next_at="", due="", failures=30, failing_since=since)
    admin.changes.fetch(connection.id)
    run = run_of(admin, connection)
    assert (run.stopped, run.failures, run.failing_since) == (False, 0, "")


@pytest.mark.parametrize("off", [-120, 120])
def test_a_hosts_clock_decides_nothing(admin: Administration, grant: Grant, off: int) -> None:
    """With a clock two minutes off, a connection is due by storage's time, and takes mail from storage's now on."""
    wrong = MovableClock(admin.clock() + timedelta(seconds=off))
    admin.creation = replace(admin.creation, clock=wrong)
    admin.changes = replace(admin.changes, clock=wrong)
    connection = admin.connection(grant)
    now = admin.clock().replace(microsecond=0)
    assert (from_text(run_of(admin, connection).next_at), run_of(admin, connection).since) == (now, to_text(now))
    admin.clock.advance(60)
    admin.changes.fetch(connection.id)
    assert from_text(run_of(admin, connection).next_at) == now + timedelta(seconds=60)


@pytest.mark.parametrize("state", [{"paused": True}, {"disabled": True, "next_at": "", "due": ""}])
def test_a_new_destination_gets_the_backlog_at_once(admin: Administration, grant: Grant, state: dict[str, Any]) -> None:
    """What failed before says nothing of it: delivery is due now, and somebody is woken."""
    connection = admin.connection(grant)
    later = DueRow(admin.clock() + timedelta(minutes=15), DELIVER, connection.id)
    failing = {"failures": 12, "failing_since": to_text(admin.clock()), "claim": "old", "lease_until": "x", "seq": 4}
    values = {"next_at": to_text(later.at), "due": later.key, **failing, **state}
    write(admin, connection, delivery_key(connection.id), **values)
    if values["due"]:
        admin.tables.connections.commit(connection.shard, [Upsert(later.key, later.values)])
    admin.changes.change(connection.id, {"destination": WEBHOOK})
    row, sent = delivery_of(admin, connection), admin.wakeups.sent[-1]
    now = to_text(admin.clock())
    assert row == Delivery(connection.id, seq=5, next_at=now, due=row.due, backlog=True, revived_at=now)
    assert dues(admin, DELIVER) == [row.due]
    assert (sent.queue, sent.body["id"], sent.body["due"]) == ("mail-deliver", connection.id, row.due)


def test_a_destination_that_moved_meanwhile_is_looked_at_again(admin: Administration, grant: Grant) -> None:
    """Two writers of the delivery row never undo each other."""
    connection = admin.connection(grant)
    table = admin.tables.connections

    def deliver(method: str) -> None:
        if method == "commit":
            table.failures.before = None
            write(admin, connection, delivery_key(connection.id), delivered=7)

    table.failures.before = deliver
    admin.changes.change(connection.id, {"destination": WEBHOOK})
    assert (delivery_of(admin, connection).delivered, delivery_of(admin, connection).seq) == (7, 1)


def test_other_changes_leave_delivery_alone(admin: Administration, grant: Grant) -> None:
    """A new name is no new destination."""
    connection = admin.connection(grant)
    write(admin, connection, delivery_key(connection.id), **encode(Delivery(connection.id, paused=True, failures=11)))
    admin.changes.change(connection.id, {"name": "Support"})
    assert (delivery_of(admin, connection).paused, dues(admin, DELIVER)) == (True, [])
