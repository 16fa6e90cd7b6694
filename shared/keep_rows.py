"""The record by which a connection's housekeeping stands due, how it is claimed, and how its next time is written."""

from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from shared.connections import Connection
from shared.errors import RowExists, RowMissing
from shared.identifiers import is_connection_id, shard_of
from shared.ports import ANY, Delete, Insert, Operation, Row, Table, Update, Upsert
from shared.rows import decode, encode
from shared.schedule import KEEP, DueRow, Wakeup, shard_for
from shared.times import from_text, to_text

SYSTEM = "system"
"""The id under which what belongs to no connection is kept: audit rows, consent links."""
CLAIM = timedelta(minutes=5)
"""How long a claim of housekeeping stands, and how long after a first purge the second one comes."""
EVERY = timedelta(days=1)
TICKETS_FROM = timedelta(days=60)
"""How long before the first housekeeping the oldest consent link was made."""
LONGEST_WORK = timedelta(minutes=15)
"""After this much time nobody works any more who began before a deletion, whoever holds the mailbox's turn."""


class Stage(StrEnum):
    """Where a connection stands with its housekeeping; the stages after ``living`` are those of a deleted one."""

    LIVING = "living"
    PURGE = "purge"
    PURGE_AGAIN = "purge_again"
    KEYS = "keys"


@dataclass(frozen=True, slots=True)
class Keeping:
    """
    What housekeeping has done for one connection, and when it goes on; days are ``YYYYMMDD`` in UTC.

    All mail of *expired_day* and before has lost its content, all blobs of *swept_day* and before are those of a
    receipt, the run log of *logged_day* and before is gone. *cursor* is how far within the next day a run came.
    *entries_upto* is the time before which outgoing mail has lost its content, *sweep_cursor* the last path that was
    looked at of the day that is swept, *purge_cursor* the table and last row that a purge of a deleted one came to,
    *upload_cursor* the row, or after all rows the path, of the last upload that was looked at, '' between two passes.
    *entries_begun* is what *entries_upto* will be once the pass is through that *cursor* belongs to.
    """

    connection_id: str
    seq: int = 0
    next_at: str = ""
    due: str = ""
    stage: Stage = Stage.LIVING
    expired_day: str = ""
    swept_day: str = ""
    logged_day: str = ""
    cursor: str = ""
    entries_upto: str = ""
    sweep_cursor: str = ""
    purge_cursor: str = ""
    upload_cursor: str = ""
    entries_begun: str = ""


@dataclass(frozen=True, slots=True)
class Held:
    """A claimed record as read, with the etag that fences its next write, and storage's time at the claim."""

    record: Keeping
    etag: str
    now: datetime


def keep_key(identifier: str) -> str:
    """Return the row key; it lies outside of what a turn reads of a mailbox."""
    return f"keep|{identifier}"


def shard_of_kept(identifier: str) -> str:
    """Return the partition of a record and its due rows."""
    return shard_of(identifier) if is_connection_id(identifier) else shard_for(identifier)


def first_keeping(connection: Connection, now: datetime) -> list[Operation]:
    """Return the rows that a new connection gets, due for the first time after a day."""
    return started(connection.id, now + EVERY, now)


def started(identifier: str, at: datetime, now: datetime) -> list[Operation]:
    """Return a new record, due at *at*, whose days begin the day before *now*."""
    due, before = DueRow(at, KEEP, identifier, 1), f"{now - EVERY:%Y%m%d}"
    record = Keeping(
        identifier,
        1,
        to_text(at),
        due.key,
        expired_day=before,
        swept_day=before,
        logged_day=before,
        entries_upto=to_text(now),
    )
    return [Insert(keep_key(identifier), encode(record)), Upsert(due.key, due.values)]


def begin_system(table: Table, now: datetime) -> None:
    """Write the record of what belongs to no connection unless it is there. Raises `StorageUnavailable`."""
    with suppress(RowExists):
        table.commit(shard_of_kept(SYSTEM), started(SYSTEM, now + EVERY, now - TICKETS_FROM))


def deleted(row: Row | None, connection_id: str, now: datetime) -> list[Operation]:
    """
    Return the rows that have what is kept of a connection purged that is deleted *now*; *row* is its record.

    The first purge comes once whoever worked for the connection has ended.
    """
    before, at = decode(Keeping, row.values) if row else Keeping(connection_id), now + LONGEST_WORK
    due = DueRow(at, KEEP, connection_id, before.seq + 1)
    after = replace(before, seq=due.seq, next_at=to_text(at), due=due.key, stage=Stage.PURGE)
    key = keep_key(connection_id)
    write: Operation = Update(key, encode(after), row.etag) if row else Insert(key, encode(after))
    return [write, Upsert(due.key, due.values)]


def claim(table: Table, wakeup: Wakeup) -> Held | None:
    """
    Take the work that is due under the record of the woken id, until the claim ends; None where none is due.

    Raises `RowChanged` where another took it, `StorageUnavailable`: the due row fires again by itself.
    """
    shard, key = shard_of_kept(wakeup.id), keep_key(wakeup.id)
    read = table.read(shard, key, f"{key}~", 1)
    rows = [row for row in read.rows if row.key == key]
    before = decode(Keeping, rows[0].values) if rows else None
    if before is None or not before.next_at or from_text(before.next_at) > read.storage_time + timedelta(seconds=1):
        _drop_stray(table, shard, before, wakeup)
        return None
    return _written(table, Held(before, rows[0].etag, read.storage_time), before, read.storage_time + CLAIM, wakeup.due)


def save(table: Table, held: Held, after: Keeping, at: datetime) -> Held:
    """Write *after*, due at *at*. Raises `RowChanged` or `RowMissing` where another changed or removed the record."""
    return _written(table, held, after, at, "")


def remove(table: Table, held: Held) -> None:
    """Remove the record and its due row. Raises `RowChanged` or `RowMissing` where another wrote or removed it."""
    identifier = held.record.connection_id
    table.commit(shard_of_kept(identifier), [Delete(keep_key(identifier), held.etag)])
    end(table, held.record.due, identifier)


def end(table: Table, due: str, identifier: str) -> None:
    """Remove a due row for which there is no record any more; one that is left is removed when it fires."""
    with suppress(RowMissing):
        table.commit(shard_of_kept(identifier), [Delete(due, ANY)])


def _written(table: Table, held: Held, after: Keeping, at: datetime, fired: str) -> Held:
    identifier, seq = after.connection_id, held.record.seq + 1
    due = DueRow(at, KEEP, identifier, seq)
    after = replace(after, seq=seq, next_at=to_text(at), due=due.key)
    key, shard = keep_key(identifier), shard_of_kept(identifier)
    operations: list[Operation] = [Update(key, encode(after), held.etag), Upsert(due.key, due.values)]
    ended = [old for old in {fired, held.record.due} if old not in ("", due.key)]
    while True:
        try:
            done = table.commit(shard, [*operations, *(Delete(old, ANY) for old in ended)])
        except RowMissing as error:  # the tick moves due rows before it wakes anyone
            if error.key not in ended:
                raise
            ended.remove(error.key)
        else:
            return Held(after, done.etags[0], held.now)


def _drop_stray(table: Table, shard: str, record: Keeping | None, wakeup: Wakeup) -> None:
    """Remove the due row that fired, unless it is the record's own or stands for one that the tick has moved."""
    if not wakeup.due or (record is not None and record.due == wakeup.due):
        return
    if record is not None and record.due and table.get(shard, record.due) is None:
        return
    with suppress(RowMissing):
        table.commit(shard, [Delete(wakeup.due, ANY)])
