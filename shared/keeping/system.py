"""How long that is kept which belongs to no connection: consent links and their trips, and the audit log."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from shared.errors import RowMissing
from shared.keep_rows import Keeping
from shared.keeping.rounds import days_after
from shared.ports import ANY, Delete, Table, Tables

TICKET_DAYS = timedelta(days=30)
AUDIT_DAYS = timedelta(days=2 * 366 + 31)
"""Two years, and the month that is not over: what `GET audit` shows is never in the part that goes."""
PAGE = 100


@dataclass(frozen=True, slots=True)
class System:
    """Removes rows by age, a partition at a time; *now* is storage's time."""

    tables: Tables
    now: datetime
    go_on: Callable[[], bool]

    def keep(self, record: Keeping) -> Keeping:
        """Remove what is too old; return how far that came."""
        for day in days_after(record.expired_day, self.now - TICKET_DAYS):
            if not emptied(self.tables.tickets, day, self.go_on):
                return record
            record = replace(record, expired_day=day)
        for month in _months(record.logged_day, self.now - AUDIT_DAYS):
            if not emptied(self.tables.audit, month, self.go_on):
                return record
            record = replace(record, logged_day=f"{month}01")
        return record


def emptied(table: Table, partition: str, go_on: Callable[[], bool]) -> bool:
    """Remove every row of a partition; return whether none is left. Raises `StorageUnavailable`."""
    while rows := table.read(partition, "-", "~", PAGE).rows:
        if not go_on():
            return False
        try:
            table.commit(partition, [Delete(row.key, ANY) for row in rows])
        except RowMissing:
            continue  # somebody else removes them too
    return True


def _months(last: str, upto: datetime) -> Iterator[str]:
    """Yield the months after that of *last* that are over by *upto*."""
    moment = datetime.strptime(last[:6], "%Y%m").replace(tzinfo=UTC)
    while (moment := (moment + timedelta(days=32)).replace(day=1)) + timedelta(days=31) <= upto:
        yield f"{moment:%Y%m}"
