"""A folder listed by the time at which its mail was received: without delta, and past messages that fail every page."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from shared.errors import Fault, Unreachable
from shared.fetch.bisect import bisected, bisects, fails_as_a_whole
from shared.fetch.job import Job
from shared.fetch.positions import Position
from shared.ports import DeltaPage, GraphMailbox, GraphReading, Listed, Window

log = logging.getLogger("mailgrant.fetch")

MOST_EMPTY = 20
"""So many empty pages in a row are followed: Graph may give them, and only a page without a link is the last."""

MOST_HOLES = 8
"""So many messages in a row may fail even by their id before it is taken for an outage."""


@dataclass(frozen=True, slots=True)
class Part:
    """
    A part of a listing, and where it goes on; *ends* where there is no more.

    A *light* part only names its messages; *holes* is how many could not even be named and were passed over.
    """

    messages: Sequence[Listed]
    position: Position
    ends: bool
    light: bool = False
    holes: int = 0


class Listing:
    """
    Lists mail through *graph*, oldest first.

    Each page begins at the time of the last one's last mail, so that a list of Graph never gets long enough to end
    early, and mail that moves away meanwhile hides no other.
    """

    def __init__(self, graph: GraphReading, page_size: int) -> None:
        self._graph = graph
        self._page_size = page_size

    def part(self, job: Job, mailbox: GraphMailbox, position: Position, until: str = "") -> Part:
        """Return the next part. Raises the fault of Graph, and what fails for one message alone only as a hole."""
        window = Window(job.connection.folder_id, position.at, until, position.skip)
        try:
            return _part(position, self._get(job, mailbox, window, self._page_size))
        except Fault as fault:
            if not bisects(job, fault):
                raise
        try:
            page = bisected(job, self._page_size, lambda size: self._get(job, mailbox, window, size, light=True))
            return _part(position, page, light=True)
        except Fault as fault:
            if not fails_as_a_whole(fault):
                raise
            return self._past_holes(job, mailbox, position, until, fault)

    def _past_holes(self, job: Job, mailbox: GraphMailbox, position: Position, until: str, trouble: Fault) -> Part:
        """Return what lies behind messages that cannot be named; only that it is there proves that there are holes."""
        for holes in range(1, MOST_HOLES + 1):
            window = Window(job.connection.folder_id, position.at, until, position.skip + holes)
            try:
                page = self._get(job, mailbox, window, 1, light=True)
            except Fault as fault:
                if not fails_as_a_whole(fault):
                    raise
                continue
            log.warning("fetch.hole connection_id=%s holes=%d", job.connection.id, holes)
            return _part(position, page, light=True, holes=holes)
        raise trouble

    def _get(self, job: Job, mailbox: GraphMailbox, window: Window, size: int, *, light: bool = False) -> DeltaPage:
        job.keep_turn()
        with job.turn.permits.take():
            page = self._graph.list_page(mailbox, window, size, light=light)
        for _ in range(MOST_EMPTY):
            if page.messages or not page.next_link:
                return page
            job.keep_turn()
            with job.turn.permits.take():
                page = self._graph.next_page(mailbox, page.next_link, size)
        raise Unreachable("Graph gave nothing but empty pages. They are asked for again by themselves.")


def _part(position: Position, page: DeltaPage, *, light: bool = False, holes: int = 0) -> Part:
    last = page.messages[-1].received_at if page.messages else ""
    following = Position(last) if last > position.at else None
    following = following or Position(position.at, position.skip + holes + len(page.messages))
    return Part(page.messages, following, not (page.next_link and page.messages), light, holes)
