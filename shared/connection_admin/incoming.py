"""What a change of an incoming connection does to its run and its delivery: parked, due again, delivered again."""

from dataclasses import dataclass, replace
from datetime import datetime

from shared.connection_rows import Found, asked_now, changed_run, parked
from shared.connections import Connection, Delivery, delivery_key
from shared.ports import Insert, Operation, Update, Upsert
from shared.rows import encode
from shared.schedule import DELIVER, FETCH, DueRow, Wakeup
from shared.times import to_text


@dataclass(frozen=True, slots=True)
class Consequences:
    """What is written beside the configuration: *operations*, due rows that end, and who is woken then."""

    operations: list[Operation]
    ended: list[str]
    wakeups: list[Wakeup]


def due_now(found: Found) -> Consequences:
    """Return what makes the connection due now, by storage's time, whatever it waited for."""
    due = DueRow(found.storage_time, FETCH, found.connection.id, found.run.seq + 1)
    run = asked_now(found.run, found.storage_time, due.key)
    ended = [key for key in [found.run.due] if key not in ("", due.key)]
    wakeups = [Wakeup(FETCH, found.connection.id, run.seq, due.key)]
    return Consequences([changed_run(found, run), Upsert(due.key, due.values)], ended, wakeups)


def consequences(found: Found, after: Connection, *, destination: bool) -> Consequences:
    """
    Return what changing *found* into *after* means for its run, and with a new *destination* for its delivery.

    All of it belongs into the transaction of the change, so that no death leaves an enabled connection without due row.
    """
    found = replace(found, run=replace(found.run, config_version=after.version))
    if after.enabled and not found.connection.enabled:
        changed = due_now(found)
    elif found.connection.enabled and not after.enabled:
        changed = Consequences([changed_run(found, parked(found.run))], [key for key in [found.run.due] if key], [])
    else:
        changed = Consequences([changed_run(found, found.run)], [], [])
    if not destination:
        return changed
    revived = _deliver_now(found)
    return Consequences(
        [*changed.operations, *revived.operations],
        [*changed.ended, *revived.ended],
        [*changed.wakeups, *revived.wakeups],
    )


def _deliver_now(found: Found) -> Consequences:
    """Return what forgets the failures of the destination before, and has the backlog go out; a live claim ends."""
    key = delivery_key(found.connection.id)
    before = found.delivery or Delivery(found.connection.id)
    due = DueRow(found.storage_time, DELIVER, found.connection.id, before.seq + 1)
    delivery = _revived(before, found.storage_time, due.key)
    write: Operation = Insert(key, encode(delivery))
    if found.delivery is not None:
        write = Update(key, encode(delivery), found.etag(key))
    ended = [old for old in [before.due] if old not in ("", due.key)]
    wakeups = [Wakeup(DELIVER, found.connection.id, delivery.seq, due.key)]
    return Consequences([write, Upsert(due.key, due.values)], ended, wakeups)


def _revived(before: Delivery, now: datetime, due: str) -> Delivery:
    return replace(
        before,
        seq=before.seq + 1,
        next_at=to_text(now),
        due=due,
        claim="",
        lease_until="",
        failures=0,
        failing_since="",
        paused=False,
        disabled=False,
        fault=None,
    )
