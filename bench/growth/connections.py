"""What does the tick cost where 100 of 1,000, and then of 10,000, connections are due: the same, counted at Azurite."""

from __future__ import annotations

import tempfile
import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from localcloud import calls
from localcloud.environment import create_storage
from localcloud.processes import start_azurite
from shared.adapters.queue_storage import StorageWakeups
from shared.adapters.storage_account import StorageAccount
from shared.adapters.table_storage import StorageTables
from shared.connections import Connection, Direction, Run, connection_key, run_key
from shared.identifiers import box_hash, new_connection_id, shard_of
from shared.ports import Delete, Operation, Upsert
from shared.rows import encode
from shared.schedule import DUE_FIRST, FETCH, SHARDS, DueRow, due_upto
from shared.tick import Tick, TickResult
from shared.times import now_utc, to_text

if TYPE_CHECKING:
    from collections.abc import Sequence

SIZES = (1_000, 10_000)
DUE = 100
MOST_CALLS = len(SHARDS) + DUE // 10 * 11
_PER_TRANSACTION = 33
Figures = dict[str, Any]


def measure() -> tuple[Figures, list[str]]:
    """Return what one tick costs at each size, and what misses its goal."""
    with ExitStack() as stack:
        azurite = start_azurite()
        stack.callback(azurite.close)
        create_storage(azurite.connection_string)
        journal = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "calls"
        account = StorageAccount(azurite.connection_string)
        tables, wakeups = StorageTables(account), StorageWakeups(account)
        grown = Grown(tables, Tick(tables, wakeups, now_utc))
        grown.tick.run()  # once in its life, a process reads the heartbeat first
        calls.install({calls.JOURNAL: str(journal), "MAIL_STORAGE": azurite.connection_string})
        found = [grown.measure(size, journal) for size in SIZES]
    largest = found[-1]
    return {**largest, "smaller": found[:-1]}, _missed(found)


class Grown:
    """An installation that grows, and whose tick is measured at each size."""

    def __init__(self, tables: StorageTables, tick: Tick) -> None:
        self.tick = tick
        self._tables = tables
        self._runs: list[Run] = []

    def measure(self, size: int, journal: Path) -> Figures:
        """Let there be *size* connections, make some due, run the tick, and again as if nobody took them: the costs."""
        later = now_utc() + timedelta(hours=1)
        fresh = [_connection(number) for number in range(len(self._runs), size)]
        runs = [_run(connection.id, later) for connection in fresh]
        self._runs += runs
        self._write(runs, {connection.id: connection for connection in fresh})
        self._settle()
        self._make_due(runs[:: len(runs) // DUE], now_utc())
        time.sleep(1.1)  # storage tells its time in whole seconds, cut
        began, cpu = time.monotonic(), time.process_time()
        result = self.tick.run()
        ended, cpu = time.monotonic(), time.process_time() - cpu
        made = _made(journal, began)
        again = self.tick.run()
        return {
            "connections": size,
            "due": result.due,
            "woken": result.woken,
            "storage_calls": made.total(),
            "table_calls": made["table"],
            "messages": made["queue"],
            "storage_calls_if_nobody_took_them": _made(journal, ended).total(),
            "seconds": round(ended - began, 3),
            "cpu_seconds": round(cpu, 2),
            "clean": {result, again} == {TickResult(due=DUE, woken=DUE)},
        }

    def _write(self, runs: Sequence[Run], configs: dict[str, Connection]) -> None:
        """Write the rows of new connections, shard by shard."""
        for part in _parts(runs):
            operations: list[Operation] = []
            for run in part:
                operations += [
                    Upsert(connection_key(run.connection_id), encode(configs[run.connection_id])),
                    Upsert(run_key(run.connection_id), encode(run)),
                    Upsert(run.due, {"seq": run.seq}),
                ]
            self._tables.connections.commit(shard_of(part[0].connection_id), operations)

    def _settle(self) -> None:
        """Take away the due rows that the tick before has left for workers that never speak."""
        for shard in SHARDS:
            rows = self._tables.connections.read(shard, DUE_FIRST, due_upto(now_utc() + timedelta(minutes=10))).rows
            if rows:
                self._tables.connections.commit(shard, [Delete(row.key) for row in rows])

    def _make_due(self, runs: Sequence[Run], at: datetime) -> None:
        """Move the due rows of *runs* to *at*, and note in their records where they stand."""
        for part in _parts(runs):
            operations: list[Operation] = []
            for run in part:
                due = DueRow(at, FETCH, run.connection_id, run.seq).key
                moved = replace(run, next_at=to_text(at), due=due)
                operations += [Delete(run.due), Upsert(due, {"seq": run.seq})]
                operations.append(Upsert(run_key(run.connection_id), encode(moved)))
            self._tables.connections.commit(shard_of(part[0].connection_id), operations)


def _made(journal: Path, began: float) -> Counter[str]:
    """Return the calls of storage since *began*, by service."""
    made = [call for call in calls.read_calls(journal) if call.began > began and call.area and call.is_storage]
    return Counter(call.place.partition(" ")[0] for call in made)


def _connection(number: int) -> Connection:
    """Return a connection of a mailbox of its own."""
    identifier = new_connection_id(box_hash("client", "tenant", f"mailbox-{number}"))
    address = f"mailbox-{number}@bench.example"
    return Connection(
        identifier, Direction.INCOMING, address, "grant", "tenant", f"mailbox-{number}", address, to_text(now_utc())
    )


def _run(connection_id: str, at: datetime) -> Run:
    return Run(connection_id, next_at=to_text(at), due=DueRow(at, FETCH, connection_id).key)


def _parts(runs: Sequence[Run]) -> list[list[Run]]:
    """Return *runs* in parts of one shard and one transaction each."""
    shards: dict[str, list[Run]] = {}
    for run in runs:
        shards.setdefault(shard_of(run.connection_id), []).append(run)
    return [
        shard[start : start + _PER_TRANSACTION]
        for shard in shards.values()
        for start in range(0, len(shard), _PER_TRANSACTION)
    ]


def _missed(found: list[Figures]) -> list[str]:
    goals = {
        f"at most {MOST_CALLS} calls of storage": all(it["storage_calls"] <= MOST_CALLS for it in found),
        "one message for each that is due": all(it["messages"] == DUE and it["clean"] for it in found),
        "the same at every size": len({it["storage_calls"] for it in found}) == 1,
    }
    return [goal for goal, met in goals.items() if not met]
