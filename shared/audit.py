"""Who did what, when: rows that are only ever added."""

import logging
from dataclasses import dataclass

from shared.identifiers import new_ulid
from shared.ports import Clock, Insert, Table
from shared.times import to_inverted_key, to_text

log = logging.getLogger("mailgrant.audit")


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
        values = {"action": action, "outcome": outcome, "at": to_text(now), **subject}
        self.table.commit(now.strftime("%Y%m"), [Insert(key, values)])
        log.info("audit.written action=%s outcome=%s", action, outcome)
