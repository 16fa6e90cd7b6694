"""What becomes of a wake-up that its worker failed on five times: the record is marked, and fires again later."""

import json
import logging
from dataclasses import dataclass
from datetime import datetime, timedelta

from shared.connections import delivery_key, run_key
from shared.errors import RowChanged, RowExists, RowMissing
from shared.identifiers import is_connection_id, shard_of, split_grant_id
from shared.ports import ANY, Clock, Row, Table, Tables, Update
from shared.registry import PARTITION, grant_key, purge_key
from shared.schedule import (
    CREDENTIAL,
    DELIVER,
    FETCH,
    GRANT,
    PURGE,
    REFIRE,
    SEND,
    STATE,
    DueRow,
    Wakeup,
    minute_bucket,
    shard_for,
)
from shared.tickets import is_dated_id, partition_of, state_key
from shared.times import to_text

log = logging.getLogger("mailgrant.poison")


@dataclass(frozen=True, slots=True)
class _Place:
    """Where the record of a wake-up stands, and in which shard its due rows do."""

    table: Table
    partition: str
    key: str
    shard: str


@dataclass(frozen=True, slots=True)
class Poison:
    """
    Follows the records of poisoned wake-ups. Nothing is attempted here, and nothing is stopped.

    A record that somebody has claimed is theirs: it is left alone as long as the due row of the claim stands.
    """

    tables: Tables
    clock: Clock

    def found(self, queue: str, body: bytes) -> bool:
        """
        Mark the record of a poisoned message and see that it fires again; tell whether the message named any.

        A message that is no wake-up is logged by its size and dropped. Raises `StorageUnavailable`.
        """
        wakeup = _wakeup(body)
        place = self._place(wakeup) if wakeup else None
        if wakeup is None or place is None:
            log.error("poison.undecodable queue=%s bytes=%d", queue, len(body))
            return False
        log.error("poison.found queue=%s kind=%s id=%s seq=%d", queue, wakeup.kind, wakeup.id, wakeup.seq)
        row = place.table.get(place.partition, place.key)
        if row is not None:
            self._follow(wakeup, place, row)
        return True

    def _place(self, wakeup: Wakeup) -> _Place | None:
        connections = self.tables.connections
        if wakeup.kind in (FETCH, DELIVER, SEND) and is_connection_id(wakeup.id):
            key = delivery_key(wakeup.id) if wakeup.kind == DELIVER else run_key(wakeup.id)
            return _Place(connections, shard_of(wakeup.id), key, shard_of(wakeup.id))
        grant = split_grant_id(wakeup.id) if wakeup.kind == GRANT else None
        if grant:
            return _Place(self.tables.grants, grant[0], grant_key(grant[1]), shard_for(wakeup.id))
        purged = split_grant_id(wakeup.id) if wakeup.kind == PURGE else None
        if purged:
            return _Place(self.tables.grants, purged[0], purge_key(purged[1]), shard_for(wakeup.id))
        if wakeup.kind == STATE and is_dated_id(wakeup.id):
            return _Place(self.tables.tickets, partition_of(wakeup.id), state_key(wakeup.id), shard_for(wakeup.id))
        if wakeup.kind == CREDENTIAL:
            return _Place(self.tables.credentials, PARTITION, wakeup.id, shard_for(wakeup.id))
        return None

    def _follow(self, wakeup: Wakeup, place: _Place, row: Row) -> None:
        now = self.clock()
        due = str(row.values.get("due", ""))
        stands = bool(due) and self.tables.connections.get(place.shard, due) is not None
        if row.values.get("claim") and stands:
            return
        if not stands and _waiting(wakeup.kind, row):
            self._refire(wakeup, place, row, now)
        try:
            place.table.commit(place.partition, [Update(row.key, {"poisoned_at": to_text(now)}, row.etag or ANY)])
        except (RowChanged, RowMissing):
            log.info("poison.record_moved_on kind=%s id=%s", wakeup.kind, wakeup.id)

    def _refire(self, wakeup: Wakeup, place: _Place, row: Row, now: datetime) -> None:
        """Make a due row; the record need not know it, since the wake-up that it becomes names it."""
        at = minute_bucket(now) if wakeup.kind == SEND else _off_the_minute(now + REFIRE)
        again = DueRow(at, wakeup.kind, wakeup.id, int(row.values.get("seq", 0)))
        try:
            self.tables.connections.commit(place.shard, [again.insert()])
        except RowExists:
            return


def _waiting(kind: str, row: Row) -> bool:
    """Tell whether the record says that work is to be done; what is stored for a mailbox to send stands elsewhere."""
    if kind == SEND:
        return True
    if kind == STATE:
        return bool(row.values.get("used_at")) and not row.values.get("finished_at")
    return bool(row.values.get("next_at"))


def _off_the_minute(moment: datetime) -> datetime:
    return moment + timedelta(seconds=1) if moment.second == 0 else moment


def _wakeup(body: bytes) -> Wakeup | None:
    try:
        parsed = json.loads(body)
        return Wakeup.from_body(parsed) if isinstance(parsed, dict) else None
    except (ValueError, RecursionError):
        return None
