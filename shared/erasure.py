"""The erasure of one received mail: its content and what is personal go, its key stays, so that it never comes back."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import chain

from shared.errors import NotFound, RowChanged, RowMissing, StorageUnavailable
from shared.identifiers import split_receipt_id
from shared.ports import Blobs, Delete, Operation, Tables
from shared.receipts import Receipt, ReceiptStatus, bare, change, packed, read_receipt, receipt_key
from shared.times import to_key

_WORK = ("wd", "wa", "wf", "wk")
SLACK = timedelta(seconds=2)
"""Storage tells its time in whole seconds, cut."""
TRIES = 5


@dataclass(frozen=True, slots=True)
class Erasure:
    """Erases single mails on request."""

    tables: Tables
    blobs: Blobs

    def erase(self, receipt_id: str) -> None:
        """
        Remove body and personal fields of one mail and its open work; a repeat finds it done.

        The content goes first: whoever dies after that leaves a receipt that still names the mail, and is repeated.
        Raises `NotFound`, `StorageUnavailable`.
        """
        named = split_receipt_id(receipt_id)
        if named is None:
            raise NotFound("There is no such mail. GET connections/{id}/received lists those there are.")
        for _ in range(TRIES):
            if self._erased(*named):
                return
        raise StorageUnavailable("The mail is being worked on. Repeat the request in a minute.")

    def _erased(self, connection_id: str, message_hash: str) -> bool:
        row = self.tables.receipts.get(connection_id, receipt_key(message_hash))
        if row is None:
            raise NotFound("There is no such mail. GET connections/{id}/received lists those there are.")
        before = read_receipt(row.values)
        if before.blob:  # with what runs that died have left of the same mail
            for path in self.blobs.names(f"{before.blob.rpartition('/')[0]}/"):
                self.blobs.delete(path)
        after = replace(bare(before, ReceiptStatus.EXPIRED), graph_id="")
        groups: list[Sequence[Operation]] = [[Delete(key)] for key in self._work(connection_id, before)]
        if after != before:
            groups.insert(0, change(before, after, row.etag))
        try:
            for part in packed(groups):
                self.tables.receipts.commit(connection_id, list(chain.from_iterable(part)))
        except (RowChanged, RowMissing):
            return False
        return True

    def _work(self, connection_id: str, receipt: Receipt) -> list[str]:
        """Return the keys of the mail's work, none of which is due before it was stored."""
        since = to_key(receipt.stored_moment() - SLACK)
        return [
            row.key
            for kind in _WORK
            for row in self.tables.receipts.read(connection_id, f"{kind}|{since}", f"{kind}~").rows
            if row.key.endswith(f"|{receipt.hash}")
        ]
