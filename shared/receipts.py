"""A receipt: the durable record of one fetched message, its states, and the rows that hold it and its work."""

import json
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from shared.errors import Fault, RecordedFault
from shared.identifiers import short_hash
from shared.ports import ANY, Delete, Insert, Listed, Operation, Row, Update, Upsert
from shared.rows import decode, encode, readable
from shared.times import from_key, from_text, to_inverted_key, to_key, to_text

log = logging.getLogger("mailgrant.rows")

SUBJECT_LENGTH = 200
MAX_OPERATIONS = 100
MAX_TRIES = 10
DELIVER, AFTER, REFETCH = "wd", "wa", "wf"


class ReceiptStatus(StrEnum):
    """What became of a fetched message."""

    STORED = "stored"
    DELIVERED = "delivered"
    RETRYING = "retrying"
    QUARANTINED = "quarantined"
    FAILED = "failed"
    SKIPPED = "skipped"
    EXPIRED = "expired"


VIEWED = frozenset({ReceiptStatus.RETRYING, ReceiptStatus.QUARANTINED, ReceiptStatus.FAILED})
"""Statuses that are rare enough to have an index row of their own."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """
    One attempt to fetch or to deliver a message (*kind*), and what came of it: ``ok``, ``failed`` or ``skipped``.

    *status* is what the destination answered, 0 for no answer.
    """

    at: str
    kind: str
    outcome: str
    status: int = 0
    code: str = ""
    detail: str = ""
    milliseconds: int = 0


@dataclass(frozen=True, slots=True)
class Receipt:
    """
    One fetched message; *hash* names it within its connection, *graph_id* is its immutable id.

    *mailbox* is the mailbox's address as of then, a label. *blob* is the path of the stored MIME ('' while it could not
    be fetched), *sha256* and *size* are those of its bytes. *not_stored* names the limit beyond which the body stays in
    the mailbox.
    *parsed* says how much of it could be read once it was delivered. *fault* is what keeps it from being fetched or
    delivered, *after_fault* why the mailbox refused what was to be done after fetching. *skipped* says why it was not
    delivered though it could have been; *tries* are the last attempts, the latest last. *refused_since* is when its
    destination first refused it.
    """

    hash: str
    graph_id: str
    status: ReceiptStatus
    stored_at: str
    mailbox: str = ""
    received_at: str = ""
    subject: str = ""
    sender: str = ""
    internet_message_id: str = ""
    blob: str = ""
    sha256: str = ""
    size: int = 0
    not_stored: str = ""
    parsed: str = ""
    parsed_reason: str = ""
    fetch_attempts: int = 0
    attempts: int = 0
    delivered_at: str = ""
    fault: RecordedFault | None = None
    after_fault: RecordedFault | None = None
    skipped: str = ""
    tries: tuple[Attempt, ...] = ()
    refused_since: str = ""

    @property
    def deliverable(self) -> bool:
        """Whether there is anything to hand over: content, or what was listed of a body not stored, unless erased."""
        return bool(self.blob or self.not_stored) and self.status is not ReceiptStatus.EXPIRED

    def tried(self, attempt: Attempt) -> "Receipt":
        """Return the receipt with one more attempt on it; the last ten stay."""
        return replace(self, tries=(*self.tries[1 - MAX_TRIES :], attempt))

    def stored_moment(self) -> datetime:
        """Return when it was stored, by storage's time."""
        return from_text(self.stored_at)


@dataclass(frozen=True, slots=True)
class Work:
    """
    A work row: what (*kind*) is to be done for the message of *hash*, when (*at*), and how often it was tried.

    *snapshot* is what the receipt said when the row was made, as JSON, '' where the receipt is to be read; *etag* is
    the row's own, as read. Whoever changes what a snapshot holds removes or rewrites its row in the same transaction.
    """

    kind: str
    at: datetime
    hash: str
    attempts: int = 0
    snapshot: str = ""
    etag: str = ANY

    @property
    def key(self) -> str:
        """The row key, which sorts by time."""
        return f"{self.kind}|{to_key(self.at)}|{self.hash}"

    def insert(self) -> Upsert:
        """Return the operation that makes this row; work that stands there already is the same work."""
        return Upsert(self.key, {"attempts": self.attempts, "snapshot": self.snapshot})

    @classmethod
    def from_row(cls, row: Row) -> "Work":
        """Return the work of a row."""
        kind, at, message_hash = row.key.split("|", 2)
        attempts, snapshot = int(row.values.get("attempts", 0)), str(row.values.get("snapshot", ""))
        return cls(kind, from_key(at), message_hash, attempts, snapshot, row.etag)

    def untried(self) -> Receipt | None:
        """Return the receipt as work that was never tried holds it, None where it is to be read; raises ValueError."""
        return None if self.attempts or not self.snapshot else decode(Receipt, json.loads(self.snapshot))


def works_of(rows: Sequence[Row]) -> list[Work]:
    """Return the work of *rows*; what can be none, or is of a newer version, is logged and left alone."""
    found: list[Work] = []
    for row in rows:
        try:
            found.append(Work.from_row(row))
        except (ValueError, OverflowError):
            log.warning("rows.unreadable key=%s reason=%s", row.key, "no Work")
    return found


def delivery_of(receipt: Receipt, at: datetime) -> Work:
    """Return the work to deliver stored mail; its first holds the receipt without what is personal in the mail."""
    work = Work(DELIVER, at, receipt.hash)
    if not receipt.blob or work.key != first_delivery(receipt).key:
        return work
    known = replace(receipt, subject="", sender="", internet_message_id="")
    return replace(work, snapshot=json.dumps(encode(known), separators=(",", ":"), ensure_ascii=False))


def first_delivery(receipt: Receipt) -> Work:
    """Return the work of mail whose content came with its receipt, without the copy that may stand there alone."""
    return Work(DELIVER, receipt.stored_moment(), receipt.hash)


def fetch_attempt(now: datetime, fault: Fault | None) -> Attempt:
    """Return what came of an attempt to fetch a message."""
    if fault is None:
        return Attempt(to_text(now), "fetch", "ok")
    return Attempt(to_text(now), "fetch", "failed", 0, fault.code.value, fault.detail)


def listed_receipt(message: Listed, mailbox: str, now: datetime) -> Receipt:
    """Return the receipt of a message as the mailbox (*mailbox* is its address) lists it, not yet fetched."""
    return Receipt(
        hash=hash_of(message.id),
        graph_id=message.id,
        status=ReceiptStatus.RETRYING,
        stored_at=to_text(now),
        mailbox=mailbox,
        received_at=message.received_at,
        subject=message.subject[:SUBJECT_LENGTH],
        sender=message.sender[:320],
        internet_message_id=message.internet_message_id[:1000],
    )


def receipt_key(message_hash: str) -> str:
    """Return the key of a receipt's row."""
    return f"m|{message_hash}"


def index_key(receipt: Receipt) -> str:
    """Return the key of the row that lists it among all, newest first."""
    return f"d|{to_inverted_key(receipt.stored_moment())}|{receipt.hash}"


def view_key(receipt: Receipt) -> str:
    """Return the key of the row that lists it among those of its status, newest first."""
    return f"v|{receipt.status}|{to_inverted_key(receipt.stored_moment())}|{receipt.hash}"


def work_range(kind: str, upto: datetime | None) -> tuple[str, str]:
    """Return first and last key of the work of one kind that is due by *upto*, or of all of it."""
    return f"{kind}|", f"{kind}|{to_key(upto)}~" if upto else f"{kind}~"


def insertion(receipt: Receipt, work: Sequence[Work]) -> list[Operation]:
    """Return the operations that make a receipt, its index rows and its work; refused where the receipt is there."""
    operations: list[Operation] = [
        Insert(receipt_key(receipt.hash), encode(receipt)),
        Upsert(index_key(receipt), {}),
    ]
    if receipt.status in VIEWED:
        operations.append(Upsert(view_key(receipt), {}))
    return [*operations, *(item.insert() for item in work)]


def change(before: Receipt, after: Receipt, etag: str) -> list[Operation]:
    """
    Return the operations that turn *before*, read with *etag*, into *after*, and keep the view of rare statuses right.

    The view's row comes and goes with the status in one transaction, so it is there unless the receipt has changed.
    """
    old, new = encode(before), encode(after)
    changed = {name: value for name, value in new.items() if old.get(name) != value}
    operations: list[Operation] = [Update(receipt_key(after.hash), changed, etag)]
    if before.status != after.status:
        if before.status in VIEWED:
            operations.append(Delete(view_key(before)))
        if after.status in VIEWED:
            operations.append(Upsert(view_key(after), {}))
    return operations


def moved(work: Work, at: datetime) -> list[Operation]:
    """Return the operations that put *work* off until *at*, counted as one more attempt, if it stands there still."""
    later = replace(work, at=at, attempts=work.attempts + 1, snapshot="")
    if later.key == work.key:
        return [Update(work.key, later.insert().values, work.etag)]
    return [Delete(work.key, work.etag), later.insert()]


def bare(receipt: Receipt, status: ReceiptStatus) -> Receipt:
    """Return the receipt without what is personal; hash, times and how it fared remain, and so does *status*."""
    return replace(
        receipt, status=status, mailbox="", subject="", sender="", internet_message_id="", blob="", parsed_reason=""
    )


def day_range(day: str) -> tuple[str, str]:
    """Return first and last key of the rows that list what was stored on *day* (YYYYMMDD, UTC), newest first."""
    begins = datetime.strptime(day, "%Y%m%d").replace(tzinfo=UTC)
    ends = begins + timedelta(days=1, milliseconds=-1)
    return f"d|{to_inverted_key(ends)}|", f"d|{to_inverted_key(begins)}~"


def readable_receipt(row: Row) -> Receipt | None:
    """Return the receipt of a row among many, None where it holds none: it is logged and left alone."""
    return readable(Receipt, row.key, row.values)


def read_receipt(values: Any) -> Receipt:
    """Return the receipt of a row's values."""
    return decode(Receipt, values)


def public_id(connection_id: str, message_hash: str) -> str:
    """Return the id under which a receipt is known outside; it is also the id of its event."""
    return f"rcv_{connection_id.removeprefix('conn_')}.{message_hash}"


def hash_of(graph_id: str) -> str:
    """Return the hash of an immutable id: the same message gives the same hash, always."""
    return short_hash(graph_id)


def packed(groups: Iterable[Sequence[Operation]]) -> list[list[Sequence[Operation]]]:
    """Return groups of operations packed into transactions of at most 100, each group whole and none empty."""
    parts: list[list[Sequence[Operation]]] = []
    size = MAX_OPERATIONS
    for group in groups:
        if not group:
            continue
        if size + len(group) > MAX_OPERATIONS:
            parts.append([])
            size = 0
        parts[-1].append(group)
        size += len(group)
    return parts
