"""
What does mail cost at Microsoft, and what breaks first as mailboxes grow in number?

Counts are those that the measurements of this folder print; prices, assumptions and limits stand in prices.json, each
with its source, for the operator to edit (`--prices FILE`). `--write` renews the tables in docs/operations.md.
"""

import argparse
import json
import math
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PRICES = Path(__file__).with_name("prices.json")
GUIDE = ROOT / "docs" / "operations.md"
BEGIN, END = "<!-- make costs ARGS=--write: begin -->", "<!-- make costs ARGS=--write: end -->"
MONTH = 30 * 24 * 3600
SIZES = (100, 10_000, 1_000_000)
LEAST_BILLED = 1.0
"""Seconds for which an instance that works is billed at least."""
WORK_QUEUES = 8
BILLED = ("table", "queue", "blob_write", "blob_read")


@dataclass(frozen=True, slots=True)
class Counts:
    """What some work takes: requests to Graph, those within a `$batch`, calls of storage by kind, executions."""

    graph: float = 0
    within_batch: float = 0
    table: float = 0
    queue: float = 0
    blob_write: float = 0
    blob_read: float = 0
    executions: float = 0

    def times(self, factor: float) -> "Counts":
        """Return the counts of *factor* times the work."""
        return Counts(*(getattr(self, name) * factor for name in self.__slots__))

    def plus(self, other: "Counts") -> "Counts":
        """Return the counts of both."""
        return Counts(*(getattr(self, name) + getattr(other, name) for name in self.__slots__))


# A wake-up is three operations of a queue (put, get, delete) and one execution.
WAKE_UP = Counts(queue=3, executions=1)
# Counted on 2026-11-22 in the host's process with version 0.1.0, as docs/performance.md tells.
IDLE_FETCH = Counts(graph=1, table=3).plus(WAKE_UP)  # make bench AREA=idle
FETCH_OF_100 = Counts(graph=11, within_batch=200, table=12, blob_write=100).plus(WAKE_UP)  # make bench AREA=fetch
DELIVERY_OF_100 = Counts(table=27, blob_read=100).plus(WAKE_UP)  # the same, `delivery`
TICK = Counts(table=17, executions=1)  # make bench AREA=growth, without the messages
# Accepted one by one, about 8 a second, and due at once: docs/performance.md, "Profile of sending"; with `send_at`, as
# make bench AREA=send accepts them, less. Each request is an execution, and so is each of 27 wake-ups.
SEND_OF_100 = Counts(graph=206, table=670, queue=81, blob_write=100, blob_read=100, executions=127)


@dataclass(frozen=True, slots=True)
class Book:
    """Prices, assumptions and limits, each by its name."""

    currency: str
    prices: dict[str, float]
    assumed: dict[str, float]
    limits: dict[str, float]
    told: dict[str, Any]

    @classmethod
    def read(cls, path: Path) -> "Book":
        """Read a file like prices.json. Raises: KeyError for a name that is missing, ValueError for a bad number."""
        told = json.loads(path.read_text(encoding="utf-8"))
        prices = {name: _number(name, one["price"]) / _number(name, one["per"]) for name, one in told["prices"].items()}
        assumed = {name: _number(name, one["value"]) for name, one in told["assumptions"].items()}
        limits = {name: _number(name, one["value"]) for name, one in told["limits"].items()}
        return cls(told["currency"], prices, assumed, limits, told)

    def storage(self, counts: Counts) -> float:
        """Return the price of the calls of storage."""
        return sum(float(getattr(counts, kind)) * self.prices[kind] for kind in BILLED)

    def compute(self, counts: Counts, seconds: float) -> tuple[float, float]:
        """
        Return the least and the most that executions cost which last *seconds* each.

        An instance is billed while it works, whatever works on it: least where all its places are taken, most where
        each execution has it for itself.
        """
        fee = counts.executions * self.prices["execution"]
        memory = self.assumed["instance_gb"] * self.prices["gb_second"] * counts.executions
        return fee + memory * seconds / self.assumed["at_once"], fee + memory * max(seconds, LEAST_BILLED)


def _number(name: str, value: object) -> float:
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not 0 < value < math.inf:
        raise ValueError(f"{name} must be a number above 0")
    return float(value)


def per_million(book: Book) -> list[list[str]]:
    """Return the rows of what a million mails take, 100 of a mailbox at once, idle fetches left out."""
    works = (
        ("received and delivered", FETCH_OF_100.plus(DELIVERY_OF_100), 2),
        ("sent", SEND_OF_100, SEND_OF_100.executions),
    )
    rows = []
    for name, of_100, runs in works:
        counts = of_100.times(10_000)
        seconds = (runs * book.assumed["fetch_seconds"] + 100 * book.assumed["mail_seconds"]) / runs
        least, most = book.compute(counts, seconds)
        counted = [counts.graph, counts.within_batch, counts.table, counts.queue, counts.blob_write, counts.blob_read]
        rows.append([name, *map(_count, counted), _money(book.storage(counts)), f"{_money(least)} – {_money(most)}"])
    return rows


def per_month(book: Book, mailboxes: int) -> list[str]:
    """Return the row of what a month of idle fetching takes."""
    seconds, polls = book.assumed["fetch_seconds"], WORK_QUEUES * book.assumed["polls_a_second"] * MONTH
    fetches = mailboxes * MONTH / (60 * book.assumed["interval_minutes"])
    counts = IDLE_FETCH.times(fetches).plus(TICK.times(MONTH / 60)).plus(Counts(queue=polls))
    least, most = book.compute(counts, seconds)
    counted = [counts.graph, counts.table, counts.queue, counts.executions]
    return [f"{mailboxes:,}", *map(_count, counted), _money(book.storage(counts)), f"{_money(least)} – {_money(most)}"]


def uses(book: Book, mailboxes: int) -> dict[str, float]:
    """Return which part of each limit idle fetching of *mailboxes* takes; above 1 it is broken."""
    rate = mailboxes / (60 * book.assumed["interval_minutes"])
    instances = rate * book.assumed["fetch_seconds"] / book.assumed["at_once"]
    needs = {
        "puts": rate * 60 * book.assumed["put_seconds"],
        "queue": rate,
        "rows": rate * book.assumed["rows_of_fetch"],
        "requests": rate * (IDLE_FETCH.table + IDLE_FETCH.queue),
        "graph": rate * IDLE_FETCH.graph,
    }
    parts = {name: need / book.limits[name] for name, need in needs.items()}
    return parts | {"instances": instances / book.assumed["most_instances"]}


def storing(book: Book) -> float:
    """Return the price of keeping the content of a million mails for its whole time."""
    months = book.assumed["retention_days"] / 30
    return 1e6 * book.assumed["mail_kb"] / 1e6 * months * book.prices["gb_month"]


def report(book: Book) -> str:
    """Return the tables in Markdown."""
    money = book.currency
    named = {
        **{name: one["what"] for name, one in book.told["limits"].items()},
        "instances": book.told["assumptions"]["most_instances"]["what"],
    }
    parts = {size: uses(book, size) for size in SIZES}
    first = sorted(named, key=lambda name: -parts[SIZES[-1]][name])
    return "\n".join(
        [
            f"A million mails, 100 of a mailbox at a time ({money}):\n",
            _head("mails", "Graph", "within `$batch`", "table", "queue", "blob writes", "reads", "storage", "compute"),
            *map(_row, per_million(book)),
            "",
            f"Keeping a million received mails for their time: {_money(storing(book))}.\n",
            f"A month of fetching that finds nothing ({money}):\n",
            _head("mailboxes", "Graph", "table", "queue", "executions", "storage", "compute"),
            *(_row(per_month(book, size)) for size in SIZES),
            "",
            "How much of each limit that takes; what is over 100 % breaks:\n",
            _head("limit", *(f"{size:,} mailboxes" for size in SIZES), "breaks at"),
            *(
                _row([named[name], *(_share(parts[size][name]) for size in SIZES), _breaks(parts, name)])
                for name in first
            ),
            "",
            "From these prices, assumptions and limits, to be edited in a copy of `bench/prices.json`:\n",
            _head("what", "value", "from"),
            *(
                _row([one["what"], f"{_price(one['price'])} per {one['per']:,}", f"{one['source']}; {one['date']}"])
                for one in book.told["prices"].values()
            ),
            *(_row([one["what"], f"{one['value']:,}", "assumption"]) for one in book.told["assumptions"].values()),
            *(_row([one["what"], f"{one['value']:,}", "limit"]) for one in book.told["limits"].values()),
            "",
        ]
    )


def _head(*names: str) -> str:
    return f"{_row(names)}\n|{'---|' * len(names)}"


def _row(cells: Any) -> str:
    return f"| {' | '.join(cells)} |"


def _count(number: float) -> str:
    return f"{number / 1e6:,.2f} M" if number >= 1e6 else f"{number:,.0f}"


def _money(amount: float) -> str:
    return f"{amount:,.2f}" if amount < 100 else f"{amount:,.0f}"


def _price(amount: float) -> str:
    return f"{amount:.6f}".rstrip("0").rstrip(".")


def _share(part: float) -> str:
    return f"{part:.1%}" if part < 1 else f"**{part:,.0%}**"


def _breaks(parts: dict[int, dict[str, float]], name: str) -> str:
    at = SIZES[-1] / parts[SIZES[-1]][name]
    return f"{round(at, 1 - math.ceil(math.log10(at))):,.0f}"


def guide_with(report_text: str, guide: str) -> str:
    """Return *guide* with the tables between its two marks. Raises: ValueError where a mark is missing."""
    before, mark, rest = guide.partition(BEGIN)
    _, other, after = rest.partition(END)
    if not mark or not other:
        raise ValueError("docs/operations.md lacks the marks between which the tables stand")
    return f"{before}{BEGIN}\n\n{report_text}\n{END}{after}"


def main() -> int:
    """Print the tables, or write them into the guide."""
    parser = argparse.ArgumentParser(prog="python -m bench.costs", description=__doc__)
    parser.add_argument("--prices", type=Path, default=PRICES, help="a copy of bench/prices.json with your own numbers")
    parser.add_argument("--write", action="store_true", help="renew the tables in docs/operations.md")
    asked = parser.parse_args()
    try:
        tables = report(Book.read(asked.prices))
    except (OSError, KeyError, ValueError) as problem:
        print(f"{asked.prices} cannot be used: {problem}", file=sys.stderr)
        return 1
    if asked.write:
        GUIDE.write_text(guide_with(tables, GUIDE.read_text(encoding="utf-8")), encoding="utf-8")
    else:
        print(tables)
    return 0


if __name__ == "__main__":
    sys.exit(main())
