"""What answers about connections, their tokens, hooks and templates hold, for the API's description."""

from typing import Annotated, Literal

from pydantic import Field

from functions.openapi.answers import Answer, Fault, Problem, Time
from shared.connections import Limits
from shared.connections import Status as ConnectionStatus

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

    to: list[str] = Field(default=[])
    cc: list[str] = Field(default=[])
    bcc: list[str] = Field(default=[])
    reply_to: list[str] = Field(default=[])
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
