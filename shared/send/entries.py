"""The outbox as callers and administrators see it: one entry, a page of them, and cancelling one."""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from itertools import islice

from shared.codes import Code
from shared.errors import Conflict, FieldFault, InvalidRequest, NotFound
from shared.identifiers import is_ulid, split_entry_id
from shared.outbox import moves
from shared.outbox.rows import (
    ENTRY_FIRST,
    ENTRY_LAST,
    VIEWED,
    Entry,
    cancellable,
    entry_key,
    invert,
    invert_time,
    later_key,
    ulid_of,
    with_progress,
    work_key,
)
from shared.outbox.work import OPEN, Status, Work
from shared.ports import Clock, Row, Table
from shared.rows import UnreadableRow, readable
from shared.send.storing import RaceLost, Writer, read_entry
from shared.status_notices import Tellings

_TRIES = 4
_SCANNED = 1000  # rows looked through for one page of a filter that has no rows of its own
_AT_ONCE = 100  # of these rows, so many are compared with what they have become by one or two more reads


@dataclass(frozen=True, slots=True)
class Wanted:
    """
    Which entries a list holds: of one *status*, created in *since* ≤ time < *until*; after *cursor*.

    *subject* and the address of some *recipient* begin so, whatever their case.
    """

    limit: int = 50
    cursor: str = ""
    status: Status | None = None
    since: datetime | None = None
    until: datetime | None = None
    recipient: str = ""
    subject: str = ""

    @property
    def searches(self) -> bool:
        """Whether entries have to be looked at to tell if they are wanted."""
        return bool(self.recipient or self.subject)

    def names(self, entry: Entry) -> bool:
        """Tell whether *entry* is what is searched for, whatever its status and time."""
        address = self.recipient.casefold()
        return entry.subject.casefold().startswith(self.subject.casefold()) and (
            not address or any(each.casefold().startswith(address) for each in (*entry.to, *entry.cc, *entry.bcc))
        )


@dataclass(frozen=True, slots=True)
class Page:
    """Entries, newest first; *next_cursor* is None at the end of the list."""

    entries: list[Entry]
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class Entries:
    """Reads and cancels entries; *tellings* finds who is told of an end."""

    table: Table
    now: Clock
    tellings: Tellings | None = None

    def get(self, entry_id: str, connection_id: str | None = None) -> Entry:
        """Return an entry, of *connection_id* if that is given; raises `NotFound` for any other."""
        parts = split_entry_id(entry_id)
        if parts is None or (connection_id is not None and parts[0] != connection_id):
            raise NotFound("There is no such message.")
        entry = read_entry(self.table, entry_id)
        if entry is None:
            raise NotFound("There is no such message.")
        return entry

    def cancel(self, entry_id: str) -> Entry:
        """
        Stop a mail before its first attempt; a repeat finds it cancelled.

        Raises `NotFound`, and `Conflict` once an attempt was made or it is finished otherwise.
        """
        entry = self.get(entry_id)
        telling = self.tellings(entry.connection_id) if self.tellings else None
        writer = Writer(self.table, entry.connection_id, telling)
        for _ in range(_TRIES):
            held = writer.read(entry_id)
            if held is None or not cancellable(held.work):
                break
            try:
                writer.write(held, moves.cancel(held.work, self.now()))
            except RaceLost:
                continue
        if telling:
            telling.wake()
        entry = self.get(entry_id)
        if entry.status == Status.CANCELLED:
            return entry
        detail = f"The message is {entry.status.value}. Only a message of which no attempt was made can be cancelled."
        raise Conflict(detail, Code.NOT_CANCELLABLE)

    def page(self, connection_id: str, wanted: Wanted) -> Page:
        """Return a page of a connection's entries, newest first; stable while new ones arrive."""
        if wanted.cursor and not is_ulid(wanted.cursor):
            raise InvalidRequest("The cursor is not one of ours.", [FieldFault("?cursor", "invalid", "not a cursor")])
        if wanted.status in OPEN:
            rows = self.table.read(connection_id, "w|", "w~", _SCANNED + 1).rows
            if len(rows) > _SCANNED:
                return self._crowded(connection_id, wanted)
            found = list(islice(self._open(connection_id, wanted, rows), wanted.limit + 1))
            page = found[: wanted.limit]
            return Page(page, _cursor(page[-1]) if len(found) > wanted.limit else None)
        viewed = wanted.status in VIEWED and not wanted.searches
        return self._viewed(connection_id, wanted) if viewed else self._all(connection_id, wanted)

    def _all(self, connection_id: str, wanted: Wanted) -> Page:
        first, last = _bounds(ENTRY_FIRST, ENTRY_LAST, wanted)
        chooses = wanted.status is not None or wanted.searches
        many = _SCANNED if chooses else wanted.limit + 1
        rows = self.table.read(connection_id, first, last, many).rows
        fitting = [row for row in rows if wanted.status is None or row.values.get("status") == wanted.status.value]
        chosen = list(islice(filter(wanted.names, _entries(fitting)), wanted.limit + 1))
        page = self._live(connection_id, chosen[: wanted.limit])
        if len(chosen) > wanted.limit:
            return Page(page, _cursor(page[-1]))
        return Page(page, rows[-1].key.removeprefix(ENTRY_FIRST) if len(rows) == many else None)

    def _viewed(self, connection_id: str, wanted: Wanted) -> Page:
        prefix = f"v|{wanted.status}|"
        first, last = _bounds(prefix, f"{prefix}~", wanted)
        rows = self.table.read(connection_id, first, last, wanted.limit + 1).rows
        keys = [row.key.removeprefix(prefix) for row in rows[: wanted.limit]]
        found = [self.table.get(connection_id, f"{ENTRY_FIRST}{key}") for key in keys]
        entries = list(_entries(row for row in found if row is not None))
        return Page(entries, keys[-1] if len(rows) > wanted.limit else None)

    def _open(self, connection_id: str, wanted: Wanted, rows: list[Row]) -> Iterator[Entry]:
        """Yield entries by their progress *rows*, which hold the truth and are few."""
        first, last = _bounds(ENTRY_FIRST, ENTRY_LAST, wanted)
        for row in reversed(rows):
            work = readable(Work, row.key, row.values)
            if work is None or work.status != wanted.status or not first <= entry_key(work.id) < last:
                continue
            entry = self.table.get(connection_id, entry_key(work.id))
            for found in _entries([entry] if entry is not None else []):
                if wanted.names(found):
                    yield with_progress(found, work)

    def _crowded(self, connection_id: str, wanted: Wanted) -> Page:
        """Return a page of open entries where they are many, by as many of the newest entries as one read holds."""
        first, last = _bounds(ENTRY_FIRST, ENTRY_LAST, wanted)
        rows = self.table.read(connection_id, first, last, _SCANNED).rows
        waiting = [row for row in rows if row.values.get("status") in OPEN]
        found: list[Entry] = []
        for at in range(0, len(waiting), _AT_ONCE):
            entries = list(filter(wanted.names, _entries(waiting[at : at + _AT_ONCE])))
            live = self._live(connection_id, entries)
            found += [entry for entry in live if entry.status == wanted.status]
            if len(found) > wanted.limit:
                return Page(found[: wanted.limit], _cursor(found[wanted.limit - 1]))
        return Page(found, rows[-1].key.removeprefix(ENTRY_FIRST) if len(rows) == _SCANNED else None)

    def _live(self, connection_id: str, entries: list[Entry]) -> list[Entry]:
        """Return *entries* as they stand now; one range read serves all that are open, one those for much later."""
        keys = [work_key(entry.id) for entry in entries if entry.status in OPEN]
        if not keys:
            return entries
        rows = self.table.read(connection_id, min(keys), f"{max(keys)}-").rows
        apart = [later_key(entry.id) for entry in entries if entry.status in OPEN and entry.not_before]
        if apart:
            rows += self.table.read(connection_id, min(apart), f"{max(apart)}-").rows
        works = {work.id: work for row in rows if (work := readable(Work, row.key, row.values)) is not None}
        return [
            with_progress(entry, works[entry.id])
            if entry.id in works
            else self._read(entry)
            if entry.status in OPEN
            else entry
            for entry in entries
        ]

    def _read(self, entry: Entry) -> Entry:
        """Return *entry* as it stands now, or as it is where its progress cannot be read."""
        with suppress(UnreadableRow):
            return read_entry(self.table, entry.id) or entry
        return entry


def _entries(rows: Iterable[Row]) -> Iterator[Entry]:
    """Yield the entries of *rows*; a row that holds none is passed by."""
    return (entry for row in rows if (entry := readable(Entry, row.key, row.values)) is not None)


def _bounds(first: str, last: str, wanted: Wanted) -> tuple[str, str]:
    """Return the key range of *wanted* under a prefix; keys sort newest first."""
    prefix = first
    if wanted.until is not None:
        first = f"{prefix}{invert_time(wanted.until)}~"
    if wanted.cursor:
        first = max(first, f"{prefix}{wanted.cursor}-")
    if wanted.since is not None:
        last = f"{prefix}{invert_time(wanted.since)}~"
    return first, last


def _cursor(entry: Entry) -> str:
    return invert(ulid_of(entry.id))
