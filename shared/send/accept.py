"""Accept a mail: due row, payload, one transaction, wake-up; from then on it is sent exactly once, or said why not."""

import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from shared.codes import Code
from shared.compose.message import Outgoing
from shared.compose.mime import MIME_BYTES, compose, encoded_bytes
from shared.compose.recipients import strangers
from shared.connections import Connection, Direction
from shared.errors import (
    Conflict,
    FieldFault,
    InvalidRequest,
    NotFound,
    RowChanged,
    RowExists,
    RowMissing,
    StorageUnavailable,
    TooMany,
)
from shared.identifiers import new_entry_id
from shared.outbox import moves
from shared.outbox.rows import GATE_KEY, Entry, KeyUse, entry_key, key_hash, key_key, listed, short_subject
from shared.outbox.work import OPEN, Status, Work
from shared.ports import ANY, BlobStore, Clock, Operation, Table, Update
from shared.rows import decode
from shared.send.drafting import envelope
from shared.send.loops import LOOP_FIRST, Counted, counted
from shared.send.storing import opening, read_entry
from shared.send.uploads import Uploads, refuse_oversize, used
from shared.send.waking import DueRows, SharedWakeups
from shared.status_notices import Tellings
from shared.times import from_text, to_text

log = logging.getLogger("mailgrant.send")

LONGEST_AHEAD = timedelta(days=366)
_HEADERS_ROOM = 64 * 1024
_COUNTING_TRIES = 8


@dataclass(frozen=True, slots=True)
class Submission:
    """
    A checked request: the mail, when to send it (None: now), the caller's key ('' for none), its body's hash.

    *hook_id* names the hook that rendered it, *resend_of* the entry that a person wants to send again. Without
    *save_copy* its copy is removed from Sent Items once it is confirmed.
    """

    mail: Outgoing
    send_at: datetime | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    key: str = ""
    body_hash: str = ""
    hook_id: str = ""
    resend_of: str = ""
    save_copy: bool = True


@dataclass(frozen=True, slots=True)
class Accepted:
    """
    The entry that answers a request; *replayed* where an earlier request made it.

    *due_in* is how many seconds later than now, by storage's clock, it is to be sent.
    """

    id: str
    status: Status
    replayed: bool = False
    due_in: float = 0.0


@dataclass(frozen=True, slots=True)
class Accept:
    """Takes mails of outgoing connections into the outbox."""

    outbox: Table
    blobs: BlobStore
    wakeups: SharedWakeups
    due_rows: DueRows
    uploads: Uploads
    now: Clock
    tellings: Tellings | None = None

    def accept(self, connection: Connection, submission: Submission) -> Accepted:
        """
        Store the mail so that it will be sent, and return its entry.

        The same key and body give the same entry again; the same key and another body raise `Conflict`. Raises
        `InvalidRequest`, `TooLarge`, `Conflict` for a disabled connection, and `StorageUnavailable`, after which the
        caller may repeat the request with the same key.
        """
        if connection.direction != Direction.OUTGOING:
            raise NotFound("This connection does not send mail.")
        if not connection.enabled:
            raise Conflict("The connection is disabled. An administrator can enable it again.")
        _refuse_strangers(connection, submission.mail)
        now = self.now()
        if submission.send_at and submission.send_at > now + LONGEST_AHEAD:
            message = f"a mail can wait at most {LONGEST_AHEAD.days} days for its time"
            raise InvalidRequest("send_at is too far ahead.", [FieldFault("/send_at", "out_of_range", message)])
        files = self.uploads.resolve(connection, submission.mail.files)
        mail = submission.mail.with_files(files)
        if submission.hook_id:
            mail = replace(mail, automatic=True)
        entry_id = new_entry_id(connection.id, int(now.timestamp() * 1000))
        size = _checked_size(connection, mail, entry_id, now)
        self.due_rows.ensure(connection, now)
        content = mail.to_bytes()
        payload = f"{connection.id}/{entry_id}/{hashlib.sha256(content).hexdigest()}"
        self.blobs.outbox.put(payload, content)
        accepted = self._open(_entry(entry_id, connection, submission, mail, payload, size, now), submission, now)
        if accepted.id != entry_id:
            self._forget(payload)
        else:
            log.info("send.queued entry_id=%s bytes=%d files=%d", entry_id, size, len(files))
        if accepted.status in OPEN:
            self.wakeups.wake(connection.id, accepted.due_in)
        return accepted

    def _open(self, entry: Entry, submission: Submission, now: datetime) -> Accepted:
        for _ in range(_COUNTING_TRIES):
            found = self._counted(entry, submission, now)
            work = moves.accept(entry.id, entry.payload, now, submission.send_at)
            work = replace(work, discard_copy=not submission.save_copy)
            work = work if found.fault is None else moves.hold_back(work, found.fault, now)
            try:
                return self._stored(entry, work, submission, found.operations, now)
            except (RowChanged, RowExists) as error:
                if not error.key.startswith(LOOP_FIRST):
                    raise
        raise TooMany("The hook is called too often at once. Wait as Retry-After says, then call it again.", 1.0)

    def _counted(self, entry: Entry, submission: Submission, now: datetime) -> Counted:
        if not submission.hook_id:
            return Counted([])
        people = [person.address for person in submission.mail.recipients]
        return counted(self.outbox, entry.connection_id, submission.hook_id, people, now)

    def _stored(
        self, entry: Entry, work: Work, submission: Submission, more: Sequence[Operation], now: datetime
    ) -> Accepted:
        uploads = used([file.upload_id for file in submission.mail.files], now)
        marks: list[Operation] = [Update(key, {"used_at": at}, ANY) for key, at in uploads]
        telling = self.tellings(entry.connection_id) if self.tellings and work.status not in OPEN else None
        told = telling(work) if telling else ()
        due_in = 0.0
        try:
            rows = [*opening(entry, work, submission.body_hash), *marks, *more, *told]
            due_in = _seconds_until_due(work, self.outbox.commit(entry.connection_id, rows).storage_time)
        except RowExists as error:
            if error.key.startswith(LOOP_FIRST):
                raise
            return self._existing(entry, submission, error)
        except RowMissing as error:
            if error.key == GATE_KEY:
                raise NotFound("The connection was deleted, so it takes no mail any more.") from None
            raise InvalidRequest("An upload of this mail was removed meanwhile. Upload the file again.") from None
        except StorageUnavailable as error:
            if not error.outcome_unknown or self.outbox.get(entry.connection_id, entry_key(entry.id)) is None:
                raise
        if telling:
            telling.wake()
        return Accepted(entry.id, work.status, due_in=due_in)

    def _existing(self, entry: Entry, submission: Submission, error: RowExists) -> Accepted:
        row = self.outbox.get(entry.connection_id, key_key(entry.key_hash)) if entry.key_hash else None
        use = decode(KeyUse, row.values) if row else None
        if use is None or use.entry_id == entry.id:  # this transaction was done, only its answer was lost
            if self.outbox.get(entry.connection_id, entry_key(entry.id)) is None:
                raise error
            return Accepted(entry.id, Status.QUEUED)
        if use.body_hash != submission.body_hash:
            detail = "This idempotency key was used with another body. Use a new key for a new mail."
            raise Conflict(detail, Code.IDEMPOTENCY_KEY_REUSED)
        first = read_entry(self.outbox, use.entry_id)
        return Accepted(use.entry_id, first.status if first else Status.QUEUED, replayed=True)

    def _forget(self, payload: str) -> None:
        try:
            self.blobs.outbox.delete(payload)
        except StorageUnavailable:
            log.warning("send.payload_left")


def body_hash(body: Any) -> str:
    """Return the hash by which two parsed bodies are told to be the same, whatever their spelling."""
    canonical = json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(canonical.encode()).hexdigest()


def _seconds_until_due(work: Work, storage_time: datetime) -> float:
    """Return how long a mail waits; a second less, since storage tells its time in whole seconds, cut."""
    if not work.not_before:
        return 0.0
    return max(0.0, (from_text(work.not_before) - storage_time).total_seconds() - 1)


def _refuse_strangers(connection: Connection, mail: Outgoing) -> None:
    """Raise `InvalidRequest` for recipients to whom the connection may not write."""
    faults = []
    for field_name, people in (("to", mail.to), ("cc", mail.cc), ("bcc", mail.bcc)):
        foreign = strangers(connection.recipient_allow_list, [person.address for person in people])
        message = "the connection may not write to this address; see its recipient_allow_list"
        faults += [
            FieldFault(f"/{field_name}/{number}", Code.RECIPIENT_NOT_ALLOWED.value, message)
            for number, person in enumerate(people)
            if person.address in foreign
        ]
    if faults:
        detail = f"{len(faults)} recipients are not on the connection's recipient_allow_list. Nothing was sent."
        raise InvalidRequest(detail, faults, Code.RECIPIENT_NOT_ALLOWED)


def _checked_size(connection: Connection, mail: Outgoing, entry_id: str, now: datetime) -> int:
    """Return the encoded size in bytes; composes everything but the files, so that nothing fails later."""
    text = len(compose(mail.with_files(()), envelope(entry_id, connection, now)).mime)
    if text > MIME_BYTES - _HEADERS_ROOM:
        message = "text, html and headers together take more than 2.8 MB encoded; put the rest into attachments"
        raise InvalidRequest("The mail's own text is too long.", [FieldFault("/html", "too_long", message)])
    size = text + sum(encoded_bytes(file.size) for file in mail.files)
    refuse_oversize(connection, size)
    return size


def _entry(
    entry_id: str,
    connection: Connection,
    submission: Submission,
    mail: Outgoing,
    payload: str,
    size: int,
    now: datetime,
) -> Entry:
    return Entry(
        id=entry_id,
        connection_id=connection.id,
        created_at=to_text(now),
        payload=payload,
        size=size,
        subject=short_subject(mail.subject),
        to=listed(tuple(person.address for person in mail.to)),
        cc=listed(tuple(person.address for person in mail.cc)),
        bcc=listed(tuple(person.address for person in mail.bcc)),
        recipients=len(mail.recipients),
        key_hash=key_hash(submission.key) if submission.key else "",
        not_before=to_text(submission.send_at) if submission.send_at else "",
        metadata=submission.metadata,
        hook_id=submission.hook_id,
        resend_of=submission.resend_of,
        save_to_sent_items=submission.save_copy,
    )
