"""What answers about connections, received mail and the outbox hold, for the API's description."""

from typing import Annotated, Any, Literal

from pydantic import Field

from functions.openapi.answers import Answer, Fault, Problem, Time
from shared.connections import Limits
from shared.connections import Status as ConnectionStatus
from shared.mail.parsed import Automatic, Parsed
from shared.outbox.work import Status as MessageStatus
from shared.receipts import ReceiptStatus


_SHOWN_ONCE = "In the answers to creation and rotation only."


class NamedFolder(Answer):
    """A folder of the mailbox."""

    id: str
    name: str


class Mailbox(Answer):
    """A mailbox; address and name are labels, refreshed daily."""

    id: str
    address: str
    name: str


class AfterFetch(Answer):
    """What becomes of a message in the mailbox once it is stored."""

    action: Literal["none", "read", "move", "delete"]
    folder: NamedFolder | None


class Destination(Answer):
    """Where fetched mail goes, and how that fares; a webhook has *url* and the signing fields, a queue has *name*."""

    type: Literal["webhook", "queue"]
    url: str = ""
    name: str = ""
    events: list[str]
    status: Literal["active", "paused", "disabled"]
    failing_since: Time | None
    fault: Fault | None
    signing_version: int = 0
    signing_secret_rotated_at: Time | None = None
    signing_overlap_until: Time | None = None


class Redelivery(Answer):
    """A run that delivers mail once more; *selected* counts what was put in line so far."""

    id: str
    status: str
    since: Time | None
    until: Time | None
    started_at: Time
    finished_at: Time | None
    selected: int
    without_content: int


class _AnyConnection(Answer):
    id: str
    name: str
    status: ConnectionStatus
    fault: Fault | None
    next_attempt_at: Time | None
    enabled: bool
    mode: Literal["microsoft_graph_oauth2"]
    grant_id: str
    mailbox: Mailbox
    created_at: Time
    version: int
    last_run_at: Time | None
    last_success_at: Time | None


class IncomingConnection(_AnyConnection):
    """A mailbox's folder whose mail is fetched and handed over."""

    direction: Literal["incoming"]
    folder: NamedFolder
    interval_minutes: int
    start: str | dict[str, str]
    after_fetch: AfterFetch
    destination: Destination | None
    automatic_mail: Literal["deliver", "skip"]
    retention_days: int
    limits: Limits
    next_run_at: Time | None
    fetched: int
    swept: int
    swept_at: Time | None
    holes: int
    delivered: int
    failed: int
    redelivery: Redelivery | None
    signing_secret: str = Field(default="", description=_SHOWN_ONCE)


class StatusWebhook(Answer):
    """Where word of what became of each message goes."""

    url: str
    signing_version: int
    signing_secret_rotated_at: Time | None
    signing_overlap_until: Time | None


class OutgoingConnection(_AnyConnection):
    """A mailbox that mail is sent from."""

    direction: Literal["outgoing"]
    status_webhook: StatusWebhook | None
    hold_hours: int
    max_message_mb: int
    send_rate: int
    recipient_allow_list: list[str]
    signing_secret: str = Field(default="", description=_SHOWN_ONCE)


Connection = Annotated[IncomingConnection | OutgoingConnection, Field(discriminator="direction")]


class Preview(Answer):
    """How many mails a new connection would take; not *exact* where there are more than were counted."""

    would_take: int
    exact: bool
    since: Time | None


class ConnectionPage(Answer):
    """Connections, newest first."""

    data: list[Connection]
    next_cursor: str | None


class Tried(Answer):
    """What came of a test event; *status* is what the destination answered, null for no answer or a queue."""

    ok: bool
    event_id: str
    status: int | None
    code: str
    detail: str
    milliseconds: int


class BulkResult(Answer):
    """What became of one operation: *problem* is there where it failed, *connection* where it is left afterwards."""

    index: int
    op: Literal["create", "patch", "delete", "enable", "disable"]
    id: str | None
    status: int
    connection: Connection | None
    problem: Problem = Field(default=None, description="Why it failed.")  # type: ignore[assignment]


class BulkResults(Answer):
    """What became of each operation, in their order; a dry run changed nothing."""

    dry_run: bool
    succeeded: int
    failed: int
    results: list[BulkResult]


class RedeliveryCount(Answer):
    """What a redelivery would select."""

    dry_run: Literal[True]
    selected: int
    without_content: int
    exact: bool


class Token(Answer):
    """A token; its text is shown once, at creation."""

    id: str
    connection_id: str
    scope: Literal["send", "receive"]
    created_at: Time
    last_used_at: Time | None


class NewToken(Token):
    """A new token with its text."""

    token: str


class TokenPage(Answer):
    """Tokens, newest first."""

    data: list[Token]
    next_cursor: str | None


class Run(Answer):
    """One run; a fetch has *pages* and *taken*, a send *accepted*."""

    id: str
    kind: Literal["fetch", "send"]
    at: Time
    outcome: Literal["done", "more", "failed"]
    seconds: float
    pages: int = 0
    taken: int = 0
    accepted: int = 0
    requests: int | None
    fault: Fault | None


class RunPage(Answer):
    """Runs, newest first."""

    data: list[Run]
    next_cursor: str | None


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


class Template(Answer):
    """The sources of a template's parts; a part that is not there is left out."""

    name: str
    version: int
    updated_at: Time
    to: str = ""
    cc: str = ""
    bcc: str = ""
    reply_to: str = ""
    subject: str = ""
    text: str = ""
    html: str = ""


class RenderedMail(Answer):
    """The mail that a template makes of a payload; what it does not say is left out."""

    to: list[str] = []
    cc: list[str] = []
    bcc: list[str] = []
    reply_to: list[str] = []
    subject: str = ""
    text: str = ""
    html: str = ""


class TemplatePage(Answer):
    """The templates of a connection."""

    data: list[Template]
    next_cursor: str | None


class HookVerify(Answer):
    """How a hook's source signs."""

    type: Literal["standard_webhooks", "hmac_sha256"]
    header: str | None


class Hook(Answer):
    """An address that turns webhooks of others into mail."""

    id: str
    template: str
    verify: HookVerify | None
    dedupe_key: str | None
    created_at: Time


class NewHook(Hook):
    """A new hook with its address, and with the secret where one was made; both are shown once."""

    url: str
    verify_secret: str = ""


class HookPage(Answer):
    """The hooks of a connection, newest first."""

    data: list[Hook]
    next_cursor: str | None
