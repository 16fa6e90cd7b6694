"""Points in time as text: RFC 3339 in answers and rows, a sortable form in row keys."""

from dataclasses import dataclass
from datetime import UTC, datetime

_KEY_FORMAT = "%Y%m%dT%H%M%S"
_FAR_FUTURE_MS = 9_999_999_999_999


def now_utc() -> datetime:
    """Return the host's time; decides nothing about ownership, which is storage's time."""
    return datetime.now(UTC)


def to_text(moment: datetime) -> str:
    """Return RFC 3339 in UTC with milliseconds and Z."""
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"


def from_text(text: str) -> datetime:
    """Return the moment that RFC 3339 *text* names; raises ValueError where it names none or has no offset."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        message = "a time needs an offset, such as Z"
        raise ValueError(message)
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        message = "a time in UTC lies in the years 1 to 9999"
        raise ValueError(message) from None


@dataclass(frozen=True, slots=True)
class Span:
    """The time from *since* on and before *until*; None leaves that end open."""

    since: datetime | None = None
    until: datetime | None = None

    def __contains__(self, text: str) -> bool:
        """Tell whether the moment that *text* (of `to_text`) names lies in it."""
        after = self.since is None or text >= to_text(self.since)
        return after and (self.until is None or text < to_text(self.until))


EVER = Span()


def to_key(moment: datetime) -> str:
    """Return a fixed-width form that sorts by time and holds only characters allowed in row keys."""
    utc = moment.astimezone(UTC)
    return f"{utc.year:04d}{utc:%m%dT%H%M%S}" + f"{utc.microsecond // 1000:03d}Z"


def from_key(text: str) -> datetime:
    """Return the moment of a row key part made by `to_key`."""
    whole = datetime.strptime(text[:15], _KEY_FORMAT).replace(tzinfo=UTC)
    return whole.replace(microsecond=int(text[15:18]) * 1000)


def to_inverted_key(moment: datetime) -> str:
    """Return a fixed-width form that sorts newest first; what lies before 1970 or after 2286 counts as that end."""
    left = _FAR_FUTURE_MS - int(moment.timestamp() * 1000)
    return f"{min(max(left, 0), _FAR_FUTURE_MS):013d}"


def from_inverted_key(text: str) -> datetime:
    """Return the moment of a row key part made by `to_inverted_key`; raises ValueError where it is none."""
    if len(text) != 13 or not (text.isascii() and text.isdigit()):
        message = "not an inverted time"
        raise ValueError(message)
    return datetime.fromtimestamp((_FAR_FUTURE_MS - int(text)) / 1000, UTC)
