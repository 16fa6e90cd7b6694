"""Where several clients did the same work: who was faster, as a table, a chart and JSON."""

from __future__ import annotations

import json
import os
import platform
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum, auto
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from bench import charts
from bench.intake import CONDITIONS
from localcloud.children import PROJECT
from shared.version import VERSION

if TYPE_CHECKING:
    from bench.side_by_side import Line

GUIDE = PROJECT / "docs" / "performance.md"
WRITTEN = PROJECT / "docs" / "performance"
ELSEWHERE = PROJECT / "dist" / "bench"


class Way(Enum):
    """Whether others are measured beside, and whether what comes of it goes into the documents."""

    ALONE = auto()
    COMPARED = auto()
    WRITTEN = auto()


@dataclass(frozen=True, slots=True)
class Comparison:
    """The *lines* of one *area*, ours first, and the *floor* in seconds that none can be faster than."""

    area: str
    title: str
    floor: float
    lines: list[Line]

    def missed(self) -> list[str]:
        """Return what misses its goal."""
        ours, *others = self.lines
        faster = [it for it in others if not it.less and it.seconds <= ours.seconds]
        missed = [f"faster than {it.name}, which does the same work" for it in faster]
        if ours.less:
            missed.append(f"the same work as the others: {ours.less}")
        if ours.bytes_kept is False:
            missed.append("the bytes of an 8-bit mail are kept")
        if ours.copies not in (None, 1):
            missed.append(f"one copy of a mail whose acceptance was answered with 504, not {ours.copies}")
        return missed

    def head(self) -> list[str]:
        """Return the names of the columns."""
        correct = "copies after a 504" if self.area == "send" else "8-bit mail"
        return ["client", "seconds", "× floor", "requests", "in `$batch`", "429", "CPU s", "MB", correct]

    def rows(self) -> list[list[str]]:
        """Return the cells of the table."""
        return [
            [
                f"{it.name} (less work: {it.less})" if it.less else it.name,
                f"{it.seconds:.2f}",
                f"{it.seconds / self.floor:.2f}",
                *map(str, (it.graph_requests, it.sub_requests, it.throttled)),
                f"{it.cpu_seconds:.2f}",
                f"{it.peak_mb:.0f}",
                _correct(it),
            ]
            for it in self.lines
        ]

    def markdown(self) -> str:
        """Return the table as it stands in the documents, the floor below."""
        table = [self.head(), ["---"] * len(self.head()), *self.rows()]
        rows = "\n".join(f"| {' | '.join(cells)} |" for cells in table)
        return f"{rows}\n\nFloor: {self.floor:.2f} s. {_where()}\n"

    def as_json(self) -> dict[str, Any]:
        """Return all figures, with where they were taken."""
        clients = {line.name: line.figures() for line in self.lines}
        return {"title": self.title, "taken": _where(), **CONDITIONS, "floor": self.floor, "clients": clients}


def publish(comparison: Comparison, way: Way) -> list[str]:
    """Print the table, write chart and JSON, the documents' where asked for; return what misses its goal."""
    table = Table(*comparison.head(), title=f"{comparison.title} (floor {comparison.floor:.2f} s)")
    for cells in comparison.rows():
        table.add_row(*cells)
    Console(width=150).print(table)
    folder = WRITTEN if way is Way.WRITTEN else ELSEWHERE
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(comparison.as_json(), indent=2, ensure_ascii=False)
    (folder / f"{comparison.area}.json").write_text(f"{text}\n", encoding="utf-8")
    charts.bars(
        folder / f"{comparison.area}.png",
        comparison.title,
        {_bar(line): line.seconds for line in comparison.lines},
        unit="s",
        hatched=[_bar(line) for line in comparison.lines if line.less],
        line=("floor", comparison.floor),
    )
    print(f"Chart and JSON: {folder.relative_to(PROJECT)}/{comparison.area}.png, .json")
    if way is Way.WRITTEN:
        guide = GUIDE.read_text(encoding="utf-8")
        GUIDE.write_text(guide_with(comparison.area, comparison.markdown(), guide), encoding="utf-8")
    return comparison.missed()


def guide_with(area: str, table: str, guide: str) -> str:
    """Return *guide* with *table* between the two marks of *area*. Raises: ValueError where a mark is missing."""
    begin, end = (f"<!-- make bench AREA={area} ARGS=--write: {mark} -->" for mark in ("begin", "end"))
    before, mark, rest = guide.partition(begin)
    _, other, after = rest.partition(end)
    if not mark or not other:
        raise ValueError(f"docs/performance.md lacks the marks between which the table of {area} stands")
    return f"{before}{begin}\n\n{table}\n{end}{after}"


def _bar(line: Line) -> str:
    return f"{line.name} (less work)" if line.less else line.name


def _correct(line: Line) -> str:
    if line.copies is not None:
        return f"{line.copies}, {line.told}"
    return {True: "bytes kept", False: "bytes changed", None: "–"}[line.bytes_kept]


def _where() -> str:
    today = datetime.now(UTC).date().isoformat()
    machine = f"{platform.system()}, {os.cpu_count()} processors, load {os.getloadavg()[0]:.1f} at the end"
    return f"Taken on {today}, Mailgrant {VERSION}, Python {platform.python_version()}, {machine}."
