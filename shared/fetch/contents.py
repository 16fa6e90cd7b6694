"""How the content of listed messages comes into blobs: by batches where it is small, streamed where it is large."""

import hashlib
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass, field

from shared.errors import CredentialFault, Fault, GrantFault, ItemFault, Throttled
from shared.fetch.job import Job, portions
from shared.fetch.room import BeyondLimit
from shared.ports import Blobs, GraphMailbox, GraphReading, StoredBlob
from shared.receipts import hash_of
from shared.turns import PERMITS

BATCH = 20
BATCH_BYTES = 4 * 1024 * 1024
SMALL_BYTES = 256 * 1024
LARGE_AT_ONCE = 16
"""Of so many large mails receipts are written together: a page of them may take longer than a host lets a run last."""
THROTTLE_TRIES = 3
LONGEST_WAIT = 10.0


@dataclass(frozen=True, slots=True)
class Wanted:
    """A message whose content is wanted; *size* in bytes, None where it is not known."""

    id: str
    size: int | None


@dataclass(frozen=True, slots=True)
class Content:
    """Where the bytes of a message were stored, and what they are; nowhere, where it is *beyond* the limit named."""

    path: str
    blob: StoredBlob
    beyond: str = ""


@dataclass
class Contents:
    """What came of each message, and *trouble* where the rest was given up for now."""

    results: dict[str, Content | Fault] = field(default_factory=dict)
    trouble: Fault | None = None


Coming = dict[str, Future[Content] | Content | Fault]
"""What came of each message of a batch, or is about to: its blob is being written."""


class ContentReader:
    """Brings content from *graph* into *blobs*; *sleep* waits out a short 429 of single messages."""

    def __init__(self, graph: GraphReading, blobs: Blobs, sleep: Callable[[float], None] = time.sleep) -> None:
        self._graph = graph
        self._blobs = blobs
        self._sleep = sleep

    def read(self, job: Job, mailbox: GraphMailbox, wanted: Sequence[Wanted]) -> Contents:
        """Fetch and store the content of *wanted*, as `reading` does, and return it once all of it is stored."""
        found, read = Contents(), list[Coming]()
        with ThreadPoolExecutor(PERMITS) as workers:
            try:
                read.extend(self.reading(job, mailbox, wanted, workers))
            except Fault as fault:
                found.trouble = fault
            for coming in read:
                found.results.update(settled(coming))
        return found

    def reading(
        self, job: Job, mailbox: GraphMailbox, wanted: Sequence[Wanted], workers: Executor
    ) -> "Iterator[Coming]":
        """
        Fetch the content of *wanted* and yield it batch by batch, while *workers* still write it into blobs.

        A fault that concerns a single message is that message's result; what concerns all of them is raised, after
        everything that came has been yielded.
        """
        limits = {item.id: job.room.beyond(item.size or 0) for item in wanted}
        if any(limits.values()):
            yield {key: left_out(limit) for key, limit in limits.items() if limit}
        taken = [item for item in wanted if not limits[item.id]]
        small = [item for item in taken if item.size is not None and item.size <= SMALL_BYTES]
        large = [item for item in taken if item.size is None or item.size > SMALL_BYTES]
        for batch in batches(small):
            came, trouble = self._read_batch(job, mailbox, batch, workers)
            yield came
            if trouble is not None:
                raise trouble
        for portion in portions(large, LARGE_AT_ONCE):
            found = Contents()
            self._read_large(job, mailbox, portion, found, workers)
            yield dict(found.results)
            if found.trouble is not None:
                raise found.trouble

    def store(self, job: Job, message_id: str, mime: bytes) -> Content:
        """Store the MIME of one message, unless it is beyond a limit."""
        path = job.blob_path(hash_of(message_id))
        with job.room.counted(len(mime)) as limit:
            if limit:
                return left_out(limit)
            self._blobs.put(path, mime)
        return Content(path, StoredBlob(len(mime), hashlib.sha256(mime).hexdigest()))

    def _read_batch(
        self, job: Job, mailbox: GraphMailbox, ids: list[str], workers: Executor
    ) -> "tuple[Coming, Fault | None]":
        left, came = ids, Coming()
        for attempt in range(1, THROTTLE_TRIES + 1):
            job.keep_turn()
            try:
                with job.turn.permits.all():
                    answers = self._graph.contents(mailbox, left)
            except Fault as fault:
                return came, fault
            shared = _common_fault(list(answers.values()))
            if shared is not None:
                return came, shared
            slow = {key: answer for key, answer in answers.items() if isinstance(answer, Throttled)}
            for key, answer in answers.items():
                if isinstance(answer, bytes):
                    came[key] = workers.submit(self.store, job, key, answer)
                elif key not in slow:
                    came[key] = answer
            if not slow:
                break
            wait = max(fault.retry_after or 2.0 * attempt for fault in slow.values())
            if attempt == THROTTLE_TRIES or wait > LONGEST_WAIT:
                return came, next(iter(slow.values()))
            self._sleep(wait)
            left = list(slow)
        return came, None

    def _read_large(
        self, job: Job, mailbox: GraphMailbox, wanted: Sequence[Wanted], found: Contents, workers: Executor
    ) -> None:
        futures = {item.id: workers.submit(self._stream, job, mailbox, item.id) for item in wanted}
        for key, future in futures.items():
            try:
                found.results[key] = future.result()
            except ItemFault as fault:
                found.results[key] = fault
            except Fault as fault:
                if isinstance(fault, (Throttled, CredentialFault, GrantFault)):
                    found.trouble = fault
                else:
                    found.results[key] = fault
        faults = [found.results.get(item.id) for item in wanted]
        if len(faults) > 1:
            found.trouble = found.trouble or _common_fault(faults)

    def _stream(self, job: Job, mailbox: GraphMailbox, message_id: str) -> Content:
        path = job.blob_path(hash_of(message_id))
        with job.turn.permits.take():
            job.keep_turn()
            chunks = _renewing(job, self._graph.content_stream(mailbox, message_id))
            try:
                return Content(path, self._blobs.put_stream(path, job.room.through(chunks)))
            except BeyondLimit as error:
                return left_out(error.limit)


def batches(wanted: Sequence[Wanted]) -> Iterator[list[str]]:
    """Yield ids in batches of at most 20 messages and 4 MB."""
    batch: list[str] = []
    size = 0
    for item in wanted:
        if batch and (len(batch) == BATCH or size + (item.size or 0) > BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(item.id)
        size += item.size or 0
    if batch:
        yield batch


def left_out(limit: str) -> Content:
    """Return what stands for content that stays in the mailbox, since it is beyond *limit*."""
    return Content("", StoredBlob(0, ""), limit)


def settled(coming: Coming) -> dict[str, Content | Fault]:
    """Return what came of each message once its blob is written; raises what writing raised."""
    return {key: item.result() if isinstance(item, Future) else item for key, item in coming.items()}


def _renewing(job: Job, chunks: Iterator[bytes]) -> Iterator[bytes]:
    for chunk in chunks:
        job.turn.renew()
        yield chunk


def _common_fault(answers: Sequence[object]) -> Fault | None:
    """Return the fault of all: one of several messages is that message's own, one that all share is the mailbox's."""
    faults = [answer for answer in answers if isinstance(answer, Fault)]
    refused = next((fault for fault in faults if isinstance(fault, (CredentialFault, GrantFault))), None)
    if refused is not None:
        return refused
    shared = len(answers) > 1 and len(faults) == len(answers)
    if shared and all(type(fault) is type(faults[0]) for fault in faults) and not isinstance(faults[0], ItemFault):
        return None if isinstance(faults[0], Throttled) else faults[0]
    return None
