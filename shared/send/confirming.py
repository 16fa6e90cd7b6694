"""What became of accepted mail: its copy in Sent Items makes it sent, a report of failure makes it bounced."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from shared.aftercare import KEPT, Aftercare
from shared.bounces import bounce, read_report
from shared.errors import Fault, ItemFault
from shared.following import Followed, Following
from shared.identifiers import short_hash, split_entry_id
from shared.outbox import moves
from shared.outbox.rows import WORK_FIRST, WORK_LAST
from shared.outbox.work import Status, Work
from shared.ports import REPORTS_LISTED, GraphMailbox, GraphSent, Marked, Report
from shared.send.guard import Guard
from shared.send.storing import Held, RaceLost, Writer
from shared.times import from_text, to_text

log = logging.getLogger("mailgrant.send")

SLACK = timedelta(minutes=15)
"""How much earlier than its attempt a copy may say that it was received, clocks and drafts considered."""
OVERLAP = timedelta(minutes=10)
"""Reports may become visible a little after younger ones."""
MOST_SEEN = 400
MOST_REPORTS = 20
MOST_DISCARDED = 20
"""How many unwanted copies are removed after one list, so that neither sending nor fetching waits long."""
_UNSURE = frozenset({Status.ACCEPTED, Status.OUTCOME_UNKNOWN, Status.BOUNCED})


@dataclass(frozen=True, slots=True)
class Kept:
    """One connection of the mailbox: where its mails are followed and written, and what is noted of it."""

    following: Following
    writer: Writer
    care: Aftercare


@dataclass(frozen=True, slots=True)
class Confirming:
    """
    Learns what became of one mailbox's mails, under its turn.

    *alarm* is told of a mail that was sent although nobody of ours has sent it; *failed* of a fault of Graph.
    """

    graph: GraphSent
    guard: Guard
    mailbox: GraphMailbox
    first: timedelta
    now: Callable[[], datetime]
    alarm: Callable[[Work], None]
    failed: Callable[[Fault], None]

    def check(self, kept: Mapping[str, Kept]) -> dict[str, Aftercare]:
        """
        List Sent Items and reports once, as far as there is something to learn; return when to do so again.

        Raises `TurnLost`, `StorageUnavailable`; whatever was not written down is learned again.
        """
        followed = {key: self._young(one) for key, one in kept.items()}
        cares = {key: one.care for key, one in kept.items()}
        every, more = [one for of_one in followed.values() for one in of_one], False
        if every:
            try:
                self._copies(kept, followed)
                cares = self._reports(kept, every, cares)
                unwanted = [kept[key] for key, found in followed.items() if any(_unwanted(one) for one in found)]
                more = self._discard(unwanted)
            except Fault as fault:
                log.info("send.not_confirmed code=%s", fault.code.value)
                self.failed(fault)
        now = self.now()
        cares = {key: replace(care, checks=0) if more else care for key, care in cares.items()}
        return {
            key: care.after_check(self.first, now) if followed[key] else Aftercare(tidy_at=care.tidy_at)
            for key, care in cares.items()
        }

    def _young(self, one: Kept) -> list[Followed]:
        """Return what is still followed; what has been for 48 hours stays as it is known."""
        found, limit = one.following.all(), self.now() - KEPT
        old = [item for item in found if from_text(item.work.finished_at or item.work.created_at) <= limit]
        if old:
            one.following.forget(old)
        return [item for item in found if item not in old]

    def _copies(self, kept: Mapping[str, Kept], followed: Mapping[str, list[Followed]]) -> None:
        waiting = {key: [one for one in found if _unsure(one.work)] for key, found in followed.items()}
        begun = [one.work.attempt_at or one.work.created_at for found in waiting.values() for one in found]
        if not begun:
            return
        since = to_text(from_text(min(begun)) - SLACK)
        listed = self.guard.call(lambda: self.graph.sent_copies(self.mailbox, since))
        copies = _Copies([one for one in listed if not one.is_draft])
        for key, found in waiting.items():
            pairs = [(one, copy) for one in found if (copy := copies.of(one.work)) is not None]
            now = self.now()
            changes = [(one, moves.sent(one.work, copy.internet_message_id, copy.id, now)) for one, copy in pairs]
            written = kept[key].following.write(changes)
            if changes:
                log.info("send.confirmed connection_id=%s sent=%d written=%d", key, len(changes), written)
            strange = copies.markers(key) - {one.work.id for one in followed[key]}
            if strange:
                self._early(kept[key].writer, copies, strange)

    def _early(self, writer: Writer, copies: "_Copies", strange: set[str]) -> None:
        """Keep a mail from being sent that lies in Sent Items although it is queued, and raise the alarm."""
        for row in writer.table.read(writer.partition, WORK_FIRST, WORK_LAST, 1000).rows:
            if str(row.values.get("id")) not in strange or row.values.get("status") != Status.QUEUED.value:
                continue
            held = Held.of(row)
            copy = copies.by_marker[held.work.id]
            log.error("send.sent_by_others entry_id=%s", held.work.id)
            self.alarm(held.work)
            try:
                writer.write(held, moves.sent(held.work, copy.internet_message_id, copy.id, self.now()))
            except RaceLost:
                continue

    def _reports(
        self, kept: Mapping[str, Kept], every: list[Followed], cares: dict[str, Aftercare]
    ) -> dict[str, Aftercare]:
        """Read reports that were not read before; return what is noted of them, the same for all connections."""
        noted = min(cares.values(), key=lambda care: care.reports_upto)
        oldest = min(from_text(one.work.attempt_at or one.work.created_at) for one in every) - SLACK
        since = max(oldest, from_text(noted.reports_upto) - OVERLAP) if noted.reports_upto else oldest
        listed = self.guard.call(lambda: self.graph.reports(self.mailbox, to_text(since)))
        fresh = _fresh(listed, noted)
        if not fresh and len(listed) >= REPORTS_LISTED and noted.reports_upto:  # a storm of them fills the overlap
            fresh = _fresh(self.guard.call(lambda: self.graph.reports(self.mailbox, noted.reports_upto)), noted)
        for report in fresh:
            self._read(kept, every, report)
        if not fresh:
            return cares
        seen = (*noted.reports_seen, *(_mark(report) for report in fresh))[-MOST_SEEN:]
        upto = max([noted.reports_upto, *(to_text(from_text(report.received_at)) for report in fresh)])
        return {key: replace(care, reports_upto=upto, reports_seen=seen) for key, care in cares.items()}

    def _read(self, kept: Mapping[str, Kept], every: list[Followed], report: Report) -> None:
        try:
            content = self.guard.call(lambda: self.graph.report_content(self.mailbox, report.id))
        except ItemFault:
            return  # somebody removed it
        now = self.now()
        reported = read_report(content, now)
        if not reported.bounces:
            return
        known = {one.work.id for one in every if reported.concerns(one.work)}
        for entry_id in known | set(reported.markers):
            parts = split_entry_id(entry_id)
            one = kept.get(parts[0]) if parts else None
            if one is not None and one.following.learn(entry_id, lambda work: bounce(work, reported, now)):
                log.info("send.bounced entry_id=%s recipients=%d", entry_id, len(reported.bounces))

    def _discard(self, kept: Sequence[Kept]) -> bool:
        """
        Remove confirmed copies that nobody wants, the oldest first; tell whether more are left.

        Only what still bears the confirmed mail's Message-ID is removed.
        """
        left = MOST_DISCARDED
        for one in kept:
            for item in [item for item in one.following.all() if item.work.copy_id]:
                if not left:
                    return True
                left, work = left - 1, item.work
                if self._removed_copy(work):
                    one.following.write([(item, moves.copy_removed(work, self.now()))])
                    log.info("send.copy_removed entry_id=%s", work.id)
        return False

    def _removed_copy(self, work: Work) -> bool:
        copy = self.guard.call(lambda: self.graph.get(self.mailbox, work.copy_id))
        if copy is None:
            return True
        if copy.is_draft or copy.internet_message_id != work.internet_message_id:
            return False
        self.guard.call(lambda: self.graph.remove(self.mailbox, work.copy_id))
        return True


class _Copies:
    """Messages of Sent Items by everything that may name their mail."""

    def __init__(self, copies: list[Marked]) -> None:
        self.by_marker = {copy.marker: copy for copy in copies if copy.marker}
        self._by_id = {copy.id: copy for copy in copies}
        self._by_message_id = {copy.internet_message_id: copy for copy in copies if copy.internet_message_id}

    def of(self, work: Work) -> Marked | None:
        """Return the copy of a mail, if it is here."""
        found = self.by_marker.get(work.id) or self._by_id.get(work.draft_id)
        return found or self._by_message_id.get(work.internet_message_id)

    def markers(self, connection_id: str) -> set[str]:
        """Return the ids of a connection's entries that lie here."""
        parts = {marker: split_entry_id(marker) for marker in self.by_marker}
        return {marker for marker, split in parts.items() if split is not None and split[0] == connection_id}


def _unwanted(one: Followed) -> bool:
    return one.work.discard_copy and not one.work.copy_removed_at


def _unsure(work: Work) -> bool:
    return work.status in _UNSURE and not work.confirmed_at


def _fresh(listed: Sequence[Report], noted: Aftercare) -> list[Report]:
    return [report for report in listed if _mark(report) not in noted.reports_seen][:MOST_REPORTS]


def _mark(report: Report) -> str:
    return short_hash(report.id, 12)
