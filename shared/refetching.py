"""Fetching a message again by hand: one that was given up, or one whose next try is far off."""

from contextlib import suppress
from dataclasses import replace

from shared.connection_rows import Found, asked_now, changed_run, find
from shared.errors import Conflict, NotFound, RowChanged, RowMissing
from shared.identifiers import split_receipt_id
from shared.ports import Delete, Operation, Tables, Upsert, Wakeups
from shared.receipts import REFETCH, ReceiptStatus, Work, change, read_receipt, receipt_key, work_range
from shared.schedule import FETCH, DueRow, Wakeup
from shared.waking import wake

PAGE, SOUGHT = 1000, 5000
_NO_RECEIPT = "There is no such mail. GET connections/{id}/received lists those there are."
_NOT_OPEN = (
    "This mail was fetched, or is no longer in the mailbox. Only mail that is retrying or quarantined is fetched "
    "again; POST received/{id}/redeliver delivers one again that is stored."
)
_DISABLED = "The connection is disabled. Enable it, and fetch the mail again then."


class Refetching:
    """Has single messages fetched again; a repeat does no harm, and makes up for a call that died halfway."""

    def __init__(self, tables: Tables, wakeups: Wakeups) -> None:
        self._tables = tables
        self._wakeups = wakeups

    def retry(self, receipt_id: str) -> None:
        """
        Have a message fetched again now, with as many tries as it had at first.

        Raises `NotFound`, `Conflict` where it was fetched already or its connection is disabled.
        """
        named = split_receipt_id(receipt_id)
        if named is None:
            raise NotFound(_NO_RECEIPT)
        found = find(self._tables, named[0])
        if not found.connection.enabled:
            raise Conflict(_DISABLED)
        while not self._renewed(found, named[1]):
            found = find(self._tables, named[0])
        while not self._due(found):
            found = find(self._tables, named[0])

    def _renewed(self, found: Found, message_hash: str) -> bool:
        """Put the receipt back in line in one transaction; return whether nobody changed it meanwhile."""
        receipts, partition = self._tables.receipts, found.connection.id
        row = receipts.get(partition, receipt_key(message_hash))
        if row is None:
            raise NotFound(_NO_RECEIPT)
        before = read_receipt(row.values)
        if before.status not in (ReceiptStatus.RETRYING, ReceiptStatus.QUARANTINED) or before.deliverable:
            raise Conflict(_NOT_OPEN)
        work = Work(REFETCH, found.storage_time, message_hash)
        mine = self._standing(partition, message_hash) if before.status is ReceiptStatus.RETRYING else []
        operations: list[Operation] = [*change(before, replace(before, status=ReceiptStatus.RETRYING), row.etag)]
        try:
            receipts.commit(partition, [*operations, work.insert(), *(Delete(key) for key in mine if key != work.key)])
        except (RowChanged, RowMissing):
            return False
        return True

    def _standing(self, partition: str, message_hash: str) -> list[str]:
        """
        Return the keys of the work to fetch a message again, sought among the `SOUGHT` that are due first.

        One that is due later than all those does no harm: what it finds fetched by then it leaves alone.
        """
        first, last = work_range(REFETCH, None)
        for _ in range(SOUGHT // PAGE):
            rows = self._tables.receipts.read(partition, first, last, PAGE).rows
            if mine := [row.key for row in rows if row.key.endswith(f"|{message_hash}")]:
                return mine
            if len(rows) < PAGE:
                break
            first = f"{rows[-1].key}-"
        return []

    def _due(self, found: Found) -> bool:
        """Make the connection due now, with word of work in rows; a fetch under way is fenced and looks again."""
        now, shard = found.storage_time, found.connection.shard
        due = DueRow(now, FETCH, found.connection.id, found.run.seq + 1)
        run = asked_now(replace(found.run, pending=True), now, due.key)
        try:
            self._tables.connections.commit(shard, [changed_run(found, run), Upsert(due.key, due.values)])
        except RowChanged:
            return False
        if found.run.due not in ("", due.key):
            with suppress(RowMissing):
                self._tables.connections.commit(shard, [Delete(found.run.due)])
        wake(self._wakeups, Wakeup(FETCH, found.connection.id, run.seq, due.key))
        return True
