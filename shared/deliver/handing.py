"""How mail is handed over: a batch at a time, at most eight at once, each with the same bytes at every attempt."""

import logging
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol

from shared.codes import Code
from shared.connections import Connection, Destination
from shared.deliver.job import DeliveryJob
from shared.errors import Fault, StorageError
from shared.events import CONTENT_TYPE, EventMaker, for_queue, to_bytes
from shared.mail.parsed import Mail
from shared.ports import Blobs, Clock, Table, Wakeups, Webhooks
from shared.receipts import Receipt, Work, public_id, read_receipt, receipt_key
from shared.stored_mail import read_mail

log = logging.getLogger("mailgrant.deliver")

AT_ONCE = 8
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


@dataclass(frozen=True, slots=True)
class Batch:
    """What came of a batch, and the *trouble* with storage that left the rest of it undone."""

    outcomes: list[Outcome]
    trouble: StorageError | None = None


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

    def hand_over(self, job: DeliveryJob, work: Sequence[Work]) -> Batch:
        """
        Hand over the mails of *work*, and keep the claim while receivers take their time (20 s each at most).

        Raises `LeaseLost`.
        """
        destination = job.connection.destination
        assert destination is not None  # noqa: S101 - whoever claims has looked
        try:
            number = destination.signing_version
            secret = self.secrets.signing_secret(job.connection.id, number) if destination.type == "webhook" else ""
        except Fault as fault:
            return Batch([Outcome(item, fault=fault) for item in work])
        with ThreadPoolExecutor(AT_ONCE) as workers:
            handed = [workers.submit(self._one, job.connection, destination, secret, item) for item in work]
            left: set[Future[Outcome | StorageError]] = set(handed)
            while left:
                left = wait(left, timeout=job.lease.total_seconds() / 4, return_when=FIRST_COMPLETED).not_done
                job.renew()
        results = [item.result() for item in handed]
        troubles = [result for result in results if isinstance(result, StorageError)]
        outcomes = [result for result in results if isinstance(result, Outcome)]
        return Batch(outcomes, troubles[0] if troubles else None)

    def _one(self, connection: Connection, destination: Destination, secret: str, work: Work) -> Outcome | StorageError:
        try:
            row = self.receipts.get(connection.id, receipt_key(work.hash))
            if row is None:
                return Outcome(work)
            receipt = read_receipt(row.values)
            outcome = Outcome(work, receipt, row.etag, read_mail(self.blobs, receipt))
            return (
                outcome if outcome.mail is None else self._sent(outcome, outcome.mail, connection, destination, secret)
            )
        except StorageError as error:
            return error

    def _sent(
        self, outcome: Outcome, mail: Mail, connection: Connection, destination: Destination, secret: str
    ) -> Outcome:
        assert outcome.receipt is not None  # noqa: S101 - there is no mail without one
        try:
            event = self.events.message_received(connection, outcome.receipt, mail)
            if destination.type != "queue":
                event_id = public_id(connection.id, outcome.receipt.hash)
                return self._post(outcome, destination.url, secret, event_id, to_bytes(event))
            if not destination.name.startswith(QUEUE_PREFIX):
                raise Fault("The destination's queue must begin with out-.", Code.DESTINATION_FORBIDDEN)
            self.wakeups.put(destination.name, for_queue(event))
        except Fault as fault:
            return replace(outcome, fault=fault)
        else:
            return outcome

    def _post(self, outcome: Outcome, url: str, secret: str, event_id: str, body: bytes) -> Outcome:
        headers = {"Content-Type": CONTENT_TYPE, **self.sign(secret, event_id, self.clock(), body)}
        answer = self.webhooks.post(url, body, headers)
        if 200 <= answer.status < 300:
            return outcome
        detail = f"The destination answered {answer.status} instead of 2xx. It is tried again by itself."
        fault = Fault(detail, Code.DESTINATION_REFUSED, retryable=True, retry_after=answer.retry_after)
        return replace(outcome, fault=fault, gone=answer.status == 410)
