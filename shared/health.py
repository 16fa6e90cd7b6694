"""Is the product well: storage, vault, tick, poison."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from shared.errors import Fault, StorageError
from shared.ports import Clock, Tables
from shared.schedule import QUEUES, TICK_KEY, TICK_PARTITION
from shared.times import from_text

TICK_MISSED_SECONDS = 300.0


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
        """Return the state of storage, vault, tick and poison queues; never raises for what it looks at."""
        storage, tick_age, poison = self._storage()
        vault = self._vault()
        tick = "ok" if tick_age is not None and tick_age < TICK_MISSED_SECONDS else "missed"
        checks = {
            "storage": storage,
            "vault": vault,
            "tick": {"state": tick, "age_seconds": tick_age},
            "poison": poison,
        }
        return Report(storage == vault == tick == "ok", checks)

    def _storage(self) -> tuple[str, float | None, dict[str, int]]:
        try:
            row = self.tables.credentials.get(TICK_PARTITION, TICK_KEY)
            poison = {
                f"{queue}-poison": self.queues.length(f"{queue}-poison") for queue in sorted(set(QUEUES.values()))
            }
        except StorageError:
            return "unavailable", None, {}
        return "ok", _age(self.clock(), str(row.values["at"])) if row else None, poison

    def _vault(self) -> str:
        try:
            self.vault.check()
        except Fault as fault:
            return fault.code.value
        return "ok"


def _age(now: datetime, at: str) -> float:
    return round((now - from_text(at)).total_seconds(), 1)
