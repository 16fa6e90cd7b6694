"""Drafts that nobody will ever send: made by workers that died, or for mails that were given up. They are removed."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from shared.errors import Fault
from shared.identifiers import box_of, split_entry_id
from shared.outbox.rows import Entry
from shared.outbox.work import Status
from shared.ports import GraphMailbox, GraphSent, Marked, Table
from shared.rows import UnreadableRow
from shared.send.guard import Guard
from shared.send.storing import read_entry
from shared.times import to_text

log = logging.getLogger("mailgrant.send")

OLD = timedelta(hours=24)
_EVIDENCE = frozenset({Status.SENDING, Status.OUTCOME_UNKNOWN})


@dataclass(frozen=True, slots=True)
class Orphans:
    """Removes old drafts of one mailbox, under its turn; *failed* is told of a fault of Graph."""

    outbox: Table
    graph: GraphSent
    guard: Guard
    mailbox: GraphMailbox
    now: Callable[[], datetime]
    failed: Callable[[Fault], None]

    def tidy(self, box: str) -> None:
        """
        Remove the orphans of the connections of this *box*, also of deleted ones, for which nobody works any more.

        Raises `TurnLost`, `StorageUnavailable`.
        """
        before = to_text((self.now() - OLD).replace(microsecond=0))
        try:
            for draft in self.guard.call(lambda: self.graph.old_drafts(self.mailbox, before)):
                parts = split_entry_id(draft.marker)
                entry = self._entry(draft.marker) if parts and box_of(parts[0]) == box else None
                if entry is not None and is_orphan(draft, entry):
                    self._remove(draft)
        except Fault as fault:
            log.info("send.not_tidied code=%s", fault.code.value)
            self.failed(fault)

    def _entry(self, entry_id: str) -> Entry | None:
        try:
            return read_entry(self.outbox, entry_id)
        except UnreadableRow as error:
            log.warning("rows.unreadable entry_id=%s reason=%s", entry_id, error)
            return None

    def _remove(self, draft: Marked) -> None:
        """Remove a draft that is still one: a person may have sent it this moment."""
        present = self.guard.call(lambda: self.graph.get(self.mailbox, draft.id))
        if present is not None and present.is_draft:
            self.guard.call(lambda: self.graph.remove(self.mailbox, draft.id))
            log.info("send.orphan_removed entry_id=%s", draft.marker)


def is_orphan(draft: Marked, entry: Entry) -> bool:
    """
    Tell whether an old draft will never be sent, nor tells anything of a mail.

    While a mail is being sent, or nobody knows whether it was, every draft of it is evidence.
    """
    if not draft.is_draft or entry.status in _EVIDENCE:
        return False
    unattempted = entry.status in (Status.CANCELLED, Status.FAILED) and not entry.attempt
    return unattempted or draft.id != entry.draft_id
