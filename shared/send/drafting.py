"""From an accepted payload to a complete draft in the mailbox, files included."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from shared.codes import Code
from shared.compose.message import Address, File, Outgoing
from shared.compose.mime import Composed, Envelope, compose, encoded_bytes
from shared.connections import Connection
from shared.errors import Fault, ItemFault, StorageError
from shared.outbox.rows import ulid_of
from shared.outbox.work import Work
from shared.ports import Attachment, BlobStore, Found, GraphMailbox, GraphSending
from shared.send.guard import Guard
from shared.send.pace import Pace

SMALL_FILE_BYTES = 2_200_000
"""
Files below this go by one POST, others by an upload session.

Microsoft documents 3 MB for both, but Outlook was measured to take a POST of 3,145,611 bytes with the file in base64,
and sessions from 2,097,152 bytes on.
"""


@dataclass(frozen=True, slots=True)
class Drafting:
    """Makes drafts in one mailbox."""

    graph: GraphSending
    blobs: BlobStore
    guard: Guard
    pace: Pace
    mailbox: GraphMailbox
    connection: Connection

    def make(self, work: Work, now: datetime) -> Found:
        """
        Return a new draft with everything attached; what it could not complete it removes again.

        Raises `ItemFault` where the mail can never become one, `LaterError` where the mailbox has had too many bytes
        lately, and whatever Graph says.
        """
        composed = self._composed(work, now)
        self.pace.upload(encoded_bytes(len(composed.mime)) + sum(file.size for file in composed.separate))
        draft = self.guard.call(lambda: self.graph.create_draft(self.mailbox, composed.mime))
        try:
            for file in composed.separate:
                self._attach(draft.id, file)
        except (Fault, StorageError):
            self.discard(draft.id)
            raise
        return Found(draft.id, draft.is_draft, draft.internet_message_id or message_id(work.id, self.connection))

    def whole(self, work: Work, now: datetime) -> bytes:
        """Return the MIME of a mail that goes without a draft. Raises `ItemFault` where it does not fit into one."""
        composed = self._composed(work, now)
        if composed.separate:
            detail = (
                "The mail is too large to be sent without the right Mail.ReadWrite. Have an administrator grant it."
            )
            raise ItemFault(detail, Code.MESSAGE_EXCEEDS_MAILBOX_LIMIT)
        self.pace.upload(encoded_bytes(len(composed.mime)))
        return composed.mime

    def discard(self, draft_id: str) -> None:
        """Remove a draft that nobody recorded; one that stays is an orphan, which housekeeping removes."""
        try:
            self.guard.call(lambda: self.graph.delete_draft(self.mailbox, draft_id))
        except Fault:
            return

    def _composed(self, work: Work, now: datetime) -> Composed:
        content = self.blobs.outbox.get(work.payload)
        if content is None:
            raise ItemFault("The mail's stored content is gone, so it cannot be sent.", Code.CONTENT_EXPIRED)
        return compose(Outgoing.from_bytes(content), envelope(work.id, self.connection, now))

    def _attach(self, draft_id: str, file: File) -> None:
        about = Attachment(file.name, file.content_type, file.content_id, file.inline)
        if file.size < SMALL_FILE_BYTES:
            content = b"".join(self._chunks(file))
            self.guard.call(lambda: self.graph.attach(self.mailbox, draft_id, about, content))
            return
        chunks = self.guard.paced(self._chunks(file))
        self.guard.call(lambda: self.graph.attach_large(self.mailbox, draft_id, about, file.size, chunks))

    def _chunks(self, file: File) -> Iterator[bytes]:
        if file.content is not None:
            return iter((file.content,))
        chunks = self.blobs.uploads.chunks(file.blob)
        if chunks is None:
            raise ItemFault("An uploaded file of this mail is gone, so it cannot be sent.", Code.CONTENT_EXPIRED)
        return _verified(chunks, file)


def envelope(entry_id: str, connection: Connection, now: datetime) -> Envelope:
    """Return what a mail of *connection* does not say itself."""
    name = "".join(character for character in connection.mailbox_name if character.isprintable())
    sender = Address(connection.address, name)
    return Envelope(entry_id, message_id(entry_id, connection), sender, now)


def message_id(entry_id: str, connection: Connection) -> str:
    """Return the Message-ID that a mail bears from its draft on; Exchange may replace it."""
    domain = connection.address.rpartition("@")[2] or "mailgrant.invalid"
    return f"<{ulid_of(entry_id)}@{domain}>"


def _verified(chunks: Iterator[bytes], file: File) -> Iterator[bytes]:
    """Yield *chunks*, and raise before the end where they are not what was announced."""
    digest, size = hashlib.sha256(), 0
    held = b""
    for chunk in chunks:
        if held:
            yield held
        held = chunk
        digest.update(chunk)
        size += len(chunk)
    if size != file.size or (file.sha256 and digest.hexdigest() != file.sha256):
        raise ItemFault("An uploaded file is not what was announced: size or SHA-256 differ.", Code.MESSAGE_REFUSED)
    if held:
        yield held
