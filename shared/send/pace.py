"""How fast one mailbox sends: so many mails a minute, and so many bytes in five minutes; smoothed, never refused."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from shared.times import from_text, to_text
from shared.turns import Turn

UPLOAD_BYTES = 150 * 1024 * 1024
"""What Graph takes by POST, PUT and PATCH for one app and mailbox in five minutes (Outlook service limits)."""
UPLOAD_SECONDS = 300.0
SMOOTHING_SECONDS = 10.0
"""A drain that has used up its rate comes back for what this long brings, so that not every mail costs a claim."""


class LaterError(Exception):
    """The mail is to be sent at *at*; nothing of it was done yet."""

    def __init__(self, at: datetime) -> None:
        super().__init__("later")
        self.at = at


@dataclass
class Pace:
    """
    The buckets of the mailbox of *turn*, which keeps them; *rate* mails a minute, as many at once, 0 for no limit.

    Mails of all connections of a mailbox that have a rate are counted together. A holder that dies forgets what it
    counted since its last renewal, a quarter of a lease at most.
    """

    turn: Turn
    rate: int
    now: Callable[[], datetime]
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self) -> bool:
        """Count one mail; False where it has to wait until `next_at`."""
        if not self.rate:
            return True
        with self._lock:
            now = self.now()
            level = self._level(now)
            if level < 1:
                return False
            self.turn.keep(send_tokens=level - 1, send_refilled_at=to_text(now))
            return True

    def next_at(self) -> datetime:
        """Return when it is worth coming back for more mails."""
        with self._lock:
            now = self.now()
            wanted = max(1.0, min(self.rate, self.rate * SMOOTHING_SECONDS / 60))
            missing = max(0.0, wanted - self._level(now))
            return now + timedelta(seconds=missing * 60 / max(self.rate, 1))

    def upload(self, size: int) -> None:
        """
        Count *size* bytes that are about to go up; raises `LaterError` where the mailbox has had too many.

        A mail larger than all that is allowed goes once nothing else has gone up for five minutes.
        """
        with self._lock:
            now, box = self.now(), self.turn.box
            passed = (now - from_text(box.uploaded_at)).total_seconds() if box.uploaded_at else UPLOAD_SECONDS
            per_second = UPLOAD_BYTES / UPLOAD_SECONDS
            standing = max(0.0, box.uploaded_bytes - max(passed, 0.0) * per_second)
            over = standing + size - UPLOAD_BYTES
            if over > 0 and standing > 0:
                raise LaterError(now + timedelta(seconds=min(over, standing) / per_second))
            self.turn.keep(uploaded_bytes=standing + size, uploaded_at=to_text(now))

    def _level(self, now: datetime) -> float:
        box = self.turn.box
        if not box.send_refilled_at:
            return float(self.rate)
        passed = max(0.0, (now - from_text(box.send_refilled_at)).total_seconds())
        return min(float(self.rate), max(0.0, box.send_tokens) + passed * self.rate / 60)
