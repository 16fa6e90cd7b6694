"""What mail costs is computed from counts and from prices that the operator can change."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench.costs import (
    DELIVERY_OF_100,
    FETCH_OF_100,
    IDLE_FETCH,
    PRICES,
    ROOT,
    SEND_OF_100,
    SIZES,
    TICK,
    Book,
    Counts,
    per_million,
    per_month,
    report,
    storing,
    uses,
)

ROW = re.compile(r"^\|[^|]+\| (\d[\d |]+\d) \|$", re.MULTILINE)


@pytest.fixture(name="told")
def _told() -> dict[str, Any]:
    """Return prices.json."""
    told: dict[str, Any] = json.loads(PRICES.read_text(encoding="utf-8"))
    return told


@pytest.fixture(name="book")
def _book() -> Book:
    """Return the prices that come with the project."""
    return Book.read(PRICES)


def written(folder: Path, told: dict[str, Any]) -> Path:
    """Return a file that holds *told*."""
    path = folder / "prices.json"
    path.write_text(json.dumps(told), encoding="utf-8")
    return path


def test_calls_are_priced_by_kind(book: Book) -> None:
    """Each kind of call counts with its own price, and requests to Graph with none."""
    priced = replace(book, prices={"table": 1, "queue": 10, "blob_write": 100, "blob_read": 1000})

    assert 4321 == priced.storage(Counts(graph=99, within_batch=99, table=1, queue=2, blob_write=3, blob_read=4))


def test_compute_lies_between_sharing_and_being_alone(book: Book) -> None:
    """Six executions of 0.6 s on 2 GB cost 1.2 GB-seconds together, and 12 if each is billed its second."""
    priced = replace(
        book, prices={"gb_second": 1, "execution": 0}, assumed={**book.assumed, "instance_gb": 2, "at_once": 6}
    )

    assert (1.2, 12) == tuple(round(amount, 6) for amount in priced.compute(Counts(executions=6), 0.6))


def test_a_million_mails_is_what_was_counted(book: Book) -> None:
    """11 requests and 200 within batches for 100 mails are 110,000 and 2 million for a million."""
    assert ["received and delivered", "110,000", "2.00 M"] == per_million(book)[0][:3]


def test_a_shorter_interval_costs_more_requests(book: Book) -> None:
    """100 mailboxes every 5 minutes ask Graph 864,000 times in a month, and every 10 minutes half as often."""
    slower = replace(book, assumed={**book.assumed, "interval_minutes": 10})

    assert ("864,000", "432,000") == (per_month(book, 100)[1], per_month(slower, 100)[1])


def test_limits_are_used_in_proportion(book: Book) -> None:
    """Every limit is used a hundred times as much by a hundred times as many mailboxes."""
    few, many = (uses(book, mailboxes) for mailboxes in (SIZES[0], 100 * SIZES[0]))

    assert {name: round(100 * part, 9) for name, part in few.items()} == {
        name: round(part, 9) for name, part in many.items()
    }


def test_the_tick_breaks_first(book: Book) -> None:
    """At a million mailboxes more than one limit is broken, that of the tick by most, as the guide says."""
    parts = uses(book, SIZES[-1])

    assert "puts" == max(parts, key=lambda name: parts[name])
    assert 1 < parts["puts"]


def test_ten_thousand_mailboxes_break_nothing(book: Book) -> None:
    """At 10,000 every limit has room, as the guide says."""
    assert {} == {name: part for name, part in uses(book, 10_000).items() if part > 0.5}


def test_content_is_paid_for_its_time(book: Book) -> None:
    """A million mails of 100 KB for 60 days are 100 GB for two months."""
    kept = {**book.assumed, "mail_kb": 100, "retention_days": 60}

    assert 200 == round(storing(replace(book, prices={"gb_month": 1}, assumed=kept)), 6)


def test_prices_of_ones_own_are_used(told: dict[str, Any], tmp_path: Path) -> None:
    """A changed file changes the tables, and its sources stand in them."""
    told["prices"]["table"] |= {"price": 5, "per": 1000, "source": "our contract", "date": "2027-01-31"}

    assert "| transactions of tables | 5 per 1,000 | our contract; 2027-01-31 |" in report(
        Book.read(written(tmp_path, told))
    )


@pytest.mark.parametrize("value", [0, -1, "1", None, True, float("inf")])
def test_what_is_no_price_is_named(told: dict[str, Any], tmp_path: Path, value: object) -> None:
    """A value that cannot be computed with is refused by its name."""
    told["prices"]["queue"]["price"] = value

    with pytest.raises(ValueError, match="queue must be a number above 0"):
        Book.read(written(tmp_path, told))


def test_every_price_has_a_source_and_a_day(told: dict[str, Any]) -> None:
    """Nobody need guess where a price comes from."""
    assert [] == [name for name, one in told["prices"].items() if not (one["source"] and one["date"])]


def test_counts_are_those_of_the_measurements() -> None:
    """docs/performance.md has the same counts, row by row."""
    page = (ROOT / "docs" / "performance.md").read_text(encoding="utf-8")
    table = page.partition("### Calls by kind")[2].partition("###")[0]
    rows = [[int(cell) for cell in cells.split("|")] for cells in ROW.findall(table)]
    works = (IDLE_FETCH, FETCH_OF_100, DELIVERY_OF_100, SEND_OF_100, TICK)

    assert [[one.graph, one.within_batch, one.table, one.blob_write, one.blob_read] for one in works] == rows


def test_assumptions_are_those_of_host_and_infrastructure(book: Book) -> None:
    """What host.json and the Bicep file decide is assumed as it stands there."""
    queues = json.loads((ROOT / "host.json").read_text(encoding="utf-8"))["extensions"]["queues"]
    bicep = (ROOT / "infra" / "main.bicep").read_text(encoding="utf-8")
    memory, most = (
        int(re.findall(rf"^param {name} int = (\d+)$", bicep, re.MULTILINE)[0])
        for name in ("instanceMemoryMB", "maximumInstanceCount")
    )
    expected = {
        "at_once": queues["batchSize"] + queues["newBatchThreshold"],
        "polls_a_second": 1 / int(queues["maxPollingInterval"].rpartition(":")[2]),
        "instance_gb": memory / 1024,
        "most_instances": most,
    }

    assert expected == {name: book.assumed[name] for name in expected}
