"""How a delta page becomes receipts: contents first, then receipts with their work, then whoever delivers is woken."""

from collections.abc import Generator, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta

from shared.connections import Action
from shared.errors import Fault, RowExists
from shared.fetch.contents import Coming, Content, ContentReader, Wanted, settled
from shared.fetch.details import Details, given_up
from shared.fetch.job import Job, scope_of
from shared.leftovers import took
from shared.ports import GraphMailbox, Listed, Operation, Table, Wakeups
from shared.receipts import (
    AFTER,
    REFETCH,
    Receipt,
    ReceiptStatus,
    Work,
    delivery_of,
    fetch_attempt,
    hash_of,
    insertion,
    listed_receipt,
    packed,
    receipt_key,
)
from shared.schedule import DELIVER as DELIVER_KIND
from shared.schedule import QUEUES, Wakeup
from shared.telemetry import carried
from shared.times import from_text, to_inverted_key, to_text
from shared.turns import PERMITS

FIRST_REFETCH = timedelta(minutes=1)
CHATS = ("ipm.skypeteams.message", "ipm.note.microsoft.conversation")
MOST_INDEX = 5_000
"""So many of the newest receipts are read as a list, once in a run, however many there are."""
AROUND = 1_000
SOON = timedelta(hours=1)
"""Mail that was fetched as it came was stored this soon after it was received."""
FEW = 10
"""So many messages are looked up one by one; for more, lists of receipts are read first."""


class PageStore:
    """Stores pages: contents through *reader*, receipts in *receipts*, wake-ups through *wakeups*."""

    def __init__(self, reader: ContentReader, details: Details, receipts: Table, wakeups: Wakeups) -> None:
        self._reader = reader
        self._details = details
        self._receipts = receipts
        self._wakeups = wakeups

    def take(
        self, job: Job, mailbox: GraphMailbox, messages: Sequence[Listed], *, light: bool = False, known: bool = False
    ) -> Generator[Receipt, None, None]:
        """
        Store what of a page is wanted and not known; yield the receipts that this call made, once each is stored.

        Contents are fetched batch by batch; while one is fetched, the blobs and receipts of the one before are written.
        A message that cannot be fetched has a receipt too, and work to fetch it again. Raises the fault that concerns
        more than one message, after everything that was fetched has its receipt. Close it before anything else is done
        with *job*: closing waits for what is being written. A *light* page no more than names its messages; those of a
        page may be *known* also where the record does not say so.
        """
        unknown = self._unknown(job, selected(job, messages), known=known)
        if light and unknown:
            unknown = selected(job, self._details.of(job, mailbox, unknown))
        wanted = {message.id: message for message in unknown}
        if not wanted:
            return
        sizes = [Wanted(message.id, message.size) for message in wanted.values()]
        kept: list[Future[list[Receipt]]] = []
        left, trouble = set(wanted), None
        with ThreadPoolExecutor(PERMITS) as workers, ThreadPoolExecutor(1) as keeper:
            try:
                kept.extend(  # whose parts stay there where a later one raises
                    keeper.submit(self._keep, job, wanted, coming)
                    for coming in _counted(self._reader.reading(job, mailbox, sizes, workers), left)
                )
            except Fault as fault:
                if given_up(job, fault):
                    kept.append(keeper.submit(self._keep, job, wanted, dict.fromkeys(left, fault)))
                else:
                    trouble = fault
            announced = keeper.submit(
                carried(lambda: self.wake(job, [item for done in kept for item in done.result()]))
            )
            for done in kept:
                yield from done.result() if trouble is None else ()
            announced.result()
        if trouble is not None:
            raise trouble

    def _keep(self, job: Job, wanted: Mapping[str, Listed], coming: Coming) -> list[Receipt]:
        """Write the receipts of one batch as soon as its blobs are written; return those that were not there."""
        results, now = settled(coming), job.now()
        receipts = [
            _finished(listed_receipt(wanted[key], job.connection.address, now), result, now)
            for key, result in results.items()
        ]
        return self._insert(job, receipts, now)

    def wake(self, job: Job, receipts: Sequence[Receipt], *, told: bool = False) -> None:
        """Wake whoever delivers, if there is anything to deliver, or to tell."""
        job.taken += sum(receipt.status == ReceiptStatus.STORED for receipt in receipts)
        if receipts or told:
            job.seen = True
            job.turn.renew()
            self._wakeups.put(QUEUES[DELIVER_KIND], Wakeup(DELIVER_KIND, job.connection.id).to_body())

    def _unknown(self, job: Job, messages: list[Listed], *, known: bool) -> list[Listed]:
        if (known or (job.recheck and job.walking)) and len(messages) > FEW:
            messages = self._not_in_index(job, messages)
            messages = self._not_around(job, messages) if len(messages) > FEW else messages
        if job.connection.continues:  # each time: what comes back into the folder was maybe taken before
            messages = [m for m in messages if not took(self._receipts, job.connection.continues, hash_of(m.id))]
        if not (job.recheck or known):
            return messages
        partition = job.connection.id
        unknown = [m for m in messages if self._receipts.get(partition, receipt_key(hash_of(m.id))) is None]
        # Mail that is stored already may never have been announced.
        job.seen = job.seen or (job.recheck and len(unknown) < len(messages))
        return unknown

    def _not_in_index(self, job: Job, messages: list[Listed]) -> list[Listed]:
        """Leave out what the newest rows of the lists of receipts name, which are read once in a run."""
        if job.index is None:
            found: set[str] = set()
            for partition in (job.connection.id, *job.connection.continues):
                found.update(
                    row.key.rpartition("|")[2] for row in self._receipts.read(partition, "d|", "d~", MOST_INDEX).rows
                )
            job.index = frozenset(found)
        return _left(job, messages, job.index)

    def _not_around(self, job: Job, messages: list[Listed]) -> list[Listed]:
        """Leave out what was stored about when these messages were received, which one read finds."""
        times = [moment for message in messages if (moment := _received(message)) is not None]
        if not times:
            return messages
        first, last = f"d|{to_inverted_key(max(times) + SOON)}|", f"d|{to_inverted_key(min(times))}~"
        rows = self._receipts.read(job.connection.id, first, last, AROUND).rows
        return _left(job, messages, {row.key.rpartition("|")[2] for row in rows})

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
    """
    Return the messages of a page that are to be taken, each once and as listed last.

    Drafts are left alone, and so are the chats that Teams and Skype leave in mailboxes (graph-docs
    `user-list-messages.md`, known issues).
    """
    since = scope_of(job) if job.walking else None
    latest = {message.id: message for message in messages}
    return [
        message
        for message in latest.values()
        if not message.removed and not message.is_draft and not is_chat(message) and not _older(message, since)
    ]


def is_chat(message: Listed) -> bool:
    """Tell whether a message is no mail but a chat of Teams or Skype, by its class."""
    return message.item_class.lower().startswith(CHATS)


def work_of(job: Job, receipt: Receipt, now: datetime) -> list[Work]:
    """Return the work that a receipt brings: delivery and what follows fetching, or another attempt to fetch."""
    if receipt.status != ReceiptStatus.STORED:
        job.wait_for(now + FIRST_REFETCH)
        return [Work(REFETCH, now + FIRST_REFETCH, receipt.hash, 1)]
    work = [delivery_of(receipt, now)]
    if job.connection.after_fetch.action != Action.NONE and receipt.blob:  # what is not stored stays as it is
        work.append(Work(AFTER, now, receipt.hash))
    return work


def with_content(receipt: Receipt, content: Content) -> Receipt:
    """Return the receipt with its content stored, or with the limit for which it stays in the mailbox."""
    return replace(
        receipt,
        status=ReceiptStatus.STORED,
        blob=content.path,
        sha256=content.blob.sha256,
        size=content.blob.size,
        not_stored=content.beyond,
        fault=None,
    )


def _finished(receipt: Receipt, result: Content | Fault, now: datetime) -> Receipt:
    if isinstance(result, Content):
        return with_content(receipt, result).tried(fetch_attempt(now, None))
    tried = receipt.tried(fetch_attempt(now, result))
    return replace(tried, fetch_attempts=1, fault=result.recorded(to_text(now)))


def _counted(parts: Iterator[Coming], left: set[str]) -> Iterator[Coming]:
    """Pass *parts* on, and take what comes with them out of *left*."""
    for coming in parts:
        left -= coming.keys()
        yield coming


def _left(job: Job, messages: list[Listed], known: AbstractSet[str]) -> list[Listed]:
    """Return the messages whose hash is not *known*; others that are checked may never have been announced."""
    unknown = [message for message in messages if hash_of(message.id) not in known]
    job.seen = job.seen or (job.recheck and len(unknown) < len(messages))
    return unknown


def _older(message: Listed, since: datetime | None) -> bool:
    received = _received(message)
    return since is not None and received is not None and received < since


def _received(message: Listed) -> datetime | None:
    try:
        return from_text(message.received_at) if message.received_at else None
    except ValueError:
        return None
