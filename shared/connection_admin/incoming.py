"""What a change of an incoming connection does to its run and its delivery: parked, due again, delivered again."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from shared.connection_rows import Found, asked_now, changed_run, parked
from shared.connections import Connection, Delivery, delivery_key
from shared.notices import EventType, Notice, marked_id, soon, wanted
from shared.ports import Insert, Operation, Update, Upsert
from shared.rows import encode
from shared.schedule import DELIVER, FETCH, NOTICE, DueRow, Wakeup
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


def consequences(found: Found, after: Connection, *, destination: bool, enabled: bool) -> Consequences:
    """
    Return what changing *found* into *after* means for its run and its delivery; the change names what is set.

    A *destination* that is set, or a connection *enabled* though its destination was disabled, begins without failures,
    and everything undelivered goes out. All of it belongs into the transaction of the change, so that no death leaves
    an enabled connection without due row.
    """
    found = replace(found, run=replace(found.run, config_version=after.version))
    before, delivery = found.connection, found.delivery
    if after.enabled and not before.enabled:
        changed = due_now(found)
    elif before.enabled and not after.enabled:
        changed = Consequences([changed_run(found, parked(found.run))], [key for key in [found.run.due] if key], [])
    else:
        changed = Consequences([changed_run(found, found.run)], [], [])
    if not after.enabled:
        return _both(changed, _delivery_parked(found))
    given_up = enabled and delivery is not None and delivery.disabled
    if destination or given_up or not before.enabled:
        return _both(_delivery_revived(found), changed)
    return changed


def delivery_woken(found: Found, now: Delivery) -> Consequences:
    """Return what writes the delivery as *now*, due at once; a live claim ends where *now* names none."""
    due = DueRow(found.storage_time, DELIVER, found.connection.id, now.seq + 1)
    after = replace(now, seq=due.seq, next_at=to_text(found.storage_time), due=due.key)
    ended = [old for old in [now.due] if old not in ("", due.key)]
    wakeups = [Wakeup(DELIVER, found.connection.id, after.seq, due.key)]
    return Consequences([delivery_written(found, after), Upsert(due.key, due.values)], ended, wakeups)


def delivery_written(found: Found, after: Delivery) -> Operation:
    """Return the operation that writes the delivery unless a worker wrote it meanwhile."""
    key = delivery_key(found.connection.id)
    return Update(key, encode(after), found.etag(key)) if found.delivery else Insert(key, encode(after))


def change_told(found: Found, after: Connection, fields: Iterable[str]) -> Consequences:
    """Return what tells a destination that asked for it which *fields* of its connection a person set."""
    destination = after.destination
    if destination is None or EventType.CONNECTION_CHANGED not in wanted(destination.events):
        return Consequences([], [], [])
    data = {
        "connection_id": after.id,
        "version": after.version,
        "enabled": after.enabled,
        "fields": sorted(fields),
    }
    mark = marked_id("connection.changed", after.id, str(after.version))
    notice = Notice(EventType.CONNECTION_CHANGED, after.id, data, found.storage_time, mark)
    return Consequences([notice.in_box(after.id), soon(after.id, found.storage_time)], [], [Wakeup(NOTICE, after.id)])


def _both(one: Consequences, other: Consequences) -> Consequences:
    return Consequences(
        [*one.operations, *other.operations], [*one.ended, *other.ended], [*one.wakeups, *other.wakeups]
    )


def _delivery_parked(found: Found) -> Consequences:
    """Return what keeps stored mail here until the connection is enabled again; a live claim ends."""
    before = found.delivery
    if before is None:
        return Consequences([], [], [])
    after = replace(before, seq=before.seq + 1, next_at="", due="", claim="", lease_until="")
    return Consequences([delivery_written(found, after)], [key for key in [before.due] if key], [])


def _delivery_revived(found: Found) -> Consequences:
    """Return what forgets the failures of the destination before, and has the backlog go out; a live claim ends."""
    before = found.delivery or Delivery(found.connection.id)
    forgotten = replace(
        before,
        claim="",
        lease_until="",
        failures=0,
        failing_since="",
        paused=False,
        disabled=False,
        fault=None,
        backlog=True,
        revived_at=to_text(found.storage_time),
    )
    return delivery_woken(found, forgotten)
