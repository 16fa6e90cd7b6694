"""Due rows and wake-up messages: what their keys and bodies say, and what is refused."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, strategies

from shared.adapters.table_rules import check_key
from shared.identifiers import box_hash, grant_id, new_connection_id, new_ulid
from shared.schedule import (
    DUE_FIRST,
    DUE_LAST,
    QUEUES,
    SHARDS,
    DueRow,
    Wakeup,
    due_upto,
    minute_bucket,
    shard_for,
)

moments = strategies.datetimes(datetime(2020, 1, 1), datetime(2100, 1, 1), timezones=strategies.just(UTC)).map(  # noqa: DTZ001 - a zone is given
    lambda moment: moment.replace(microsecond=moment.microsecond // 1000 * 1000)
)
kinds = strategies.sampled_from(sorted(QUEUES))
ids = strategies.from_regex(r"[0-9A-Za-z._-]{1,60}", fullmatch=True)
identifiers = strategies.sampled_from(
    [
        new_connection_id(box_hash("a", "b", "c")),
        grant_id(f"cred_{new_ulid()}", "8a7c0c3e-0000-4000-8000-000000000001"),
        f"20260302.{new_ulid()}",
    ]
)
due_rows = strategies.builds(DueRow, moments, kinds, identifiers, strategies.integers(0, 2**31 - 1))


@given(due=due_rows)
def test_due_rows_round_trip(due: DueRow) -> None:
    """Key and values hold the whole due row, and the key is plain."""
    check_key(due.key)

    assert due == DueRow.from_row(due.key, due.values)
    assert (due.key, due.values) == (due.insert().key, due.insert().values)


@given(due=due_rows, now=moments)
def test_a_due_row_is_found_when_its_time_has_come(due: DueRow, now: datetime) -> None:
    """The range up to now holds exactly what is due by now."""
    assert (due.at <= now) == (DUE_FIRST <= due.key < due_upto(now))
    assert DUE_FIRST < due.key < DUE_LAST


@given(due=due_rows, now=moments)
def test_a_refired_row_lies_ahead(due: DueRow, now: datetime) -> None:
    """It is the same work, some five minutes on, and never the row of a minute."""
    later = due.refired(now)

    assert (due.kind, due.id, due.seq) == (later.kind, later.id, later.seq)
    assert timedelta(minutes=4, seconds=59) < later.at - now < timedelta(minutes=5, seconds=1)
    assert later.key != DueRow(later.at.replace(second=0, microsecond=0), later.kind, later.id).key


@given(now=moments)
def test_the_minute_that_work_shares_lies_ahead(now: datetime) -> None:
    """It is a whole minute, more than two and at most three minutes away."""
    minute = minute_bucket(now)

    assert (0, 0) == (minute.second, minute.microsecond)
    assert timedelta(minutes=2) < minute - now <= timedelta(minutes=3)


@pytest.mark.parametrize("key", ["due", "due|x", "due|2026|fetch|id", "b|20260302T093000000Z|fetch|id"])
def test_other_rows_are_no_due_rows(key: str) -> None:
    """A key of another form is refused, not misread."""
    with pytest.raises(ValueError, match=r".+"):
        DueRow.from_row(key, {})


@given(kind=kinds, identifier=ids, seq=strategies.integers(0, 2**31 - 1), fired=strategies.booleans())
def test_wakeups_round_trip(kind: str, identifier: str, seq: int, *, fired: bool) -> None:
    """A message says what its sender meant, with fields of a newer version beside it."""
    wakeup = Wakeup(kind, identifier, seq, f"due|20260302T093015000Z|{kind}|{identifier}" if fired else "")

    assert wakeup == Wakeup.from_body({**wakeup.to_body(), "novelty": 1})


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"kind": "harvest", "id": "x"},
        {"kind": "fetch"},
        {"kind": "fetch", "id": 1},
        {"kind": "fetch", "id": "x", "seq": "1"},
        {"kind": "fetch", "id": "x", "due": None},
        {"kind": ["fetch"], "id": "x"},
        {"kind": {}, "id": "x"},
    ],
)
def test_what_is_no_wakeup_is_refused(body: dict[str, Any]) -> None:
    """Whatever lies in the queue, it is a wake-up or a ValueError."""
    with pytest.raises(ValueError, match="wake-up"):
        Wakeup.from_body(body)


@given(identifier=strategies.text())
def test_everything_has_a_shard(identifier: str) -> None:
    """Things without a mailbox find their shard too, always the same."""
    assert shard_for(identifier) in SHARDS
    assert shard_for(identifier) == shard_for(identifier)


@pytest.mark.parametrize(
    "body",
    [
        {"kind": "fetch", "id": "conn_x", "due": "b|x|conn|conn_x"},
        {"kind": "fetch", "id": "conn_x", "due": "due|20260302T093015000Z|fetch|conn_y"},
        {"kind": "fetch", "id": "conn_x", "due": "due|20260302T093015000Z|send|conn_x"},
        {"kind": "credential", "id": "cred_' or 1"},
        {"kind": "fetch", "id": ""},
        {"kind": "fetch", "id": "conn_x", "seq": -1},
        {"kind": "fetch", "id": "conn_x", "seq": 2**70},
    ],
)
def test_a_wakeup_names_no_row_but_its_own(body: dict[str, object]) -> None:
    """Who is woken removes the due row that fired: a message that names another row would remove that."""
    with pytest.raises(ValueError, match="not a wake-up"):
        Wakeup.from_body(body)
