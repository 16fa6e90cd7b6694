"""What the local host parses: NCRONTAB against a second reading of it, route templates and paths."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import strategies as st

from localcloud.host.config import parse_span
from localcloud.host.errors import StartError
from localcloud.host.functions import Function
from localcloud.host.routes import RouteTable
from localcloud.host.schedules import parse_schedule

_RANGES = ((0, 59), (0, 59), (0, 23), (1, 31), (1, 12), (0, 6))
_ODD = [
    "",
    "*",
    "?",
    "L",
    "*/0",
    "5-",
    "-5",
    "7",
    "60",
    "1-3/2",
    "3-1",
    "*/70",
    "1,",
    "JAN",
    "sun-tue",
    "²",
    "@daily",
    "*/1e2",
]


@st.composite
def _field(draw: st.DrawFn, low: int, high: int) -> str:
    first, last = draw(st.integers(low, high)), draw(st.integers(low, high))
    step = draw(st.integers(1, high))
    forms = ["*", str(first), f"{min(first, last)}-{max(first, last)}", f"*/{step}"]
    forms += [f"{min(first, last)}-{max(first, last)}/{step}", f"{first},{last}"]
    return draw(st.sampled_from(forms))


_SECONDS, _MINUTES, _HOURS, _DAYS, _MONTHS, _WEEKDAYS = (_field(*bounds) for bounds in _RANGES)
schedules = st.tuples(
    st.tuples(_SECONDS, _MINUTES, _HOURS, st.just("*"), _MONTHS, _WEEKDAYS),
    st.datetimes(datetime(2024, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001 - see timezones
)
odd_schedules = st.lists(st.sampled_from(_ODD) | st.text(max_size=6), max_size=7).map(" ".join)


def _values(text: str, low: int, high: int) -> set[int]:
    found: set[int] = set()
    for part in text.split(","):
        span, _, step = part.partition("/")
        first, _, last = span.partition("-")
        begin, end = (low, high) if span == "*" else (int(first), int(last or first))
        found |= set(range(begin, end + 1, int(step or 1)))
    return found


def check_schedule(case: tuple[tuple[str, ...], datetime]) -> None:
    """Compare the next due time with the first moment at which every field fits, found day by day."""
    texts, moment = case
    sets = [_values(text, *bounds) for text, bounds in zip(texts, _RANGES, strict=True)]
    due = parse_schedule(" ".join(texts))(moment)
    assert due > moment, "due in the past"
    second = moment.replace(microsecond=0) + timedelta(seconds=1)
    for number in range(800):
        day = (second + timedelta(days=number)).date()
        if day.month not in sets[4] or day.isoweekday() % 7 not in sets[5]:
            continue
        begin = second.time() if number == 0 else datetime.min.time()
        fits = _first_of_day(sets, begin.hour * 3600 + begin.minute * 60 + begin.second)
        if fits is not None:
            expected = datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(seconds=fits)
            assert expected == due, f"{expected} expected, and {due} came"
            return
    raise AssertionError("nothing fits for two years")


def _first_of_day(sets: list[set[int]], begin: int) -> int | None:
    for hour in sorted(hour for hour in sets[2] if hour * 3600 + 3599 >= begin):
        for minute in sorted(minute for minute in sets[1] if hour * 3600 + minute * 60 + 59 >= begin):
            later = [second for second in sorted(sets[0]) if hour * 3600 + minute * 60 + second >= begin]
            if later:
                return hour * 3600 + minute * 60 + later[0]
    return None


def check_odd_schedule(text: str) -> None:
    """Read what may be no schedule; it is refused by `StartError`, or gives a later time."""
    now = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
    try:
        due = parse_schedule(text)(now)
    except StartError:
        return
    assert due > now, "due in the past"


_SEGMENTS = st.sampled_from(
    ["a", "b", "{id}", "{id:int}", "{id:guid}", "{n?}", "{n=5}", "{*rest}", "{**rest}", "{id:length(2,3)}", "{x:regex(^a+$)}",
     "{a}.{b}", "{id:range(1,5)}", "{id:nothing}", "{", "}", "{}", "{1}", "a{b}c", "{id:min(9)}", "é", "{id:regex([)}",
     "{id:length()}", "{id:length(99999999999999999999)}"]
) | st.text(max_size=5)  # fmt: skip
routes = st.tuples(
    st.lists(st.lists(_SEGMENTS, max_size=4).map("/".join), min_size=1, max_size=4),
    st.lists(
        st.sampled_from(["a", "b", "..", ".", "", "%2e%2e", "%2F", "%", "%zz", "%00", "é", "%c3%a9", "%ff", "12", "²", "a.b", "9" * 25])
        | st.text(max_size=5),
        max_size=6,
    ).map("/".join),
)  # fmt: skip


def check_routes(case: tuple[list[str], str]) -> None:
    """Build a table of odd templates and look an odd path up: refused by name, found, or not found."""
    templates, path = case
    trigger = {"name": "req", "type": "httpTrigger", "methods": [], "direction": "IN"}
    try:
        table = RouteTable("api", [Function(one, one, ({**trigger, "route": one},)) for one in templates])
    except StartError:
        return
    for method in ("GET", "BREW"):
        found = table.find(method, f"/api/{path}")
        assert found is None or all(isinstance(value, str) for value in found[1].values())


def check_span(text: str) -> None:
    """Read what may be no time span."""
    try:
        seconds = parse_span(text)
    except ValueError:
        return
    assert seconds >= 0
