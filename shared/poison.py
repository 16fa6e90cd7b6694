"""What becomes of a wake-up that its worker failed on five times: the record is marked, and fires again later."""

import json
import logging
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from shared.connections import delivery_key, run_key
from shared.errors import RowChanged, RowExists, RowMissing
from shared.identifiers import is_connection_id, shard_of, split_grant_id
from shared.keep_rows import keep_key, shard_of_kept
from shared.notices import SYSTEM, due_first
from shared.ports import ANY, Clock, Row, Table, Tables, Update, Upsert
from shared.record_notices import poison_found
from shared.registry import PARTITION, grant_key, purge_key
from shared.schedule import (
    CREDENTIAL,
    DELIVER,
    FETCH,
    GRANT,
    KEEP,
    NOTICE,
    PURGE,
    QUEUES,
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
from shared.troubles import Marked, mark_poisoned

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
        if wakeup is not None and wakeup.kind == NOTICE:
            log.error("poison.found queue=%s kind=%s id=%s", queue, wakeup.kind, wakeup.id)
            return True  # its due row fires again, and a notice of notices would be stuck just as well
        if wakeup is None or place is None:
            # What a newer version has put is left to it: its due row fires, and its kind is no business of this one.
            word = "undecodable" if wakeup or not _is_of_newer_version(body) else "unknown_kind"
            log.error("poison.%s queue=%s bytes=%d", word, queue, len(body))
            return False
        log.error("poison.found queue=%s kind=%s id=%s seq=%d", queue, wakeup.kind, wakeup.id, wakeup.seq)
        row = place.table.get(place.partition, place.key)
        if row is not None:
            self._tell(queue, wakeup)
            self._follow(wakeup, place, row)
        return True

    def _tell(self, queue: str, wakeup: Wakeup) -> None:
        """Tell first: the notice has the same id if this is done twice. Its due row comes before it, as always."""
        now = self.clock()
        notice, connection = poison_found(queue, wakeup, now), is_connection_id(wakeup.id)
        owner = wakeup.id if connection else SYSTEM
        due = due_first(owner, now)
        if connection:
            self.tables.connections.commit(shard_of(owner), [notice.in_box(owner), Upsert(due.key, due.values)])
            return
        self.tables.connections.commit(shard_for(owner), [Upsert(due.key, due.values)])
        self.tables.credentials.commit(owner, [notice.in_credentials(owner)])

    def _place(self, wakeup: Wakeup) -> _Place | None:
        connections = self.tables.connections
        if wakeup.kind in (FETCH, DELIVER, SEND) and is_connection_id(wakeup.id):
            key = delivery_key(wakeup.id) if wakeup.kind == DELIVER else run_key(wakeup.id)
            return _Place(connections, shard_of(wakeup.id), key, shard_of(wakeup.id))
        if wakeup.kind == KEEP and (is_connection_id(wakeup.id) or wakeup.id == SYSTEM):
            shard = shard_of_kept(wakeup.id)
            return _Place(connections, shard, keep_key(wakeup.id), shard)
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
            return
        marked = Marked(place.table, place.partition, row.key, _seq(row))
        mark_poisoned(self.tables, wakeup, marked, now)

    def _refire(self, wakeup: Wakeup, place: _Place, row: Row, now: datetime) -> None:
        """Make a due row; the record need not know it, since the wake-up that it becomes names it."""
        at = minute_bucket(now) if wakeup.kind == SEND else _off_the_minute(now + REFIRE)
        again = DueRow(at, wakeup.kind, wakeup.id, _seq(row))
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


def _seq(row: Row) -> int:
    seq = row.values.get("seq", 0)
    return seq if isinstance(seq, int) else 0


def _off_the_minute(moment: datetime) -> datetime:
    return moment + timedelta(seconds=1) if moment.second == 0 else moment


def _wakeup(body: bytes) -> Wakeup | None:
    try:
        return Wakeup.from_body(_parsed(body))
    except ValueError:
        return None


def _is_of_newer_version(body: bytes) -> bool:
    parsed = _parsed(body)
    return all(isinstance(parsed.get(name), str) for name in ("kind", "id")) and parsed["kind"] not in QUEUES


def _parsed(body: bytes) -> dict[str, Any]:
    try:
        parsed = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return parsed if isinstance(parsed, dict) else {}
