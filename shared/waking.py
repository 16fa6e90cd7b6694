"""How someone is woken: the record and its due row come first, so that a lost message only costs a minute."""

import logging

from shared.errors import StorageError
from shared.ports import Wakeups
from shared.schedule import QUEUES, Wakeup

log = logging.getLogger("mailgrant.waking")


def wake(wakeups: Wakeups, wakeup: Wakeup) -> None:
    """Put *wakeup*; where the queue does not answer, the due row that stands behind it fires instead."""
    try:
        wakeups.put(QUEUES[wakeup.kind], wakeup.to_body())
    except StorageError as error:
        log.warning("waking.failed kind=%s id=%s code=%s", wakeup.kind, wakeup.id, error.code.value)
