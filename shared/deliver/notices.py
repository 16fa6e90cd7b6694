"""
Notices handed over: to the destination of the connection that they tell of, and to the operator's own webhook.

At least once, with the same id and the same bytes each time. The two are recorded apart, so that neither waits for the
other nor is told again because the other failed; and neither holds mail up.
"""

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from shared.codes import Code
from shared.connections import Back, Connection, Delivery, connection_key, delivery_key
from shared.deliver.alarms import Alarms
from shared.deliver.items import Item, read_item
from shared.deliver.telling import Target, Telling, Told
from shared.errors import Fault, RowChanged, RowMissing
from shared.identifiers import is_connection_id, shard_of, split_grant_id
from shared.notices import IN_RECEIPTS, IN_RECORDS, SYSTEM, box_prefix, grant_prefix, soon
from shared.ports import Delete, Operation, Row, Table, Tables, Upsert, Wakeups
from shared.registry import PARTITION
from shared.rows import decode, encode
from shared.schedule import NOTICE, DueRow, Wakeup, shard_for
from shared.times import from_text, to_text
from shared.waking import wake

log = logging.getLogger("mailgrant.notices")

LASTS = timedelta(days=3)
LONGEST_BACK = 3600.0
SECOND_LOOK = timedelta(minutes=5)
BUSY = timedelta(seconds=60)
"""Longer than one telling takes, which is 20 s at most."""
MAX_SECONDS = 240.0
PAGE = 1000
"""So many rows of each place are in memory at a time."""


@dataclass
class _Found:
    """
    What stood there: for notices of a connection its configuration and delivery, and in *places* where to read on.

    *any* tells whether there was a notice, *waits* says when something is to be done, *there* who answers.
    """

    places: list["_Place"]
    now: Callable[[], datetime]
    connection: Connection | None = None
    delivery: Delivery | None = None
    any: bool = False
    waits: list[datetime] = field(default_factory=list)
    there: dict[Target, bool] = field(default_factory=lambda: dict.fromkeys(Target, True))


@dataclass
class _Place:
    """Where notices stand whose keys begin with *prefix*, which ends in a bar; what is read begins with *first*."""

    table: Table
    partition: str
    first: str
    prefix: str
    more: bool = True
    rows: list[Row] = field(default_factory=list)

    def read(self) -> datetime:
        """Read the next rows; return storage's time."""
        read = self.table.read(self.partition, self.first, f"{self.prefix[:-1]}~", PAGE)
        self.rows, self.more = read.rows, len(read.rows) == PAGE
        if self.more:  # what else is read lies before the notices, and is read once
            self.first = max(f"{self.rows[-1].key}-", self.prefix)
        return read.storage_time

    def turn(self) -> None:
        """Read the next rows, if there may be any."""
        self.rows = []
        if self.more:
            self.read()

    def items(self) -> list[Item]:
        """Return the notices of the rows that were read last."""
        mine = [row for row in self.rows if row.key.startswith(self.prefix)]
        return [item for row in mine if (item := read_item(self.table, self.partition, row))]


@dataclass(frozen=True, slots=True)
class Notices:
    """Hands notices over; *back* says how long a target that failed is left alone, *base_url* is our public root."""

    tables: Tables
    wakeups: Wakeups
    telling: Telling
    base_url: str
    back: Back
    monotonic: Callable[[], float] = time.monotonic

    def hand_on(self, connection_id: str) -> None:
        """
        See that the notices of a connection, if it has any, are handed over by an invocation of their own.

        For whoever is woken for the connection's mail, which must not wait for them. Raises `StorageUnavailable`.
        """
        if not is_connection_id(connection_id):
            return
        shard = shard_of(connection_id)
        found = self.tables.connections.read(shard, *_whole(box_prefix(connection_id)), 1)
        if not found.rows and not self.tables.receipts.read(connection_id, *_whole(IN_RECEIPTS), 1).rows:
            return
        self.tables.connections.commit(shard, [soon(connection_id, found.storage_time)])
        wake(self.wakeups, Wakeup(NOTICE, connection_id))

    def run(self, wakeup: Wakeup) -> None:
        """
        Hand over what is due for the owner that *wakeup* names: a connection, a grant, a credential or the system.

        A page of each place at a time, oldest first; what a run has no time for is left to one a little later.
        Raises only `StorageError`: the host repeats, and the due row fires by itself.
        """
        found = self._find(wakeup.id)
        ends = self.monotonic() + MAX_SECONDS
        alarms = Alarms(self.tables.receipts, wakeup.id)
        bounded = is_connection_id(wakeup.id) and bool(self.telling.alerts.url)
        while True:
            items = sorted(
                [item for place in found.places for item in place.items()], key=lambda item: (item.pending.at, item.key)
            )
            self._hand_over(found, items, alarms if bounded else None, ends)
            if not any(place.more for place in found.places):
                break
            if self.monotonic() >= ends:
                found.waits.append(found.now() + self.back.after(1))
                break
            for place in found.places:
                place.turn()
        if bounded:
            found.waits.extend(alarms.due())
        self._schedule(wakeup, found)

    def _hand_over(self, found: _Found, items: list[Item], alarms: Alarms | None, ends: float) -> None:
        """Tell everyone of *items* whom they are due for, and remove those of which everyone knows."""
        if alarms:
            items.extend([*alarms.bound(items, found.now())])
        for target in Target:
            for item in items:
                going = found.there[target] and self.monotonic() < ends
                found.there[target] &= self._one(found, item, target, going=going)
        if alarms:
            alarms.told(found.now())
        for item in items:
            self._remove_if_done(found, item)
        found.any |= bool(items)
        found.waits.extend(item.waits for item in items if item.waits is not None)

    def _find(self, owner: str) -> _Found:
        """Return where the notices of *owner* stand, the first of them read, and what they tell of."""
        started, places = self.monotonic(), [*self._places(owner)]
        times = [place.read() for place in places]
        found = _Found(places, lambda: times[0] + timedelta(seconds=self.monotonic() - started))
        if is_connection_id(owner):
            records = {row.key: row for row in places[0].rows}
            config, delivery = (
                records.get(key) or (self.tables.connections.get(shard_of(owner), key) if places[0].more else None)
                for key in (connection_key(owner), delivery_key(owner))
            )
            found.connection = decode(Connection, config.values) if config else None
            found.delivery = decode(Delivery, delivery.values) if delivery else None
        return found

    def _places(self, owner: str) -> Iterator[_Place]:
        """Yield each place where notices of *owner* stand; a connection's configuration and delivery lie before."""
        if is_connection_id(owner):
            first = connection_key(owner).removesuffix(owner)
            yield _Place(self.tables.connections, shard_of(owner), first, box_prefix(owner))
            yield _Place(self.tables.receipts, owner, IN_RECEIPTS, IN_RECEIPTS)
            yield _Place(self.tables.outbox, owner, IN_RECEIPTS, IN_RECEIPTS)
        elif parts := split_grant_id(owner):
            yield _Place(self.tables.grants, parts[0], grant_prefix(owner), grant_prefix(owner))
        else:
            prefix = f"{IN_RECORDS}{owner}|"
            yield _Place(self.tables.credentials, SYSTEM if owner == SYSTEM else PARTITION, prefix, prefix)

    def _one(self, found: _Found, item: Item, target: Target, *, going: bool) -> bool:
        """Tell *target* of one notice if that is due; return whether to go on with others for it."""
        handed, now = target.handed(item.pending), found.now()
        if handed.done or not item.etag or not self.telling.concerns(target, item.pending, found.connection):
            return True
        over = now - item.pending.moment() >= LASTS
        disabled = target is Target.DESTINATION and found.delivery is not None and found.delivery.disabled
        later = max(handed.next_at, item.pending.busy_until)
        if later and from_text(later) > now:
            item.wait(from_text(later))
        elif disabled and not over:
            item.wait(now + timedelta(seconds=LONGEST_BACK))
        elif disabled:
            self._note(
                item, target, Told(Fault("The destination is disabled.", Code.DESTINATION_REFUSED), gone=True), now
            )
        elif not going:
            item.wait(now + self.back.after(1))
        elif self._take(item, now):
            told = self.telling.tell(target, item.pending, found.connection, now)
            self._note(item, target, told, found.now())
            return told.answered
        else:
            item.wait(now + BUSY)
        return True

    def _take(self, item: Item, now: datetime) -> bool:
        """Keep others away for a while, and fix what is sent before it is sent for the first time."""
        event = item.pending.event or item.pending.rendered(self.base_url)
        item.pending = replace(item.pending, event=event)
        return item.commit({"event": event, "busy_until": to_text(now + BUSY)})

    def _note(self, item: Item, target: Target, told: Told, now: datetime) -> None:
        """Record how one target fares, and nothing of the other."""
        pending, before = item.pending, target.handed(item.pending)
        handed = replace(before, tries=before.tries + 1, done=to_text(now), next_at="")
        words = (pending.id, pending.type, target.value, handed.tries)
        if told.fault is None:
            log.info("notice.handed id=%s type=%s target=%s tries=%d", *words)
        elif told.gone or now - pending.moment() >= LASTS:
            log.error("notice.given_up id=%s type=%s target=%s tries=%d code=%s", *words, told.fault.code.value)
        else:
            log.warning("notice.failed id=%s type=%s target=%s tries=%d code=%s", *words, told.fault.code.value)
            at = now + self.back.after(handed.tries, told.fault.retry_after)
            handed = replace(handed, done="", next_at=to_text(at))
            item.wait(at)
        changed = replace(pending, alert=handed) if target is Target.ALERT else replace(pending, destination=handed)
        item.pending = replace(changed, busy_until="")
        if not item.commit({"busy_until": "", target.value: encode(changed)[target.value]}):
            item.wait(now + BUSY)

    def _remove_if_done(self, found: _Found, item: Item) -> None:
        """Remove a notice of which everyone knows."""
        if not item.etag or item.waits is not None:
            return
        try:
            item.table.commit(item.partition, [Delete(item.key, item.etag)])
        except RowMissing:
            return
        except RowChanged:
            item.wait(found.now() + BUSY)

    def _schedule(self, wakeup: Wakeup, found: _Found) -> None:
        """
        Leave a due row where anything waits, and take away the one that fired.

        What is not a connection has its notices in another table than its due rows, which are written first: one that
        finds nothing looks once more later, when the writer has long gone on or died.
        """
        connection = is_connection_id(wakeup.id)
        shard = shard_of(wakeup.id) if connection else shard_for(wakeup.id)
        due = DueRow(min(found.waits), NOTICE, wakeup.id) if found.waits else None
        if due is None and wakeup.due and not connection and (found.any or not wakeup.seq):
            due = DueRow(found.now() + SECOND_LOOK, NOTICE, wakeup.id, seq=1)
        operations: list[Operation] = [Upsert(due.key, due.values)] if due else []
        if wakeup.due and (due is None or due.key != wakeup.due):
            operations.append(Delete(wakeup.due))
        try:
            if operations:
                self.tables.connections.commit(shard, operations)
        except RowMissing:  # another invocation has removed it
            if due:
                self.tables.connections.commit(shard, operations[:1])


def _whole(prefix: str) -> tuple[str, str]:
    """Return the range of everything that begins with *prefix*, which ends in a bar."""
    return prefix, f"{prefix[:-1]}~"
