"""What becomes of that which a deleted connection kept: content soon, keys after 30 days."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from shared.connection_rows import Tombstone, tombstone_key
from shared.connections import connection_key
from shared.erasing import Erasing
from shared.errors import RowChanged, RowMissing
from shared.identifiers import shard_of
from shared.keep_rows import CLAIM, LONGEST_WORK, Keeping, Stage
from shared.leftovers import settle
from shared.outbox.rows import ENTRY_FIRST, WORK_FIRST, WORK_LAST
from shared.outbox.work import OPEN, Status, Work
from shared.ports import ANY, BlobStore, Delete, Operation, Row, Table, Tables, Update
from shared.receipts import ReceiptStatus, bare, readable_receipt
from shared.rows import UnreadableRow, decode, encode
from shared.times import from_text

TOMBSTONE = timedelta(days=30)
BUSY = timedelta(seconds=30)
STRANGE_WORK = timedelta(days=1)
"""How long progress that nobody can read keeps the mail of a deleted connection: a newer version may end it yet."""
PAGE = 100
_ENTRY = {"subject": "", "to": "[]", "cc": "[]", "bcc": "[]", "metadata": "{}", "payload": "", "bounces": "[]"}
_FIRST, _LAST = "-", "~"
_LISTED, _LISTED_LAST = "d|", "d~"
"""The rows that list received mail, which stay as they are."""


@dataclass(frozen=True, slots=True)
class Deleted:
    """Purges what one deleted connection kept, twice, and in the end its tombstone; *now* is storage's time."""

    tables: Tables
    blobs: BlobStore
    erasing: Erasing
    now: datetime
    go_on: Callable[[], bool]

    def next(self, record: Keeping) -> tuple[Keeping, datetime] | None:
        """Take the next step; return the record and when it goes on, None once nothing is left of the connection."""
        stone = self._stone(record.connection_id)
        if stone is None:
            self.erasing.forget(record.connection_id)
            return None
        if record.stage is Stage.KEYS:
            return self._end(record, stone)
        if not self._quiet(stone):
            return record, self.now + BUSY
        record, purged = self._purged(record, stone)
        if not purged:
            return record, self.now
        record = replace(record, purge_cursor="")
        if record.stage is Stage.PURGE:
            return replace(record, stage=Stage.PURGE_AGAIN), self.now + CLAIM
        return replace(record, stage=Stage.KEYS), from_text(stone.deleted_at) + TOMBSTONE

    def _end(self, record: Keeping, stone: Tombstone) -> tuple[Keeping, datetime] | None:
        """End the tombstone, unless a connection that continues this one still asks what this one took."""
        if stone.continued_by and self._lives(stone.continued_by):
            return record, self.now + TOMBSTONE
        if not self.erasing.erase(stone.connection_id, stone.grant_id, self.go_on):
            return record, self.now
        return None

    def _lives(self, connection_id: str) -> bool:
        shard, connections = shard_of(connection_id), self.tables.connections
        keys = (connection_key(connection_id), tombstone_key(connection_id))
        return any(connections.get(shard, key) is not None for key in keys)

    def _quiet(self, stone: Tombstone) -> bool:
        """Tell whether nobody who began before the deletion can still write for the connection, and all is ended."""
        rows = self.tables.outbox.read(stone.connection_id, WORK_FIRST, WORK_LAST, PAGE).rows
        if any(_is_work(row) for row in rows):
            return False  # the sender gives each open mail its end
        return from_text(stone.deleted_at) + (STRANGE_WORK if rows else LONGEST_WORK) <= self.now

    def _purged(self, record: Keeping, stone: Tombstone) -> tuple[Keeping, bool]:
        """
        Remove content and all that is personal; keys of messages, hashes, times and outcomes stay.

        Returns how far that came, so that the next run goes on there: the rows that stay must not be read each time.
        """
        if not settle(self.tables.receipts, stone, self.go_on):
            return record, False
        if not self.erasing.emptied(stone.connection_id, stone.grant_id, self.go_on):
            return record, False
        begun, _, row_key = record.purge_cursor.partition("|")
        for name, table, bared in (
            ("outbox", self.tables.outbox, _entry),
            ("receipts", self.tables.receipts, _receipt),
        ):
            if name < begun:
                continue
            first = f"{row_key}{_FIRST}" if name == begun else _FIRST
            while rows := table.read(stone.connection_id, first, _LAST, PAGE).rows:
                if not self.go_on():
                    return record, False
                _commit(table, stone.connection_id, [item for row in rows for item in bared(row)])
                last = _LISTED_LAST if rows[-1].key.startswith(_LISTED) else rows[-1].key
                record = replace(record, purge_cursor=f"{name}|{last}")
                first = f"{last}{_FIRST}"
        return record, True

    def _stone(self, connection_id: str) -> Tombstone | None:
        row = self.tables.connections.get(shard_of(connection_id), tombstone_key(connection_id))
        return decode(Tombstone, row.values) if row else None


def _is_work(row: Row) -> bool:
    try:
        decode(Work, row.values)
    except UnreadableRow:
        return False
    return True


def _receipt(row: Row) -> Sequence[Operation]:
    """Return what leaves of a row of received mail no more than the key, its place in the list, what became of it."""
    if row.key.startswith(_LISTED):
        return []
    if not row.key.startswith("m|"):
        return [Delete(row.key, ANY)]
    before = readable_receipt(row)
    if before is None:  # nobody can tell what in it is personal
        return [Delete(row.key, ANY)]
    after = bare(before, ReceiptStatus.EXPIRED if before.blob else before.status)
    return [Update(row.key, encode(after), row.etag)] if after != before else []


def _entry(row: Row) -> Sequence[Operation]:
    """Return what leaves of a row of outgoing mail no more than what became of it."""
    if not row.key.startswith(ENTRY_FIRST):
        return [Delete(row.key, ANY)]
    unended = {"status": Status.OUTCOME_UNKNOWN.value} if row.values.get("status") in OPEN else {}
    return [Update(row.key, {**_ENTRY, **unended}, row.etag)] if row.values.get("payload") else []


def _commit(table: Table, partition: str, operations: list[Operation]) -> None:
    left = operations
    while left:
        try:
            table.commit(partition, left)
        except (RowMissing, RowChanged) as error:
            missing = error.key
            left = [operation for operation in left if operation.key != missing]
        else:
            return
