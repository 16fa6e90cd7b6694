"""
The sweep: a slow listing of the whole folder that finds what delta lost, such as mail moved out and back.

It goes a little further after each fetch that came to its end, and begins anew after a period.
"""

import logging
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import timedelta

from shared.connections import Run
from shared.errors import CredentialFault, Fault, GrantFault, Throttled
from shared.fetch.after import AfterFetch
from shared.fetch.job import Job, scope_of
from shared.fetch.listing import Listing, Part
from shared.fetch.outcome import asks_to_pause
from shared.fetch.pages import PageStore
from shared.fetch.positions import Position, is_position, position_of, wire_time
from shared.ports import GraphMailbox
from shared.receipts import Receipt
from shared.times import from_text, to_text

log = logging.getLogger("mailgrant.fetch")

PAGES = 5
LAG = timedelta(hours=1)
"""Younger mail is left to delta, which may be a little late."""


class Sweep:
    """Sweeps through *listing* every *period* and stores what it finds in *pages*, after which *after* has its turn."""

    def __init__(self, listing: Listing, pages: PageStore, after: AfterFetch, period: timedelta) -> None:
        self._listing = listing
        self._pages = pages
        self._after = after
        self._period = period

    def go_on(self, job: Job, mailbox: GraphMailbox) -> None:
        """
        Sweep on, if it is time; what is wrong with the sweep alone does not fail the fetch.

        Raises what concerns the mailbox as a whole.
        """
        run, now = job.run, job.now()
        if not run.swept_at:  # the walk has just seen everything
            job.run = replace(run, swept_at=to_text(now))
            return
        if not run.sweep_from and now - from_text(run.swept_at) < self._period:
            return
        if not run.sweep_from:
            job.run = replace(run, sweep_from=_oldest(job).text, holes=0)
            job.wait_for(now)  # once in a period, work in rows is looked for even if the record knows of none
        job.bisecting, job.page_size, job.index = True, 0, None
        try:
            self._portion(job, mailbox)
        except (Throttled, CredentialFault, GrantFault):
            raise
        except Fault as fault:
            if asks_to_pause(fault):
                raise
            # What it stored has receipts, and maybe nothing was done with it in the mailbox: the next fetch looks.
            job.wait_for(now + timedelta(minutes=job.connection.interval_minutes))
            log.warning("fetch.sweep_failed connection_id=%s code=%s", job.connection.id, fault.code.value)

    def _portion(self, job: Job, mailbox: GraphMailbox) -> None:
        until = wire_time(job.now() - min(LAG, self._period))
        for _ in range(PAGES):
            part = self._listing.part(job, mailbox, position_of(job.run.sweep_from), until)
            found: list[Receipt] = []
            with closing(self._pages.take(job, mailbox, part.messages, light=part.light, known=True)) as made:
                self._after.apply_new(job, mailbox, _noting(made, found))
            job.run = _advanced(job.run, part, len(found))
            if found:
                log.warning("fetch.swept connection_id=%s found=%d", job.connection.id, len(found))
            if part.ends:
                self._end(job, mailbox)
            if part.ends or job.turn.box.wanted_send:
                return

    @staticmethod
    def _end(job: Job, mailbox: GraphMailbox) -> None:
        job.run = replace(job.run, sweep_from="", swept_at=to_text(job.now()))
        log.info("fetch.sweep_done connection_id=%s holes=%d", job.connection.id, job.run.holes)
        if mailbox.has_delta and is_position(job.run.cursor):  # what kept delta from working may be gone
            job.restart()


def _advanced(run: Run, part: Part, found: int) -> Run:
    return replace(run, sweep_from=part.position.text, swept=run.swept + found, holes=run.holes + part.holes)


def _noting(made: Iterator[Receipt], found: list[Receipt]) -> Iterator[Receipt]:
    for receipt in made:
        found.append(receipt)
        yield receipt


def _oldest(job: Job) -> Position:
    scope = scope_of(job, again=True)
    return Position(wire_time(scope) if scope else "")
