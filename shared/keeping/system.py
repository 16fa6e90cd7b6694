"""How long that is kept which belongs to no connection: consent links and their trips, and the audit log."""

import logging
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from shared.connections import Connection
from shared.errors import RowExists, RowMissing
from shared.identifiers import short_hash
from shared.keep_rows import Keeping, keep_key, started
from shared.keeping.rounds import days_after
from shared.ports import ANY, Delete, Row, Table, Tables
from shared.rows import readable
from shared.schedule import SHARDS
from shared.times import from_text

log = logging.getLogger("mailgrant.keeping")

TICKET_DAYS = timedelta(days=30)
AUDIT_DAYS = timedelta(days=2 * 366 + 31)
"""Two years, and the month that is not over: what `GET audit` shows is never in the part that goes."""
PAGE = 100
CONNECTIONS_PAGE = 1000
SPREAD = timedelta(hours=1)
_KEPT = (keep_key(""), f"{keep_key('')[:-1]}~")


@dataclass(frozen=True, slots=True)
class System:
    """Removes rows by age, a partition at a time; *now* is storage's time."""

    tables: Tables
    now: datetime
    go_on: Callable[[], bool]

    def keep(self, record: Keeping) -> Keeping:
        """See that every connection is kept, and remove what is too old; return how far that came."""
        record = self._begun(record)
        if record.cursor:
            return record
        for day in days_after(record.expired_day, self.now - TICKET_DAYS):
            if not emptied(self.tables.tickets, day, self.go_on):
                return record
            record = replace(record, expired_day=day)
        for month in _months(record.logged_day, self.now - AUDIT_DAYS):
            if not emptied(self.tables.audit, month, self.go_on):
                return record
            record = replace(record, logged_day=f"{month}01")
        return record

    def _begun(self, record: Keeping) -> Keeping:
        """
        Write the records of connections that have none, made before there was housekeeping; return how far that came.

        *cursor* is the shard and the last row that was looked at there.
        """
        table, (begun, _, row_key) = self.tables.connections, record.cursor.partition("|")
        for shard in SHARDS[SHARDS.index(begun) if begun else 0 :]:
            kept = {row.key for row in table.read(shard, *_KEPT).rows}
            first = f"{row_key}-" if shard == begun else "b|"
            while first and (rows := table.read(shard, first, "b~", CONNECTIONS_PAGE).rows):
                for row in rows:
                    _, _, kind, identifier = row.key.split("|", 3) if row.key.count("|") > 2 else ("", "", "", "")
                    if kind == "conn" and keep_key(identifier) not in kept:
                        self._begin(shard, row)
                first = f"{rows[-1].key}-" if len(rows) == CONNECTIONS_PAGE else ""
                record = replace(record, cursor=f"{shard}|{rows[-1].key}")
                if not self.go_on():
                    return record
        return replace(record, cursor="")

    def _begin(self, shard: str, row: Row) -> None:
        """Have what a connection has kept since it was made looked at, within an hour."""
        connection = readable(Connection, row.key, row.values)
        if connection is None:
            return
        made = from_text(connection.created_at) if connection.created_at else self.now
        at = self.now + SPREAD * (int(short_hash(connection.id, 4), 16) / 16**4)
        with suppress(RowExists):  # it was deleted this moment, which wrote the record
            self.tables.connections.commit(shard, started(connection.id, at, made))
            log.info("keeping.begun connection_id=%s", connection.id)


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
