"""How mail is handed over: a batch at a time, at most eight at once, each with the same bytes at every attempt."""

import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol

from shared.codes import Code
from shared.connections import Connection, Destination
from shared.deliver.job import ENABLE_AGAIN, DeliveryJob, LeaseLost
from shared.errors import Fault, StorageError
from shared.events import CONTENT_TYPE, EventMaker, for_queue, to_bytes
from shared.mail.parsed import Automatic, Mail
from shared.ports import ANY, Blobs, Clock, Table, Wakeups, Webhooks
from shared.receipts import Receipt, ReceiptStatus, Work, public_id, read_receipt, receipt_key
from shared.signing import Sign, signature_headers, signing_versions
from shared.stored_mail import read_mail
from shared.telemetry import carried
from shared.times import to_text

log = logging.getLogger("mailgrant.deliver")

AT_ONCE = 8
QUEUE_PREFIX = "out-"

REFUSED = Code.DESTINATION_REFUSED
_BROKEN = "Mailgrant failed on this mail, its log says how. Other mail goes on, and this one is tried again by itself."


class Secrets(Protocol):
    """What deliver needs of the signing keys."""

    def signing_secret(self, connection_id: str, number: int = 1) -> str:
        """Return the *number*-th signing secret of a connection. Raises `CredentialFault` (vault_*)."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """
    What came of handing over one mail; *mail* is None where there was nothing to hand over.

    *void* work was done since by another piece of work, *skipped* says why a mail was not to be handed over. *status*
    is what the destination answered, 0 for none. *ours* tells that the fault says nothing of the destination, *ended*
    that the mail is not tried any more.
    """

    work: Work
    receipt: Receipt | None = None
    etag: str = ""
    mail: Mail | None = None
    fault: Fault | None = None
    gone: bool = False
    void: bool = False
    skipped: str = ""
    status: int = 0
    milliseconds: int = 0
    ours: bool = False
    ended: bool = False

    @property
    def counts(self) -> bool:
        """Whether it says anything of the destination."""
        if self.fault is not None:
            return not self.ours
        return self.mail is not None and not self.skipped

    def refused_since(self, now: datetime) -> str:
        """Return since when the mail itself is refused; '' where something else failed only, or it begins anew."""
        before = self.receipt.refused_since if self.receipt is not None and self.work.attempts else ""
        return before or (to_text(now) if self.of_the_mail else "")

    @property
    def of_the_mail(self) -> bool:
        """Whether the fault may be the mail's own: the destination answered and refused it, or we fail on it."""
        return self.fault is not None and self.fault.code in (REFUSED, Code.INTERNAL_ERROR)


@dataclass(frozen=True, slots=True)
class Batch:
    """
    What came of a batch, and the *trouble* with storage that left the rest of it undone.

    *lost* tells that the claim ended meanwhile: what was handed over was handed over all the same.
    """

    outcomes: list[Outcome]
    trouble: StorageError | None = None
    lost: bool = False


@dataclass(frozen=True, slots=True)
class Handing:
    """Hands mail of the table *receipts* and the container *blobs* over; *clock* dates signatures."""

    receipts: Table
    blobs: Blobs
    wakeups: Wakeups
    webhooks: Webhooks
    secrets: Secrets
    sign: Sign
    events: EventMaker
    clock: Clock
    monotonic: Callable[[], float] = time.monotonic

    def hand_over(self, job: DeliveryJob, work: Sequence[Work], workers: Executor) -> Batch:
        """Hand over the mails of *work*, and keep the claim while receivers take their time (20 s each at most)."""
        destination = job.connection.destination
        assert destination is not None  # noqa: S101 - whoever claims has looked
        try:
            secrets = self._secrets_of(job.connection.id, destination, job.now())
        except Fault as fault:
            return Batch([Outcome(item, fault=fault, ours=True) for item in work])
        lost = False
        handed = [workers.submit(carried(self._one), job.connection, destination, secrets, item) for item in work]
        left: set[Future[Outcome | StorageError]] = set(handed)
        while left:
            left = wait(left, timeout=job.lease.total_seconds() / 4, return_when=FIRST_COMPLETED).not_done
            try:
                job.renew()
            except LeaseLost:
                lost = True
                for future in left:
                    future.cancel()
                left = {future for future in left if not future.cancelled()}
                wait(left)
                break
        results = [item.result() for item in handed if not item.cancelled()]
        troubles = [result for result in results if isinstance(result, StorageError)]
        outcomes = [result for result in results if isinstance(result, Outcome)]
        return Batch(outcomes, troubles[0] if troubles else None, lost)

    def _secrets_of(self, connection_id: str, destination: Destination, now: datetime) -> list[str]:
        if destination.type != "webhook":
            return []
        return [self.secrets.signing_secret(connection_id, number) for number in signing_versions(destination, now)]

    def _one(
        self, connection: Connection, destination: Destination, secrets: Sequence[str], work: Work
    ) -> Outcome | StorageError:
        outcome = Outcome(work)
        try:
            receipt, etag = self._receipt_of(connection.id, work)
            if receipt is None:
                return outcome
            outcome = Outcome(work, receipt, etag)
            if work.attempts and receipt.status == ReceiptStatus.DELIVERED:
                # A failure leaves the receipt retrying, so another piece of work has delivered the mail since.
                return replace(outcome, void=True)
            outcome = replace(outcome, mail=read_mail(self.blobs, receipt) if receipt.deliverable else None)
            if outcome.mail is None:
                return outcome
            reason = skip_reason(connection, receipt, outcome.mail)
            if reason:
                return replace(outcome, skipped=reason)
            began = self.monotonic()
            sent = self._sent(outcome, outcome.mail, connection, destination, secrets)
            return replace(sent, milliseconds=round((self.monotonic() - began) * 1000))
        except StorageError as error:
            return error
        except Exception as error:  # noqa: BLE001 - one mail that our code fails on must not hold up all the others
            log.error(  # noqa: TRY400 - a traceback may quote the mail
                "deliver.mail_failed connection_id=%s hash=%s error=%s", connection.id, work.hash, type(error).__name__
            )
            return replace(outcome, fault=Fault(_BROKEN, Code.INTERNAL_ERROR, retryable=True), ours=True)

    def _receipt_of(self, connection_id: str, work: Work) -> tuple[Receipt | None, str]:
        """Return the receipt of *work*, and its etag: any, where it came with the work, whose own etag fences it."""
        known = work.untried()
        if known is not None:
            return known, ANY
        row = self.receipts.get(connection_id, receipt_key(work.hash))
        return (read_receipt(row.values), row.etag) if row is not None else (None, "")

    def _sent(
        self, outcome: Outcome, mail: Mail, connection: Connection, destination: Destination, secrets: Sequence[str]
    ) -> Outcome:
        assert outcome.receipt is not None  # noqa: S101 - there is no mail without one
        try:
            event = self.events.message_received(connection, outcome.receipt, mail)
        except Fault as fault:  # the vault, whose key signs the links
            return replace(outcome, fault=fault, ours=True)
        try:
            if destination.type != "queue":
                event_id = public_id(connection.id, outcome.receipt.hash)
                return self._post(outcome, destination.url, secrets, event_id, to_bytes(event))
            if not destination.name.startswith(QUEUE_PREFIX):
                raise Fault("The destination's queue must begin with out-.", Code.DESTINATION_FORBIDDEN)
            self.wakeups.put(destination.name, for_queue(event))
        except Fault as fault:
            return replace(outcome, fault=fault)
        else:
            return outcome

    def _post(self, outcome: Outcome, url: str, secrets: Sequence[str], event_id: str, body: bytes) -> Outcome:
        signed = signature_headers(self.sign, secrets, event_id, self.clock(), body)
        answer = self.webhooks.post(url, body, {"Content-Type": CONTENT_TYPE, **signed})
        outcome = replace(outcome, status=answer.status)
        if 200 <= answer.status < 300:
            return outcome
        if answer.status == 410:
            fault = Fault(f"The destination answered 410, that it is gone for good. {ENABLE_AGAIN}", REFUSED)
            return replace(outcome, fault=fault, gone=True)
        detail = f"The destination answered {answer.status} instead of 2xx. It is tried again by itself."
        return replace(outcome, fault=Fault(detail, REFUSED, retryable=True, retry_after=answer.retry_after))


def skip_reason(connection: Connection, receipt: Receipt, mail: Mail) -> str:
    """
    Return why the mail is not to be handed over, '' where it is.

    What was skipped or delivered before and has work again was asked for by a person.
    """
    if connection.automatic_mail != "skip" or mail.automatic is Automatic.NONE:
        return ""
    return "" if receipt.skipped or receipt.delivered_at else f"automatic_mail:{mail.automatic.value}"
