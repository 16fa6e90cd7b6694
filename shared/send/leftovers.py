"""What becomes of open mails whose connection was deleted: each gets an end that is true."""

import logging
from contextlib import suppress
from datetime import datetime

from shared.outbox import moves
from shared.outbox.rows import WORK_FIRST, WORK_LAST
from shared.outbox.work import OPEN
from shared.send.storing import Held, RaceLost, Writer

log = logging.getLogger("mailgrant.send")

PAGE = 200


def end_leftovers(writer: Writer, now: datetime) -> None:
    """End every open mail of the connection; only while nobody drains its mailbox. Raises `StorageUnavailable`."""
    first, ended = WORK_FIRST, 0
    while True:
        rows = writer.table.read(writer.partition, first, WORK_LAST, PAGE).rows
        for row in rows:
            try:
                held = Held.of(row)
            except ValueError:
                log.warning("send.unreadable_row key=%s", row.key)
                continue
            if held.work.status not in OPEN:
                writer.finish([held])
                continue
            with suppress(RaceLost):  # a cancellation was quicker
                writer.write(held, moves.abandon(held.work, now))
            ended += 1
        if len(rows) < PAGE:
            break
        first = f"{rows[-1].key}-"
    if ended:
        log.info("send.abandoned connection_id=%s count=%d", writer.partition, ended)
