"""Who did what, when: rows that are only ever added."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime

from shared.errors import RowExists
from shared.identifiers import new_ulid
from shared.ports import Clock, Insert, Table
from shared.times import to_inverted_key, to_text

log = logging.getLogger("mailgrant.audit")

_actor: ContextVar[str] = ContextVar("actor", default="system")


@contextmanager
def acting(actor: str) -> Iterator[None]:
    """
    Say who does what happens inside: ``key:<hash>``, ``browser``, or ``system``, which is whoever said nothing.

    A use case need not know its caller; the host runs each invocation in a context of its own.
    """
    before = _actor.set(actor)
    try:
        yield
    finally:
        _actor.reset(before)


@dataclass(frozen=True, slots=True)
class Audit:
    """Writes the audit log: one partition per month, newest first."""

    table: Table
    clock: Clock

    def write(self, action: str, outcome: str, **subject: str) -> None:
        """
        Add a row: what was done (such as ``consent.callback``), how it ended, and the ids that it was about.

        Ids and codes only. Raises `StorageUnavailable`.
        """
        now = self.clock()
        key = f"{to_inverted_key(now)}|{new_ulid(int(now.timestamp() * 1000))}"
        values = {"action": action, "outcome": outcome, "at": to_text(now), "actor": _actor.get(), **subject}
        self.table.commit(now.strftime("%Y%m"), [Insert(key, values)])
        log.info("audit.written action=%s outcome=%s", action, outcome)

    def once(self, mark: str, moment: datetime, action: str, outcome: str, **subject: str) -> bool:
        """
        Add a row for what became true at *moment*, known by *mark*; a repeat adds nothing and returns False.

        Raises `StorageUnavailable`.
        """
        values = {"action": action, "outcome": outcome, "at": to_text(moment), "actor": _actor.get(), **subject}
        try:
            self.table.commit(moment.strftime("%Y%m"), [Insert(f"{to_inverted_key(moment)}|{mark}", values)])
        except RowExists:
            return False
        log.info("audit.written action=%s outcome=%s", action, outcome)
        return True
