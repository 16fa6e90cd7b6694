"""When timer functions fire: once per due time over all hosts, late once after a pause, never twice at a time."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from azure.core.exceptions import AzureError, ResourceNotFoundError
from azure.storage.blob import BlobClient

from localcloud.host.functions import Function
from localcloud.host.invocations import Invoker
from localcloud.host.leases import BlobLease
from localcloud.host.messages import TypedData
from localcloud.host.schedules import Next, shortest_gap

log = logging.getLogger("localcloud.host.timers")
_NEVER = datetime(1, 1, 1, tzinfo=UTC)
Clock = Callable[[], datetime]


@dataclass(frozen=True)
class Timer:
    """One timer function, its schedule, and where its lease and its status are kept."""

    function: Function
    schedule: Next
    lease: BlobLease
    status: BlobClient


@dataclass(frozen=True)
class Status:
    """When a timer fired last and when it is due, as the host stores it."""

    last: datetime
    due: datetime

    def dump(self) -> dict[str, str]:
        """Return the stored form; `LastUpdated` equals `Last` as soon as the timer has fired."""
        return {"Last": _iso(self.last), "Next": _iso(self.due), "LastUpdated": _iso(self.last)}

    @classmethod
    def parse(cls, text: bytes) -> Status:
        """Read the stored form; raises ValueError, KeyError."""
        stored = json.loads(text)
        return cls(datetime.fromisoformat(stored["Last"]), datetime.fromisoformat(stored["Next"]))


class TimerListener:
    """Fire one timer while this host holds its lease."""

    def __init__(self, timer: Timer, invoker: Invoker, now: Clock = lambda: datetime.now(UTC)) -> None:
        self._timer = timer
        self._invoker = invoker
        self._now = now
        trigger = timer.function.trigger
        wants_status = trigger.get("useMonitor", True) is not False
        # The real host keeps no status for timers that fire more than once a minute.
        self._monitored = wants_status and shortest_gap(timer.schedule, now()) >= timedelta(minutes=1)
        self._run_on_startup = bool(trigger.get("runOnStartup"))

    async def run(self, stopping: asyncio.Event) -> None:
        """Take the lease, fire while it is held, and start over when it is lost; ends when *stopping* is set."""
        lease = self._timer.lease
        while not stopping.is_set():
            if not await lease.acquire():
                await _pause(stopping, lease.retry_seconds)
                continue
            held = asyncio.create_task(lease.keep())
            try:
                await self._fire_while(held, stopping)
            finally:
                held.cancel()
                await lease.release()

    async def _fire_while(self, held: asyncio.Task[None], stopping: asyncio.Event) -> None:
        status = await self._load_status()
        past_due = status.due < self._now()
        if past_due or self._run_on_startup:
            self._run_on_startup = False
            status = await self._fire(status, self._now(), past_due=past_due)
        while not stopping.is_set() and not held.done():
            wait = max(0.0, (status.due - self._now()).total_seconds())
            if await _pause(stopping, min(wait, 1.0)) or wait > 1.0:
                continue
            if not held.done():
                status = await self._fire(status, status.due, past_due=False)

    async def _fire(self, status: Status, moment: datetime, *, past_due: bool) -> Status:
        """Run the function for the due time *moment* and return the new status; no other run starts meanwhile."""
        await self._invoker.run(
            self._timer.function, timer_value(status if self._monitored else None, past_due=past_due)
        )
        new = Status(moment, self._timer.schedule(max(moment, self._now())))
        await self._store_status(new)
        return new

    async def _load_status(self) -> Status:
        fresh = Status(_NEVER, self._timer.schedule(self._now()))
        if not self._monitored:
            return fresh
        try:
            stored = Status.parse(await asyncio.to_thread(lambda: self._timer.status.download_blob().readall()))
        except (ResourceNotFoundError, ValueError, KeyError):
            await self._store_status(fresh)
            return fresh
        # A due time still to come is computed anew, since the schedule may have changed.
        return stored if stored.due < self._now() else Status(stored.last, fresh.due)

    async def _store_status(self, status: Status) -> None:
        if not self._monitored:
            return
        try:
            await asyncio.to_thread(self._timer.status.upload_blob, json.dumps(status.dump()), overwrite=True)
        except AzureError as error:
            log.warning("the status of %s was not stored: %s", self._timer.function.name, type(error).__name__)


def timer_value(status: Status | None, *, past_due: bool) -> TypedData:
    """Return what the worker makes `func.TimerRequest` of."""
    info: dict[str, Any] = {"Schedule": {"AdjustForDST": True}, "IsPastDue": past_due}
    info["ScheduleStatus"] = status.dump() if status else None
    return TypedData(json=json.dumps(info))


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat() if moment is not _NEVER else "0001-01-01T00:00:00+00:00"


async def _pause(stopping: asyncio.Event, seconds: float) -> bool:
    """Wait *seconds*, less if *stopping* is set; return whether it is."""
    try:
        await asyncio.wait_for(stopping.wait(), seconds)
    except TimeoutError:
        return False
    return True
