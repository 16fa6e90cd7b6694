"""What does the tick cost over 10 to 10,000 connections of which some are due, counted at Azurite."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
import tracemalloc
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
from shared.times import from_text, now_utc, to_text

if TYPE_CHECKING:
    from collections.abc import Sequence

SIZES = (10, 100, 1_000, 10_000)
SHARE = 100
"""One of so many is due, at least one."""
COMPARED = (1_000, 10_000)
"""Where a tick is measured with the same number due, whatever else exists."""
DUE = 100
MOST_CALLS = len(SHARDS) + DUE // 10 * 11
MEGABYTE = 2**20
MOST_MB = 10
_PER_TRANSACTION = 33
Figures = dict[str, Any]


def measure(sizes: Sequence[int] = SIZES) -> tuple[Figures, list[str]]:
    """Return what one tick costs at each of *sizes*, and what misses its goal."""
    with ExitStack() as stack:
        azurite = start_azurite()
        stack.callback(azurite.close)
        create_storage(azurite.connection_string)
        journal = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "calls"
        account = StorageAccount(azurite.connection_string)
        tables, wakeups = StorageTables(account), StorageWakeups(account)
        grown = Grown(tables, Tick(tables, wakeups, now_utc), azurite.connection_string)
        grown.tick.run()  # once in its life, a process reads the heartbeat first
        calls.install({calls.JOURNAL: str(journal), "MAIL_STORAGE": azurite.connection_string})
        shares, same = [], []
        for size in sizes:
            grown.grow(size)
            due = max(size // SHARE, 1)
            shares.append(grown.measure(due, journal))
            if size in COMPARED:
                same.append(shares[-1] if due == DUE else grown.measure(DUE, journal))
    return {"one_in_100_due": shares, "always_100_due": same}, _missed(shares, same)


class Grown:
    """An installation that grows, and whose tick is measured at each size."""

    def __init__(self, tables: StorageTables, tick: Tick, storage: str) -> None:
        self.tick = tick
        self._storage = storage
        self._tables = tables
        self._runs: list[Run] = []
        self._settled: set[str] = set()

    def grow(self, size: int) -> None:
        """Let there be *size* connections, none of them due."""
        later = now_utc() + timedelta(hours=1)
        fresh = [_connection(number) for number in range(len(self._runs), size)]
        runs = [_run(connection.id, later) for connection in fresh]
        self._runs += runs
        self._write(runs, {connection.id: connection for connection in fresh})

    def measure(self, count: int, journal: Path) -> Figures:
        """Make *count* due, run the tick, and again as if nobody took them: the costs."""
        self._settle()
        taken, self._runs = self._runs[:count], self._runs[count:]
        self._runs += self._make_due(taken, now_utc())
        time.sleep(1.1)  # storage tells its time in whole seconds, cut
        began, cpu = time.monotonic(), time.process_time()
        result = self.tick.run()
        ended, cpu = time.monotonic(), time.process_time() - cpu
        made = _made(journal, began)
        tracemalloc.start()
        again = self.tick.run()
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        alone = self._alone(count)
        return {
            "connections": len(self._runs),
            "due": result.due,
            "woken": result.woken,
            "storage_calls": made.total(),
            "table_calls": made["table"],
            "messages": made["queue"],
            "storage_calls_if_nobody_took_them": _made(journal, ended).total(),
            "seconds": round(ended - began, 3),
            "cpu_seconds": round(cpu, 3),
            "mb_allocated": round(peak / MEGABYTE, 2),
            "peak_mb": alone["peak_mb"],
            "clean": {result, again} == {TickResult(due=count, woken=count)}
            and (alone["due"], alone["woken"]) == (count, count),
        }

    def _alone(self, count: int) -> Figures:
        """Make *count* due once more, and return what a process says that runs this one tick and nothing else."""
        self._settle()
        taken, self._runs = self._runs[-count:], self._runs[:-count]
        self._runs += self._make_due(taken, now_utc())
        time.sleep(1.1)
        command = [sys.executable, "-m", "bench.growth.one_tick"]
        environment = {**os.environ, "MAIL_STORAGE": self._storage}
        done = subprocess.run(command, env=environment, capture_output=True, check=True, text=True)
        self.tick.watchdog.beat()  # so that this process has ticked last, and need not look whose heartbeat it is
        figures: Figures = json.loads(done.stdout)
        return figures

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
        # Whatever was made due before has no due row any more, whichever the tick had moved it to.
        self._settled |= {run.due for run in self._runs if from_text(run.next_at) <= now_utc()}

    def _make_due(self, runs: Sequence[Run], at: datetime) -> list[Run]:
        """Move the due rows of *runs* to *at* and note in their records where they stand; return the runs as noted."""
        done: list[Run] = []
        for part in _parts(runs):
            operations: list[Operation] = []
            for run in part:
                due = DueRow(at, FETCH, run.connection_id, run.seq).key
                moved = replace(run, next_at=to_text(at), due=due)
                gone = [] if run.due in self._settled else [Delete(run.due)]
                operations += [*gone, Upsert(due, {"seq": run.seq})]
                operations.append(Upsert(run_key(run.connection_id), encode(moved)))
                done.append(moved)
            self._tables.connections.commit(shard_of(part[0].connection_id), operations)
        return done


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


def _missed(shares: list[Figures], same: list[Figures]) -> list[str]:
    goals = {
        f"growth: at most {MOST_CALLS} calls of storage with {DUE} due": all(
            it["storage_calls"] <= MOST_CALLS for it in same
        ),
        "growth: one message for each that is due": all(
            it["messages"] == it["due"] and it["clean"] for it in (*shares, *same)
        ),
        f"growth: the process of a tick takes at most {MOST_MB} MB more at the largest size than at the smallest": (
            shares[-1]["peak_mb"] - shares[0]["peak_mb"] <= MOST_MB
        ),
        "growth: the same at every size": len({it["storage_calls"] for it in same}) <= 1,
        "growth: calls that depend only on what is due": all(
            it["storage_calls"] <= len(SHARDS) + 1 + 1.1 * it["due"] for it in shares
        ),
    }
    return [goal for goal, met in goals.items() if not met]
