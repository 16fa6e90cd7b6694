"""What the run log of a connection says, newest first, read day by day."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from shared.connections import connection_key
from shared.errors import FieldFault, InvalidRequest, NotFound
from shared.identifiers import is_connection_id, shard_of
from shared.paging import Page, after, cursor_of
from shared.ports import Clock, Row, Tables
from shared.rows import readable
from shared.run_log import RunLine, partition_of
from shared.times import from_inverted_key, to_inverted_key

LONGEST = timedelta(days=31)
"""The log of a day goes after 30 days."""
_FIRST, _LAST = "0", "~"
_KEY = re.compile(r"[0-9]{13}\|run_[0-9A-Z]{26}")


@dataclass(frozen=True, slots=True)
class RunLists:
    """Reads what fetch and send noted of their runs."""

    tables: Tables
    clock: Clock

    def page(
        self,
        connection_id: str,
        limit: int,
        cursor: str = "",
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> Page[RunLine]:
        """
        Return runs with *since* ≤ time < *until*, of the last 31 days at most.

        Raises `NotFound`, `InvalidRequest` where *cursor* is none of ours, `StorageUnavailable`.
        """
        known = is_connection_id(connection_id)
        if not known or self.tables.connections.get(shard_of(connection_id), connection_key(connection_id)) is None:
            raise NotFound("There is no such connection. GET connections lists those there are.")
        begun, now = after(cursor), self.clock()
        newest = min(_time_of(begun) if begun else until or now, now + timedelta(days=1))
        oldest = max(since or now - LONGEST, now - LONGEST)
        found: list[Row] = []
        for day in _days(newest, oldest):
            first = f"{begun}0" if begun else f"{to_inverted_key(until)}{_LAST}" if until else _FIRST
            last = f"{to_inverted_key(since)}{_LAST}" if since else _LAST
            if first < last:
                partition = partition_of(connection_id, day)
                found += self.tables.log.read(partition, first, last, limit + 1 - len(found)).rows
            if len(found) > limit:
                break
        shown = found[:limit]
        lines = [line for row in shown if (line := readable(RunLine, row.key, row.values)) is not None]
        return Page(lines, cursor_of(shown[-1].key) if len(found) > limit else None)


def _days(newest: datetime, oldest: datetime) -> Iterator[str]:
    moment = newest.astimezone(UTC)
    while moment.date() >= oldest.astimezone(UTC).date():
        yield f"{moment:%Y%m%d}"
        moment -= timedelta(days=1)


def _time_of(key: str) -> datetime:
    if not _KEY.fullmatch(key):
        message = "cursor must be the next_cursor of an earlier page"
        raise InvalidRequest(message, [FieldFault("?cursor", "not_a_cursor", message)])
    return from_inverted_key(key[:13])
