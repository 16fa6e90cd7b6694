"""How everything that was kept of one deleted connection is counted, and then erased."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from shared.box import Box
from shared.connection_rows import tombstone_key
from shared.connections import box_key, box_range
from shared.errors import RowChanged, RowMissing
from shared.identifiers import box_of, shard_of
from shared.keep_rows import keep_key
from shared.notices import box_prefix
from shared.ports import Blobs, BlobStore, Delete, Table, Tables
from shared.rows import decode
from shared.run_log import partition_of
from shared.schedule import SEND

FIRST, LAST = "-", "~"
"""Around every key that there can be."""
PAGE = 100
"""Rows per read, as many as one transaction deletes."""
COUNTED = 1000
"""Rows per read where they are only counted, as many as one answer holds."""
DAY = timedelta(days=1)
LONGEST_LOG_DAYS = 32
"""The run log goes after 30 days; a day more on either side for clocks and for a run of housekeeping that is late."""


@dataclass(frozen=True, slots=True)
class Kept:
    """What is there: *mails* fetched, *entries* of the outbox, *rows* and *blobs* in all."""

    mails: int = 0
    entries: int = 0
    rows: int = 0
    blobs: int = 0


@dataclass(frozen=True, slots=True)
class Erasing:
    """
    Erases connections that are deleted already, blobs first, the tombstone that leads to them last.

    *go_on* tells whether there is time left; every step may be repeated by whoever comes later.
    """

    tables: Tables
    blobs: BlobStore

    def is_free(self, connection_id: str) -> bool:
        """Tell whether no invocation that began before the deletion can still write for the mailbox."""
        box = box_of(connection_id)
        found = self.tables.connections.read(shard_of(box), box_key(box), f"{box_key(box)}~")
        return all(decode(Box, row.values).free_for(SEND, found.storage_time) for row in found.rows)

    def count(self, connection_id: str, grant_id: str) -> Kept:
        """Return what is kept of the connection. Raises `StorageUnavailable`."""
        mails = entries = rows = 0
        for table in (self.tables.receipts, self.tables.outbox):
            first = FIRST
            while found := table.read(connection_id, first, LAST, COUNTED).rows:
                rows += len(found)
                listed = sum(row.key.startswith("m|") for row in found)
                mails += listed if table is self.tables.receipts else 0
                entries += listed if table is self.tables.outbox else 0
                first = f"{found[-1].key}{FIRST}"
        blobs = sum(1 for container, prefix in self._places(connection_id, grant_id) for _ in container.names(prefix))
        return Kept(mails, entries, rows, blobs)

    def erase(self, connection_id: str, grant_id: str, go_on: Callable[[], bool]) -> bool:
        """Remove all of it; return whether nothing is left. Raises `StorageUnavailable`."""
        if not self.emptied(connection_id, grant_id, go_on) or not self._log_emptied(connection_id, go_on):
            return False
        for table in (self.tables.receipts, self.tables.outbox):
            if not _emptied(table, connection_id, go_on):
                return False
        self.forget(connection_id)
        return True

    def emptied(self, connection_id: str, grant_id: str, go_on: Callable[[], bool]) -> bool:
        """Remove the blobs alone; return whether none is left. Raises `StorageUnavailable`."""
        for container, prefix in self._places(connection_id, grant_id):
            for path in container.names(prefix):
                if not go_on():
                    return False
                container.delete(path)
        return True

    def _log_emptied(self, connection_id: str, go_on: Callable[[], bool]) -> bool:
        """Remove the run log of every day that may have one, from today back."""
        box = box_of(connection_id)
        now = self.tables.connections.read(shard_of(box), box_key(box), f"{box_key(box)}~").storage_time
        days = (now + DAY - number * DAY for number in range(LONGEST_LOG_DAYS + 1))
        return all(_emptied(self.tables.log, partition_of(connection_id, f"{day:%Y%m%d}"), go_on) for day in days)

    def _places(self, connection_id: str, grant_id: str) -> list[tuple[Blobs, str]]:
        return [
            (self.blobs.received, f"{grant_id}/{connection_id}/"),
            (self.blobs.outbox, f"{connection_id}/"),
            (self.blobs.uploads, f"{connection_id}/"),
        ]

    def forget(self, connection_id: str) -> None:
        """Remove the tombstone and the record of housekeeping, and the mailbox's rows where no other needs them."""
        box, shard = box_of(connection_id), shard_of(connection_id)
        mine = (tombstone_key(connection_id), keep_key(connection_id))
        shared_rows, notices = (box_key(box), f"b|{box}|cfg"), box_prefix(connection_id)
        while True:
            rows = self.tables.connections.read(shard, *box_range(box)).rows
            rows += [row for row in [self.tables.connections.get(shard, mine[1])] if row is not None]
            own = [row for row in rows if row.key in mine or row.key.startswith(notices)]
            others = [row for row in rows if row not in own and row.key not in shared_rows]
            ends = own + [row for row in rows if not others and row.key in shared_rows]
            if not ends:
                return
            try:
                self.tables.connections.commit(shard, [Delete(row.key, row.etag) for row in ends[:PAGE]])
            except (RowChanged, RowMissing):
                continue
            if len(ends) <= PAGE:
                return


def _emptied(table: Table, partition: str, go_on: Callable[[], bool]) -> bool:
    while found := table.read(partition, FIRST, LAST, PAGE).rows:
        if not go_on():
            return False
        try:
            table.commit(partition, [Delete(row.key) for row in found])
        except RowMissing:
            continue  # somebody else erases too
    return True
