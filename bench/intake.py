"""What the measurements of intake share: a consented tenant, watched calls of the host, and its use of the machine."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from localcloud.administrator import wait_until
from localcloud.calls import JOURNAL, CallMade, read_calls
from localcloud.stack import Stack
from localcloud.story import Story

if TYPE_CHECKING:
    from collections.abc import Callable

NEVER = "0 0 0 29 2 *"
# What production has, where tests are brisk: how often a turn is renewed, and how soon Sent Items are looked through.
PRODUCTION = {
    "TURN_LEASE_SECONDS": "60",
    "CONFIRM_SECONDS": "60",
    "LOCAL_HOST_QUEUE_LEASE_SECONDS": "30",
    "TICK_SCHEDULE": NEVER,
}
# The same for every client. Lists take their time in Exchange, which reads each item and converts what it shows: 0.2 s
# for the ids of 100 items, about 1 s for 100 with body and an attachment of 10 KB. An assumption, see the documents.
LATENCY_MS, LIST_ITEM_MS, LIST_KB_MS = 50, 2, 0.5
CONDITIONS = {"latency_ms": LATENCY_MS, "list_item_ms": LIST_ITEM_MS, "list_kb_ms": LIST_KB_MS}
_TICKS = os.sysconf("SC_CLK_TCK")


class Intake:
    """A running product with one consented tenant, whose host writes down every call; use as a context manager."""

    def __init__(self, changes: dict[str, str] | None = None) -> None:
        self._open = ExitStack()
        self.journal = Path(self._open.enter_context(tempfile.TemporaryDirectory())) / "calls"
        self._changes = {**PRODUCTION, JOURNAL: str(self.journal), **(changes or {})}

    def __enter__(self) -> Self:
        """Start everything and let the tenant consent."""
        try:
            self.stack = self._open.enter_context(Stack(self._changes))
            self.story = Story(self.stack)
            self.organisation = self.story.found("bench.example", "Bench")
            self.story.register(self.organisation)
            self.story.accept(self.organisation)
            self.story.await_status(self.organisation, "active")
        except BaseException:
            self._open.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Stop everything."""
        self._open.close()

    def connect(self, person: str, **details: Any) -> str:
        """Create a mailbox and a connection that has fetched its emptiness once; return the connection's id."""
        address = self.organisation.address(person)
        self.stack.control.add_user(self.organisation.domain, address, person)
        connection = str(self.story.connect_incoming(self.organisation, person, **details)["id"])
        self.await_success(connection, "")
        return connection

    def await_success(self, connection: str, before: str) -> str:
        """Wait until a run after *before* has succeeded; return its time."""

        def later() -> str:
            at = str(self.stack.admin.get(f"connections/{connection}")["last_success_at"] or "")
            return at if at != before else ""

        return str(wait_until("the mailbox is fetched", later, 60))

    def calls(self, after: float, area: str) -> list[CallMade]:
        """Return the calls of one area of the product that began later than *after*."""
        return [call for call in read_calls(self.journal) if call.began > after and call.area == area]

    def quiet(self, count: Callable[[], int], seconds: float = 0.5) -> int:
        """Return *count* once it has not changed for *seconds*."""
        last, since = count(), time.monotonic()
        while time.monotonic() - since < seconds:
            time.sleep(0.05)
            now = count()
            if now != last:
                last, since = now, time.monotonic()
        return last

    def usage(self) -> Usage:
        """Return what the host has used so far."""
        return Usage.of(self.stack.host.pid)


def by_kind(calls: Iterable[CallMade]) -> dict[str, int]:
    """Return how many calls of storage there are of each kind that has a price."""
    kinds = dict.fromkeys(("table", "queue", "blob_write", "blob_read"), 0)
    for call in calls:
        if call.is_storage:
            service, reads = call.place.partition(" ")[0], call.method in ("GET", "HEAD")
            kinds[service if service != "blob" else "blob_read" if reads else "blob_write"] += 1
    return kinds


@dataclass(frozen=True, slots=True)
class Usage:
    """Processor seconds and the most memory in MB of a process so far; zeros where the system does not tell."""

    cpu_seconds: float = 0.0
    peak_mb: float = 0.0

    @classmethod
    def of(cls, pid: int) -> Usage:
        """Read it from /proc."""
        with suppress(OSError, ValueError, IndexError):
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            status = Path(f"/proc/{pid}/status").read_text()
            peak = int(status.partition("VmHWM:")[2].split()[0])
            return cls((int(fields[11]) + int(fields[12])) / _TICKS, peak / 1024)
        return cls()
