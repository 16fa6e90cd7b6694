"""Who delivers for a connection: claim, lease and commit of its delivery row, and the breaker of its destination."""

import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from shared.box import View
from shared.connections import Back, Connection, Delivery, Redelivery, delivery_key
from shared.errors import Fault, RowChanged, RowExists, RowMissing, StorageUnavailable
from shared.identifiers import new_ulid, shard_of
from shared.notices import EventType, Notice, marked_id, soon
from shared.ports import Delete, Insert, Operation, Table, Update, Upsert
from shared.rows import decode, encode
from shared.schedule import DELIVER, DueRow, Wakeup
from shared.times import from_text, to_text

log = logging.getLogger("mailgrant.deliver")

PAUSE_AFTER = 10
DISABLE_AFTER = timedelta(days=3)
GIVE_UP_AFTER = timedelta(days=3)
LONGEST_BACK = 900.0
ENABLE_AGAIN = (
    "PATCH the connection with its destination, or with enabled: true, and all that was not delivered goes out."
)


class LeaseLost(Exception):
    """Another invocation delivers for the connection now; whatever this one still wanted to do must not be done."""


@dataclass
class DeliveryJob:
    """A claimed delivery row. *delivery* is the record as it will be written, *was* as it was, *now* storage's time."""

    table: Table
    connection: Connection
    delivery: Delivery
    etag: str
    lease: timedelta
    now: Callable[[], datetime]
    was: Delivery
    told: bool = False
    gave_up: bool = False

    def renew(self) -> None:
        """Extend the lease if a quarter of it has passed; raises `LeaseLost` where another took over."""
        left = from_text(self.delivery.lease_until) - self.now()
        while left < self.lease * 0.75:
            until = to_text(self.now() + self.lease)
            key = delivery_key(self.connection.id)
            try:
                done = self.table.commit(self.connection.shard, [Update(key, {"lease_until": until}, self.etag)])
            except (RowChanged, RowMissing, StorageUnavailable):
                self.refresh()
                continue
            self.etag = done.etags[0]
            self.delivery = replace(self.delivery, lease_until=until)
            return

    def refresh(self) -> None:
        """Read the row again; raises `LeaseLost` where the claim in it is not ours."""
        row = self.table.get(self.connection.shard, delivery_key(self.connection.id))
        if row is None:
            raise LeaseLost
        found = decode(Delivery, row.values)
        if found.claim != self.delivery.claim:
            raise LeaseLost
        self.etag = row.etag
        self.delivery = replace(self.delivery, seq=found.seq, redelivery=_newer(self.delivery.redelivery, found))

    def save_redelivery(self, redelivery: Redelivery) -> None:
        """Write down how far a redelivery is. Raises `LeaseLost`."""
        self.delivery = replace(self.delivery, redelivery=redelivery)
        values = {"redelivery": encode(self.delivery)["redelivery"]}
        while True:
            try:
                done = self.table.commit(
                    self.connection.shard, [Update(delivery_key(self.connection.id), values, self.etag)]
                )
            except (RowChanged, StorageUnavailable):
                self.refresh()
                continue
            except RowMissing:
                raise LeaseLost from None
            self.etag = done.etags[0]
            return

    def send_everything(self, *, on: bool) -> None:
        """Let everything go out now, whatever the waits of single mails, or end that."""
        self.delivery = replace(self.delivery, backlog=on)

    def count(self, fault: Fault | None) -> None:
        """Count one outcome for the breaker: ten failures in a row pause the destination, a success ends that."""
        if fault is None:
            done = self.delivery.delivered + 1
            self.delivery = replace(
                self.delivery, failures=0, failing_since="", paused=False, fault=None, delivered=done
            )
            self.delivery = replace(self.delivery, succeeded_at=to_text(self.now()))
            return
        since = self.delivery.failing_since or to_text(self.now())
        failures = self.delivery.failures + 1
        # A failure long ago, with nothing to deliver since, is no long failure.
        given_up = failures >= PAUSE_AFTER and self.now() - from_text(since) >= DISABLE_AFTER
        recorded = fault.recorded(to_text(self.now()))
        if given_up:
            days = DISABLE_AFTER.days
            recorded = replace(recorded, detail=f"The destination has failed for {days} days. {ENABLE_AGAIN}")
        self.delivery = replace(
            self.delivery,
            failures=failures,
            failing_since=since,
            paused=failures >= PAUSE_AFTER,
            disabled=self.delivery.disabled or given_up,
            fault=recorded,
        )

    def gives_up(self, refused_since: str) -> bool:
        """Tell whether a mail is not tried any more: refused for three days, while other mail was taken."""
        fares, since = self.delivery, max(refused_since, self.delivery.revived_at)
        if not refused_since or fares.paused or fares.disabled or fares.succeeded_at < since:
            return False
        return self.now() - from_text(since) >= GIVE_UP_AFTER

    def give_up(self) -> None:
        """Count a mail that is not tried any more; a notice in table `receipts` tells of it."""
        self.delivery = replace(self.delivery, failed=self.delivery.failed + 1)
        self.gave_up = True

    def disable(self) -> None:
        """Give the destination up until a person enables it again; mail stays stored."""
        self.delivery = replace(self.delivery, disabled=True)

    def probe_at(self, back: Back) -> datetime:
        """Return when a paused destination is tried with one message."""
        return self.now() + replace(back, longest=LONGEST_BACK).after(self.delivery.failures)

    def commit(self, next_at: datetime | None) -> bool:
        """Give the claim up with work due at *next_at*; False where word was left meanwhile: look again for work."""
        claim_due, before = self.delivery.due, self.delivery
        due = DueRow(next_at, DELIVER, before.connection_id, before.seq + 1) if next_at else None
        after = replace(
            before,
            seq=before.seq + 1,
            claim="",
            lease_until="",
            next_at=to_text(next_at) if next_at else "",
            due=due.key if due else "",
        )
        operations: list[Operation] = [Update(delivery_key(before.connection_id), encode(after), self.etag)]
        told = [notice.in_box(before.connection_id) for notice in self._notices()]
        if told or self.gave_up:
            told.append(soon(before.connection_id, self.now()))
        if due:
            operations.append(Upsert(due.key, due.values))
        operations += told
        if claim_due != after.due:
            operations.append(Delete(claim_due))
        try:
            self._commit_without_missing(operations)
        except RowChanged:
            self.refresh()
            return False
        self.delivery, self.told = after, bool(told)
        return True

    def _notices(self) -> list[Notice]:
        """Return what is to be told: that the destination was paused or disabled since the claim, or answers again."""
        was, now = self.was, self.delivery
        fault = now.fault
        data: dict[str, object] = {
            "connection_id": now.connection_id,
            "failures": now.failures,
            "failing_since": now.failing_since or None,
            "code": fault.code if fault else None,
            "detail": fault.detail if fault else None,
        }
        if now.disabled and not was.disabled:
            kind = EventType.DESTINATION_DISABLED
        elif now.paused and not was.paused:
            kind = EventType.DESTINATION_PAUSED
        elif was.paused and not now.paused and not now.disabled:
            kind = EventType.CONNECTION_RECOVERED
            detail = "The destination answers again. The mail of the time between goes out now."
            data = {"connection_id": now.connection_id, "status": "active", "detail": detail}
        else:
            return []
        mark = marked_id(kind.value, now.connection_id, now.claim)
        return [Notice(kind, now.connection_id, data, self.now(), mark)]

    def _commit_without_missing(self, operations: list[Operation]) -> None:
        try:
            self.table.commit(self.connection.shard, operations)
        except RowMissing as error:
            if error.key == delivery_key(self.connection.id):
                raise LeaseLost from None
            self.table.commit(self.connection.shard, [item for item in operations if item.key != error.key])


def claim(
    table: Table, view: View, wakeup: Wakeup, lease: timedelta, now: Callable[[], datetime]
) -> DeliveryJob | None:
    """
    Take the right to deliver for the woken connection, or None where another took it first.

    The due row that fired, else the record's own, becomes one at the claim's end. Raises `StorageUnavailable`.
    """
    connection_id, fired = wakeup.id, wakeup.due
    key, connection = delivery_key(connection_id), view.connections[connection_id]
    before = view.deliveries.get(connection_id, Delivery(connection_id))
    until = view.storage_time + lease
    due = DueRow(until + lease / 2, DELIVER, connection_id, before.seq + 1)
    after = replace(
        before,
        seq=before.seq + 1,
        claim=new_ulid(),
        lease_until=to_text(until),
        next_at=to_text(due.at),
        due=due.key,
    )
    write: Operation = Update(key, encode(after), view.etags[key]) if key in view.etags else Insert(key, encode(after))
    operations = [write, Upsert(due.key, due.values)]
    old = fired or before.due
    if old and old != due.key:
        operations.append(Delete(old))
    try:
        try:
            etag = table.commit(connection.shard, operations).etags[0]
        except RowMissing:
            etag = table.commit(connection.shard, operations[:2]).etags[0]
    except (RowChanged, RowExists):
        return None
    except StorageUnavailable:
        row = table.get(connection.shard, key)
        if row is None or row.values.get("claim") != after.claim:
            raise
        etag = row.etag
    return DeliveryJob(table, connection, after, etag, lease, now, before)


def _newer(ours: Redelivery | None, found: Delivery) -> Redelivery | None:
    """Return the redelivery that a person asked for last; of the same one we know more than the row."""
    same = ours is not None and found.redelivery is not None and ours.id == found.redelivery.id
    return ours if same else found.redelivery


def held(view: View, delivery: Delivery) -> bool:
    """Tell whether somebody delivers at the time of *view*."""
    return bool(delivery.claim) and from_text(delivery.lease_until) > view.storage_time


def leave_word(table: Table, view: View, delivery: Delivery) -> bool:
    """Change the row of a live claim, so that its holder looks again; False where it changed meanwhile."""
    key = delivery_key(delivery.connection_id)
    try:
        table.commit(
            view.connections[delivery.connection_id].shard, [Update(key, {"seq": delivery.seq + 1}, view.etags[key])]
        )
    except RowChanged:
        return False
    return True


def follow(table: Table, view: View, wakeup: Wakeup, lease: timedelta) -> None:
    """
    Move the due row that the tick fired to the end of the live claim, so that a death is noticed soon after it.

    The tick left it five minutes on. Nothing is moved where the record still has a due row of its own, or anew.
    """
    delivery = view.deliveries[wakeup.id]
    if not wakeup.due or delivery.due == wakeup.due or (delivery.due and table.get(shard_of(wakeup.id), delivery.due)):
        remove_stray(table, shard_of(wakeup.id), delivery, wakeup)
        return
    due = DueRow(from_text(delivery.lease_until) + lease / 2, DELIVER, wakeup.id, delivery.seq)
    if due.key == wakeup.due:
        return
    with suppress(RowMissing):  # whoever claimed since has removed it
        table.commit(shard_of(wakeup.id), [Upsert(due.key, due.values), Delete(wakeup.due)])


def remove_stray(table: Table, shard: str, delivery: Delivery | None, wakeup: Wakeup) -> None:
    """Remove the due row that fired, unless it is the record's own or stands for one that is gone."""
    if not wakeup.due or (delivery is not None and delivery.due == wakeup.due):
        return
    if delivery is not None and delivery.due and table.get(shard, delivery.due) is None:
        return
    try:
        table.commit(shard, [Delete(wakeup.due)])
    except RowMissing:
        return
