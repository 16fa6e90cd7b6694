"""The forecast of an end: each warning once, in order, however irregularly somebody looks."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.expiry import THRESHOLD_DAYS, Expiry, forecast, next_warning

ENDS = datetime(2027, 3, 1, tzinfo=UTC)
steps = st.lists(st.timedeltas(timedelta(seconds=1), timedelta(days=40)), max_size=30)
begins = st.timedeltas(timedelta(days=-10), timedelta(days=400))


@pytest.mark.parametrize(
    ("left", "expiry", "days", "tell"),
    [
        (timedelta(days=31), Expiry.OK, 31, None),
        (timedelta(days=30), Expiry.SOON, 30, 30),
        (timedelta(days=29, hours=23), Expiry.SOON, 29, 30),
        (timedelta(days=14), Expiry.SOON, 14, 14),
        (timedelta(days=6), Expiry.SOON, 6, 7),
        (timedelta(hours=20), Expiry.SOON, 0, 1),
        (timedelta(0), Expiry.EXPIRED, 0, 0),
        (timedelta(days=-3), Expiry.EXPIRED, -3, 0),
    ],
)
def test_the_forecast_is_this_table(left: timedelta, expiry: Expiry, days: int, tell: int | None) -> None:
    """Days left, state, and the warning that is due where none was given yet."""
    ahead = forecast(ENDS, None, ENDS - left)

    assert (expiry, days, tell) == (ahead.expiry, ahead.days, ahead.tell)


def test_what_nobody_typed_in_is_unknown() -> None:
    """Without an end there is no forecast, no warning and nothing to wait for."""
    ahead = forecast(None, None, ENDS)

    assert (Expiry.UNKNOWN, None, None, None) == (ahead.expiry, ahead.days, ahead.tell, next_warning(None, None))


@given(begins, steps)
def test_no_warning_comes_twice_or_out_of_order(left: timedelta, waits: list[timedelta]) -> None:
    """Whoever looks at any moments hears ever more urgent thresholds, none of them early."""
    now, told, heard = ENDS - left, None, []
    for wait in waits:
        ahead = forecast(ENDS, told, now)
        if ahead.tell is not None:
            assert now >= ENDS - timedelta(days=ahead.tell)
            told = ahead.tell
            heard.append(told)
        now += wait

    assert sorted(set(heard), reverse=True) == heard


@given(begins)
def test_whoever_looks_when_told_to_hears_every_threshold_ahead(left: timedelta) -> None:
    """Waking at `next_warning` each time gives every threshold not yet passed, ends with the end, and then stops."""
    begin = ENDS - left
    now, told, heard = begin, None, []
    while (at := next_warning(ENDS, told)) is not None:
        now = max(now, at)
        told = forecast(ENDS, told, now).tell
        assert told is not None
        heard.append(told)

    ahead = [days for days in THRESHOLD_DAYS if begin < ENDS - timedelta(days=days)]
    assert ahead == [days for days in heard if days in ahead]
    assert (0, Expiry.EXPIRED) == (heard[-1], forecast(ENDS, told, now).expiry)
    assert len(heard) <= len(ahead) + 1
