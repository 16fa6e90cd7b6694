"""How moments become text and row keys, and back."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given, strategies

from shared.adapters.table_rules import check_key
from shared.times import from_key, from_text, now_utc, to_inverted_key, to_key, to_text

zones = strategies.integers(-840, 840).map(lambda minutes: timezone(timedelta(minutes=minutes)))
moments = strategies.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30), timezones=zones)  # noqa: DTZ001 - given zones


def milliseconds(moment: datetime) -> datetime:
    """Return *moment* in UTC, cut to milliseconds."""
    utc = moment.astimezone(UTC)
    return utc.replace(microsecond=utc.microsecond // 1000 * 1000)


@given(moment=moments)
def test_moments_round_trip(moment: datetime) -> None:
    """Text and key hold a moment to the millisecond, whatever zone it came in."""
    assert milliseconds(moment) == from_text(to_text(moment)) == from_key(to_key(moment))


@given(first=moments, second=moments)
def test_texts_and_keys_sort_by_time(first: datetime, second: datetime) -> None:
    """Of two moments the earlier has the smaller text and key and the larger inverted key."""
    early, late = sorted((milliseconds(first), milliseconds(second)))

    assert to_text(early) <= to_text(late)
    assert to_key(early) <= to_key(late)
    assert to_inverted_key(early) >= to_inverted_key(late)
    assert {13} == {len(to_inverted_key(early)), len(to_inverted_key(late))}
    for key in (to_key(early), to_inverted_key(early)):
        check_key(key)


@pytest.mark.parametrize("text", ["9999-12-31T23:59:59-10:00", "0001-01-01T00:00:00+10:00"])
def test_moments_beyond_the_calendar_are_refused(text: str) -> None:
    """A time that has no year in UTC is none."""
    with pytest.raises(ValueError, match="years 1 to 9999"):
        from_text(text)


@pytest.mark.parametrize("text", ["0001-01-01T00:00:00.000Z", "9999-12-31T23:59:59.999Z"])
def test_text_of_the_ends_of_the_calendar_can_be_read(text: str) -> None:
    """Years have four digits."""
    assert text == to_text(from_text(text))


def test_text_is_rfc_3339_in_utc() -> None:
    """Milliseconds and Z, as answers promise."""
    moment = datetime(2026, 3, 2, 10, 30, 15, 7_999, timezone(timedelta(hours=1)))

    assert "2026-03-02T09:30:15.007Z" == to_text(moment)


@pytest.mark.parametrize("text", ["", "yesterday", "2026-03-02T09:30:15", "2026-03-02", "2026-13-02T09:30:15Z"])
def test_text_without_offset_is_refused(text: str) -> None:
    """A time that could mean many moments is none."""
    with pytest.raises(ValueError, match=r".+"):
        from_text(text)


def test_now_has_a_zone() -> None:
    """The host's time can be compared with every other moment here."""
    assert timedelta(0) == now_utc().utcoffset()
