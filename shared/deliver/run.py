"""
Deliver: one invocation hands over the stored mail of one connection, oldest first, at most eight at once.

At least once, with the same id and the same bytes each time. What was handed over is recorded after every sixteen, so
that a death repeats few.
"""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Protocol

from shared.box import View
from shared.codes import Code
from shared.connections import Back, Connection, Destination
from shared.deliver.job import LONGEST_BACK, DeliveryJob, LeaseLost, claim, held, leave_word, remove_stray
from shared.errors import Fault, RowChanged, RowMissing
from shared.events import CONTENT_TYPE, EventMaker, for_queue, to_bytes
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
    public_id,
    read_receipt,
    receipt_key,
    work_range,
)
from shared.schedule import DELIVER as DELIVER_KIND
from shared.schedule import QUEUES, Wakeup
from shared.stored_mail import read_mail
from shared.times import to_text
from shared.turns import Turns

log = logging.getLogger("mailgrant.deliver")

AT_ONCE = 8
BATCH = 16
MAX_SECONDS = 240.0
CLAIM_TRIES = 5
QUEUE_PREFIX = "out-"

Sign = Callable[[str, str, datetime, bytes], Mapping[str, str]]
"""Makes signature headers from secret, event id, time and body."""


class Secrets(Protocol):
    """What deliver needs of the signing keys."""

    def signing_secret(self, connection_id: str, number: int = 1) -> str:
        """Return the *number*-th signing secret of a connection. Raises `CredentialFault` (vault_*)."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of handing over one mail; *mail* is None where there was nothing to hand over."""

    work: Work
    receipt: Receipt | None = None
    etag: str = ""
    mail: Mail | None = None
    fault: Fault | None = None
    gone: bool = False


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
        self._blobs = blobs.received
        self._wakeups = wakeups
        self._turns = turns
        self._webhooks = webhooks
        self._secrets = secrets
        self._sign = sign
        self._events = events
        self._back = Back(retry_seconds, LONGEST_BACK)
        self._clock = clock
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
                    remove_stray(self._table, shard_of(wakeup.id), delivery, wakeup)
                    return
                continue
            if not _may_deliver(view, wakeup.id):
                remove_stray(self._table, shard_of(wakeup.id), delivery, wakeup)
                return
            job = claim(self._table, view, wakeup.id, wakeup.due, self._storage_clock(view))
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
            upto = None if probing or everything else job.now()
            rows = self._receipts.read(job.connection.id, *work_range(DELIVER, upto), 1 if probing else BATCH).rows
            if not rows:
                return False
            outcomes = self._hand_over(job, [Work.from_row(row.key, row.values) for row in rows])
            failed = [outcome for outcome in outcomes if outcome.fault is not None]
            for outcome in outcomes:
                if outcome.mail is not None or outcome.fault is not None:
                    job.count(outcome.fault)
            if any(outcome.gone for outcome in outcomes):
                job.disable()
            self._record(job, outcomes)
            log.info("deliver.batch connection_id=%s tried=%d failed=%d", job.connection.id, len(outcomes), len(failed))
            if job.delivery.paused or (everything and failed):
                return False
            # Once a paused destination answers, its backlog goes out whatever the waits of its single mails.
            everything = everything or probing
            if self._monotonic() >= ends:
                return True
        return False

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

    def _hand_over(self, job: DeliveryJob, work: Sequence[Work]) -> list[Outcome]:
        destination = job.connection.destination
        assert destination is not None  # noqa: S101 - `_may_deliver` has looked
        try:
            number = destination.signing_version
            secret = self._secrets.signing_secret(job.connection.id, number) if destination.type == "webhook" else ""
        except Fault as fault:
            return [Outcome(item, fault=fault) for item in work]
        with ThreadPoolExecutor(AT_ONCE) as workers:
            return list(workers.map(lambda item: self._hand_over_one(job.connection, destination, secret, item), work))

    def _hand_over_one(self, connection: Connection, destination: Destination, secret: str, work: Work) -> Outcome:
        row = self._receipts.get(connection.id, receipt_key(work.hash))
        if row is None:
            return Outcome(work)
        receipt = read_receipt(row.values)
        mail = read_mail(self._blobs, receipt)
        outcome = Outcome(work, receipt, row.etag, mail)
        if mail is None:
            return outcome
        try:
            event = self._events.message_received(connection, receipt, mail)
            if destination.type == "queue":
                if not destination.name.startswith(QUEUE_PREFIX):
                    raise Fault("The destination's queue must begin with out-.", Code.DESTINATION_FORBIDDEN)
                self._wakeups.put(destination.name, for_queue(event))
                return outcome
            return self._post(outcome, destination.url, secret, public_id(connection.id, receipt.hash), to_bytes(event))
        except Fault as fault:
            return replace(outcome, fault=fault)

    def _post(self, outcome: Outcome, url: str, secret: str, event_id: str, body: bytes) -> Outcome:
        headers = {"Content-Type": CONTENT_TYPE, **self._sign(secret, event_id, self._clock(), body)}
        answer = self._webhooks.post(url, body, headers)
        if 200 <= answer.status < 300:
            return outcome
        detail = f"The destination answered {answer.status} instead of 2xx. It is tried again by itself."
        fault = Fault(detail, Code.DESTINATION_REFUSED, retryable=True, retry_after=answer.retry_after)
        return replace(outcome, fault=fault, gone=answer.status == 410)

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
        for _ in range(CLAIM_TRIES):
            row = self._receipts.get(job.connection.id, receipt_key(outcome.work.hash))
            fresh = replace(outcome, receipt=read_receipt(row.values) if row else None, etag=row.etag if row else "")
            try:
                self._receipts.commit(job.connection.id, self._operations(job, fresh))
            except RowChanged:
                continue
            except RowMissing:
                return  # its work was removed by someone who erased the mail
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
