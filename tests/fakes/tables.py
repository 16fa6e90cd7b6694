"""Tables in memory: the exact promises of the `Table` port, with failures on demand and a count of calls."""

import bisect
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from shared.adapters.table_rules import check_key, check_operations, check_range
from shared.errors import RowChanged, RowExists, RowMissing
from shared.ports import ANY, Clock, Committed, Delete, Insert, Operation, Row, Rows, Upsert
from shared.rows import Value
from tests.fakes.failures import Failures

PAGE = 1000
"""How many rows one answer of Table storage holds at most."""
TABLES = ("connections", "credentials", "grants", "tickets", "receipts", "outbox", "log", "audit")


@dataclass
class MemoryTable:
    """
    One table; storage's time is *clock* cut to whole seconds, as the Date header is.

    *failures* makes calls fail (methods ``get``, ``read``, ``commit``), *calls* counts them, and as ``more`` the
    further requests that reading many rows takes.
    """

    clock: Clock
    failures: Failures = field(default_factory=Failures)
    calls: Counter[str] = field(default_factory=Counter)
    _partitions: dict[str, dict[str, Row]] = field(default_factory=dict)
    _keys: dict[str, list[str]] = field(default_factory=dict)
    _version: int = 0
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def get(self, partition: str, key: str) -> Row | None:
        """Return the row, or None."""
        check_key(partition)
        check_key(key)
        self.calls["get"] += 1
        with self.failures.around("get"), self._lock:
            return self._partitions.get(partition, {}).get(key)

    def read(self, partition: str, first: str, last: str, limit: int | None = None) -> Rows:
        """Return the rows with *first* ≤ key < *last* in key order, at most *limit*."""
        check_range(partition, first, last, limit)
        self.calls["read"] += 1
        with self.failures.around("read"), self._lock:
            keys = self._keys.get(partition, [])
            found = keys[bisect.bisect_left(keys, first) : bisect.bisect_left(keys, last)][:limit]
            self.calls["more"] += (len(found) - 1) // PAGE if found else 0
            return Rows([self._partitions[partition][key] for key in found], self._storage_time())

    def commit(self, partition: str, operations: Sequence[Operation]) -> Committed:
        """Do all of 1 to 100 operations on distinct keys, or none."""
        check_operations(partition, operations)
        self.calls["commit"] += 1
        with self.failures.around("commit"), self._lock:
            rows = self._partitions.get(partition, {})
            for operation in operations:
                _check(operation, rows.get(operation.key))
            etags = [self._apply(partition, operation) for operation in operations]
            return Committed(etags, self._storage_time())

    def everything(self) -> dict[tuple[str, str], Mapping[str, Value]]:
        """Return the values of every row by partition and key, for a test's last look."""
        with self._lock:
            return {(part, key): row.values for part, rows in self._partitions.items() for key, row in rows.items()}

    def _apply(self, partition: str, operation: Operation) -> str:
        rows, keys = self._partitions.setdefault(partition, {}), self._keys.setdefault(partition, [])
        if isinstance(operation, Delete):
            del rows[operation.key]
            del keys[bisect.bisect_left(keys, operation.key)]
            return ""
        if operation.key not in rows:
            bisect.insort(keys, operation.key)
        self._version += 1
        etag = f'W/"{self._version}"'
        before = rows[operation.key].values if operation.key in rows else {}
        rows[operation.key] = Row(operation.key, {**before, **operation.values}, etag)
        return etag

    def _storage_time(self) -> datetime:
        return self.clock().replace(microsecond=0)


class MemoryTables:
    """The tables of the product, each a `MemoryTable`."""

    def __init__(self, clock: Clock) -> None:
        self.connections = MemoryTable(clock)
        self.credentials = MemoryTable(clock)
        self.grants = MemoryTable(clock)
        self.tickets = MemoryTable(clock)
        self.receipts = MemoryTable(clock)
        self.outbox = MemoryTable(clock)
        self.log = MemoryTable(clock)
        self.audit = MemoryTable(clock)

    def calls(self) -> int:
        """Return how many calls all tables have had."""
        return sum(getattr(self, name).calls.total() for name in TABLES)


def _check(operation: Operation, row: Row | None) -> None:
    match operation:
        case Insert():
            if row is not None:
                raise RowExists(operation.key)
        case Upsert():
            pass
        case _:
            if row is None:
                raise RowMissing(operation.key)
            if operation.etag not in (ANY, row.etag):
                raise RowChanged(operation.key)
