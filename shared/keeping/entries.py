"""How long outgoing mail is kept: its bytes, its recipients, the keys that made repeats harmless, and uploads."""

from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from shared.errors import RowChanged, RowMissing
from shared.identifiers import new_ulid
from shared.keep_rows import Keeping
from shared.keeping.rounds import DAY, RECEIPT_DAYS, Round, days_after
from shared.outbox.rows import (
    ACTIVE_LAST,
    ENTRY_FIRST,
    ENTRY_LAST,
    VIEWED,
    WORK_FIRST,
    WORK_LAST,
    Entry,
    Upload,
    entry_key,
    invert,
    invert_time,
    key_key,
    ulid_of,
    view_key,
)
from shared.outbox.work import OPEN
from shared.ports import ANY, Delete, Operation, Row, Update, Upsert
from shared.rows import readable
from shared.times import from_text, to_key, to_text

UNUSED = timedelta(hours=24)
PAGE = 100
UPLOADS = "u|"
"""How the keys of uploads' rows begin."""
LATE = "o|"
"""How the keys of rows begin by which mails are found, at their time, that were not finished at the retention's end."""
_PERSONAL = {"subject": "", "to": "[]", "cc": "[]", "bcc": "[]", "metadata": "{}", "payload": "", "bounces": "[]"}
_TIME = 10  # how many characters of a ULID tell its time


@dataclass(frozen=True, slots=True)
class Outgoing:
    """Expires the outgoing mail of one connection; every step may be repeated by whoever comes after a death."""

    round: Round

    def expire(self, record: Keeping) -> Keeping:
        """
        Expire mail that is older than the retention; return how far that came.

        What is not finished by then, such as a mail for much later, is noted and expires its own time after its end.
        """
        self._expire_late()
        limit = to_text(self.round.now - timedelta(days=self.round.connection.retention_days))
        if record.cursor and record.entries_begun:
            limit = record.entries_begun  # from which the pass goes down that the cursor belongs to
        first, last = f"{ENTRY_FIRST}{invert_time(from_text(limit))}", ENTRY_LAST
        if record.entries_upto:
            last = f"{ENTRY_FIRST}{invert_time(from_text(record.entries_upto) - timedelta(seconds=1))}~"
        first = f"{record.cursor}-" if record.cursor else f"{first}~"
        while first < last and (rows := self._read(first, last)):
            for row in rows:
                if not self.round.go_on():
                    return record
                if (entry := readable(Entry, row.key, row.values)) is not None:
                    self._expire_or_note(entry)
                record = replace(record, cursor=row.key, entries_begun=limit)
            first = f"{rows[-1].key}-"
        return replace(record, entries_upto=limit, cursor="", entries_begun="")

    def uploads(self, record: Keeping) -> Keeping:
        """
        Remove files that no mail named within a day, and those whose mails are done with for the retention.

        First their rows, then the files of which no row tells; return how far that came.
        """
        connection, now = self.round.connection, self.round.now
        last = f"{UPLOADS}{new_ulid(int((now - UNUSED).timestamp() * 1000))[:_TIME]}"
        if record.upload_cursor and not record.upload_cursor.startswith(UPLOADS):
            return self._sweep_uploads(record)
        ended = self._limit(now - timedelta(days=connection.retention_days))
        first = f"{record.upload_cursor}-" if record.upload_cursor else UPLOADS
        while first < last and (rows := self._read(first, last)):
            for row in rows:
                if not self.round.go_on():
                    return record
                upload = readable(Upload, row.key, row.values)
                if upload and (not upload.used_at or from_text(upload.used_at) < ended):
                    with suppress(RowChanged, RowMissing):  # a mail named it this moment
                        self.round.tables.outbox.commit(connection.id, [Delete(row.key, row.etag)])
                record = replace(record, upload_cursor=row.key)
            first = f"{rows[-1].key}-"
        return self._sweep_uploads(replace(record, upload_cursor=self._folder))

    def forget(self) -> None:
        """Remove entries that are older than entries are kept."""
        oldest = self.round.now - timedelta(days=max(RECEIPT_DAYS, self.round.connection.retention_days + 30))
        first = f"{ENTRY_FIRST}{invert_time(self._limit(oldest))}~"
        while self.round.go_on() and (rows := self._read(first, ENTRY_LAST)):
            for row in rows:
                entry = readable(Entry, row.key, row.values)
                viewed = [view_key(entry.status, entry.id)] if entry and entry.status in VIEWED else []
                for key in [*viewed, row.key]:
                    self._commit([Delete(key, ANY)])

    def loops(self) -> None:
        """Remove counts of mails to one address that are older than a day; they count for an hour."""
        limit = to_text(self.round.now - UNUSED)
        first = "l|"
        while self.round.go_on() and (rows := self._read(first, "l~")):
            for row in rows:
                if str(row.values.get("at", "")) < limit:
                    with suppress(RowChanged, RowMissing):  # a mail was counted this moment
                        self.round.tables.outbox.commit(self.round.connection.id, [Delete(row.key, row.etag)])
            first = f"{rows[-1].key}-"

    def _expire_or_note(self, entry: Entry) -> None:
        if entry.status not in OPEN:
            self._expire(entry)
            return
        at = max(self.round.now, from_text(entry.not_before) if entry.not_before else self.round.now) + DAY
        late = Upsert(f"{LATE}{to_key(at)}|{ulid_of(entry.id)}", {})
        self.round.tables.outbox.commit(self.round.connection.id, [late])

    def _expire_late(self) -> None:
        """Look at the mails noted for now: each expires once its end is past the retention, or is noted anew."""
        connection, now = self.round.connection, self.round.now
        kept = timedelta(days=connection.retention_days)
        while self.round.go_on() and (rows := self._read(LATE, f"{LATE}{to_key(now)}~")):
            for row in rows:
                ulid = row.key.rpartition("|")[2]
                found = self.round.tables.outbox.get(connection.id, f"{ENTRY_FIRST}{invert(ulid)}")
                entry = readable(Entry, found.key, found.values) if found else None
                at = now + DAY
                if entry and entry.status not in OPEN:
                    at = from_text(entry.finished_at or entry.created_at) + kept
                if entry and at <= now:
                    self._expire(entry)
                again = [Upsert(f"{LATE}{to_key(at)}|{ulid}", {})] if found and at > now else []
                self._commit([*again, Delete(row.key, ANY)])

    def _expire(self, entry: Entry) -> None:
        """Remove the bytes first, and what names them after."""
        if not entry.payload:
            return
        self.round.blobs.outbox.delete(entry.payload)
        if entry.key_hash:
            self._commit([Delete(key_key(entry.key_hash), ANY)])
        self._commit([Update(entry_key(entry.id), _PERSONAL, ANY)])

    @property
    def _folder(self) -> str:
        """How the paths of uploads begin; as a position, before the first of them."""
        return f"{self.round.connection.id}/"

    def _sweep_uploads(self, record: Keeping) -> Keeping:
        """Remove files that no row names any more; they come in the order of their time."""
        connection = self.round.connection
        least = new_ulid(int((self.round.now - UNUSED).timestamp() * 1000))[:_TIME]
        for path in self.round.blobs.uploads.names(self._folder):
            ulid = path.rpartition("/")[2]
            if ulid >= least:
                break
            if path <= record.upload_cursor:
                continue
            if not self.round.go_on():
                return record
            if self.round.tables.outbox.get(connection.id, f"{UPLOADS}{ulid}") is None:
                self.round.blobs.uploads.delete(path)
            record = replace(record, upload_cursor=path)
        return replace(record, upload_cursor="")

    def sweep(self, record: Keeping) -> Keeping:
        """Remove bytes of which no entry tells, left by requests that died, once their day is a day past."""
        connection, outbox = self.round.connection, self.round.blobs.outbox
        for day in days_after(record.swept_day, self.round.now - 2 * DAY):
            for part in _parts_of(day):
                for path in outbox.names(f"{connection.id}/{entry_prefix(connection.id)}{part}"):
                    if path <= record.sweep_cursor:
                        continue
                    if not self.round.go_on():
                        return record
                    row = self.round.tables.outbox.get(connection.id, entry_key(path.split("/")[1]))
                    if row is None or row.values.get("payload") != path:
                        outbox.delete(path)
                    record = replace(record, sweep_cursor=path)
            record = replace(record, swept_day=day, sweep_cursor="")
        return record

    def _limit(self, moment: datetime) -> datetime:
        """Return *moment*, or a time before the oldest mail that is not finished."""
        table, partition = self.round.tables.outbox, self.round.connection.id
        ranges = ((WORK_FIRST, ACTIVE_LAST), (ACTIVE_LAST, WORK_LAST))  # each in the order of acceptance
        oldest = [row for first, last in ranges for row in table.read(partition, first, last, 1).rows]
        created = [from_text(str(row.values.get("created_at") or to_text(moment))) for row in oldest]
        return min([moment, *(at - timedelta(seconds=1) for at in created)])

    def _read(self, first: str, last: str) -> list[Row]:
        return self.round.tables.outbox.read(self.round.connection.id, first, last, PAGE).rows

    def _commit(self, operations: list[Operation]) -> None:
        try:
            self.round.tables.outbox.commit(self.round.connection.id, operations)
        except RowMissing:
            return


def entry_prefix(connection_id: str) -> str:
    """Return how the ids of a connection's entries begin."""
    return f"msg_{connection_id.removeprefix('conn_')}."


def _parts_of(day: str) -> list[str]:
    """Return how the ULIDs of *day* begin; half of the time's characters stand for some nine hours."""
    begins = datetime.strptime(day, "%Y%m%d").replace(tzinfo=UTC)
    moments = [begins + timedelta(hours=hours) for hours in (0, 8, 16)] + [begins + DAY]
    return sorted({new_ulid(int(moment.timestamp() * 1000))[: _TIME // 2] for moment in moments})
