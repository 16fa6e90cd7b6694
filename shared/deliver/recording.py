"""How what came of a batch is recorded: few transactions, and one by one where a row changed meanwhile."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from shared.connections import Back
from shared.deliver.handing import Outcome
from shared.deliver.job import DeliveryJob
from shared.errors import Fault, RowChanged, RowMissing
from shared.notices import EventType, Notice, marked_id
from shared.ports import ANY, Delete, Operation, Table
from shared.receipts import (
    Attempt,
    Receipt,
    ReceiptStatus,
    change,
    moved,
    packed,
    public_id,
    readable_receipt,
    receipt_key,
)
from shared.times import to_text

TRIES = 5
LONGEST_WAIT = timedelta(hours=1)
PAGE = 100


@dataclass(frozen=True, slots=True)
class Recorder:
    """Writes outcomes into the table *receipts*; *back* says how long a mail waits after a failure."""

    receipts: Table
    back: Back

    def record(self, job: DeliveryJob, outcomes: Sequence[Outcome]) -> None:
        """Record what came of a batch; a mail that was erased meanwhile stays erased."""
        for part in packed([self._operations(job, outcome) for outcome in outcomes]):
            try:
                self.receipts.commit(job.connection.id, [operation for group in part for operation in group])
            except (RowChanged, RowMissing):
                keys = {group[-1].key for group in part} | {group[0].key for group in part}
                for outcome in outcomes:
                    if outcome.work.key in keys or receipt_key(outcome.work.hash) in keys:
                        self._record_one(job, outcome)

    def put_back(self, job: DeliveryJob) -> None:
        """Let no receipt say that it is retried once its destination is disabled: such mail is stored, and waits."""
        first, last = f"v|{ReceiptStatus.RETRYING}|", f"v|{ReceiptStatus.RETRYING}~"
        while rows := self.receipts.read(job.connection.id, first, last, PAGE).rows:
            for row in rows:
                self._put_back_one(job.connection.id, row.key.rpartition("|")[2])
            first = f"{rows[-1].key}-"
            job.renew()

    def _put_back_one(self, connection_id: str, message_hash: str) -> None:
        for _ in range(TRIES):
            row = self.receipts.get(connection_id, receipt_key(message_hash))
            receipt = readable_receipt(row) if row else None
            if row is None or receipt is None or receipt.status != ReceiptStatus.RETRYING or not receipt.deliverable:
                return  # without content it is to be fetched again, whatever becomes of the destination
            try:
                waiting = replace(receipt, status=ReceiptStatus.STORED)
                self.receipts.commit(connection_id, change(receipt, waiting, row.etag))
            except RowChanged:
                continue
            except RowMissing:
                return
            return

    def _record_one(self, job: DeliveryJob, outcome: Outcome) -> None:
        missing: set[str] = set()
        for _ in range(TRIES):
            row = self.receipts.get(job.connection.id, receipt_key(outcome.work.hash))
            work = replace(outcome.work, etag=ANY)  # whatever was said of it since
            receipt, etag = (readable_receipt(row), row.etag) if row else (None, "")
            fresh = replace(outcome, work=work, receipt=receipt, etag=etag)
            operations = [item for item in self._operations(job, fresh) if item.key not in missing]
            if not operations or (outcome.fault is not None and outcome.work.key in missing):
                return  # its work was removed by someone who erased the mail
            try:
                self.receipts.commit(job.connection.id, operations)
            except RowChanged:
                continue
            except RowMissing as error:
                missing.add(error.key)
                continue
            return

    def _operations(self, job: DeliveryJob, outcome: Outcome) -> list[Operation]:
        receipt, work, now = outcome.receipt, outcome.work, job.now()
        if outcome.fault is not None and receipt is not None and receipt.status is ReceiptStatus.EXPIRED:
            return [Delete(work.key, work.etag)]  # erased meanwhile: what was asked for since ends too
        if outcome.fault is not None and outcome.ended and receipt is not None:
            failed = _tried(receipt, outcome, outcome.fault, ReceiptStatus.FAILED, now)
            told = _given_up(job.connection.id, failed, now)
            return [*change(receipt, failed, outcome.etag), told, Delete(work.key, work.etag)]
        if outcome.fault is not None:
            later = now + self.back.after(work.attempts + 1, outcome.fault.retry_after)
            operations = moved(work, min(later, now + LONGEST_WAIT))
            if receipt is not None:
                waiting = ReceiptStatus.STORED if job.delivery.disabled else ReceiptStatus.RETRYING
                tried = _tried(receipt, outcome, outcome.fault, waiting, now)
                operations = [*change(receipt, tried, outcome.etag), *operations]
            return operations
        if receipt is None or outcome.void:
            return [Delete(work.key, work.etag)]
        return [*change(receipt, _settled(receipt, outcome, now), outcome.etag), Delete(work.key, work.etag)]


def _tried(receipt: Receipt, outcome: Outcome, fault: Fault, status: ReceiptStatus, now: datetime) -> Receipt:
    return replace(
        receipt,
        status=status,
        attempts=receipt.attempts + 1,
        fault=fault.recorded(to_text(now)),
        refused_since=outcome.refused_since(now),
    ).tried(_attempt(outcome, now))


def _given_up(connection_id: str, receipt: Receipt, now: datetime) -> Operation:
    """Return the row that tells that a mail is not tried any more; a repeat is the same notice."""
    identifier = public_id(connection_id, receipt.hash)
    data = {
        "connection_id": connection_id,
        "received_id": identifier,
        "status": receipt.status.value,
        "code": receipt.fault.code if receipt.fault else "",
        "detail": receipt.fault.detail if receipt.fault else "",
        "microsoft_code": "",
        "attempts": receipt.attempts,
        "what_to_do": "See at the destination why it refuses this mail; POST received/{id}/redeliver sends it again.",
    }
    mark = marked_id("message.failed", identifier, receipt.refused_since)
    return Notice(EventType.MESSAGE_QUARANTINED, identifier, data, now, mark).in_receipts(connection_id)


def _settled(receipt: Receipt, outcome: Outcome, now: datetime) -> Receipt:
    if outcome.mail is None:
        return replace(receipt, status=ReceiptStatus.EXPIRED, fault=None)
    read = replace(receipt, parsed=outcome.mail.parsed.value, parsed_reason=outcome.mail.reason, fault=None)
    read = read.tried(_attempt(outcome, now))
    if outcome.skipped:
        return replace(read, status=ReceiptStatus.SKIPPED, skipped=outcome.skipped)
    # What was erased while it was handed over stays erased, and has been delivered all the same.
    status = ReceiptStatus.DELIVERED if receipt.deliverable else receipt.status
    return replace(read, status=status, attempts=receipt.attempts + 1, delivered_at=to_text(now), refused_since="")


def _attempt(outcome: Outcome, now: datetime) -> Attempt:
    fault = outcome.fault
    came = "failed" if fault else "skipped" if outcome.skipped else "ok"
    code, detail = (fault.code.value, fault.detail) if fault else (outcome.skipped, "")
    return Attempt(to_text(now), "deliver", came, outcome.status, code, detail, outcome.milliseconds)
