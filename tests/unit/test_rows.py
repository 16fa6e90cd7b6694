"""How records become table properties and come back, through versions of the program too."""

from dataclasses import dataclass, field
from enum import StrEnum

import pytest
from hypothesis import given, strategies

from shared.adapters.table_rules import check_values
from shared.connections import Connection, Delivery, Run
from shared.errors import RecordedFault
from shared.ports import ANY, Insert, Update
from shared.rows import UnreadableRow, decode, encode, readable
from tests.fakes import MemoryTables, MovableClock


class Colour(StrEnum):
    """A choice."""

    RED = "red"
    BLUE = "blue"


@dataclass(frozen=True, slots=True)
class Part:
    """A nested record."""

    name: str
    sizes: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Thing:
    """A record with every form of field."""

    name: str
    count: int = 0
    share: float = 0.0
    ready: bool = False
    colour: Colour = Colour.RED
    part: Part | None = None
    parts: list[Part] = field(default_factory=list)
    labels: dict[str, str] = field(default_factory=dict)
    limit: int | None = None


text = strategies.text(strategies.characters(codec="utf-8"), max_size=20)
parts = strategies.builds(Part, text, strategies.lists(strategies.integers(), max_size=3).map(tuple))
things = strategies.builds(
    Thing,
    text,
    strategies.integers(-(2**63), 2**63 - 1),
    strategies.floats(allow_nan=False, allow_infinity=False),
    strategies.booleans(),
    strategies.sampled_from(Colour),
    strategies.none() | parts,
    strategies.lists(parts, max_size=3),
    strategies.dictionaries(text, text, max_size=3),
    strategies.none() | strategies.integers(0, 2**31),
)


@given(thing=things)
def test_records_round_trip(thing: Thing) -> None:
    """Every form of field comes back equal, from values that a table takes."""
    values = encode(thing)
    check_values(values)

    assert thing == decode(Thing, values)


@pytest.mark.parametrize(
    "record",
    [
        Run("conn_x", fault=RecordedFault("graph_throttled", "Wait.", "2026-03-02T09:30:15.000Z", retryable=True)),
        Run("conn_x"),
        Delivery("conn_x", paused=True, fault=None),
    ],
)
def test_the_products_records_round_trip(record: Run | Delivery) -> None:
    """A fault is kept whole, its absence too."""
    assert record == decode(type(record), encode(record))


def test_what_a_newer_version_wrote_survives() -> None:
    """Unknown properties do not disturb reading, and stay in the row when an older version writes its own."""
    table = MemoryTables(MovableClock()).connections
    table.commit("a", [Insert("thing", {**encode(Thing("old")), "novelty": "kept"})])
    row = table.get("a", "thing")
    assert row is not None
    thing = decode(Thing, row.values)

    table.commit("a", [Update("thing", encode(Thing(thing.name, count=2)), ANY)])

    after = table.get("a", "thing")
    assert after is not None
    assert ("kept", 2) == (after.values["novelty"], decode(Thing, after.values).count)


def test_what_an_older_version_did_not_write_has_its_default() -> None:
    """A row without the newest fields is read with their defaults."""
    assert Thing("old") == decode(Thing, {"name": "old"})


def test_a_cleared_value_overwrites() -> None:
    """A merge cannot remove a property, so nothing is written as the empty text."""
    assert "" == encode(Thing("x", part=None))["part"]
    assert decode(Thing, {**encode(Thing("x", part=Part("p"))), **encode(Thing("x"))}).part is None


@pytest.mark.parametrize(
    "values", [{}, {"name": "x", "count": "many"}, {"name": "x", "parts": "{"}, {"name": "x", "colour": "?"}]
)
def test_a_value_that_cannot_be_is_refused(values: dict[str, str]) -> None:
    """A row that does not hold what its field says is an error of a known kind."""
    with pytest.raises(ValueError, match=r".+"):
        decode(Thing, values)


def test_secrets_of_a_run_do_not_show() -> None:
    """Delta links are left out of a record's text, and so of logs and tracebacks."""
    run = Run("conn_x", cursor="https://graph/delta?token=SECRET", walk="https://graph/next?token=SECRET")

    assert "SECRET" not in repr(run)
    assert run == decode(Run, encode(run))


def test_a_connection_round_trips_with_its_nested_records() -> None:
    """Configuration is read as it was written."""
    plain = {"id": "conn_x", "direction": "incoming", "name": "n", "grant_id": "g", "tenant": "t", "mailbox": "m"}
    connection = decode(
        Connection, {**plain, "address": "a", "created_at": "c", "destination": '{"type":"queue","name":"out-x"}'}
    )

    assert connection == decode(Connection, encode(connection))
    assert connection.destination is not None
    assert "out-x" == connection.destination.name


def test_a_row_that_cannot_be_read_says_no_value_of_it() -> None:
    """What is raised ends in the host's log; links and addresses of the row do not."""
    with pytest.raises(UnreadableRow, match="no Run: connection_id") as caught:
        decode(Run, {"cursor": "https://graph/delta?token=SECRET", "walk": "SECRET"})

    assert (None, False) == (caught.value.__cause__, "SECRET" in f"{caught.value!r}{caught.value.__context__!r}")


@pytest.mark.parametrize("fault", ["[" * 20_000, "{", '{"code":1}', "9" * 5000, 5])
def test_damaged_json_of_a_field_is_refused_by_one_kind_of_error(fault: str | int) -> None:
    """However deep it is nested, so that whoever reads many rows can go on with the next."""
    with pytest.raises(UnreadableRow):
        decode(Run, {"connection_id": "conn_x", "fault": fault})


def test_one_row_among_many_is_left_alone_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    """A newer version may write what this one does not know."""
    assert readable(Thing, "b|x", {"name": "x", "colour": "ultraviolet"}) is None
    assert ["rows.unreadable key=b|x reason=no Thing: colour"] == caplog.messages
