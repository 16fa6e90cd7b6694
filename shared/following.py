"""
How finished mails are followed: rows that name them, read whole, and what is learned of them written in few calls.

A mail's row is fenced by its etag, and its entry is written with it in one transaction, so that the drain's holder and
whoever reads received mail may learn of the same mail at once.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from shared.errors import RowChanged, RowMissing
from shared.outbox.rows import (
    TRACK_FIRST,
    TRACK_LAST,
    VIEWED,
    Entry,
    entry_key,
    outcome_of,
    track_key,
    view_key,
    work_of,
)
from shared.outbox.work import OPEN, Work
from shared.ports import ANY, Delete, Operation, Row, Table, Update, Upsert
from shared.rows import decode, encode, readable

log = logging.getLogger("mailgrant.send")

PAGE = 1000
AT_ONCE = 18  # mails of at most five operations each, so that they fit into a transaction of 100
TRIES = 4


@dataclass(frozen=True, slots=True)
class Followed:
    """A finished mail as read; *etag* fences the next write of its row, or of its *entry* once there is no such row."""

    work: Work
    etag: str
    entry: bool = False


@dataclass(frozen=True, slots=True)
class Following:
    """The finished mails of one connection; *told* returns the rows that tell of a change in the same transaction."""

    table: Table
    partition: str
    told: Callable[[Work], Sequence[Operation]] = lambda _: ()

    def all(self) -> list[Followed]:
        """Return all that are followed, oldest first. Raises `StorageUnavailable`."""
        return list(self._pages())

    def find(self, entry_id: str) -> Followed | None:
        """Return a finished mail, whether it is followed or not any more; None where it is open, or unknown."""
        row = self.table.get(self.partition, track_key(entry_id))
        if row is not None:
            return _followed(row)
        row = self.table.get(self.partition, entry_key(entry_id))
        entry = readable(Entry, row.key, row.values) if row else None
        if row is None or entry is None or entry.status in OPEN:
            return None
        return Followed(work_of(entry), row.etag, entry=True)

    def write(self, changes: Sequence[tuple[Followed, Work]]) -> int:
        """
        Write what was learned, in transactions; return how many of the *changes* were written.

        One whose mail somebody else wrote meanwhile is left out: it is learned again. Raises `StorageUnavailable`.
        """
        return sum(self._write(changes[at : at + AT_ONCE]) for at in range(0, len(changes), AT_ONCE))

    def learn(self, entry_id: str, change: Callable[[Work], Work | None]) -> bool:
        """Apply *change* to one finished mail as it stands; return whether it was changed. Raises as `write`."""
        for _ in range(TRIES):
            followed = self.find(entry_id)
            after = change(followed.work) if followed else None
            if followed is None or after is None:
                return False
            if self.write([(followed, after)]):
                return True
        return False

    def forget(self, followed: Sequence[Followed]) -> None:
        """Follow these no more; their entries stay as they are."""
        for at in range(0, len(followed), 100):
            part = followed[at : at + 100]
            try:
                self.table.commit(self.partition, [Delete(track_key(one.work.id), ANY) for one in part])
            except RowMissing:
                for one in part if len(part) > 1 else ():
                    self.forget([one])

    def _write(self, changes: Sequence[tuple[Followed, Work]]) -> int:
        operations = [operation for before, after in changes for operation in self._operations(before, after)]
        try:
            self.table.commit(self.partition, operations)
        except (RowChanged, RowMissing) as error:
            if len(changes) > 1:
                return sum(self._write([change]) for change in changes)
            log.info("send.changed_meanwhile entry_id=%s kind=%s", changes[0][0].work.id, error.key[:1])
            return 0
        return len(changes)

    def _operations(self, before: Followed, after: Work) -> list[Operation]:
        fence = before.etag if before.entry else ANY
        made: list[Operation] = [Update(entry_key(after.id), encode(outcome_of(after)), fence)]
        if not before.entry:
            made.append(Update(track_key(after.id), encode(after), before.etag))
        was, now = before.work.status, after.status
        if was != now:
            made += [Delete(view_key(was, after.id))] if was in VIEWED else []
            made += [Upsert(view_key(now, after.id), {"at": after.moves[-1].at})] if now in VIEWED else []
        return [*made, *self.told(after)] if was != now else made

    def _pages(self) -> Iterator[Followed]:
        first = TRACK_FIRST
        while rows := self.table.read(self.partition, first, TRACK_LAST, PAGE).rows:
            yield from (found for row in rows if (found := _followed(row)) is not None)
            if len(rows) < PAGE:
                return
            first = f"{rows[-1].key}-"


def _followed(row: Row) -> Followed | None:
    try:
        return Followed(decode(Work, row.values), row.etag)
    except ValueError:
        log.warning("send.unreadable_row key=%s", row.key)
        return None
