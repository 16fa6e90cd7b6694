"""What follows a fetch: the mail marked or moved in its mailbox, and messages that failed fetched again by their id."""

import logging
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import islice

from shared.codes import Code
from shared.connections import Action, Back
from shared.errors import CredentialFault, Fault, GrantFault, ItemFault, RowChanged, RowMissing, Throttled, Unreachable
from shared.fetch.contents import BATCH, LARGE_AT_ONCE, Content, ContentReader, Wanted
from shared.fetch.job import Job, portions
from shared.fetch.pages import PageStore, with_content, work_of
from shared.fetch.telling import quarantined
from shared.ports import Delete, GraphMailbox, GraphReading, Operation, Placed, Table
from shared.receipts import (
    AFTER,
    REFETCH,
    Receipt,
    ReceiptStatus,
    Work,
    change,
    fetch_attempt,
    moved,
    packed,
    read_receipt,
    readable_receipt,
    receipt_key,
    work_range,
    works_of,
)
from shared.rows import LOOK_AGAIN
from shared.times import to_text

log = logging.getLogger("mailgrant.fetch")

AFTER_BACK = Back(first=30.0, longest=3600.0)
REFETCH_BACK = Back(first=60.0, longest=6 * 3600.0)
REFETCH_TRIES = 8
AFTER_TRIES = 12
MOST_WORK = 200
DELETED_ITEMS = "deleteditems"


class AfterFetch:
    """Applies what a connection asks for once its mail is stored, and gives failed messages another try."""

    def __init__(self, graph: GraphReading, reader: ContentReader, pages: PageStore, receipts: Table) -> None:
        self._graph = graph
        self._reader = reader
        self._pages = pages
        self._receipts = receipts

    def apply_new(
        self, job: Job, mailbox: GraphMailbox, receipts: Iterable[Receipt], at: datetime | None = None
    ) -> None:
        """
        Apply after_fetch to mail that this run stored; its work stands at *at*, by default when it was stored.

        *receipts* may come one by one: each batch is applied as soon as it is full, and all of them are taken.
        """
        stored = (receipt for receipt in receipts if receipt.status == ReceiptStatus.STORED and receipt.blob)
        if job.connection.after_fetch.action == Action.NONE:
            deque(stored, maxlen=0)
            return
        self._apply(
            job, mailbox, ((Work(AFTER, at or receipt.stored_moment(), receipt.hash), receipt) for receipt in stored)
        )

    def work_off(self, job: Job, mailbox: GraphMailbox) -> None:
        """Work off what earlier runs left in rows: first after_fetch, then messages to fetch again."""
        for kind in (AFTER, REFETCH):
            due: list[tuple[Work, Receipt]] = []
            rows = self._receipts.read(job.connection.id, *work_range(kind, None), MOST_WORK).rows
            standing = works_of(rows)
            strange = len(standing) < len(rows)
            if len(rows) == MOST_WORK and standing:  # the first of the rest is due no sooner than the last of these
                job.wait_for(max(standing[-1].at, job.now()))
            for work in standing:
                if work.at > job.now():
                    job.wait_for(work.at)
                    continue
                row = self._receipts.get(job.connection.id, receipt_key(work.hash))
                if row is None:
                    self._commit(job, [[Delete(work.key)]])
                elif (receipt := readable_receipt(row)) is not None:
                    due.append((work, receipt))
                else:
                    strange = True
            if strange:
                job.wait_for(job.now() + LOOK_AGAIN)
            if kind == AFTER:
                self._apply(job, mailbox, self._not_yet_there(job, mailbox, due))
            else:
                for portion in portions(due, LARGE_AT_ONCE):
                    self._fetch_again(job, mailbox, portion)

    def _not_yet_there(
        self, job: Job, mailbox: GraphMailbox, due: list[tuple[Work, Receipt]]
    ) -> list[tuple[Work, Receipt]]:
        """Leave out what was done already by a run that died: a repeated move would be a second one."""
        if job.connection.after_fetch.action == Action.NONE:  # it was changed since: nothing may happen any more
            self._commit(job, [[Delete(work.key)] for work, _ in due])
            return []
        if job.connection.after_fetch.action == Action.READ:
            return due
        left: list[tuple[Work, Receipt]] = []
        for batch in portions(due, BATCH):
            job.keep_turn()
            with job.turn.permits.all():
                places = self._graph.placed(mailbox, [receipt.graph_id for _, receipt in batch])
            done: list[Sequence[Operation]] = []
            for work, receipt in batch:
                place = places[receipt.graph_id]
                if isinstance(place, Fault) and not isinstance(place, ItemFault):
                    raise place
                moved_there = isinstance(place, Placed) and place.folder_id == job.connection.after_fetch.folder_id
                gone = isinstance(place, Fault) and place.code == Code.MESSAGE_NOT_FOUND
                if moved_there or gone:
                    done.append([Delete(work.key)])
                else:
                    left.append((work, receipt))
            self._commit(job, done)
        return left

    def _apply(self, job: Job, mailbox: GraphMailbox, due: Iterable[tuple[Work, Receipt]]) -> None:
        wish = job.connection.after_fetch
        action = "read" if wish.action == Action.READ else "move"
        folder = wish.folder_id or DELETED_ITEMS
        done: list[Sequence[Operation]] = []
        trouble: Fault | None = None
        left = iter(due)
        while batch := list(islice(left, BATCH)):
            job.keep_turn()
            try:
                with job.turn.permits.all():
                    answers = self._graph.apply(mailbox, action, [receipt.graph_id for _, receipt in batch], folder)
                    answers = self._told_apart(mailbox, answers) if action == "move" else answers
            except Fault as fault:
                trouble = fault
                job.wait_for(job.now())
                break
            for work, receipt in batch:
                answer = answers[receipt.graph_id]
                if isinstance(answer, (Throttled, CredentialFault, GrantFault)):
                    trouble = answer
                done.append(self._applied(job, work, receipt, answer))
        self._commit(job, done)
        if trouble is not None:
            raise trouble

    def _told_apart(self, mailbox: GraphMailbox, answers: dict[str, Fault | None]) -> dict[str, Fault | None]:
        """Return *answers* with the fault of a folder that is gone: Graph says 404 for it as for the message."""
        missing = [key for key, fault in answers.items() if fault is not None and fault.code == Code.MESSAGE_NOT_FOUND]
        if not missing:
            return answers
        fault = ItemFault("The folder that mail is moved to is gone. Choose another folder.", Code.FOLDER_NOT_FOUND)
        places = self._graph.placed(mailbox, missing)
        told = {key: fault if isinstance(place, Placed) else place for key, place in places.items()}
        return {**answers, **told}

    def _applied(self, job: Job, work: Work, receipt: Receipt, fault: Fault | None) -> list[Operation]:
        """Return the operations that record one outcome; a message that is gone needs nothing more."""
        if fault is None or fault.code == Code.MESSAGE_NOT_FOUND:
            return [Delete(work.key)]
        passes = (fault.retryable or not isinstance(fault, ItemFault)) and work.attempts + 1 < AFTER_TRIES
        if passes or isinstance(fault, Throttled):  # a 429 says nothing of the message
            later = job.now() + AFTER_BACK.after(work.attempts + 1, fault.retry_after)
            job.wait_for(later)
            return moved(work, later)
        refused = replace(receipt, after_fault=fault.recorded(to_text(job.now())))
        row = self._receipts.get(job.connection.id, receipt_key(receipt.hash))
        return [Delete(work.key), *(change(receipt, refused, row.etag) if row is not None else [])]

    def _fetch_again(self, job: Job, mailbox: GraphMailbox, due: Sequence[tuple[Work, Receipt]]) -> None:
        wanted = [Wanted(receipt.graph_id, None) for _, receipt in due]
        contents = self._reader.read(job, mailbox, wanted)
        stored: list[Receipt] = []
        given_up = False
        now = job.now()
        for work, receipt in due:
            result = contents.results.get(receipt.graph_id)
            row = self._receipts.get(job.connection.id, receipt_key(receipt.hash))
            if result is None or row is None:
                job.wait_for(job.now())
                continue
            before = read_receipt(row.values)
            if before.status != ReceiptStatus.RETRYING:  # it was fetched, or given up, since this work was noted
                self._commit(job, [[Delete(work.key)]])
                continue
            after, operations = self._refetched(job, work, before, result, now)
            done = self._commit(job, [[*change(before, after, row.etag), *operations]])
            if done and after.status == ReceiptStatus.STORED:
                stored.append(after)
            given_up = given_up or (done and after.status == ReceiptStatus.QUARANTINED)
        self._pages.wake(job, stored, told=given_up)
        self.apply_new(job, mailbox, stored, now)
        # Messages that were given up for now fail together like any other way; a mailbox in trouble fails the walk too.
        if contents.trouble is not None and not isinstance(contents.trouble, Unreachable):
            raise contents.trouble

    def _refetched(
        self, job: Job, work: Work, receipt: Receipt, result: Content | Fault, now: datetime
    ) -> tuple[Receipt, list[Operation]]:
        if isinstance(result, Content):
            after = with_content(receipt, result).tried(fetch_attempt(now, None))
            return after, [Delete(work.key), *(item.insert() for item in work_of(job, after, now))]
        tried = receipt.tried(fetch_attempt(now, result))
        tried = replace(tried, fetch_attempts=work.attempts + 1, fault=result.recorded(to_text(now)))
        if work.attempts + 1 < REFETCH_TRIES:
            later = now + self._refetch_wait(work, result)
            job.wait_for(later)
            return tried, moved(work, later)
        if result.code == Code.MESSAGE_NOT_FOUND:
            return replace(tried, status=ReceiptStatus.SKIPPED), [Delete(work.key)]
        log.warning("fetch.quarantined connection_id=%s code=%s", job.connection.id, result.code.value)
        return replace(tried, status=ReceiptStatus.QUARANTINED), [Delete(work.key), quarantined(job, tried, now)]

    @staticmethod
    def _refetch_wait(work: Work, fault: Fault) -> timedelta:
        return REFETCH_BACK.after(2 * work.attempts + 1, fault.retry_after)

    def _commit(self, job: Job, groups: Sequence[Sequence[Operation]]) -> bool:
        """
        Commit groups of operations, each whole, in transactions of at most 100.

        A group whose row someone else removed or changed meanwhile is left out; returns whether none was.
        """
        complete = True
        for part in packed(groups):
            job.turn.renew()
            left = part
            while left:
                try:
                    self._receipts.commit(job.connection.id, [operation for group in left for operation in group])
                except (RowMissing, RowChanged) as error:
                    key = error.key
                    left = [group for group in left if key not in [operation.key for operation in group]]
                    complete = False
                else:
                    break
        return complete
