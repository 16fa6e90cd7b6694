"""Is the product well: storage, vault, tick, queues, poison."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from shared.errors import Fault, StorageError
from shared.ports import Clock, Tables
from shared.schedule import QUEUES, TICK_KEY, TICK_PARTITION
from shared.times import from_text

TICK_MISSED_SECONDS = 300.0
_POISON = "-poison"


class QueueLengths(Protocol):
    """How many messages a queue holds, approximately."""

    def length(self, queue: str) -> int:
        """Return the approximate count; 0 where there is no such queue. Raises `StorageUnavailable`."""


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
    """Looks at everything that must answer."""

    tables: Tables
    queues: QueueLengths
    vault: VaultCheck
    clock: Clock

    def report(self) -> Report:
        """Return the state of storage, vault, tick, queues and poison; never raises for what it looks at."""
        storage = {"tables": "ok", "queues": "ok"}
        tick_age, lengths = None, {}
        try:
            tick_age = self._tick_age()
        except StorageError as error:
            storage["tables"] = error.code.value
        try:
            lengths = self._lengths()
        except StorageError as error:
            storage["queues"] = error.code.value
        vault = self._vault()
        ticking = tick_age is not None and tick_age < TICK_MISSED_SECONDS
        checks = {
            "storage": storage,
            "vault": vault,
            "tick": {"state": "ok" if ticking else "missed", "age_seconds": tick_age},
            "queues": {name: count for name, count in lengths.items() if not name.endswith(_POISON)},
            "poison": {name: count for name, count in lengths.items() if name.endswith(_POISON)},
        }
        return Report({*storage.values(), vault} == {"ok"} and ticking, checks)

    def _tick_age(self) -> float | None:
        row = self.tables.credentials.get(TICK_PARTITION, TICK_KEY)
        return _age(self.clock(), str(row.values["at"])) if row else None

    def _lengths(self) -> dict[str, int]:
        names = sorted(set(QUEUES.values()))
        return {name: self.queues.length(name) for name in [*names, *(f"{name}{_POISON}" for name in names)]}

    def _vault(self) -> str:
        try:
            self.vault.check()
        except Fault as fault:
            return fault.code.value
        return "ok"


def _age(now: datetime, at: str) -> float:
    return round((now - from_text(at)).total_seconds(), 1)
