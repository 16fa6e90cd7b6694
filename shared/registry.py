"""The rows of credentials and grants: how they are read, and how a grant is scheduled without ever being lost."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Generic, TypeVar

from shared.credentials import Credential, upkeep_at
from shared.errors import NotFound, RowChanged, RowExists, RowMissing
from shared.grants import Grant, GrantStatus
from shared.identifiers import is_ulid, split_grant_id
from shared.notices import due_first
from shared.ports import Delete, Insert, Operation, Row, Tables, Update, Upsert
from shared.record_notices import credential_expiring, credential_failed, grant_changed, grant_deleted
from shared.rows import decode, encode, readable
from shared.schedule import CREDENTIAL, DUE_FIRST, GRANT, DueRow, shard_for
from shared.times import to_text

PARTITION = "credential"
Record = TypeVar("Record")


@dataclass(frozen=True, slots=True)
class Stored(Generic[Record]):
    """A record as read, with the etag that fences its next write."""

    record: Record
    etag: str


@dataclass(frozen=True, slots=True)
class Registry:
    """Reads and writes credentials and grants."""

    tables: Tables

    def credential(self, credential_id: str) -> Stored[Credential]:
        """Return the credential. Raises `NotFound`."""
        row = self.tables.credentials.get(PARTITION, credential_id) if _is_credential_id(credential_id) else None
        if row is None:
            raise NotFound("There is no such credential. GET credentials lists those there are.")
        return Stored(decode(Credential, row.values), row.etag)

    def credentials(self) -> list[Stored[Credential]]:
        """Return every credential that can be read, oldest first."""
        rows = self.tables.credentials.read(PARTITION, "cred_", "cred~").rows
        found = ((row, readable(Credential, row.key, row.values)) for row in rows)
        return [Stored(credential, row.etag) for row, credential in found if credential]

    def timed_credential(self, credential_id: str) -> tuple[Stored[Credential] | None, datetime]:
        """Return the credential, or None, with storage's time."""
        found = self.tables.credentials.read(PARTITION, credential_id, f"{credential_id}~")
        rows = [row for row in found.rows if row.key == credential_id and _is_credential_id(credential_id)]
        return (Stored(decode(Credential, rows[0].values), rows[0].etag) if rows else None), found.storage_time

    def add_credential(self, credential: Credential) -> Stored[Credential]:
        """Insert the row, its due row first."""
        self._schedule_upkeep(None, credential)
        done = self.tables.credentials.commit(PARTITION, [Insert(credential.id, encode(credential))])
        return Stored(credential, done.etags[0])

    def save_credential(
        self, before: Stored[Credential], after: Credential, *, expires_in: int | None = None
    ) -> Stored[Credential]:
        """
        Write the row unless it changed meanwhile; where its next upkeep moves, the due row is made first.

        A due row that no longer stands for anything is dropped by its worker. That it began to fail is told, and so is
        that it ends in *expires_in* days. Raises `RowChanged`, `RowMissing`.
        """
        self._schedule_upkeep(upkeep_at(before.record), after)
        operations: list[Operation] = [Update(after.id, encode(after), before.etag)]
        if _begins_to_fail(before.record, after) or expires_in is not None:
            now = self._tell_of(after.id)
            told = [credential_failed(before.record, after, now)]
            if expires_in is not None:
                told.append(credential_expiring(after, expires_in, now))
            operations += [notice.in_credentials(after.id) for notice in told if notice is not None]
        done = self.tables.credentials.commit(PARTITION, operations)
        return Stored(after, done.etags[0])

    def remove_credential(self, stored: Stored[Credential]) -> None:
        """Remove the row unless it changed meanwhile. Raises `RowChanged`, `RowMissing`."""
        self.tables.credentials.commit(PARTITION, [Delete(stored.record.id, stored.etag)])

    def grant(self, grant_id: str) -> Stored[Grant]:
        """Return the grant. Raises `NotFound`."""
        found = self.find_grant(grant_id)
        if found is None:
            raise NotFound("There is no such grant. GET grants lists those there are.")
        return found

    def find_grant(self, grant_id: str) -> Stored[Grant] | None:
        """Return the grant, or None."""
        parts = split_grant_id(grant_id)
        row = self.tables.grants.get(parts[0], grant_key(parts[1])) if parts else None
        return _grant(row) if row else None

    def timed_grant(self, grant_id: str) -> tuple[Stored[Grant] | None, datetime | None]:
        """Return the grant, or None, with storage's time."""
        parts = split_grant_id(grant_id)
        if not parts:
            return None, None
        key = grant_key(parts[1])
        found = self.tables.grants.read(parts[0], key, f"{key}~")
        return (_grant(found.rows[0]) if found.rows else None), found.storage_time

    def grants_of(self, credential_id: str) -> list[Stored[Grant]]:
        """Return every grant of a credential that can be read."""
        rows = self.tables.grants.read(credential_id, "g|", "g~").rows
        found = ((row, readable(Grant, row.key, row.values)) for row in rows)
        return [Stored(grant, row.etag) for row, grant in found if grant]

    def schedule_grant(
        self, before: Stored[Grant] | None, after: Grant, at: datetime, *, spent: Sequence[str] = ()
    ) -> Stored[Grant]:
        """
        Write the grant with *at* as its next time, one sequence number on.

        The due row lies in another table, so it is made first and the old ones (*spent* and the record's own) go last:
        whatever dies between leaves at most a stray due row, which its worker drops. A status that moves is told of.
        Raises `RowChanged`, `RowExists` where another writer was first; then nothing was written.
        """
        shard = shard_for(after.id)
        seq = before.record.seq + 1 if before else 0
        due = DueRow(at, GRANT, after.id, seq)
        after = replace(after, seq=seq, next_at=to_text(at), due=due.key)
        made = self._add_due(shard, due)
        key, values = grant_key(after.tenant), encode(after)
        write: Operation = Update(key, values, before.etag) if before else Insert(key, values)
        told = self._told_of_grant(before.record if before else None, after)
        try:
            done = self.tables.grants.commit(after.credential_id, [write, *told])
        except (RowChanged, RowExists, RowMissing):
            if made:
                self.drop_due(shard, due.key)
            raise
        old = {*spent, before.record.due if before else ""} - {"", due.key}
        for due_key in sorted(old):
            self.drop_due(shard, due_key)
        return Stored(after, done.etags[0])

    def delete_grant(self, stored: Stored[Grant]) -> None:
        """Remove the grant and its due row. Raises `RowChanged` where it changed meanwhile."""
        grant = stored.record
        told = grant_deleted(grant, self._tell_of(grant.id)).in_grants(grant.id)
        with suppress(RowMissing):
            self.tables.grants.commit(grant.credential_id, [Delete(grant_key(grant.tenant), stored.etag), told])
        if grant.due:
            self.drop_due(shard_for(grant.id), grant.due)

    def notes(self, credential_id: str, tenant: str = "") -> list[tuple[str, str, str]]:
        """Return key, connection id and time of each note that a connection lives under a credential, or one grant."""
        first = f"c|{tenant}|" if tenant else "c|"
        rows = self.tables.grants.read(credential_id, first, f"{first[:-1]}~").rows
        return [(row.key, row.key.split("|", 2)[2], str(row.values.get("created_at", ""))) for row in rows]

    def drop_due(self, shard: str, key: str) -> None:
        """Remove a due row if it is there."""
        with suppress(RowMissing):
            self.tables.connections.commit(shard, [Delete(key)])

    def _told_of_grant(self, before: Grant | None, after: Grant) -> list[Operation]:
        if after.status is (before.status if before else GrantStatus.PENDING):
            return []
        notice = grant_changed(before, after, self._tell_of(after.id))
        return [notice.in_grants(after.id)] if notice else []

    def _tell_of(self, owner: str) -> datetime:
        """
        Make sure that a notice about to be written for *owner* is found, and return storage's time.

        It lies in another table than its due row, so the due row is made first, to fire seconds later: whatever dies
        between leaves at most a due row that finds nothing.
        """
        shard = shard_for(owner)
        now = self.tables.connections.read(shard, DUE_FIRST, DUE_FIRST, 1).storage_time
        due = due_first(owner, now)
        self.tables.connections.commit(shard, [Upsert(due.key, due.values)])
        return now

    def _schedule_upkeep(self, standing: datetime | None, after: Credential) -> None:
        at = upkeep_at(after)
        if at is not None and at != standing:
            self._add_due(shard_for(after.id), DueRow(at, CREDENTIAL, after.id))

    def _add_due(self, shard: str, due: DueRow) -> bool:
        try:
            self.tables.connections.commit(shard, [due.insert()])
        except RowExists:  # of an earlier state, whose number would make its wake-up look out of date
            self.tables.connections.commit(shard, [Upsert(due.key, due.values)])
            return False
        return True


def _begins_to_fail(before: Credential, after: Credential) -> bool:
    return after.fault is not None and (before.fault is None or before.fault.code != after.fault.code)


def grant_key(tenant: str) -> str:
    """Return the row key of a grant."""
    return f"g|{tenant.lower()}"


def purge_key(tenant: str) -> str:
    """Return the row key of the report of a grant's purge."""
    return f"p|{tenant.lower()}"


def member_key(tenant: str, connection_id: str) -> str:
    """Return the row key that says that a connection lives under a tenant's grant."""
    return f"c|{tenant.lower()}|{connection_id}"


def _grant(row: Row) -> Stored[Grant]:
    return Stored(decode(Grant, row.values), row.etag)


def _is_credential_id(text: str) -> bool:
    return text.startswith("cred_") and is_ulid(text.removeprefix("cred_"))
