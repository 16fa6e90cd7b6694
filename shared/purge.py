"""The purge of a revoked grant: all mail, rows and logs of its tenant are erased, and the counts are kept."""

import logging
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from shared.audit import Audit
from shared.connection_rows import leave_grant
from shared.erasing import Erasing
from shared.errors import Conflict, NotFound, RowChanged, RowExists, RowMissing
from shared.grants import GrantStatus
from shared.identifiers import split_grant_id
from shared.ports import Clock, Insert, Operation, Tables, Update, Upsert, Wakeups
from shared.registry import Registry, purge_key
from shared.rows import decode, encode
from shared.schedule import PURGE, SHARDS, DueRow, Wakeup, shard_for
from shared.times import from_text, to_text
from shared.tokens import Tokens
from shared.waking import wake

log = logging.getLogger("mailgrant.grants")

CLAIM = timedelta(minutes=2)
BUSY = timedelta(seconds=5)
RUN_SECONDS = 60.0
PURGEABLE = frozenset({GrantStatus.REVOKED, GrantStatus.DENIED})


@dataclass(frozen=True, slots=True)
class Purged:
    """
    The row of a purge, which outlives the grant: how far it is, and what it erased so far.

    *current* is the connection whose counts are in already, so that a run that dies counts nothing twice.
    """

    grant_id: str
    started_at: str
    finished_at: str = ""
    connections: int = 0
    mails: int = 0
    entries: int = 0
    rows: int = 0
    blobs: int = 0
    current: str = ""
    seq: int = 0
    next_at: str = ""
    due: str = ""


@dataclass(frozen=True, slots=True)
class _Held:
    record: Purged
    etag: str


class _Superseded(Exception):
    """Somebody else goes on with it."""


@dataclass(frozen=True, slots=True)
class Purge:
    """
    Erases what a tenant left; *remove* deletes one connection with what is pending.

    The tombstones of deleted connections are the list of what is left to do: each goes once its content is gone.
    """

    tables: Tables
    erasing: Erasing
    wakeups: Wakeups
    remove: Callable[[str], None]
    tokens: Tokens
    audit: Audit
    clock: Clock
    monotonic: Callable[[], float] = time.monotonic

    def start(self, grant_id: str) -> Purged:
        """
        Have everything of the grant erased; a repeat returns the purge that runs or has ended.

        Raises `NotFound`, and `Conflict` while the tenant has not taken its consent back.
        """
        stored, held = Registry(self.tables).find_grant(grant_id), self._find(grant_id)
        if held is not None and (stored is None or not held.record.finished_at):
            return held.record
        if stored is None:
            raise NotFound("There is no such grant. GET grants lists those there are.")
        if stored.record.status not in PURGEABLE:
            raise Conflict(
                f"The grant is {stored.record.status.value}. Let the tenant remove the app, verify the grant, "
                "and purge it once it is revoked."
            )
        now = self.clock()
        fresh = Purged(grant_id, to_text(now), seq=held.record.seq if held else 0)
        try:
            made = self._schedule(held, fresh, now)
        except (RowExists, RowChanged):
            return self.report(grant_id)
        self.audit.write("grant.purge", "started", grant_id=grant_id)
        wake(self.wakeups, Wakeup(PURGE, grant_id, made.record.seq, made.record.due))
        return made.record

    def report(self, grant_id: str) -> Purged:
        """Return how far the purge is, or what it erased. Raises `NotFound`."""
        held = self._find(grant_id)
        if held is None:
            raise NotFound("This grant was never purged. DELETE grants/{id}?purge=true does so after its revocation.")
        return held.record

    def handle(self, wakeup: Wakeup) -> None:
        """Go on with the purge that *wakeup* names, unless another does. Raises `StorageError`: the host repeats."""
        parts = split_grant_id(wakeup.id)
        if parts is None:
            return
        read = self.tables.grants.read(parts[0], purge_key(parts[1]), f"{purge_key(parts[1])}~")
        held = _Held(decode(Purged, read.rows[0].values), read.rows[0].etag) if read.rows else None
        if held is None or held.record.finished_at or wakeup.seq < held.record.seq:
            if wakeup.due and wakeup.due != (held.record.due if held else ""):
                Registry(self.tables).drop_due(shard_for(wakeup.id), wakeup.due)
            return
        if from_text(held.record.next_at) > read.storage_time + timedelta(seconds=1):
            return
        with suppress(_Superseded):
            held = self._saved(held, held.record, read.storage_time + CLAIM)
            if wakeup.due not in ("", held.record.due):
                Registry(self.tables).drop_due(shard_for(wakeup.id), wakeup.due)
            self._work(held, *parts)

    def _work(self, held: _Held, credential_id: str, tenant: str) -> None:
        ends = self.monotonic() + RUN_SECONDS
        grant_id = held.record.grant_id
        for _, connection_id, _ in Registry(self.tables).notes(credential_id, tenant):
            self.remove(connection_id)
            leave_grant(self.tables, connection_id, grant_id)
        busy = False
        for connection_id in sorted(self._deleted(grant_id), key=lambda found: found != held.record.current):
            if self.monotonic() >= ends:
                self._saved(held, held.record, self.clock())
                return
            if not self.erasing.is_free(connection_id):
                busy = True
                continue
            if held.record.current != connection_id:
                held = self._counted(held, connection_id)
            if not self.erasing.erase(connection_id, grant_id, lambda: self.monotonic() < ends):
                self._saved(held, held.record, self.clock())
                return
        if busy or Registry(self.tables).notes(credential_id, tenant):
            self._saved(held, held.record, self.clock() + BUSY)
            return
        self._finish(held)

    def _deleted(self, grant_id: str) -> list[str]:
        """Return the deleted connections of the grant of which something may be left."""
        return [
            str(row.values["connection_id"])
            for shard in SHARDS
            for row in self.tables.connections.read(shard, "b|", "b~").rows
            if "|gone|" in row.key and row.values.get("grant_id") == grant_id
        ]

    def _counted(self, held: _Held, connection_id: str) -> _Held:
        """Add what is kept of the connection to the report, before any of it goes."""
        kept, before = self.erasing.count(connection_id, held.record.grant_id), held.record
        after = replace(
            before,
            current=connection_id,
            connections=before.connections + 1,
            mails=before.mails + kept.mails,
            entries=before.entries + kept.entries,
            rows=before.rows + kept.rows,
            blobs=before.blobs + kept.blobs,
        )
        return self._saved(held, after, self.clock() + CLAIM)

    def _finish(self, held: _Held) -> None:
        record, registry = held.record, Registry(self.tables)
        while (stored := registry.find_grant(record.grant_id)) is not None and stored.record.status in PURGEABLE:
            try:
                registry.delete_grant(stored)
            except RowChanged:
                continue
            break
        self.tokens.forget(record.grant_id)
        now = self.clock()
        after = replace(record, finished_at=to_text(now), next_at="", due="", current="", seq=record.seq + 1)
        self._write(held, after)
        registry.drop_due(shard_for(record.grant_id), record.due)
        log.info("grants.purged grant_id=%s mails=%d entries=%d", record.grant_id, record.mails, record.entries)
        self.audit.write("grant.purge", "done", grant_id=record.grant_id, mails=str(record.mails))

    def _saved(self, held: _Held, after: Purged, at: datetime) -> _Held:
        try:
            return self._schedule(held, after, at)
        except (RowChanged, RowMissing) as error:
            raise _Superseded from error

    def _schedule(self, held: _Held | None, after: Purged, at: datetime) -> _Held:
        """Write the row with *at* as its next time; the new due row comes first, the old one goes last."""
        shard, registry = shard_for(after.grant_id), Registry(self.tables)
        due = DueRow(at, PURGE, after.grant_id, after.seq + 1)
        self.tables.connections.commit(shard, [Upsert(due.key, due.values)])
        done = self._write(held, replace(after, seq=due.seq, next_at=to_text(at), due=due.key))
        if held is not None and held.record.due not in ("", due.key):
            registry.drop_due(shard, held.record.due)
        return done

    def _write(self, held: _Held | None, after: Purged) -> _Held:
        credential_id, tenant = split_grant_id(after.grant_id) or ("", "")
        values = encode(after)
        write: Operation = Update(purge_key(tenant), values, held.etag) if held else Insert(purge_key(tenant), values)
        return _Held(after, self.tables.grants.commit(credential_id, [write]).etags[0])

    def _find(self, grant_id: str) -> _Held | None:
        parts = split_grant_id(grant_id)
        row = self.tables.grants.get(parts[0], purge_key(parts[1])) if parts else None
        return _Held(decode(Purged, row.values), row.etag) if row else None
