"""
Deliver: one invocation hands over the stored mail of one connection, oldest first, at most eight at once.

At least once, with the same id and the same bytes each time. What was handed over is recorded after every sixteen, so
that a death repeats few.
"""

import logging
import time
from collections.abc import Callable, Collection, Iterable
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta

from shared.box import View
from shared.connections import Back, Direction
from shared.deliver.handing import AT_ONCE, Batch, Handing, Outcome, Secrets
from shared.deliver.job import LONGEST_BACK, DeliveryJob, LeaseLost, claim, follow, held, leave_word, remove_stray
from shared.deliver.recording import Recorder
from shared.deliver.redelivering import Redelivering
from shared.deliver.reports import ReportReader
from shared.errors import RowMissing
from shared.events import EventMaker
from shared.identifiers import box_of, is_connection_id, shard_of
from shared.ports import BlobStore, Clock, Delete, Operation, Tables, Wakeups, Webhooks
from shared.receipts import DELIVER, Work, work_range, works_of
from shared.rows import LOOK_AGAIN
from shared.schedule import DELIVER as DELIVER_KIND
from shared.schedule import QUEUES, Wakeup
from shared.signing import Sign
from shared.telemetry import measure
from shared.times import from_text, to_text
from shared.turns import Turns

log = logging.getLogger("mailgrant.deliver")

BATCH = 16
STRANGE = 20
"""So many rows are read where one is wanted: what cannot be read must not hide what can."""
MAX_SECONDS = 240.0
CLAIM_TRIES = 5
FRESH_SLACK = timedelta(seconds=5)


class Deliver:
    """Delivers stored mail; *clock* dates signatures, *retry_seconds* is the first wait after a failure."""

    def __init__(  # noqa: PLR0913, PLR0917 - the parts it joins
        self,
        tables: Tables,
        blobs: BlobStore,
        wakeups: Wakeups,
        turns: Turns,
        webhooks: Webhooks,
        secrets: Secrets,
        sign: Sign,
        events: EventMaker,
        retry_seconds: float,
        clock: Clock,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._table = tables.connections
        self._receipts = tables.receipts
        self._wakeups = wakeups
        self._turns = turns
        self._lease = timedelta(seconds=turns.lease_seconds)
        self._handing = Handing(tables.receipts, blobs.received, wakeups, webhooks, secrets, sign, events, clock)
        self._back = Back(retry_seconds, LONGEST_BACK)
        self._recorder = Recorder(tables.receipts, self._back)
        self._redelivering = Redelivering(tables.receipts)
        self._reports = ReportReader(tables, blobs.received, wakeups)
        self._monotonic = monotonic

    def run(self, wakeup: Wakeup) -> None:
        """
        Deliver what is due for the woken connection, unless someone else does or its destination is paused.

        Raises only `StorageError`: the host repeats, and the claim's due row fires by itself.
        """
        if not is_connection_id(wakeup.id):
            return
        for _ in range(CLAIM_TRIES):
            view = self._turns.look(box_of(wakeup.id))
            if view.is_strange(wakeup.id):
                return  # its due row fires until it can be read
            delivery = view.deliveries.get(wakeup.id)
            if delivery is not None and wakeup.id in view.connections and held(view, delivery):
                if leave_word(self._table, view, delivery):
                    follow(self._table, view, wakeup, self._lease)
                    return
                continue
            if not _may_deliver(view, wakeup.id):
                remove_stray(self._table, shard_of(wakeup.id), delivery, wakeup)
                return
            job = claim(self._table, view, wakeup, self._lease, self._storage_clock(view))
            if job is not None:
                self._hold(job)
                return

    def _hold(self, job: DeliveryJob) -> None:
        ends = self._monotonic() + MAX_SECONDS
        try:
            with ThreadPoolExecutor(AT_ONCE) as workers:
                while True:
                    more = self._drain(job, ends, workers)
                    if job.commit(self._next_at(job, more=more)):
                        break
        except LeaseLost:
            log.warning("deliver.lease_lost connection_id=%s", job.connection.id)
            return
        if more or job.told:
            wakeup = Wakeup(DELIVER_KIND, job.connection.id, job.delivery.seq, job.delivery.due)
            self._wakeups.put(QUEUES[DELIVER_KIND], wakeup.to_body())

    def _drain(self, job: DeliveryJob, ends: float, workers: Executor) -> bool:
        """Hand over everything that is due; return whether time ran out before that."""
        if not self._redelivering.select(job, in_time=lambda: self._monotonic() < ends):
            return True
        failed: set[str] = set()
        first = True
        while not job.delivery.disabled:
            job.renew()
            probing = job.delivery.paused
            work = self._due_work(job, failed)
            if not work:
                job.send_everything(on=False)
                return False
            if not first:
                job.refresh()  # a batch that follows must not go to a destination that was changed since
            first = False
            batch = self._handing.hand_over(job, work, workers)
            self._settle(job, batch)
            self._reports.note(job.connection, batch.outcomes, job.now)
            if batch.trouble is not None:
                raise batch.trouble
            if job.delivery.paused or all(outcome.ours for outcome in batch.outcomes):
                return False
            failed |= {outcome.work.hash for outcome in batch.outcomes if outcome.fault is not None}
            # Once a paused destination answers, its backlog goes out whatever the waits of its single mails.
            if probing:
                job.send_everything(on=True)
            if self._monotonic() >= ends:
                return True
        return False

    def _settle(self, job: DeliveryJob, batch: Batch) -> None:
        """Count and record what came of a batch; of a claim that has ended only what was handed over: it is a fact."""
        outcomes = batch.outcomes
        failed = sum(outcome.fault is not None for outcome in outcomes)
        log.info("deliver.batch connection_id=%s tried=%d failed=%d", job.connection.id, len(outcomes), failed)
        _measure(job, outcomes)
        try:
            if batch.lost:
                raise LeaseLost
            if failed:
                job.refresh()
        except LeaseLost:
            self._recorder.record(job, [outcome for outcome in outcomes if outcome.fault is None])
            raise
        for outcome in outcomes:
            if outcome.counts:
                job.count(outcome.fault)
        if any(outcome.gone for outcome in outcomes):
            job.disable()
        outcomes = [_judged(job, outcome) for outcome in outcomes]
        self._recorder.record(job, outcomes)
        if job.delivery.disabled:
            self._recorder.put_back(job)

    def _due_work(self, job: DeliveryJob, failed: Collection[str]) -> list[Work]:
        """
        Return the next work, oldest first, each mail once: one mail as a probe, a batch of what is due, or of all.

        Of all, where everything goes out now, those that *failed* in this run wait all the same.

        Storage tells its time in whole seconds, cut, so what was stored this moment seems to be due a little later.
        Mail that was asked for once more may stand there twice: one handing over answers for both.
        """
        probing, whatever = job.delivery.paused, job.delivery.paused or job.delivery.backlog
        upto = None if whatever else job.now() + FRESH_SLACK
        most = STRANGE if probing else BATCH + (len(failed) if whatever else 0)
        rows = self._receipts.read(job.connection.id, *work_range(DELIVER, upto), most).rows
        found: dict[str, Work] = {}
        twice: list[Operation] = []
        for work in works_of(rows):
            waits = work.attempts and work.at > job.now()
            if waits and (not whatever or (work.hash in failed and not probing)):
                continue
            other = found.get(work.hash)
            if other is not None and (work.attempts or not other.attempts):
                twice.append(Delete(work.key))
                continue
            if other is not None:  # what was never tried is a person's wish, the other may be done with
                twice.append(Delete(other.key))
            found[work.hash] = work
        if twice:
            with suppress(RowMissing):
                self._receipts.commit(job.connection.id, twice)
        return list(found.values())[: 1 if probing else BATCH]

    def _next_at(self, job: DeliveryJob, *, more: bool) -> datetime | None:
        if job.delivery.disabled:
            return None
        if more:
            return job.now()
        rows = self._receipts.read(job.connection.id, *work_range(DELIVER, None), STRANGE).rows
        left = works_of(rows)
        if not left:
            return job.now() + LOOK_AGAIN if rows else None
        if job.delivery.paused:
            return job.probe_at(self._back)
        return max(left[0].at, job.now())

    def _storage_clock(self, view: View) -> Callable[[], datetime]:
        return lambda: view.storage_time + timedelta(seconds=self._turns.monotonic() - view.read_at)


def _measure(job: DeliveryJob, outcomes: Iterable[Outcome]) -> None:
    """Measure how long the slowest mail took to be handed over for the first time, from when it was stored."""
    handed = [one.receipt for one in outcomes if one.counts and one.fault is None and one.receipt is not None]
    done = [receipt.stored_at for receipt in handed if not receipt.delivered_at]
    if done:
        measure("delivery_seconds", (job.now() - from_text(min(done))).total_seconds(), connection_id=job.connection.id)


def _judged(job: DeliveryJob, outcome: Outcome) -> Outcome:
    """Return the outcome, *ended* where its mail is not to be tried any more."""
    if outcome.receipt is None or not outcome.of_the_mail or not job.gives_up(outcome.refused_since(job.now())):
        return outcome
    job.give_up()
    log.error("deliver.given_up connection_id=%s hash=%s", job.connection.id, outcome.work.hash)
    return replace(outcome, ended=True)


def _may_deliver(view: View, connection_id: str) -> bool:
    connection, delivery = view.connections.get(connection_id), view.deliveries.get(connection_id)
    if connection is None or connection.destination is None or not connection.enabled:
        return False
    if connection.direction is not Direction.INCOMING:
        return False  # what an outgoing connection tells are notices
    if delivery is None:
        return True
    waits = (
        delivery.paused and delivery.next_at and delivery.next_at > to_text(view.storage_time + timedelta(seconds=2))
    )
    return not delivery.disabled and not waits
