"""Mails for much later: their progress rows stand apart, so that no drain reads them before their time."""

import logging
from contextlib import suppress
from datetime import datetime

from shared.errors import RowExists, RowMissing
from shared.outbox.rows import TIMED_FIRST, TIMED_LAST, later_key, timed_key, work_key
from shared.outbox.work import Work
from shared.ports import ANY, Delete, Insert, Operation, Row
from shared.rows import LOOK_AGAIN, decode
from shared.send.storing import TRANSACTION, Writer
from shared.times import from_key

log = logging.getLogger("mailgrant.send")

AT_ONCE = TRANSACTION // 3


def bring_forward(writer: Writer, now: datetime) -> datetime | None:
    """
    Put the progress rows of mails whose time has come where every drain looks; return when the next one's comes.

    Only a cancellation may come between, which finds its row in either place. What cannot be read is passed by, and
    looked at again later. Raises `StorageUnavailable`.
    """
    first, again = TIMED_FIRST, None
    while True:
        rows = writer.table.read(writer.partition, first, TIMED_LAST, AT_ONCE).rows
        known = [row for row in rows if _is_known(row)]
        again = again or (now + LOOK_AGAIN if len(known) < len(rows) else None)
        due = [row for row in known if _time(row) <= now]
        if due:
            _move(writer, due)
        if len(due) < len(known):
            return min(_time(known[len(due)]), again or _time(known[len(due)]))
        if len(rows) < AT_ONCE:
            return again
        first = f"{rows[-1].key}-"


def _move(writer: Writer, due: list[Row]) -> None:
    try:
        writer.table.commit(writer.partition, [operation for row in due for operation in _moving(row)])
    except (RowMissing, RowExists):
        if len(due) > 1:
            for row in due:
                _move(writer, [row])
            return
        with suppress(RowMissing):  # cancelled, which removes both rows
            writer.table.commit(writer.partition, [Delete(due[0].key, ANY)])
        return
    log.info("send.due connection_id=%s count=%d", writer.partition, len(due))


def _moving(row: Row) -> list[Operation]:
    """Return what moves one mail; its row has not changed since it was made, since nobody works on it till now."""
    work = decode(Work, row.values)
    return [Delete(later_key(work.id), ANY), Insert(work_key(work.id), row.values), Delete(timed_key(work), ANY)]


def _is_known(row: Row) -> bool:
    """Tell whether a row can be read; what cannot is left alone, lest it hold up the mailbox's other mail."""
    try:
        _time(row)
        decode(Work, row.values)
    except (ValueError, IndexError, OverflowError):
        log.warning("rows.unreadable key=%s reason=%s", row.key, "no Work")
        return False
    return True


def _time(row: Row) -> datetime:
    return from_key(row.key.split("|")[1])
