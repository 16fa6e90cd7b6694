"""How a drain hears of accepted mail: a due row of the minute, and one queue message for all mails of a moment."""

import logging
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime

from shared.connections import Connection
from shared.errors import RowExists, StorageUnavailable
from shared.ports import Table, Wakeups
from shared.schedule import QUEUES, SEND, DueRow, Wakeup, minute_bucket

log = logging.getLogger("mailgrant.send")

BURST_SECONDS = 1.0
"""A mail that follows another one's message sooner than this does not get its own at once."""
HIDDEN_SECONDS = 2.0
"""How long the message for such a mail stays hidden, so that others share it."""
_ROUNDING_SECONDS = 1.0  # storage may keep a message's time in whole seconds, and so show it earlier
_LONGEST_SECONDS = 300.0
_QUEUEING_SECONDS = 0.25
_MOST_KNOWN = 4096


class DueRows:
    """Makes sure of a connection's due row of the minute, at most once a minute and process."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._minute: datetime | None = None
        self._sure: set[str] = set()
        self._lock = threading.Lock()

    def ensure(self, connection: Connection, now: datetime) -> None:
        """Have a row that fires within 3 minutes, whatever becomes of the wake-up. Raises `StorageUnavailable`."""
        minute = minute_bucket(now)
        with self._lock:
            if self._minute != minute:
                self._minute, self._sure = minute, set()
            if connection.id in self._sure:
                return
        with suppress(RowExists):
            self._table.commit(connection.shard, [DueRow(minute, SEND, connection.id).insert()])
        with self._lock:
            if self._minute == minute:
                self._sure.add(connection.id)


@dataclass(slots=True)
class _Messages:
    """
    What this process knows of one connection's messages, in monotonic seconds.

    *shown_at* is when one was last put for all to see, *hidden_until* when the hidden one can be seen at the earliest;
    *lock* orders who puts the next.
    """

    shown_at: float | None = None
    hidden_until: float = 0.0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def cover(self, now: float, due_in: float) -> bool:
        """Tell whether a message that nobody can have seen by *now* will be seen in time for a mail due then."""
        return now < self.hidden_until <= now + max(due_in, HIDDEN_SECONDS)


class SharedWakeups:
    """
    Wakes the drains of connections, by one queue message for many mails. Thread-safe.

    Whoever gets a message that was still hidden when a mail was stored finds that mail, so it needs no other. What is
    known of messages is this process's own: their put was answered, and storage cannot have shown them before their
    time. Other instances put their own.
    """

    def __init__(self, wakeups: Wakeups, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._wakeups = wakeups
        self._monotonic = monotonic
        self._known: dict[str, _Messages] = {}

    def wake(self, connection_id: str, due_in: float = 0.0) -> None:
        """
        Have a drain look at the connection in *due_in* seconds; call it only once the mail is stored.

        A message that cannot be put is covered by the due row of the minute.
        """
        messages = self._messages(connection_id)
        # Who comes second waits for the first one's message, but not for a queue that does not answer.
        mine = messages.lock.acquire(timeout=_QUEUEING_SECONDS)
        try:
            self._put(connection_id, messages, due_in)
        except StorageUnavailable:
            log.warning("send.wakeup_lost connection_id=%s", connection_id)
        finally:
            if mine:
                messages.lock.release()

    def _put(self, connection_id: str, messages: _Messages, due_in: float) -> None:
        now = self._monotonic()
        if messages.cover(now, due_in):
            return
        lone = messages.shown_at is None or now - messages.shown_at >= BURST_SECONDS
        delay = min(max(due_in, 0.0 if lone else HIDDEN_SECONDS), _LONGEST_SECONDS)
        self._wakeups.put(QUEUES[SEND], Wakeup(SEND, connection_id).to_body(), delay)
        if delay:
            messages.hidden_until = now + delay - _ROUNDING_SECONDS
        else:
            messages.shown_at = now

    def _messages(self, connection_id: str) -> _Messages:
        if len(self._known) > _MOST_KNOWN:
            self._known = {}  # who is forgotten gets one message more
        return self._known.setdefault(connection_id, _Messages())
