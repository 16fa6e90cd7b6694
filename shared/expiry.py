"""When does a credential die, and which warning is due; pure."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

THRESHOLD_DAYS = (30, 14, 7, 1, 0)
"""Days before the end at which a warning is due, the end itself included."""


class Expiry(StrEnum):
    """How near the end is; ``unknown`` where nobody typed it in."""

    UNKNOWN = "unknown"
    OK = "ok"
    SOON = "soon"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class Forecast:
    """*days* are whole days left (negative: since); *tell* is the threshold whose warning is due now, if any."""

    expiry: Expiry
    days: int | None = None
    tell: int | None = None


def forecast(ends: datetime | None, told: int | None, now: datetime) -> Forecast:
    """
    Return what stands at *now* for something that *ends* then; *told* is the last threshold that was told of.

    Where several thresholds have passed since, only the most urgent is told.
    """
    if ends is None:
        return Forecast(Expiry.UNKNOWN)
    left = ends - now
    passed = [days for days in THRESHOLD_DAYS if left <= timedelta(days=days)]
    tell = min(passed) if passed and (told is None or min(passed) < told) else None
    expiry = Expiry.EXPIRED if 0 in passed else Expiry.SOON if passed else Expiry.OK
    return Forecast(expiry, left // timedelta(days=1), tell)


def next_warning(ends: datetime | None, told: int | None) -> datetime | None:
    """Return the moment of the next threshold that was not told of; it may have passed. None where there is none."""
    left = [days for days in THRESHOLD_DAYS if told is None or days < told]
    return ends - timedelta(days=max(left)) if ends is not None and left else None
