"""
When does Graph answer 429, and how does it say for how long.

Limits count per app and mailbox: four requests at once, 10,000 in ten minutes, 150 MB written in five minutes.
"""

from __future__ import annotations

import itertools
from collections import Counter
from contextlib import contextmanager
from email.utils import formatdate
from typing import TYPE_CHECKING

from localcloud.mail.errors import MailError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from localcloud.mail.mailboxes import Mailboxes
    from localcloud.mail.store import Mailbox

_REQUEST_WINDOW_SECONDS = 600
_UPLOAD_WINDOW_SECONDS = 300
_DEFAULTS = {"mailbox_concurrency": 4, "mailbox_requests": 10_000, "mailbox_upload_mb": 150}


class Throttle:
    """Counts what each app does to each mailbox."""

    def __init__(self, mailboxes: Mailboxes) -> None:
        self._mailboxes = mailboxes
        self._in_flight: Counter[tuple[str, str]] = Counter()
        self._windows: dict[tuple[str, str, str], tuple[int, int]] = {}
        self._forms = itertools.cycle(("int", "decimal", "date", "none"))

    @contextmanager
    def permit(self, app_id: str, mailbox: Mailbox, written_bytes: int) -> Iterator[None]:
        """
        Hold one of the mailbox's four places. *written_bytes* is the size of the request's body.

        Raises:
            MailError: 429 ApplicationThrottled; the refused request counts all the same.
        """
        key = (app_id, mailbox.user.id)
        requests = self._count((*key, "requests"), 1, _REQUEST_WINDOW_SECONDS)
        written = self._count((*key, "bytes"), written_bytes, _UPLOAD_WINDOW_SECONDS)
        if self._in_flight[key] >= self._limit("mailbox_concurrency", mailbox):
            raise self._refusal("Application is over its MailboxConcurrency limit.")
        if requests > self._limit("mailbox_requests", mailbox):
            raise self._refusal("Application is over its MailboxRequests limit.")
        if written > self._limit("mailbox_upload_mb", mailbox) * 1024 * 1024:
            raise self._refusal("Application is over its MailboxUpload limit.")
        self._in_flight[key] += 1
        counters = self._mailboxes.world.counters
        counters["graph_peak_concurrency"] = max(counters["graph_peak_concurrency"], self._in_flight[key])
        try:
            yield
        finally:
            self._in_flight[key] -= 1

    def retry_after(self) -> dict[str, str]:
        """Return the Retry-After header in the form of the mode ``retry_after_form``."""
        modes = self._mailboxes.world.modes
        seconds = float(modes.get("retry_after_seconds", 1))
        form = modes.get("retry_after_form", "int")
        if form == "cycle":
            form = next(self._forms)
        if form == "none":
            return {}
        if form == "decimal":
            return {"Retry-After": f"{seconds + 0.128:.3f}"}
        if form == "date":
            return {"Retry-After": formatdate(self._mailboxes.world.clock() + seconds, usegmt=True)}
        return {"Retry-After": str(max(1, round(seconds)))}

    def _limit(self, name: str, mailbox: Mailbox) -> float:
        return float(self._mailboxes.mode(name, _DEFAULTS[name], mailbox.user.address))

    def _count(self, key: tuple[str, str, str], amount: int, window_seconds: int) -> int:
        """Add *amount* to what was counted in the present window and return the sum."""
        window = int(self._mailboxes.world.clock() // window_seconds)
        known, counted = self._windows.get(key, (window, 0))
        total = amount + (counted if known == window else 0)
        self._windows[key] = (window, total)
        return total

    def _refusal(self, message: str) -> MailError:
        self._mailboxes.world.counters["graph_throttled"] += 1
        return MailError(429, "ApplicationThrottled", message, self.retry_after())
