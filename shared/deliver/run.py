"""
Deliver: one invocation hands over the stored mail of one connection, oldest first, at most eight at once.

At least once, with the same id and the same bytes each time. What was handed over is recorded after every sixteen, so
that a death repeats few.
"""

import logging
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta

from shared.box import View
from shared.connections import Back
from shared.deliver.handing import Handing, Outcome, Secrets, Sign
from shared.deliver.job import LONGEST_BACK, DeliveryJob, LeaseLost, claim, follow, held, leave_word, remove_stray
from shared.errors import RowChanged, RowMissing
from shared.events import EventMaker
from shared.identifiers import box_of, is_connection_id, shard_of
from shared.mail.parsed import Mail
from shared.ports import BlobStore, Clock, Delete, Operation, Tables, Wakeups, Webhooks
from shared.receipts import (
    DELIVER,
    Receipt,
    ReceiptStatus,
    Work,
    change,
    moved,
    packed,
    read_receipt,
    receipt_key,
    work_range,
)
from shared.schedule import DELIVER as DELIVER_KIND
from shared.schedule import QUEUES, Wakeup
from shared.times import to_text
from shared.turns import Turns

log = logging.getLogger("mailgrant.deliver")

BATCH = 16
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
            while True:
                more = self._drain(job, ends)
                if job.commit(self._next_at(job, more=more)):
                    break
        except LeaseLost:
            log.warning("deliver.lease_lost connection_id=%s", job.connection.id)
            return
        if more:
            wakeup = Wakeup(DELIVER_KIND, job.connection.id, job.delivery.seq, job.delivery.due)
            self._wakeups.put(QUEUES[DELIVER_KIND], wakeup.to_body())

    def _drain(self, job: DeliveryJob, ends: float) -> bool:
        """Hand over everything that is due; return whether time ran out before that."""
        everything = False
        while not job.delivery.disabled:
            job.renew()
            probing = job.delivery.paused
            work = self._due_work(job, 1 if probing else BATCH, whatever=probing or everything)
            if not work:
                return False
            batch = self._handing.hand_over(job, work)
            outcomes = batch.outcomes
            failed = [outcome for outcome in outcomes if outcome.fault is not None]
            for outcome in outcomes:
                if outcome.mail is not None or outcome.fault is not None:
                    job.count(outcome.fault)
            if any(outcome.gone for outcome in outcomes):
                job.disable()
            self._record(job, outcomes)
            log.info("deliver.batch connection_id=%s tried=%d failed=%d", job.connection.id, len(outcomes), len(failed))
            if batch.trouble is not None:
                raise batch.trouble
            if job.delivery.paused or (everything and failed):
                return False
            # Once a paused destination answers, its backlog goes out whatever the waits of its single mails.
            everything = everything or probing
            if self._monotonic() >= ends:
                return True
        return False

    def _due_work(self, job: DeliveryJob, most: int, *, whatever: bool) -> list[Work]:
        """
        Return the work that is due, oldest first, at most *most*, or *whatever* there is; each mail once.

        Storage tells its time in whole seconds, cut, so what was stored this moment seems to be due a little later.
        Mail that was asked for once more may stand there twice: one handing over answers for both.
        """
        upto = None if whatever else job.now() + FRESH_SLACK
        rows = self._receipts.read(job.connection.id, *work_range(DELIVER, upto), most).rows
        found: dict[str, Work] = {}
        twice: list[Operation] = []
        for work in (Work.from_row(row.key, row.values) for row in rows):
            if not whatever and work.attempts and work.at > job.now():
                continue
            if found.setdefault(work.hash, work) is not work:
                twice.append(Delete(work.key))
        if twice:
            with suppress(RowMissing):
                self._receipts.commit(job.connection.id, twice)
        return list(found.values())

    def _next_at(self, job: DeliveryJob, *, more: bool) -> datetime | None:
        if job.delivery.disabled:
            return None
        if more:
            return job.now()
        rows = self._receipts.read(job.connection.id, *work_range(DELIVER, None), 1).rows
        if not rows:
            return None
        if job.delivery.paused:
            return job.probe_at(self._back)
        return max(Work.from_row(rows[0].key, rows[0].values).at, job.now())

    def _record(self, job: DeliveryJob, outcomes: Sequence[Outcome]) -> None:
        """Record what came of a batch in few transactions; where a row changed meanwhile, one by one as it is now."""
        for part in packed([self._operations(job, outcome) for outcome in outcomes]):
            try:
                self._receipts.commit(job.connection.id, [operation for group in part for operation in group])
            except (RowChanged, RowMissing):
                keys = {group[-1].key for group in part} | {group[0].key for group in part}
                for outcome in outcomes:
                    if outcome.work.key in keys or receipt_key(outcome.work.hash) in keys:
                        self._record_one(job, outcome)

    def _record_one(self, job: DeliveryJob, outcome: Outcome) -> None:
        missing: set[str] = set()
        for _ in range(CLAIM_TRIES):
            row = self._receipts.get(job.connection.id, receipt_key(outcome.work.hash))
            fresh = replace(outcome, receipt=read_receipt(row.values) if row else None, etag=row.etag if row else "")
            operations = [item for item in self._operations(job, fresh) if item.key not in missing]
            if not operations or (outcome.fault is not None and outcome.work.key in missing):
                return  # its work was removed by someone who erased the mail
            try:
                self._receipts.commit(job.connection.id, operations)
            except RowChanged:
                continue
            except RowMissing as error:
                missing.add(error.key)
                continue
            return

    def _operations(self, job: DeliveryJob, outcome: Outcome) -> list[Operation]:
        receipt, work, now = outcome.receipt, outcome.work, job.now()
        if outcome.fault is not None:
            later = now + self._back.after(work.attempts + 1, outcome.fault.retry_after)
            operations = moved(work, min(later, now + timedelta(hours=1)))
            if receipt is not None:
                tried = replace(
                    receipt,
                    status=ReceiptStatus.RETRYING,
                    attempts=receipt.attempts + 1,
                    fault=outcome.fault.recorded(to_text(now)),
                )
                operations = [*change(receipt, tried, outcome.etag), *operations]
            return operations
        if receipt is None:
            return [Delete(work.key)]
        return [*change(receipt, _handed_over(receipt, outcome.mail, now), outcome.etag), Delete(work.key)]

    def _storage_clock(self, view: View) -> Callable[[], datetime]:
        return lambda: view.storage_time + timedelta(seconds=self._turns.monotonic() - view.read_at)


def _handed_over(receipt: Receipt, mail: Mail | None, now: datetime) -> Receipt:
    if mail is None:
        return replace(receipt, status=ReceiptStatus.EXPIRED, fault=None)
    return replace(
        receipt,
        status=ReceiptStatus.DELIVERED,
        attempts=receipt.attempts + 1,
        delivered_at=to_text(now),
        parsed=mail.parsed.value,
        parsed_reason=mail.reason,
        fault=None,
    )


def _may_deliver(view: View, connection_id: str) -> bool:
    connection, delivery = view.connections.get(connection_id), view.deliveries.get(connection_id)
    if connection is None or connection.destination is None:
        return False
    if delivery is None:
        return True
    waits = (
        delivery.paused and delivery.next_at and delivery.next_at > to_text(view.storage_time + timedelta(seconds=2))
    )
    return not delivery.disabled and not waits
