"""What one run of housekeeping works on, and the days that it goes through."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from shared.connections import Connection
from shared.ports import BlobStore, Tables

DAY = timedelta(days=1)
RECEIPT_DAYS = 400
LOG_DAYS = 30


@dataclass(frozen=True, slots=True)
class Round:
    """One run for one *connection*: *now* is storage's time, *go_on* tells whether there is time left."""

    tables: Tables
    blobs: BlobStore
    connection: Connection
    now: datetime
    go_on: Callable[[], bool]


def day_of(moment: datetime) -> str:
    """Return the day of *moment* in UTC, as rows and paths hold it."""
    return moment.astimezone(UTC).strftime("%Y%m%d")


def days_after(last: str, upto: datetime) -> Iterator[str]:
    """Yield the days after *last* that have begun by *upto*, oldest first; none where *last* is no day."""
    if not last:
        return
    moment = datetime.strptime(last, "%Y%m%d").replace(tzinfo=UTC) + DAY
    while day_of(moment) <= day_of(upto):
        yield day_of(moment)
        moment += DAY
