"""
The next page of a folder, whatever lies in it.

Delta as long as it works. Where one message fails every delta page that shows it, the folder is walked anew by a delta
that names no more than ids, and where even that fails it is listed by time, as it always is in clouds without delta.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace

from shared.errors import Fault, OutOfSync, Unreachable
from shared.fetch.bisect import bisected, bisects, fails_as_a_whole
from shared.fetch.job import Job, scope_of
from shared.fetch.listing import Listing
from shared.fetch.positions import EARLIEST, Position, is_position, position_of, rest_of, wire_time
from shared.ports import DeltaPage, GraphMailbox, GraphReading, Listed
from shared.receipts import hash_of

log = logging.getLogger("mailgrant.fetch")


@dataclass(frozen=True, slots=True)
class Step:
    """
    A page, and what the record says once it is stored: *cursor* where the folder was read to its end, else *walk*.

    A *light* page only names its messages; those of a page may be *known*.
    """

    messages: Sequence[Listed]
    cursor: str = ""
    walk: str = ""
    light: bool = False
    known: bool = False


class Pager:
    """Reads pages of *page_size* messages through *graph*."""

    def __init__(self, graph: GraphReading, page_size: int) -> None:
        self._graph = graph
        self._page_size = page_size
        self._listing = Listing(graph, page_size)

    def next(self, job: Job, mailbox: GraphMailbox) -> Step:
        """Return the next page of the folder. Raises the fault that concerns the folder as a whole."""
        if is_position(job.link) or not mailbox.has_delta:
            return self._listed(job, mailbox)
        try:
            return self._walked(job, mailbox)
        except OutOfSync:
            log.warning("fetch.resync connection_id=%s", job.connection.id)
            job.restart()
            return self._walked(job, mailbox)
        except Fault as fault:
            if not bisects(job, fault):
                raise
            return self._around(job, mailbox, fault)

    def _walked(self, job: Job, mailbox: GraphMailbox) -> Step:
        page = bisected(job, self._page_size, lambda size: self._get(job, mailbox, size))
        if not page.next_link and not page.delta_link:
            raise Unreachable("Graph gave a page without a link to the next. It is tried again by itself.")
        return Step(page.messages, page.delta_link, page.next_link, light=job.run.light)

    def _get(self, job: Job, mailbox: GraphMailbox, size: int) -> DeltaPage:
        job.keep_turn()
        with job.turn.permits.take():
            if job.link:
                return self._graph.next_page(mailbox, job.link, size)
            return self._graph.first_page(mailbox, job.connection.folder_id, size, light=job.run.light)

    def _around(self, job: Job, mailbox: GraphMailbox, fault: Fault) -> Step:
        """
        Return the first page of another way to read the folder, past the message that brought *fault*.

        Nothing is given up before the other way has proved to work: an outage fails them all.
        """
        before, recheck = job.run, job.recheck
        try:
            return self._lightly(job, mailbox) if not before.light else self._by_time(job, mailbox)
        except Fault as again:
            job.run = before
            if not fails_as_a_whole(again) or before.light:
                job.recheck = recheck
                raise
        try:
            return self._by_time(job, mailbox)
        except Fault:
            job.run, job.recheck = before, recheck
            raise fault from None

    def _lightly(self, job: Job, mailbox: GraphMailbox) -> Step:
        job.restart(light=True)
        step = self._walked(job, mailbox)
        log.warning("fetch.light connection_id=%s", job.connection.id)
        return step

    def _by_time(self, job: Job, mailbox: GraphMailbox) -> Step:
        job.restart()
        job.run = replace(job.run, cursor=_beginning(job).text)
        step = self._listed(job, mailbox)
        log.warning("fetch.by_time connection_id=%s", job.connection.id)
        return step

    def _listed(self, job: Job, mailbox: GraphMailbox) -> Step:
        first = position_of(job.run.cursor) if is_position(job.run.cursor) else _beginning(job)
        begins = position_of(job.run.walk) if is_position(job.run.walk) else first
        part = self._listing.part(job, mailbox, begins)
        job.run = replace(job.run, holes=max(job.run.holes, part.holes))
        known = {*first.known, *job.listed}
        job.listed.update({hash_of(message.id): message.received_at for message in part.messages})
        messages = [message for message in part.messages if hash_of(message.id) not in known]
        if part.ends:
            rest = rest_of(first, begins, job.listed, job.now())
            return Step(messages, cursor=rest.text, light=part.light, known=True)
        return Step(messages, walk=part.position.text, light=part.light, known=True)


def _beginning(job: Job) -> Position:
    """Return where a listing of the whole folder begins."""
    scope = scope_of(job)
    return Position(wire_time(scope) if scope else EARLIEST)
