"""How a delta page becomes receipts: contents first, then receipts with their work, then whoever delivers is woken."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from shared.connections import Action
from shared.errors import Fault, RowExists
from shared.fetch.contents import Content, ContentReader, Wanted
from shared.fetch.job import Job, since_of
from shared.ports import GraphMailbox, Listed, Operation, Table, Wakeups
from shared.receipts import (
    AFTER,
    DELIVER,
    REFETCH,
    Receipt,
    ReceiptStatus,
    Work,
    hash_of,
    insertion,
    listed_receipt,
    packed,
    receipt_key,
)
from shared.schedule import DELIVER as DELIVER_KIND
from shared.schedule import QUEUES, Wakeup
from shared.times import from_text, to_text

FIRST_REFETCH = timedelta(minutes=1)


class PageStore:
    """Stores pages: contents through *reader*, receipts in *receipts*, wake-ups through *wakeups*."""

    def __init__(self, reader: ContentReader, receipts: Table, wakeups: Wakeups) -> None:
        self._reader = reader
        self._receipts = receipts
        self._wakeups = wakeups

    def take(self, job: Job, mailbox: GraphMailbox, messages: Sequence[Listed]) -> list[Receipt]:
        """
        Store what of a page is wanted and not known; return the receipts that this call made.

        A message that cannot be fetched has a receipt too, and work to fetch it again. Raises the fault that concerns
        more than one message, after everything that was fetched has its receipt.
        """
        wanted = self._unknown(job, selected(job, messages))
        if not wanted:
            return []
        sizes = [Wanted(message.id, message.size) for message in wanted]
        contents = self._reader.read(job, mailbox, sizes)
        now = job.now()
        receipts = [
            _finished(listed_receipt(message, job.connection.address, now), contents.results[message.id], now)
            for message in wanted
            if message.id in contents.results
        ]
        made = self._insert(job, receipts, now)
        self.wake(job, made)
        if contents.trouble is not None:
            raise contents.trouble
        return made

    def wake(self, job: Job, receipts: Sequence[Receipt]) -> None:
        """Wake whoever delivers, if there is anything to deliver."""
        job.taken += sum(receipt.status == ReceiptStatus.STORED for receipt in receipts)
        if receipts:
            job.seen = True
            job.turn.renew()
            self._wakeups.put(QUEUES[DELIVER_KIND], Wakeup(DELIVER_KIND, job.connection.id).to_body())

    def _unknown(self, job: Job, messages: list[Listed]) -> list[Listed]:
        if not job.recheck:
            return messages
        partition = job.connection.id
        unknown = [m for m in messages if self._receipts.get(partition, receipt_key(hash_of(m.id))) is None]
        # Mail that is stored already may never have been announced.
        job.seen = job.seen or len(unknown) < len(messages)
        return unknown

    def _insert(self, job: Job, receipts: list[Receipt], now: datetime) -> list[Receipt]:
        made: list[Receipt] = []
        by_key = {receipt_key(receipt.hash): receipt for receipt in receipts}
        for groups in packed([insertion(receipt, work_of(job, receipt, now)) for receipt in receipts]):
            job.turn.renew()
            made.extend(by_key[group[0].key] for group in self._insert_groups(job, groups))
        return made

    def _insert_groups(self, job: Job, groups: list[Sequence[Operation]]) -> list[Sequence[Operation]]:
        """Insert what is not there, and return what was not; each group begins with its receipt."""
        partition = job.connection.id
        left = groups
        while left:
            try:
                self._receipts.commit(partition, [operation for group in left for operation in group])
            except RowExists:
                job.seen = True
                left = [group for group in left if self._receipts.get(partition, group[0].key) is None]
            else:
                break
        return left


def selected(job: Job, messages: Sequence[Listed]) -> list[Listed]:
    """Return the messages of a page that are to be taken, each once and as listed last; drafts are left alone."""
    since = since_of(job.connection, job.run) if job.walking else None
    latest = {message.id: message for message in messages}
    return [
        message
        for message in latest.values()
        if not message.removed and not message.is_draft and not _older(message, since)
    ]


def work_of(job: Job, receipt: Receipt, now: datetime) -> list[Work]:
    """Return the work that a receipt brings: delivery and what follows fetching, or another attempt to fetch."""
    if receipt.status != ReceiptStatus.STORED:
        job.wait_for(now + FIRST_REFETCH)
        return [Work(REFETCH, now + FIRST_REFETCH, receipt.hash, 1)]
    work = [Work(DELIVER, now, receipt.hash)]
    if job.connection.after_fetch.action != Action.NONE:
        work.append(Work(AFTER, now, receipt.hash))
    return work


def with_content(receipt: Receipt, content: Content) -> Receipt:
    """Return the receipt with its content stored."""
    return replace(
        receipt,
        status=ReceiptStatus.STORED,
        blob=content.path,
        sha256=content.blob.sha256,
        size=content.blob.size,
        fault=None,
    )


def _finished(receipt: Receipt, result: Content | Fault, now: datetime) -> Receipt:
    if isinstance(result, Content):
        return with_content(receipt, result)
    return replace(receipt, fetch_attempts=1, fault=result.recorded(to_text(now)))


def _older(message: Listed, since: datetime | None) -> bool:
    if since is None or not message.received_at:
        return False
    try:
        return from_text(message.received_at) < since
    except ValueError:
        return False
