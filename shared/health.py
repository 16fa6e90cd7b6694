"""Is the product well: storage, vault, tick, queues, poison; and what is late, what stopped, and what ends soon."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol, TypeVar

from shared.credentials import outlook
from shared.errors import Fault, StorageError
from shared.expiry import Expiry
from shared.ports import Clock, Row, Tables
from shared.registry import Registry
from shared.schedule import DUE_FIRST, QUEUES, SHARDS, TICK_KEY, TICK_PARTITION, DueRow, due_upto
from shared.troubles import SHOWN, Troubles, poisoned, stopped
from shared.watchdog import MISSED_SECONDS, heartbeat_of

_POISON = "-poison"
_DUE_LOOKED_AT = 5
Looked = TypeVar("Looked")


class QueueLooks(Protocol):
    """How many messages a queue holds, approximately, and how long the first has waited."""

    def length(self, queue: str) -> int:
        """Return the approximate count; 0 where there is no such queue. Raises `StorageUnavailable`."""

    def oldest(self, queue: str) -> datetime | None:
        """Return since when the first visible message waits; None where there is none. Raises `StorageUnavailable`."""


class VaultCheck(Protocol):
    """Whether the vault answers."""

    def check(self) -> None:
        """Make one cheap call. Raises `CredentialFault` where the vault does not answer or refuses."""


@dataclass(frozen=True, slots=True)
class Report:
    """What is well and what is not; *healthy* is False only for storage, vault or a missing tick."""

    healthy: bool
    checks: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Health:
    """
    Looks at everything that must answer; what it reads does not grow with the number of connections.

    *monotonic* tells how long this process has run: a deployment whose first tick is yet to come is no illness.
    """

    tables: Tables
    queues: QueueLooks
    vault: VaultCheck
    clock: Clock
    monotonic: Callable[[], float] = time.monotonic
    started: float = field(init=False)

    def __post_init__(self) -> None:
        """Begin to count how long this process runs."""
        object.__setattr__(self, "started", self.monotonic())

    def report(self) -> Report:
        """Return the state of everything; never raises for what it looks at."""
        storage = {"tables": "ok", "queues": "ok"}

        def looked(part: str, look: Callable[[], Looked]) -> Looked | None:
            try:
                return look()
            except StorageError as error:
                storage[part] = error.code.value
                return None

        beat = looked("tables", self._beat)
        now = beat[1] if beat else self.clock()
        tick = self._tick(beat)
        vault = self._vault()
        checks = {
            "storage": storage,
            "vault": vault,
            "tick": tick,
            "queues": looked("queues", lambda: self._queues(now)) or {},
            "poison": looked("queues", self._poison) or {},
            "poisoned": _shown(looked("tables", lambda: poisoned(self.tables))),
            "due": {"late_seconds": looked("tables", lambda: self._late(now))},
            "stopped": _shown(looked("tables", lambda: stopped(self.tables))),
            "expiries": looked("tables", lambda: self._expiries(now)) or [],
        }
        return Report({*storage.values(), vault} == {"ok"} and tick["state"] != "missed", checks)

    def _beat(self) -> tuple[Row | None, datetime]:
        found = self.tables.credentials.read(TICK_PARTITION, TICK_KEY, f"{TICK_KEY}~")
        return next((row for row in found.rows if row.key == TICK_KEY), None), found.storage_time

    def _tick(self, beat: tuple[Row | None, datetime] | None) -> dict[str, Any]:
        if beat is None:
            return {"state": "unknown", "age_seconds": None}
        age = heartbeat_of(beat[0]).silent_for(beat[1])
        if age is not None:
            return {"state": "ok" if age < MISSED_SECONDS else "missed", "age_seconds": round(max(age, 0.0), 1)}
        fresh = self.monotonic() - self.started < MISSED_SECONDS
        return {"state": "starting" if fresh else "missed", "age_seconds": None}

    def _queues(self, now: datetime) -> dict[str, Any]:
        return {name: self._queue(name, now) for name in sorted(set(QUEUES.values()))}

    def _queue(self, name: str, now: datetime) -> dict[str, Any]:
        messages = self.queues.length(name)
        oldest = self.queues.oldest(name) if messages else None
        return {"messages": messages, "oldest_seconds": _age(now, oldest) if oldest else None}

    def _poison(self) -> dict[str, int]:
        names = sorted({f"{name}{_POISON}" for name in QUEUES.values()})
        return {name: self.queues.length(name) for name in names}

    def _late(self, now: datetime) -> float:
        """Return for how long the most overdue work of a kind that this version knows has waited to be woken."""
        late = 0.0
        for shard in SHARDS:
            rows = self.tables.connections.read(shard, DUE_FIRST, due_upto(now), _DUE_LOOKED_AT).rows
            late = max([late, *(_age(now, due.at) for due in map(_due, rows) if due and due.kind in QUEUES)])
        return late

    def _expiries(self, now: datetime) -> list[dict[str, Any]]:
        """Return the credentials that end soon or have ended, the first to end first."""
        near: list[tuple[int, dict[str, Any]]] = []
        for credential in (stored.record for stored in Registry(self.tables).credentials()):
            ahead = outlook(credential, now)
            if ahead.expiry in (Expiry.SOON, Expiry.EXPIRED) and ahead.days is not None:
                shown = {"credential_id": credential.id, "state": ahead.expiry.value, "days": ahead.days}
                near.append((ahead.days, shown))
        return [shown for _, shown in sorted(near, key=lambda item: item[0])[:SHOWN]]

    def _vault(self) -> str:
        try:
            self.vault.check()
        except Fault as fault:
            return fault.code.value
        return "ok"


def _shown(troubles: Troubles | None) -> dict[str, Any] | None:
    if troubles is None:
        return None
    records = [{"kind": one.kind, "id": one.id, "since": one.since} for one in troubles.found]
    return {"count": len(records), "more": troubles.more, "records": records}


def _due(row: Row) -> DueRow | None:
    try:
        return DueRow.from_row(row.key, row.values)
    except ValueError:
        return None


def _age(now: datetime, since: datetime) -> float:
    return round(max((now - since).total_seconds(), 0.0), 1)
