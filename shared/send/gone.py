"""What a deleted connection left for its mailbox: open mails get their ends at once, and old drafts go a day later."""

import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from shared.aftercare import TIDY_AFTER
from shared.connection_rows import Tombstone, tombstone_key
from shared.connections import Direction
from shared.errors import Fault, NotFound, Throttled, Unreachable
from shared.identifiers import shard_of
from shared.ports import GraphMailbox, GraphSent, Table, Wakeups
from shared.rows import decode
from shared.schedule import FETCH, SEND, Wakeup
from shared.send.claim import drop_due, fire_after_lease
from shared.send.guard import Guard
from shared.send.leftovers import end_leftovers
from shared.send.orphans import Orphans
from shared.send.storing import Writer
from shared.times import from_text
from shared.turns import Turn, TurnLost, Turns, View
from shared.waking import wake

log = logging.getLogger("mailgrant.send")

LONGEST_TRYING = timedelta(days=2)
"""How long after its deletion the mailbox is asked again where Graph gave no answer; a refusal ends it at once."""


@dataclass
class Gone:
    """
    The work that a deleted connection left; *graph* is None where drafts cannot be listed.

    *right* returns the right to call Graph for a mailbox under a grant, or raises `Fault` or `NotFound`.
    """

    turns: Turns
    outbox: Table
    wakeups: Wakeups
    graph: GraphSent | None
    right: Callable[[str, str], GraphMailbox]
    _faults: list[Fault] = field(default_factory=list)

    def end(self, wakeup: Wakeup, view: View) -> None:
        """
        Do what is due for the connection that *wakeup* names, unless somebody works for the mailbox at this moment.

        Raises `StorageUnavailable`: the due row that fired stands, and fires again.
        """
        if not view.box.free_for(SEND, view.storage_time):
            fire_after_lease(self.turns, view, wakeup)
            return
        end_leftovers(Writer(self.outbox, wakeup.id, follow=False), view.storage_time)
        if wakeup.due and self._tidied(wakeup, view):
            drop_due(self.turns, wakeup)

    def _tidied(self, wakeup: Wakeup, view: View) -> bool:
        """Remove old drafts once they are old enough; return False where the due row must fire again."""
        row = self.turns.table.get(shard_of(wakeup.id), tombstone_key(wakeup.id))
        stone = decode(Tombstone, row.values) if row else None
        if self.graph is None or stone is None or from_text(stone.deleted_at) + TIDY_AFTER > view.storage_time:
            return True
        if view.paused_until() is not None:
            return False
        turn = self.turns.claim(view, SEND, lambda _: [])
        if turn is None:
            fire_after_lease(self.turns, view, wakeup)
            return False
        with suppress(TurnLost):
            self._tidy(stone, turn, self.graph)
            self._release(turn)
            late = from_text(stone.deleted_at) + LONGEST_TRYING <= view.storage_time
            return late or not any(isinstance(fault, Throttled | Unreachable) for fault in self._faults)
        return False

    def _tidy(self, stone: Tombstone, turn: Turn, graph: GraphSent) -> None:
        try:
            mailbox = self.right(stone.grant_id, stone.mailbox)
        except (Fault, NotFound) as fault:
            self._faults += [fault] if isinstance(fault, Fault) else []
            log.info("send.not_tidied code=%s", fault.code.value)
            return
        if mailbox.may_draft:
            started, read_at = turn.view.storage_time, turn.view.read_at

            def now() -> datetime:
                return started + timedelta(seconds=self.turns.monotonic() - read_at)

            Orphans(self.outbox, graph, Guard(turn), mailbox, now, self._faults.append).tidy(turn.box_hash)

    def _release(self, turn: Turn) -> None:
        """Give the turn up, and wake whoever may have waited for it: their own wake-ups are spent."""
        while not (released := turn.release()).done:
            turn.scan_begins()
        for one in turn.view.connections.values():
            run = turn.view.runs.get(one.id)
            if one.direction is Direction.OUTGOING:
                wake(self.wakeups, Wakeup(SEND, one.id))
            elif released.wake == FETCH and run is not None:
                wake(self.wakeups, Wakeup(FETCH, one.id, run.seq))
