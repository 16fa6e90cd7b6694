"""
Fetch: one invocation drains all due incoming connections of one mailbox.

Order per page: contents, receipts with their work, wake-up, after_fetch; the cursor comes last. Every step may be
repeated: receipts are inserted if absent, and the message's immutable id decides what is the same message.
"""

import logging
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import timedelta

from shared.connections import Direction
from shared.errors import (
    CredentialFault,
    Fault,
    GrantFault,
    NotFound,
    RowChanged,
    RowMissing,
)
from shared.fetch import outcome
from shared.fetch.after import AfterFetch
from shared.fetch.claims import FetchClaims
from shared.fetch.contents import ContentReader
from shared.fetch.details import Details
from shared.fetch.diary import note_run
from shared.fetch.heritage import settled
from shared.fetch.job import Access, Job, due_connections, is_due, wakeup_of
from shared.fetch.listing import Listing
from shared.fetch.pager import Pager
from shared.fetch.pages import PageStore
from shared.fetch.sweep import Sweep
from shared.fetch.telling import tell
from shared.identifiers import box_of, is_connection_id
from shared.ports import BlobStore, GraphMailbox, GraphReading, Tables, Wakeups
from shared.schedule import DELIVER, FETCH, QUEUES, SEND, Wakeup
from shared.times import from_text, to_text
from shared.turns import RESERVED_SECONDS, Released, Turn, TurnLost, Turns, View
from shared.waking import wake

log = logging.getLogger("mailgrant.fetch")

CLAIM_TRIES = 3
MAX_PAGES = 20
MAX_SECONDS = 240.0
AGAIN = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class FetchLimits:
    """How much of a mailbox one run takes, and how many seconds lie between two sweeps."""

    page_size: int = 100
    pages: int = MAX_PAGES
    seconds: float = MAX_SECONDS
    sweep_seconds: float = 86400.0


class Fetch:
    """Fetches mail; *sleep* waits out a short 429 of single messages."""

    def __init__(
        self,
        tables: Tables,
        blobs: BlobStore,
        wakeups: Wakeups,
        turns: Turns,
        tokens: Access,
        graph: GraphReading,
        limits: FetchLimits | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._tables = tables
        self._claims = FetchClaims(tables.connections, turns)
        self._wakeups = wakeups
        self._turns = turns
        self._tokens = tokens
        self._limits = limits or FetchLimits()
        reader = ContentReader(graph, blobs.received, sleep)
        self._pages = PageStore(reader, Details(graph), tables.receipts, wakeups)
        self._after = AfterFetch(graph, reader, self._pages, tables.receipts)
        self._pager = Pager(graph, self._limits.page_size)
        listing, period = Listing(graph, self._limits.page_size), timedelta(seconds=self._limits.sweep_seconds)
        self._sweep = Sweep(listing, self._pages, self._after, period)

    def run(self, wakeup: Wakeup) -> None:
        """
        Do what the record of the woken connection asks for, if it is due and nobody holds the mailbox's turn.

        Raises only `StorageError`: the host repeats, and the claim's due row fires by itself.
        """
        if not is_connection_id(wakeup.id):
            return
        fired, skip = wakeup.due, ""
        for _ in range(CLAIM_TRIES):
            view = self._turns.look(box_of(wakeup.id))
            if not is_due(view, wakeup.id):
                self._claims.drop(view, wakeup)
                return
            try:
                job = self._claims.claim(view, wakeup.id, fired, skip)
            except RowMissing as error:
                skip = error.key
                continue
            except RowChanged:
                continue
            if job is not None:
                self._hold(view, job)
            else:
                self._claims.follow(self._turns.look(view.box_hash) if wakeup.due else view, wakeup)
            return

    def _hold(self, view: View, job: Job) -> None:
        try:
            self._drain(view, job)
        except TurnLost:
            log.warning("fetch.turn_lost connection_id=%s", job.connection.id)

    def _drain(self, view: View, job: Job) -> None:
        """Fetch for *job*, then for every other due connection, until the turn is given up with no word left for us."""
        turn, done = job.turn, set[str]()
        current: Job | None = job
        while True:
            following = None
            if current is not None:
                view = self._work(view, current)
                done.add(current.connection.id)
                following = None if turn.box.wanted_send else self._claims.following(view, turn, done)
            if self._finish(current, turn, release=following is None).done:
                return
            if following is None:
                turn.scan_begins()
                view, done = self._turns.look(turn.box_hash), set()
                following = self._claims.following(view, turn, done)
            current = following

    def _finish(self, job: Job | None, turn: Turn, *, release: bool) -> Released:
        released = turn.release(yielding=True) if job is None else self._claims.commit(job, release=release)
        if job is not None:
            note_run(self._tables.log, job)
        if released.wake == SEND:
            self._let_send(turn.box_hash)
        if job is not None and job.notices:
            wake(self._wakeups, Wakeup(DELIVER, job.connection.id))
        if released.wake != SEND and job is not None and job.more:
            self._wakeups.put(QUEUES[FETCH], wakeup_of(job.run).to_body())
        return released

    def _work(self, view: View, job: Job) -> View:
        """
        Fetch for one connection; afterwards *job.run* is what its record is to say.

        Returns the view with the pause that Graph has asked for meanwhile: it holds for the whole mailbox.
        """
        until = view.paused_until()
        try:
            fault = self._tokens.standing(job.connection.grant_id)
            if fault is not None:
                job.run = outcome.waiting(job.run, job.now())
            elif (until := until or settled(self._tables, job)) is not None:
                job.run = outcome.paused(job.run, until)
            else:
                mailbox = self._tokens.graph_mailbox(job.connection.grant_id, job.connection.mailbox)
                if job.run.stopped:  # its links may be dead; receipts tell what is known, whenever it was received
                    job.restart()
                self._walk(job, mailbox)
                self._succeed(job)
        except NotFound:
            job.run = outcome.waiting(job.run, job.now())
        except Fault as fault:
            self._fail(job, fault)
            if outcome.asks_to_pause(fault) and job.run.next_at:
                return replace(view, box=replace(view.box, paused_until=job.run.next_at))
        return view

    def _walk(self, job: Job, mailbox: GraphMailbox) -> None:
        ends = self._turns.monotonic() + self._limits.seconds
        if job.work_at is not None:
            job.work_at = None
            self._after.work_off(job, mailbox)
        for number in range(1, self._limits.pages + 1):
            step = self._pager.next(job, mailbox)
            job.pages = number
            made = self._pages.take(job, mailbox, step.messages, light=step.light, known=step.known)
            with closing(made):
                self._after.apply_new(job, mailbox, made)
            if step.cursor:
                job.run = replace(job.run, cursor=step.cursor, walk="", resync=False)
                job.recheck = False
                if not job.turn.box.wanted_send and self._turns.monotonic() < ends:
                    self._sweep.go_on(job, mailbox)
                return
            job.run = replace(job.run, walk=step.walk)
            if number == self._limits.pages or self._turns.monotonic() >= ends or job.turn.box.wanted_send:
                job.more = True
                return

    def _succeed(self, job: Job) -> None:
        now = job.now()
        next_at = now + timedelta(minutes=job.connection.interval_minutes)
        if job.more:
            next_at = now
        elif job.work_at is not None:
            next_at = min(next_at, max(job.work_at, now + AGAIN))
        run = replace(job.run, pending=job.work_at is not None, recheck=job.recheck)
        job.run = outcome.succeeded(run, now, job.taken, next_at)
        tell(job)

    def _fail(self, job: Job, fault: Fault) -> None:
        now = job.now()
        if isinstance(fault, (CredentialFault, GrantFault)):
            self._tokens.suspect(job.connection.grant_id)
        run = replace(job.run, pending=True, recheck=True, taken=job.run.taken + job.taken)
        job.run, job.trouble = outcome.faulted(run, fault, now), fault.recorded(to_text(now))
        tell(job)
        log.warning("fetch.failed connection_id=%s code=%s", job.connection.id, fault.code.value)
        if outcome.asks_to_pause(fault) and job.run.next_at:
            self._turns.pause(job.turn.box_hash, from_text(job.run.next_at))

    def _let_send(self, box_hash: str) -> None:
        """Wake the senders, who have waited, and whoever of fetch is still due once they have had their chance."""
        view = self._turns.look(box_hash)
        for key, connection in view.connections.items():
            if connection.direction == Direction.OUTGOING and connection.enabled:
                seq = view.runs[key].seq if key in view.runs else 0
                self._wakeups.put(QUEUES[SEND], Wakeup(SEND, key, seq).to_body())
        for key in due_connections(view, ""):
            self._wakeups.put(QUEUES[FETCH], wakeup_of(view.runs[key]).to_body(), RESERVED_SECONDS)
