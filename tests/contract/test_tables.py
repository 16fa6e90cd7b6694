"""What every form of the `Table` port promises: the in-memory one that unit tests use, and Azure Table storage."""

import uuid
from collections.abc import Callable
from datetime import timedelta

import pytest

from shared.adapters.table_storage import open_tables
from shared.errors import RowChanged, RowExists, RowMissing
from shared.ports import ANY, Delete, Insert, Operation, Table, Update, Upsert
from shared.rows import Value
from shared.settings import Settings
from shared.times import now_utc
from tests.fakes import MemoryTables, MovableClock

pytestmark = pytest.mark.enable_socket


@pytest.fixture(params=["memory", "storage"])
def table(request: pytest.FixtureRequest) -> Table:
    """Return a table of each kind."""
    if request.param == "memory":
        return MemoryTables(MovableClock(now_utc())).receipts
    settings: Settings = request.getfixturevalue("storage_settings")
    return open_tables(settings, None).receipts


@pytest.fixture
def part() -> str:
    """Return a partition of the test's own."""
    return uuid.uuid4().hex


def keys(table: Table, part: str, first: str = "a", last: str = "~") -> list[str]:
    """Return the keys of a range."""
    return [row.key for row in table.read(part, first, last).rows]


def test_a_row_comes_back_as_it_was_written(table: Table, part: str) -> None:
    """Text of any script, whole numbers beyond 32 bits, fractions and truth values keep value and type."""
    values: dict[str, Value] = {
        "text": "Grüße, 'Ann' \U0001f4e7 \x1f",
        "none": "",
        "n": -7,
        "big": 2**40,
        "whole": 5.0,
        "yes": True,
    }

    table.commit(part, [Insert("row", values)])
    row = table.get(part, "row")

    assert row is not None
    assert values == dict(row.values)
    assert {name: type(value) for name, value in values.items()} == {n: type(v) for n, v in row.values.items()}


def test_there_is_no_row_before_it_is_written(table: Table, part: str) -> None:
    """A missing row is None, a missing range empty, even in a table that nobody has used."""
    assert table.get(part, "row") is None
    assert [] == table.read(part, "a", "z").rows


def test_a_range_is_sorted_and_half_open(table: Table, part: str) -> None:
    """Keys come in order; the first is within, the last is not; other partitions do not show."""
    table.commit(part, [Insert(key, {}) for key in ("c", "a", "b|2", "b|10", "d")])
    table.commit(f"{part}x", [Insert("b", {})])

    assert ["b|10", "b|2", "c"] == keys(table, part, "b", "d")


def test_a_range_stops_at_its_limit(table: Table, part: str) -> None:
    """At most *limit* rows come, the first ones."""
    table.commit(part, [Insert(f"r{number}", {}) for number in range(5)])

    assert ["r0", "r1", "r2"] == [row.key for row in table.read(part, "r", "s", limit=3).rows]


def test_a_range_of_no_rows_is_no_question(table: Table, part: str) -> None:
    """Asking for fewer than one row is a fault of the program."""
    with pytest.raises(ValueError, match="at least 1"):
        table.read(part, "a", "z", limit=0)


def test_a_range_follows_continuation(table: Table, part: str) -> None:
    """More rows than one page holds come all, once each, and a limit beyond a page is kept."""
    for start in range(0, 1100, 100):
        table.commit(part, [Insert(f"r{number:04d}", {}) for number in range(start, start + 100)])

    assert [f"r{number:04d}" for number in range(1100)] == keys(table, part)
    assert 1050 == len(table.read(part, "a", "~", limit=1050).rows)


def test_storage_tells_its_own_time(table: Table, part: str) -> None:
    """Reads and writes say storage's time in whole seconds, in UTC."""
    written = table.commit(part, [Insert("row", {})]).storage_time
    read = table.read(part, "a", "z").storage_time

    assert [0, 0] == [written.microsecond, read.microsecond]
    assert abs(now_utc() - read) < timedelta(seconds=60)
    assert written <= read


def test_an_insert_never_overwrites(table: Table, part: str) -> None:
    """A second insert of a key is refused by name and changes nothing."""
    table.commit(part, [Insert("row", {"n": 1})])

    with pytest.raises(RowExists) as refused:
        table.commit(part, [Insert("row", {"n": 2})])

    assert "row" == refused.value.key
    assert {"n": 1} == dict(table.read(part, "a", "z").rows[0].values)


def test_an_update_merges(table: Table, part: str) -> None:
    """Properties that an update does not name stay, so that those of a newer version survive."""
    table.commit(part, [Insert("row", {"kept": "yes", "n": 1})])

    table.commit(part, [Update("row", {"n": 2}, ANY)])

    assert {"kept": "yes", "n": 2} == dict(table.read(part, "a", "z").rows[0].values)


def test_an_upsert_makes_or_merges(table: Table, part: str) -> None:
    """An upsert needs no row and loses no property."""
    table.commit(part, [Upsert("row", {"n": 1, "kept": True})])
    table.commit(part, [Upsert("row", {"n": 2})])

    assert {"kept": True, "n": 2} == dict(table.read(part, "a", "z").rows[0].values)


@pytest.mark.parametrize("alone", [True, False])
def test_etags_fence_updates(table: Table, part: str, alone: bool) -> None:
    """The etag that a commit returned admits one update; after it, that etag is stale."""
    other: list[Operation] = [] if alone else [Upsert("other", {})]
    etag = table.commit(part, [Insert("row", {"n": 1}), *other]).etags[0]
    newer = table.commit(part, [Update("row", {"n": 2}, etag), *other]).etags[0]

    with pytest.raises(RowChanged) as refused:
        table.commit(part, [*other, Update("row", {"n": 3}, etag)])

    row = table.get(part, "row")
    assert row is not None
    assert ("row", newer, 2) == (refused.value.key, row.etag, row.values["n"])


def test_the_etag_of_get_read_and_commit_is_one(table: Table, part: str) -> None:
    """Whichever way a row was seen last, its etag admits the next write."""
    written = table.commit(part, [Insert("row", {}), Insert("other", {})]).etags[0]
    row = table.get(part, "row")

    assert row is not None
    assert [written, written] == [row.etag, next(r.etag for r in table.read(part, "a", "z").rows if r.key == "row")]


@pytest.mark.parametrize("make", [lambda key, etag: Update(key, {}, etag), Delete], ids=["update", "delete"])
@pytest.mark.parametrize("etag", [ANY, "W/\"datetime'2026-01-01T00%3A00%3A00.0000000Z'\""], ids=["any", "etag"])
@pytest.mark.parametrize("alone", [True, False])
def test_a_missing_row_is_named(
    table: Table, part: str, make: Callable[[str, str], Update | Delete], etag: str, alone: bool
) -> None:
    """Updating or deleting a row that is gone says which, alone or within a transaction that then does nothing."""
    others = [] if alone else [Upsert("b1", {}), Upsert("b2", {})]

    with pytest.raises(RowMissing) as refused:
        table.commit(part, [*others, make("gone", etag)])

    assert "gone" == refused.value.key
    assert [] == keys(table, part)


@pytest.mark.parametrize("alone", [True, False])
def test_a_delete_minds_its_etag(table: Table, part: str, alone: bool) -> None:
    """A changed row is not deleted with an old etag, and is with `ANY`."""
    others = [] if alone else [Upsert("other", {})]
    etag = table.commit(part, [Insert("row", {}), *others]).etags[0]
    table.commit(part, [Update("row", {"n": 2}, ANY)])

    with pytest.raises(RowChanged) as refused:
        table.commit(part, [*others, Delete("row", etag)])
    assert "row" == refused.value.key

    assert [""] == table.commit(part, [Delete("row"), *others]).etags[:1]
    assert table.get(part, "row") is None


def test_a_transaction_does_all_or_nothing(table: Table, part: str) -> None:
    """One refused operation undoes all others, and the first that failed is named."""
    table.commit(part, [Insert("held", {"n": 1}), Insert("doomed", {})])

    with pytest.raises(RowExists) as refused:
        table.commit(part, [Insert("new", {}), Delete("doomed"), Insert("held", {"n": 2}), Update("gone", {}, ANY)])

    assert "held" == refused.value.key
    assert ["doomed", "held"] == keys(table, part)


def test_a_transaction_of_a_hundred_returns_etags_in_order(table: Table, part: str) -> None:
    """Each operation's etag stands at its place, empty for deletes."""
    table.commit(part, [Insert("gone", {})])
    operations: list[Operation] = [Delete("gone"), *(Insert(f"r{number:02d}", {"n": number}) for number in range(99))]

    etags = table.commit(part, operations).etags

    rows = table.read(part, "r", "s").rows
    assert ["", *(row.etag for row in rows)] == etags
    assert list(range(99)) == [row.values["n"] for row in rows]


@pytest.mark.parametrize("count", [0, 101])
def test_a_transaction_has_a_size(table: Table, part: str, count: int) -> None:
    """None and more than a hundred operations are a fault of the program."""
    with pytest.raises(ValueError, match="1 to 100"):
        table.commit(part, [Insert(f"r{number}", {}) for number in range(count)])


def test_a_transaction_touches_a_row_once(table: Table, part: str) -> None:
    """Two operations on one key are a fault of the program."""
    with pytest.raises(ValueError, match="once"):
        table.commit(part, [Upsert("row", {}), Delete("row")])


@pytest.mark.parametrize("key", ["", "a/b", "a b", "ä", "a'b", "a#", "x" * 513])
def test_a_key_is_plain(table: Table, part: str, key: str) -> None:
    """Keys that would have to be escaped somewhere are a fault of the program, in reads as in writes."""
    with pytest.raises(ValueError, match="key"):
        table.commit(part, [Insert(key, {})])
    with pytest.raises(ValueError, match="key"):
        table.get(part, key)
    with pytest.raises(ValueError, match="key"):
        table.read(key, "a", "b")


@pytest.mark.parametrize("value", ["x" * 32_769, "\U0001f4e7" * 16_385, 2**63, None, b"x"])
def test_a_value_fits_or_is_refused(table: Table, part: str, value: str) -> None:
    """What a property cannot hold is refused by the property's name, without its value."""
    with pytest.raises(ValueError, match="property delta") as refused:
        table.commit(part, [Insert("row", {"delta": value})])

    assert str(value)[:20] not in str(refused.value)


def test_the_longest_text_fits(table: Table, part: str) -> None:
    """A property holds 32,768 UTF-16 units."""
    table.commit(part, [Insert("row", {"long": "\U0001f4e7" * 16_384})])
    row = table.get(part, "row")

    assert row is not None
    assert "\U0001f4e7" * 16_384 == row.values["long"]
