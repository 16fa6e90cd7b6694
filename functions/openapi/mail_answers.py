"""What answers about received mail and messages to send hold, for the API's description."""

from typing import Annotated, Any, Literal

from pydantic import Field

from functions.openapi.answers import Answer, Fault, Time
from shared.mail.parsed import Automatic, Parsed
from shared.outbox.work import Status as MessageStatus
from shared.receipts import ReceiptStatus


class Receipt(Answer):
    """The record of one fetched message; '' for what is not known."""

    id: str
    connection_id: str
    status: ReceiptStatus
    content: Literal["stored", "not_stored", "expired"]
    content_reason: str | None
    stored_at: Time
    received_at: Time | None
    delivered_at: Time | None
    subject: str
    sender: str
    internet_message_id: str
    sha256: str
    size: int
    parsed: str
    parsed_reason: str
    fetch_attempts: int
    attempts: int
    fault: Fault | None
    after_fault: Fault | None
    skipped: str
    refused_since: Time | None


class ReceiptPage(Answer):
    """Received mail, newest first; a page may be short: only a missing cursor ends the list."""

    data: list[Receipt]
    next_cursor: str | None


class Header(Answer):
    """One header field of a mail."""

    name: str
    value: str


class MailAddress(Answer):
    """An address and the name beside it; either may be empty where the mail says nothing usable."""

    name: str
    address: str


class Message(Answer):
    """A parsed mail; bodies are cut at 64 KiB, and *truncated* says so."""

    parsed: Parsed
    parsed_reason: str
    subject: str
    sender: Annotated[list[MailAddress], Field(alias="from")]
    to: list[MailAddress]
    cc: list[MailAddress]
    reply_to: list[MailAddress]
    date: str | None
    message_id: str
    in_reply_to: str
    references: list[str]
    headers: list[Header]
    automatic: Automatic
    text: str
    html: str
    calendar: str
    truncated: bool


class Attachment(Answer):
    """A file in a mail; *url* needs the same key or token as the mail."""

    name: str
    content_type: str
    size: int
    sha256: str
    content_id: str
    inline: bool
    url: str


class LinkedFile(Attachment):
    """A file in an event; *link* opens without a token for a week."""

    link: str


class ReceivedMail(Receipt):
    """One mail with its parsed view, which is null where its content is not stored (any more)."""

    message: Message | None
    raw_url: str | None
    attachments: list[Attachment]


class PageLink(Answer):
    """Where a mail can be looked at, for a minute."""

    url: str
    expires_at: Time


class Attempt(Answer):
    """One attempt to fetch or deliver a mail."""

    at: Time
    kind: str
    outcome: Literal["ok", "failed", "skipped"]
    status: int | None
    code: str
    detail: str
    milliseconds: int


class AttemptList(Answer):
    """The last attempts, newest first."""

    data: list[Attempt]
    next_cursor: None


class Accepted(Answer):
    """A message that will be sent; *deduplicated* says that its idempotency key was known."""

    id: str
    status: MessageStatus
    deduplicated: bool


class AcceptedMessage(Accepted):
    """As above, with the place to ask what became of it."""

    status_url: str


class SenderFault(Answer):
    """Why a message was not sent."""

    code: str
    detail: str
    at: Time


class Bounce(Answer):
    """A recipient whom the mail did not reach, as the report says: the status code of RFC 3463, and why."""

    address: str
    status: str
    reason: str
    at: Time


class SentMessage(Answer):
    """What became of a message, for its sender."""

    id: str
    status: MessageStatus
    created_at: Time
    send_at: Time | None
    finished_at: Time | None
    subject: str
    to: list[str]
    cc: list[str]
    bcc: list[str]
    recipients: int
    size: int
    attempts: int
    internet_message_id: str | None
    sent_at: Time | None
    sent_copy: Literal["kept", "to_be_removed", "removed"]
    bounces: list[Bounce]
    fault: SenderFault | None
    metadata: dict[str, Any]


class Move(Answer):
    """One step of a message."""

    name: str
    at: Time
    why: str


class OutboxEntry(SentMessage):
    """What became of a message, for administrators."""

    connection_id: str
    draft_id: str | None
    hook_id: str | None
    resend_of: str | None
    fault: Fault | None  # type: ignore[assignment]
    moves: list[Move]


class OutboxPage(Answer):
    """The outbox, newest first; a page may be short: only a missing cursor ends the list."""

    data: list[OutboxEntry]
    next_cursor: str | None


class Upload(Answer):
    """Where the file's bytes go: PUT them to *put_url* with ``x-ms-blob-type: BlockBlob``, or in parts."""

    upload_id: str
    put_url: str
    expires_at: Time
