"""
One mail, one step after another: draft, intent, send, accepted; and look before repeating.

Every step is decided on the recorded state and written before the next outward effect, so that a worker may die between
any two of them.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from shared.codes import Code
from shared.connections import Back
from shared.errors import CredentialFault, Fault, GrantFault, ItemFault, MailboxFault, RecordedFault, Throttled
from shared.outbox import moves
from shared.outbox.work import Periods, Phase, Status, Work
from shared.send.drafting import Drafting
from shared.send.late import Patience
from shared.send.look import Sight, look
from shared.send.storing import Held, RaceLost, Writer
from shared.telemetry import measure
from shared.times import from_text, to_text

log = logging.getLogger("mailgrant.send")

RETRIES = Back(5, 900)
MAILBOX_WIDE = (CredentialFault, GrantFault, MailboxFault, Throttled)
"""Faults that meet every mail of the mailbox alike, so that a drain ends at the first."""


class Pause(Exception):
    """Graph asked to be left alone for *seconds*; *held* was accepted all the same."""

    def __init__(self, held: Held, seconds: float) -> None:
        super().__init__("pause")
        self.held = held
        self.seconds = seconds


@dataclass(frozen=True, slots=True)
class Sender:
    """Advances mails of one connection under the turn; *now* follows storage's time."""

    writer: Writer
    drafting: Drafting
    patience: Patience
    periods: Periods
    now: Callable[[], datetime]

    def advance(self, held: Held) -> Held:
        """
        Take the mail as far as it goes now and return where it stands.

        Raises a fault of `MAILBOX_WIDE` once it is recorded, `Pause` after an acceptance, `TurnLost` and `RaceLost`
        where this worker must not write any more, `StorageUnavailable`.
        """
        work = held.work
        if work.phase == Phase.CALLING:  # its worker died, or could not write down what it was told
            return self.writer.write(held, self._unknown(work, None))
        if work.phase == Phase.LOOKING:
            return self._look(held)
        if (late := self.patience.end(held, self.now())) is not None:
            return late
        if work.phase == Phase.REFUSED:
            self.drafting.guard.check()
            return self._again(held)
        return self._first(held) if work.status == Status.QUEUED else held

    def broken(self, held: Held) -> Held:
        """Write down that our own code failed on this mail, so that it cannot hold up the others for ever."""
        detail = "Something failed on our side while this mail was sent. The logs name it by its id."
        fault = RecordedFault(Code.INTERNAL_ERROR.value, detail, to_text(self.now()), retryable=True)
        work, wait = held.work, RETRIES.after(held.work.failures + 1)
        if work.status == Status.QUEUED and work.failures >= moves.MOST_FAILURES:
            return self.writer.write(held, moves.fail(work, fault, self.now()))
        if work.status == Status.QUEUED:
            return self.writer.write(held, moves.postpone(work, fault, wait, self.now()))
        if work.phase == Phase.LOOKING:
            return self.writer.write(held, moves.look_failed(work, fault, self.periods.gap + wait, self.now()))
        return held

    def _again(self, held: Held) -> Held:
        if not held.work.direct:
            return self._send(self.writer.write(held, moves.attempt_again(held.work, self.now())))
        return self._directly(held, moves.attempt_again)

    def _directly(self, held: Held, move: Callable[[Work, datetime], Work]) -> Held:
        try:
            mime = self.drafting.whole(held.work, self.now())
        except Fault as fault:
            return self._no_draft(held, fault)
        self.drafting.guard.check()
        intended = self.writer.write(held, move(held.work, self.now()))
        return self._send(intended, mime)

    def _first(self, held: Held) -> Held:
        if not self.drafting.mailbox.may_draft:
            return self._directly(held, moves.attempt_direct)
        try:
            draft = self.drafting.make(held.work, self.now())
        except Fault as fault:
            return self._no_draft(held, fault)
        try:
            self.drafting.guard.check()
            wanted = moves.attempt(held.work, draft.id, draft.internet_message_id, self.now())
            intended = self.writer.write(held, wanted)
        except RaceLost:
            self.drafting.discard(draft.id)
            raise
        return self._send(intended)

    def _no_draft(self, held: Held, fault: Fault) -> Held:
        if isinstance(fault, MAILBOX_WIDE):
            raise fault
        recorded, now = fault.recorded(to_text(self.now())), self.now()
        vanished = fault.code == Code.MESSAGE_NOT_FOUND  # the draft was removed while files were attached
        if fault.retryable or vanished:
            wait = RETRIES.after(held.work.failures + 1, fault.retry_after)
            return self.writer.write(held, moves.postpone(held.work, recorded, wait, now))
        return self.writer.write(held, moves.fail(held.work, recorded, now))

    def _send(self, held: Held, mime: bytes = b"") -> Held:
        graph, mailbox = self.drafting.graph, self.drafting.mailbox
        try:
            pause = self.drafting.guard.call(
                lambda: graph.send_mail(mailbox, mime) if held.work.direct else graph.send(mailbox, held.work.draft_id)
            )
        except Fault as fault:
            return self._not_sent(held, fault)
        accepted = self._accepted(held)
        log.info("send.accepted entry_id=%s attempt=%d", held.work.id, held.work.attempt)
        since = from_text(held.work.not_before or held.work.created_at)
        measure("send_seconds", (self.now() - since).total_seconds(), entry_id=held.work.id)
        if pause:
            raise Pause(accepted, pause)
        return accepted

    def _accepted(self, held: Held) -> Held:
        """Write down a 202, even if another worker noted meanwhile that the outcome is unknown."""
        draft_id = held.work.draft_id
        for _ in range(3):
            try:
                return self.writer.write(held, moves.answered(held.work, self.now()))
            except RaceLost:
                present = self.writer.read(held.work.id)
                if present is None or present.work.status != Status.SENDING or present.work.draft_id != draft_id:
                    raise
                held = present
        raise RaceLost

    def _not_sent(self, held: Held, fault: Fault) -> Held:
        work, now = held.work, self.now()
        recorded = fault.recorded(to_text(now))
        gone = isinstance(fault, ItemFault) and fault.code == Code.MESSAGE_NOT_FOUND
        doubtful = work.unknown > 0 and (gone or isinstance(fault, MailboxFault))
        if fault.outcome_unknown or doubtful:
            after = self._unknown(work, recorded)
        elif gone and not work.direct:
            removed = RecordedFault(Code.DRAFT_REMOVED.value, "The draft was removed before it was sent.", to_text(now))
            after = moves.removed(work, removed, now)
        elif fault.retryable or isinstance(fault, MAILBOX_WIDE):
            after = moves.refused(work, recorded, RETRIES.after(work.failures + 1, fault.retry_after), now)
        else:
            after = moves.fail(work, recorded, now)
        written = self.writer.write(held, after)
        log.info("send.not_accepted entry_id=%s phase=%s code=%s", work.id, after.phase, fault.code)
        if isinstance(fault, MAILBOX_WIDE):
            raise fault
        return written

    def _unknown(self, work: Work, fault: RecordedFault | None) -> Work:
        """Return the state after an attempt whose answer is not known, as *fault* says, or as nobody does."""
        if work.direct:
            return moves.lost_direct(work, self.now())
        return moves.lost(work, fault, self.periods, self.now())

    def _look(self, held: Held) -> Held:
        work, drafting = held.work, self.drafting
        if (late := self.patience.end(held, self.now())) is not None:
            return late
        try:
            seen = look(drafting.graph, drafting.mailbox, drafting.guard, work)
        except Fault as fault:
            return self._no_look(held, fault)
        now = self.now()
        if seen.sight == Sight.SENT:
            return self.writer.write(held, moves.found(work, seen.internet_message_id, now))
        if seen.sight == Sight.NOTHING:
            return self.writer.write(held, moves.saw_nothing(work, self.periods, now))
        return self._saw_draft(held, moves.saw_draft(work, self.periods, now), now)

    def _saw_draft(self, held: Held, seen: Work, now: datetime) -> Held:
        if not moves.proved_unsent(seen, self.periods, now):
            return self.writer.write(held, seen)
        against = seen.refusal or (self.patience.fault(now) if self.patience.is_over(seen, now) else None)
        if against is not None:
            return self.writer.write(held, moves.conclude_unsent(seen, against, self.periods, now))
        self.drafting.guard.check()
        return self._send(self.writer.write(held, moves.repeat(seen, self.periods, now)))

    def _no_look(self, held: Held, fault: Fault) -> Held:
        now = self.now()
        wait = max(RETRIES.after(held.work.looks + 1, fault.retry_after), self.periods.gap)
        written = self.writer.write(held, moves.look_failed(held.work, fault.recorded(to_text(now)), wait, now))
        if isinstance(fault, MAILBOX_WIDE):
            raise fault
        return written
