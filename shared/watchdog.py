"""The tick's heartbeat, and how whoever runs next notices that it has stopped: timers get stuck after deployments."""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from shared.errors import RowChanged, RowExists, RowMissing, StorageError
from shared.keep_rows import begin_system
from shared.notices import SYSTEM, EventType, Notice, due_first
from shared.ports import Clock, Committed, Insert, Operation, Row, Tables, Update, Upsert, Wakeups
from shared.rows import Value, decode
from shared.schedule import NOTICE, TICK_KEY, TICK_PARTITION, Wakeup, shard_for
from shared.times import from_text, to_text
from shared.waking import wake

log = logging.getLogger("mailgrant.tick")

MISSED_SECONDS = 300.0
LOOK_SECONDS = 60.0
_TRIES = 3
_BEATEN = (RowChanged, RowExists, RowMissing)


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """
    When the tick last ran (storage's time), and since when it is known that it does not.

    *kept* tells that there is housekeeping, also of what a version without it has left.
    """

    at: str = ""
    missed_at: str = ""
    kept: bool = False

    def silent_for(self, now: datetime) -> float | None:
        """Return the seconds since the last tick, None where none ever ran."""
        return (now - from_text(self.at)).total_seconds() if self.at else None


def heartbeat_of(row: Row | None) -> Heartbeat:
    """Return what the row of the heartbeat says, or that there was none yet."""
    return decode(Heartbeat, row.values) if row else Heartbeat()


class Watchdog:
    """
    Keeps the heartbeat of the tick and tells once of each silence of `MISSED_SECONDS`.

    *monotonic* measures how long this process runs and how often it looks. Thread-safe.
    """

    def __init__(
        self, tables: Tables, wakeups: Wakeups, clock: Clock, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._table = tables.credentials
        self._connections = tables.connections
        self._wakeups = wakeups
        self._clock = clock
        self._monotonic = monotonic
        self._started = monotonic()
        self._looked = self._started
        self._lock = threading.Lock()
        self._mine: Row | None = None
        self._ahead = timedelta(0)  # of storage's clock before the host's
        self.previous: datetime | None = None
        """When the tick ran before the last beat, by storage's time; None where that is not known."""

    def running_for(self) -> float:
        """Return for how many seconds this process has run."""
        return self._monotonic() - self._started

    def beat(self) -> datetime:
        """
        Write down that the tick runs, and tell of a silence that ends here unless it is known.

        Costs one call, and one more where another process ticked last. Returns storage's time. Raises `StorageError`.
        """
        row, self._mine, self.previous = self._mine, None, None
        for _ in range(_TRIES):
            if row is None:
                row = self._read()[0]
            now = self._clock() + self._ahead
            before = heartbeat_of(row)
            kept = row is None or before.kept or self._begin_keeping(now)
            values: dict[str, Value] = {"at": to_text(now), "missed_at": "", "kept": kept}
            silent = before.silent_for(now)
            late = silent is not None and silent >= MISSED_SECONDS and not before.missed_at
            try:
                done = self._commit(row, values, self._notice(before, now) if late else None)
            except _BEATEN:
                row = None
                continue
            self._ahead = done.storage_time - self._clock()
            self._looked = self._monotonic() + MISSED_SECONDS - LOOK_SECONDS  # no silence can be as long before
            self.previous = from_text(before.at) if before.at else None
            self._mine = Row(TICK_KEY, values, done.etags[0])
            return done.storage_time
        return self._read()[1]  # others tick at this very moment

    def _begin_keeping(self, now: datetime) -> bool:
        """
        Have connections found that older versions made without housekeeping; return whether that was done.

        Where this version ticked first there are none: each comes with a record of its own, and begins what is common.
        """
        try:
            begin_system(self._connections, now)
        except StorageError:
            return False  # the next beat tries again
        return True

    def look(self) -> None:
        """
        Notice, at most once a minute and for one call, that no tick has come for as long as it must not be.

        Whoever works calls this; it never raises. A process that has only started gives the tick its time.
        """
        with self._lock:
            if self._monotonic() - self._looked < LOOK_SECONDS:
                return
            self._looked = self._monotonic()
        if self.running_for() < MISSED_SECONDS:
            return
        try:
            self._bark()
        except _BEATEN:
            return  # it ticked, or another told
        except StorageError as error:
            log.warning("tick.look_failed code=%s", error.code.value)

    def _bark(self) -> None:
        row, now = self._read()
        before = heartbeat_of(row)
        silent = before.silent_for(now)
        if before.missed_at or (silent is not None and silent < MISSED_SECONDS):
            return
        self._commit(row, {"missed_at": to_text(now)}, self._notice(before, now))

    def _read(self) -> tuple[Row | None, datetime]:
        found = self._table.read(TICK_PARTITION, TICK_KEY, f"{TICK_KEY}~")
        self._ahead = found.storage_time - self._clock()
        return next((row for row in found.rows if row.key == TICK_KEY), None), found.storage_time

    def _commit(self, row: Row | None, values: dict[str, Value], notice: Notice | None) -> Committed:
        write: Operation = Update(TICK_KEY, values, row.etag) if row else Insert(TICK_KEY, values)
        if notice is None:
            return self._table.commit(TICK_PARTITION, [write])
        due = due_first(SYSTEM, notice.at)
        self._connections.commit(shard_for(SYSTEM), [Upsert(due.key, due.values)])
        done = self._table.commit(TICK_PARTITION, [write, notice.in_credentials(SYSTEM)])
        log.error("tick.missed last=%s silent=%s", notice.data["last_tick_at"], notice.data["silent_seconds"])
        wake(self._wakeups, Wakeup(NOTICE, SYSTEM))
        return done

    def _notice(self, before: Heartbeat, now: datetime) -> Notice:
        silent = before.silent_for(now)
        data = {
            "last_tick_at": before.at,
            "silent_seconds": None if silent is None else round(silent),
            "detail": _ADVICE,
        }
        return Notice(EventType.TICK_MISSED, SYSTEM, data, now)


_ADVICE = (
    "The timer that wakes all work did not run for 5 minutes or more, so mail is late. If it does not run by now, "
    "POST tick wakes what is due; restart the app, and look whether the function `tick` is enabled."
)
