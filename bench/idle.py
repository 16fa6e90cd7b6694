"""What does a fetch cost that finds nothing: one request to Graph and three calls of storage, counted in the host."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import httpx

from bench.intake import Intake
from localcloud.calls import CallMade
from shared.adapters.table_storage import open_tables
from shared.connection_rows import find
from shared.connections import run_key
from shared.fetch.job import scheduled
from shared.identifiers import shard_of
from shared.ports import Delete, Operation, Update, Upsert
from shared.rows import encode
from shared.settings import Settings
from shared.times import to_text

if TYPE_CHECKING:
    from shared.ports import Tables

ROUNDS = 5
Figures = dict[str, Any]


def measure() -> tuple[Figures, list[str]]:
    """Return the figures of fetches woken by the tick and asked for by hand, and what misses its goal."""
    with Intake() as intake:
        connection = intake.connect("idle")
        os.environ.update(intake.stack.environment)  # DefaultAzureCredential looks there
        tables = open_tables(Settings.from_environment(intake.stack.environment), None)
        runs = [_by_tick(intake, tables, connection) for _ in range(ROUNDS)]
        runs += [_by_hand(intake, connection) for _ in range(ROUNDS)]
    graph = {sum(call.place == "graph" for call in run) for run in runs}
    storage = {sum(call.is_storage for call in run) for run in runs}
    kinds = {tuple(f"{call.method} {call.place}" for call in run if call.is_storage) for run in runs}
    figures = {
        "runs": len(runs),
        "seconds": round(sorted(run[-1].ended - run[0].began for run in runs)[len(runs) // 2], 3),
        "graph_requests": max(graph),
        "storage_calls": max(storage),
        "other_calls": max(len(run) for run in runs) - max(graph) - max(storage),
        "storage": [list(kind) for kind in sorted(kinds)],
    }
    return figures, _missed(figures, graph, storage)


def _by_tick(intake: Intake, tables: Tables, connection: str) -> list[CallMade]:
    """Make the connection due, let the host run its tick, and return the calls of the fetch that it woke."""
    found = find(tables, connection)
    due = scheduled(replace(found.run, next_at=to_text(found.storage_time)))
    operations: list[Operation] = [Update(run_key(connection), encode(due), found.etag(run_key(connection)))]
    operations.append(Upsert(due.due, {"seq": due.seq}))
    if found.run.due not in ("", due.due):
        operations.append(Delete(found.run.due))
    tables.connections.commit(shard_of(connection), operations)
    host = intake.stack.host

    def tick() -> None:
        headers = {"x-functions-key": host.master_key}
        url = f"{host.url}/admin/functions/tick"
        httpx.post(url, json={"input": ""}, headers=headers, trust_env=False).raise_for_status()

    return _run(intake, connection, tick)


def _by_hand(intake: Intake, connection: str) -> list[CallMade]:
    """Ask for a fetch and return its calls."""
    return _run(intake, connection, lambda: intake.stack.admin.post(f"connections/{connection}/fetch"))


def _run(intake: Intake, connection: str, wake: Any) -> list[CallMade]:
    before, began = intake.await_success(connection, ""), time.monotonic()
    wake()
    intake.await_success(connection, before)
    intake.quiet(lambda: len(intake.calls(began, "fetch")))
    return intake.calls(began, "fetch")


def _missed(figures: Figures, graph: set[int], storage: set[int]) -> list[str]:
    goals = {
        "exactly one request to Graph": graph == {1},
        "exactly three calls of storage": storage == {3},
        "no call of any other service": figures["other_calls"] == 0,
    }
    return [goal for goal, met in goals.items() if not met]
