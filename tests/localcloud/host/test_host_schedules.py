"""When timers are due."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localcloud.host.errors import StartError
from localcloud.host.schedules import parse_schedule, shortest_gap

NOW = datetime(2026, 11, 22, 9, 30, 15, 500_000, tzinfo=UTC)  # a Sunday
MOMENTS = st.datetimes(datetime(2024, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - see timezones


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("*/5 * * * * *", "2026-11-22T09:30:20"),
        ("0 * * * * *", "2026-11-22T09:31:00"),
        ("* * * * *", "2026-11-22T09:31:00"),
        ("0 0 */2 * * *", "2026-11-22T10:00:00"),
        ("0 30 9 * * *", "2026-11-23T09:30:00"),
        ("0 0 12 * JAN-MAR MON", "2027-01-04T12:00:00"),
        ("0 0 0 13 * FRI", "2027-08-13T00:00:00"),  # both must fit, where cron takes either
        ("15-20,40 5 1 1 1 *", "2027-01-01T01:05:15"),
        ("0 0 12 * * 1-1", "2026-11-23T12:00:00"),
        ("0 0 9 * * 0-0/1", "2026-11-29T09:00:00"),
        ("0 0 9 * * 0-0", "2026-11-29T09:00:00"),  # which croniter takes for every day
        ("00:00:30", "2026-11-22T09:30:45.500000"),
        ("1.00:00:00", "2026-11-23T09:30:15.500000"),
    ],
)
def test_next(schedule: str, expected: str) -> None:
    """The next due time is the first after now, in UTC."""
    assert datetime.fromisoformat(expected).replace(tzinfo=UTC) == parse_schedule(schedule)(NOW)


@pytest.mark.parametrize(
    "schedule",
    ["", "every day", "* * * *", "* * * * * * *", "60 * * * * *", "0 0 0 * * 7", "0 0 0 L * *", "@daily", "00:00:00",
     "0 0 0 ? * *", "24:61", "0 */0 * * * *"],
)  # fmt: skip
def test_refused(schedule: str) -> None:
    """What NCrontab does not know is refused, though croniter may know it."""
    with pytest.raises(StartError):
        parse_schedule(schedule)


def test_gap() -> None:
    """The gap between two due times tells timers that need no status."""
    assert timedelta(seconds=5) == shortest_gap(parse_schedule("*/5 * * * * *"), NOW)


@given(st.sets(st.integers(0, 59), min_size=1), st.sets(st.integers(0, 59), min_size=1), MOMENTS)
def test_first_fitting_second(seconds: set[int], minutes: set[int], moment: datetime) -> None:
    """The due time fits, and no second between now and then does."""
    fields = (",".join(map(str, sorted(chosen))) for chosen in (seconds, minutes))
    due = parse_schedule(f"{' '.join(fields)} * * * *")(moment)
    first = moment.replace(microsecond=0) + timedelta(seconds=1)
    between = (first + timedelta(seconds=index) for index in range(int((due - first).total_seconds())))

    assert due.second in seconds
    assert due.minute in minutes
    assert not any(each.second in seconds and each.minute in minutes for each in between)
