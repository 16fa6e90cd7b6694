"""
How the product grows: with connections, with mailboxes fetched at once, and with what a connection has kept.

`measure` prints everything; with `Way.WRITTEN` it renews the charts and figures in docs/performance.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bench.charts import lines
from bench.growth import connections, entries, mailboxes, receipts
from bench.judgement import exponent, is_log_like
from bench.report import ELSEWHERE, WRITTEN, Way
from localcloud.azurite import Azurite
from localcloud.environment import create_storage
from localcloud.processes import start_azurite
from shared.adapters.storage_account import StorageAccount
from shared.adapters.table_storage import StorageTables
from shared.ports import Insert

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

CALLS_SLACK = 10
"""A run reads at most so many further pages of lists that are longer, up to a bound."""
BOUNDED = 10_000
"""Where every bound of what one run or page looks at is reached, so that time is compared from here on."""
MS_SLACK = 250.0
"""What a busy machine may add to a path that takes a few milliseconds."""
BOUNDS = {"sweep of 500 stored long after they came": 500 + CALLS_SLACK}
"""Calls of a path that costs more only up to its page: here a look-up for each mail that it passes."""
BASELINE = (500, 5_000)
Figures = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much there is in each part of the measurement."""

    connected: Sequence[int] = connections.SIZES
    at_once: Sequence[int] = mailboxes.MAILBOXES
    hosts: Sequence[int] = mailboxes.HOSTS
    kept: Sequence[int] = receipts.SIZES


QUICK = Sizes((10, 100, 1_000), (1, 4), (1, 2), (1_000, 10_000))


def measure(way: Way = Way.COMPARED) -> tuple[Figures, list[str]]:
    """Return all figures, smaller sizes for `Way.ALONE`, and what misses its goal; write charts and JSON."""
    sizes, missed = QUICK if way is Way.ALONE else Sizes(), list[str]()
    began = time.monotonic()
    figures: Figures = {}
    parts: dict[str, Callable[[], tuple[Figures, list[str]]]] = {
        "connections": lambda: connections.measure(sizes.connected),
        "mailboxes": lambda: mailboxes.measure(sizes.at_once, sizes.hosts),
        "received": lambda: judged("received mail", receipts.measure, sizes.kept),
        "outbox": lambda: judged("outgoing mail", entries.measure, sizes.kept),
    }
    for name, part in parts.items():
        figures[name], lacks = part()
        missed += lacks
    figures["azurite"] = azurite()
    figures["total_seconds"] = round(time.monotonic() - began)
    folder = WRITTEN if way is Way.WRITTEN else ELSEWHERE
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "growth.json").write_text(f"{json.dumps(figures, indent=2)}\n")
    draw(figures, folder)
    return figures, missed


def judged(
    what: str, measured: Callable[[int], dict[str, dict[str, float]]], sizes: Sequence[int]
) -> tuple[Figures, list[str]]:
    """Return what the paths through *what* cost at each of *sizes*, and which of them grow faster than a logarithm."""
    found = [measured(size) for size in sizes]
    paths: Figures = {}
    missed = []
    for name in found[0]:
        calls, spent = ([it[name][kind] for it in found] for kind in ("calls", "ms"))
        paths[name] = {"calls": calls, "ms": spent, "exponent": round(max(exponent(sizes, calls), 0.0), 2)}
        if max(calls) > BOUNDS.get(name, 0) and not is_log_like(sizes, calls, CALLS_SLACK):
            missed.append(f"growth, {what}: {name} takes {calls} calls at {list(sizes)}")
        bounded = [number for number, size in enumerate(sizes) if size >= BOUNDED]
        if not is_log_like([sizes[at] for at in bounded], [spent[at] for at in bounded], MS_SLACK):
            missed.append(f"growth, {what}: {name} takes {spent} ms at {list(sizes)}")
    return {"sizes": list(sizes), "paths": paths}, missed


def azurite() -> Figures:
    """Return how Azurite itself grows: milliseconds of a look-up, a range of 100, and a transaction of 100."""
    server: Azurite = start_azurite()
    try:
        create_storage(server.connection_string)
        table = StorageTables(StorageAccount(server.connection_string)).receipts
        found: Figures = {"rows": list(BASELINE), "look_up_ms": [], "range_ms": [], "transaction_ms": []}
        there, last = 0, 0.0
        for size in BASELINE:
            while there < size:
                rows = [Insert(f"m|{number:08d}", {"status": "delivered"}) for number in range(there, there + 100)]
                last = _milliseconds(lambda rows=rows: table.commit("one", rows))  # type: ignore[misc]
                there += 100
            found["transaction_ms"].append(last)
            found["look_up_ms"].append(_milliseconds(lambda: table.get("one", "m|00000050")))
            found["range_ms"].append(_milliseconds(lambda: table.read("one", "m|", "m~", 100)))
        return found
    finally:
        server.close()


def draw(figures: Figures, folder: Path) -> None:
    """Write the charts of *figures* into *folder*."""
    shares = figures["connections"]["one_in_100_due"]
    lines(
        folder / "growth-tick.png",
        "One tick, 1 % of the connections due",
        [it["connections"] for it in shares],
        {
            "calls of storage": [it["storage_calls"] for it in shares],
            "milliseconds": [it["seconds"] * 1000 for it in shares],
        },
        x_label="connections",
        y_label="",
        log_x=True,
        log_y=True,
    )
    rounds = figures["mailboxes"]["rounds"]
    boxes = sorted({it["mailboxes"] for it in rounds})
    for name, title, label in (
        ("mails_per_second", "Mailboxes fetched at once", "mails a second"),
        ("jain_index", "How evenly mailboxes are served (1: all alike)", "Jain's index"),
    ):
        lines(
            folder / f"growth-{'throughput' if name == 'mails_per_second' else 'fairness'}.png",
            title,
            boxes,
            {
                f"{hosts} host{'s' if hosts > 1 else ''}": [it[name] for it in rounds if it["hosts"] == hosts]
                for hosts in sorted({it["hosts"] for it in rounds})
            },
            x_label="mailboxes",
            y_label=label,
            log_x=True,
        )
    for part, title in (("received", "receipts"), ("outbox", "entries of the outbox")):
        _draw_paths(figures[part], folder / f"growth-{part}.png", title)


SHOWN = {
    "received": ("fetch of 10", "delivery of 10", "sweep of 500, nothing lost", "list, first page", "look-up"),
    "outbox": ("accept", "drain of 10", "confirmation of 10", "list, failed", "list, queued amid waiting"),
}


def _draw_paths(part: Figures, path: Path, what: str) -> None:
    chosen = {name: part["paths"][name]["calls"] for name in SHOWN[path.stem.removeprefix("growth-")]}
    lines(
        path,
        f"Calls of storage by how many {what} there are",
        part["sizes"],
        chosen,
        x_label=what,
        y_label="calls of storage",
        log_x=True,
        log_y=True,
    )


def _milliseconds(do: Callable[[], object]) -> float:
    began = time.perf_counter()
    do()
    return round((time.perf_counter() - began) * 1000, 1)
