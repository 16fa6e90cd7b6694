"""What a deleted connection leaves to the one that continues it: which messages it took, and which it did not."""

from collections.abc import Callable
from datetime import timedelta
from itertools import chain

from shared.connection_rows import Tombstone
from shared.errors import RowMissing
from shared.ports import ANY, Delete, Operation, Row, Table
from shared.receipts import (
    DELIVER,
    REFETCH,
    VIEWED,
    Receipt,
    Work,
    index_key,
    packed,
    readable_receipt,
    receipt_key,
    view_key,
    work_range,
    works_of,
)
from shared.times import from_text

SLACK = timedelta(seconds=2)
"""Storage tells its time in whole seconds, and two invocations may be a second apart in what they take it for."""
PAGE = 500


def settle(receipts: Table, stone: Tombstone, go_on: Callable[[], bool] = lambda: True) -> bool:
    """
    Sort the work that a connection left open, once nobody works for it any more; return whether all of it is sorted.

    A fetch that was under way may have stored mail at the very moment of the deletion. Nobody will deliver it, so its
    receipt is forgotten, and whoever continues the connection takes it. What was given up on purpose (``discard``)
    keeps its receipt. May be repeated. Raises `StorageUnavailable`.
    """
    for kind in (DELIVER, REFETCH):
        first, last = work_range(kind, None)
        while rows := receipts.read(stone.connection_id, first, last, PAGE).rows:
            if not go_on():
                return False
            _sort(receipts, stone, [(row, work) for row in rows for work in works_of([row])])
            first = f"{rows[-1].key}-"  # what can be no work stays where it is
    return True


def took(receipts: Table, connection_ids: tuple[str, ...], message_hash: str) -> bool:
    """Tell whether one of the connections before has taken the message. Raises `StorageUnavailable`."""
    return any(receipts.get(before, receipt_key(message_hash)) is not None for before in connection_ids)


def _sort(receipts: Table, stone: Tombstone, found: list[tuple[Row, Work]]) -> None:
    forgotten = {work.hash: _forgetting(receipts, stone, work) for _, work in found}
    groups: dict[str, list[Operation]] = {work.hash: [] for _, work in found}
    for row, work in found:
        groups[work.hash].append(Delete(row.key, ANY))
    for message_hash, operations in forgotten.items():
        groups[message_hash] += operations
    for part in packed(groups.values()):
        # An open after_fetch of a forgotten mail finds no receipt; it goes with the rest of the partition.
        _deleted(receipts, stone.connection_id, list(chain.from_iterable(part)))


def _forgetting(receipts: Table, stone: Tombstone, work: Work) -> list[Operation]:
    """Return what removes the receipt of open work, nothing where the message counts as taken."""
    row = receipts.get(stone.connection_id, receipt_key(work.hash))
    if row is None:
        return []
    receipt = readable_receipt(row)
    if receipt is None:
        return [] if stone.discarded else [Delete(row.key, ANY)]
    given_up = stone.discarded and receipt.stored_moment() <= from_text(stone.deleted_at) + SLACK
    if given_up or receipt.delivered_at:
        return []
    return [Delete(key, ANY) for key in rows_of(receipt)]


def rows_of(receipt: Receipt) -> list[str]:
    """Return the keys of a receipt's own rows, without those of its work."""
    keys = [receipt_key(receipt.hash), index_key(receipt)]
    return [*keys, view_key(receipt)] if receipt.status in VIEWED else keys


def _deleted(receipts: Table, partition: str, operations: list[Operation]) -> None:
    """Remove rows, leaving out those that somebody else removed meanwhile."""
    left = operations
    while left:
        try:
            receipts.commit(partition, left)
        except RowMissing as error:
            missing = error.key
            left = [operation for operation in left if operation.key != missing]
        else:
            return
