"""What the audit log says, newest first: read month by month, from any moment back."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from shared.errors import FieldFault, InvalidRequest
from shared.paging import Page, after, cursor_of
from shared.ports import Clock, Row, Table
from shared.times import from_inverted_key, to_inverted_key

LONGEST_MONTHS = 24
FURTHEST_MONTHS = 120
_OWN = ("action", "outcome", "at", "actor")
_FIRST, _LAST = "0", "~"
_KEY = re.compile(r"[0-9]{13}\|[0-9A-Za-z|._-]{1,200}")


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One line: who did what, when, how it ended, and the ids that it was about."""

    id: str
    at: str
    actor: str
    action: str
    outcome: str
    targets: dict[str, str]


@dataclass(frozen=True, slots=True)
class AuditLog:
    """Reads what `Audit` wrote."""

    table: Table
    clock: Clock

    def page(
        self, limit: int, cursor: str = "", since: datetime | None = None, until: datetime | None = None
    ) -> Page[AuditEntry]:
        """
        Return lines with *since* ≤ time < *until*, of the last 24 months where *since* is not given.

        Raises `InvalidRequest` where *cursor* is none of ours, `StorageUnavailable`.
        """
        begun = after(cursor)
        newest = _time_of(begun) if begun else until or self.clock()
        oldest = since or _months_before(self.clock(), LONGEST_MONTHS)
        found: list[Row] = []
        for month in _months(newest, oldest):
            first = f"{begun}0" if begun else f"{to_inverted_key(until)}{_LAST}" if until else _FIRST
            last = f"{to_inverted_key(since)}{_LAST}" if since else _LAST
            if first < last:
                found += self.table.read(month, first, last, limit + 1 - len(found)).rows
            if len(found) > limit:
                break
        shown = found[:limit]
        more = len(found) > limit
        return Page([_entry(row) for row in shown], cursor_of(shown[-1].key) if more else None)


def _months(newest: datetime, oldest: datetime) -> Iterator[str]:
    """Yield the partitions from the month of *newest* back to that of *oldest*."""
    number, last = newest.year * 12 + newest.month - 1, oldest.year * 12 + oldest.month - 1
    last = max(last, number - FURTHEST_MONTHS)  # a month costs a call, and a caller may name the year 1
    for month in range(number, last - 1, -1):
        yield f"{month // 12:04d}{month % 12 + 1:02d}"


def _months_before(moment: datetime, months: int) -> datetime:
    number = moment.year * 12 + moment.month - 1 - months
    return datetime(number // 12, number % 12 + 1, 1, tzinfo=UTC)


def _time_of(key: str) -> datetime:
    """Return the moment of a row key; raises `InvalidRequest` where it is none, since cursors come from outside."""
    if not _KEY.fullmatch(key):
        message = "cursor must be the next_cursor of an earlier page"
        raise InvalidRequest(message, [FieldFault("?cursor", "not_a_cursor", message)])
    return from_inverted_key(key[:13])


def _entry(row: Row) -> AuditEntry:
    targets = {name: str(value) for name, value in row.values.items() if name not in _OWN}
    own = {name: str(row.values.get(name, "")) for name in _OWN}
    return AuditEntry(row.key.partition("|")[2], **own, targets=targets)
