"""The tick: whatever is due is woken, and fires again by itself if nobody answers."""

import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from shared.errors import RowChanged, RowExists, RowMissing, StorageError, StorageUnavailable
from shared.ports import Clock, Delete, Operation, Row, Tables, Wakeups
from shared.schedule import DUE_FIRST, FETCH, QUEUES, SHARDS, DueRow, Wakeup, due_upto
from shared.telemetry import measure
from shared.watchdog import Watchdog

_GROUP = 50  # due rows per transaction: each is one delete and at most one insert
_CONFLICTS = (RowChanged, RowExists, RowMissing)

log = logging.getLogger("mailgrant.tick")


@dataclass(frozen=True, slots=True)
class TickResult:
    """
    What one tick did: *due* rows found, *woken* wake-ups put.

    *lost* rows were taken by someone else meanwhile, *unknown* ones belong to a newer version, *failed* calls are made
    up for by a later tick.
    """

    due: int = 0
    woken: int = 0
    lost: int = 0
    unknown: int = 0
    failed: int = 0


class Tick:
    """Wakes whatever is due; harmless if it runs twice, late, or at once with another. *watchdog* notes its beat."""

    def __init__(self, tables: Tables, wakeups: Wakeups, clock: Clock, watchdog: Watchdog | None = None) -> None:
        self.tables = tables
        self.wakeups = wakeups
        self.clock = clock
        self.watchdog = watchdog or Watchdog(tables, wakeups, clock)

    def run(self) -> TickResult:
        """
        Read the 16 shards, move each due row 5 minutes on, and put a wake-up that names the moved row.

        Rows of fetch that have come due since the tick before are woken where they stand, so that a tick costs no
        transaction for them: whoever claims removes them, and the next tick moves those that nobody took.
        Raises `StorageUnavailable` where not a single shard could be read, so that the host shows the tick as failed.
        """
        now, previous = self._begin()
        counts: Counter[str] = Counter()
        silent: list[StorageUnavailable] = []
        late = 0.0
        for shard in SHARDS:
            try:
                rows = self.tables.connections.read(shard, DUE_FIRST, due_upto(now)).rows
            except StorageUnavailable as error:
                silent.append(error)
                continue
            late = max([late, *((now - due.at).total_seconds() for row in rows if (due := _known(row)))])
            counts += self._fire(shard, rows, now, previous)
        if len(silent) == len(SHARDS):
            raise silent[0]
        counts["failed"] += len(silent)
        result = TickResult(**counts)
        measure("due_age", late)
        log.info(
            "tick.done due=%d woken=%d lost=%d unknown=%d failed=%d",
            *(result.due, result.woken, result.lost, result.unknown, result.failed),
        )
        return result

    def _begin(self) -> tuple[datetime, datetime | None]:
        """
        Write down that the tick runs; return storage's time, or the host's if storage is silent.

        The other is when the tick ran before, None where that is not known.
        """
        at = self.clock()
        try:
            return self.watchdog.beat(), self.watchdog.previous
        except StorageError:
            log.warning("tick.mark_failed")
            return at, None

    def _fire(self, shard: str, rows: Sequence[Row], now: datetime, previous: datetime | None) -> Counter[str]:
        known = {row.key: due for row in rows if (due := _known(row))}
        mine = [row for row in rows if row.key in known]
        counts = Counter(due=len(mine), unknown=len(rows) - len(mine))
        if counts["unknown"]:
            log.warning("tick.unknown_rows shard=%s count=%d", shard, counts["unknown"])
        left: list[Row] = []
        for row in mine:
            due = known[row.key]
            if due.kind == FETCH and previous is not None and due.at > previous:
                counts["woken" if self._wake(due) else "failed"] += 1
            else:
                left.append(row)
        for group in _groups(left, known):
            moved = self._move(shard, group, known, now, counts)
            for due in moved:
                counts["woken" if self._wake(due) else "failed"] += 1
        return counts

    def _move(
        self, shard: str, group: Sequence[Row], known: dict[str, DueRow], now: datetime, counts: Counter[str]
    ) -> list[DueRow]:
        """Move a group in one transaction, or one by one where someone was quicker; return what now stands."""
        try:
            return self._moved(shard, group, known, now)
        except StorageUnavailable:
            counts["failed"] += len(group)
            return []
        except _CONFLICTS:
            if len(group) == 1:
                counts["lost"] += 1
                return []
        return [due for row in group for due in self._move(shard, [row], known, now, counts)]

    def _moved(self, shard: str, group: Sequence[Row], known: dict[str, DueRow], now: datetime) -> list[DueRow]:
        later: dict[str, DueRow] = {}
        for row in group:
            due = known[row.key].refired(now)
            if due.key not in later or later[due.key].seq < due.seq:
                later[due.key] = due
        deletes: list[Operation] = [Delete(row.key, row.etag) for row in group]
        self.tables.connections.commit(shard, [*deletes, *(due.insert() for due in later.values())])
        return list(later.values())

    def _wake(self, due: DueRow) -> bool:
        try:
            self.wakeups.put(QUEUES[due.kind], Wakeup(due.kind, due.id, due.seq, due.key).to_body())
        except StorageUnavailable:
            log.warning("tick.wake_failed kind=%s id=%s", due.kind, due.id)
            return False
        return True


def _known(row: Row) -> DueRow | None:
    try:
        due = DueRow.from_row(row.key, row.values)
    except (ValueError, OverflowError):
        return None
    return due if due.kind in QUEUES else None


def _groups(rows: Sequence[Row], known: dict[str, DueRow]) -> Iterator[list[Row]]:
    """Yield groups of one transaction each; rows of one piece of work stay together, since they become one row."""
    order = sorted(rows, key=lambda row: (known[row.key].kind, known[row.key].id))
    for start in range(0, len(order), _GROUP):
        yield order[start : start + _GROUP]
