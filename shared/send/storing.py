"""How entries are written and read: a transaction to open, a conditional write a step, a transaction to finish."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from shared.errors import RowChanged, RowMissing, StorageUnavailable
from shared.identifiers import split_entry_id
from shared.outbox.rows import (
    ACTIVE_LAST,
    GATE_KEY,
    VIEWED,
    Entry,
    KeyUse,
    Outcome,
    entry_key,
    far,
    key_key,
    later_key,
    outcome_of,
    timed_key,
    track_key,
    tracked,
    view_key,
    with_progress,
    work_key,
)
from shared.outbox.work import OPEN, Status, Work
from shared.ports import ANY, Delete, Insert, Operation, Row, Table, Update, Upsert
from shared.rows import decode, encode

TRANSACTION = 100


class RaceLost(Exception):
    """Somebody else wrote this entry meanwhile; whatever was decided on the old state does not hold."""


@dataclass(frozen=True, slots=True)
class Held:
    """A progress row as read: the state, the etag that fences the next write, and the row's key where it is unusual."""

    work: Work
    etag: str
    apart: str = ""

    @classmethod
    def of(cls, row: Row) -> "Held":
        """Return the state that a row holds; raises ValueError where it holds none."""
        return cls(decode(Work, row.values), row.etag, row.key if row.key.startswith(ACTIVE_LAST) else "")

    @property
    def key(self) -> str:
        """The key of the progress row."""
        return self.apart or work_key(self.work.id)


def opening(entry: Entry, work: Work, body_hash: str) -> list[Operation]:
    """
    Return the transaction that makes an entry: its key (if any), the entry, its progress row, if the gate stands.

    A mail that is held back has its outcome at once, and no progress row.
    """
    if work.status in OPEN:
        rows: list[Operation] = [Insert(entry_key(entry.id), encode(entry)), *_progress(work)]
    else:
        rows = [
            Insert(entry_key(entry.id), encode(with_progress(entry, work))),
            Upsert(view_key(work.status, work.id), {"at": work.finished_at}),
        ]
    made = [*rows, Update(GATE_KEY, {"open": True}, ANY)]
    if entry.key_hash:
        made.insert(0, Insert(key_key(entry.key_hash), encode(KeyUse(entry.id, body_hash, entry.created_at))))
    return made


def _progress(work: Work) -> list[Operation]:
    """Return the progress row of a new mail: where every drain looks, or with its time apart from them."""
    if far(work):
        return [Insert(later_key(work.id), encode(work)), Insert(timed_key(work), encode(work))]
    return [Insert(work_key(work.id), encode(work))]


def finishing(held: Held, *, follow: bool = True) -> list[Operation]:
    """
    Return the operations that move a finished state from its progress row into the entry.

    A mail of which more may be learned leaves a row by which it is followed, if *follow*.
    """
    work = held.work
    outcome = encode(outcome_of(work))
    done: list[Operation] = [Update(entry_key(work.id), outcome, ANY), Delete(held.key, held.etag)]
    if held.apart:
        done.append(Delete(timed_key(work), ANY))
    if follow and tracked(work):
        done.append(Upsert(track_key(work.id), encode(work)))
    if work.status in VIEWED:
        done.append(Upsert(view_key(work.status, work.id), {"at": work.finished_at}))
    return done


@dataclass(frozen=True, slots=True)
class Writer:
    """
    Writes the states of one connection's entries.

    *told* returns the rows that tell of a finished mail in the same transaction, one at most. Without *follow* nothing
    more is learned of mails once they are finished, as where their connection is gone.
    """

    table: Table
    partition: str
    told: Callable[[Work], Sequence[Operation]] | None = None
    follow: bool = True

    @property
    def at_once(self) -> int:
        """How many accepted mails a transaction finishes, of three operations each, and one that tells of it."""
        return TRANSACTION // (4 if self.told else 3)

    def write(self, held: Held, work: Work) -> Held:
        """
        Replace the state that *held* names; a finished mail leaves its progress row, but for an accepted one.

        Accepted mails are finished in batches, so that a mail costs one small write here. Raises `RaceLost` where
        another state stands there, `StorageUnavailable` where nobody can tell what was written.
        """
        closes = work.status not in OPEN and work.status != Status.ACCEPTED
        wanted = Held(work, held.etag, held.apart)
        operations = self._finishing(wanted) if closes else [Update(held.key, encode(work), held.etag)]
        try:
            done = self.table.commit(self.partition, operations)
        except (RowChanged, RowMissing):
            return self._mine(wanted)
        except StorageUnavailable as error:
            if not error.outcome_unknown:
                raise
            return self._mine(wanted)
        return Held(work, done.etags[0], held.apart)

    def read(self, entry_id: str) -> Held | None:
        """Return the live state of an entry, or None where it is finished."""
        for key in (later_key(entry_id), work_key(entry_id)):  # in this order: a row may go from there to here
            if (row := self.table.get(self.partition, key)) is not None:
                return Held.of(row)
        return None

    def finish(self, batch: Sequence[Held]) -> list[Held]:
        """Finish up to `at_once` accepted mails in one transaction, else one by one; return those still open."""
        try:
            self.table.commit(self.partition, [operation for held in batch for operation in self._finishing(held)])
        except (RowChanged, RowMissing):
            if len(batch) == 1:
                return []  # somebody else has finished it, or will
            return [left for held in batch for left in self.finish([held])]
        except StorageUnavailable:
            return list(batch)
        return []

    def _finishing(self, held: Held) -> list[Operation]:
        return [*finishing(held, follow=self.follow), *(self.told(held.work) if self.told else ())]

    def _mine(self, wanted: Held) -> Held:
        """Return the state in storage if it is the *wanted* one after all, as after a lost answer."""
        present = self.read(wanted.work.id)
        if present is not None and present.work == wanted.work:
            return present
        if present is None and wanted.work.status not in OPEN:
            row = self.table.get(self.partition, entry_key(wanted.work.id))
            if row is not None and decode(Outcome, row.values) == outcome_of(wanted.work):
                return wanted
        raise RaceLost


def read_entry(table: Table, entry_id: str) -> Entry | None:
    """Return an entry as it stands now, or None where there is none."""
    parts = split_entry_id(entry_id)
    if parts is None:
        return None
    for _ in range(3):
        row = table.get(parts[0], entry_key(entry_id))
        if row is None:
            return None
        entry = decode(Entry, row.values)
        if entry.status not in OPEN:
            return entry
        for key in [*([later_key(entry_id)] if entry.not_before else []), work_key(entry_id)]:
            if (live := table.get(parts[0], key)) is not None:
                return with_progress(entry, decode(Work, live.values))
    return None
