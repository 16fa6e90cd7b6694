"""What administrators' answers hold, for the API's description: nothing is built of these, a test compares them."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, WithJsonSchema

from shared.audit_log import AuditEntry
from shared.connection_admin.checks import Check
from shared.expiry import Expiry
from shared.grants import GrantStatus
from shared.ports import Folder, Person
from shared.proofs import AuthMethod

Time = Annotated[str, WithJsonSchema({"type": "string", "format": "date-time"})]


class Answer(BaseModel):
    """Base of answers; clients ignore fields that they do not know, for later versions add some."""


class MicrosoftIds(Answer):
    """What Microsoft said of a refusal, for support cases; '' for what it did not say."""

    code: str
    request_id: str
    trace_id: str
    correlation_id: str


class FieldFault(Answer):
    """A fault of a request: *pointer* is a JSON pointer, or ``?name`` for a query parameter, ``#name`` for a header."""

    pointer: str
    code: str
    message: str


class Problem(Answer):
    """Why a request was not done (RFC 9457); *detail* says what to do, *request_id* names it in the logs."""

    type: Annotated[str, Field(examples=["urn:mailgrant:problem:not_found"])]
    title: str
    status: int
    detail: str
    code: str
    request_id: str
    errors: list[FieldFault] = Field(default=[], description="Each fault of the request.")
    microsoft: MicrosoftIds = Field(default=None, description="Where Microsoft refused something.")  # type: ignore[assignment]


class Fault(Answer):
    """What keeps a thing from working: a code, a sentence that says what to do, since when, and Microsoft's ids."""

    code: str
    detail: str
    at: Time | None
    retryable: bool
    microsoft_code: str
    request_id: str
    trace_id: str
    correlation_id: str


class Health(Answer):
    """The app runs."""

    status: Literal["ok"]
    version: str


class HealthDetails(Answer):
    """What is well and what is not; 503 only for storage, vault, or a tick that is missing for 5 minutes."""

    status: Literal["ok", "unhealthy"]
    version: str
    checks: dict[str, Any]


class Cloud(Answer):
    """One of Microsoft's clouds."""

    name: str
    login_host: str


class System(Answer):
    """What must be known before the first credential."""

    version: str
    redirect_uri: str
    required_permissions: list[str]
    clouds: list[Cloud]
    role: Literal["admin", "viewer"] = Field(description="What the caller is; a viewer reads, but opens no mail.")


class Tick(Answer):
    """How much work was due, and how many wake-ups went out for it."""

    due: int
    woken: int


class AuditPage(Answer):
    """Who did what."""

    data: list[AuditEntry]
    next_cursor: str | None


class Credential(Answer):
    """An app registration as we use it; never a secret."""

    id: str
    name: str
    provider: Literal["microsoft365"]
    client_id: str
    cloud: str
    tenant: str
    grant_type: Literal["admin_consent", "client_credentials"]
    auth_method: AuthMethod
    managed_identity_client_id: str | None
    account_type: Literal["single_tenant", "multitenant"]
    status: str
    secret_expires_at: Time | None
    expires_at: Time | None
    expires_in_days: int | None
    expiry: Expiry
    unproven_secret: bool
    redirect_uri: str
    token_endpoint_url: str
    auth_endpoint_url: str | None
    version: int
    created_at: Time
    fault: Fault | None


class RotatedCredential(Credential):
    """The credential after a rotation; not *proven* means that Microsoft could not be asked, *detail* says why."""

    proven: bool
    detail: str


class CredentialPage(Answer):
    """Credentials, newest first."""

    data: list[Credential]
    next_cursor: str | None


class ConsentLink(Answer):
    """A link to consent by."""

    id: str
    label: str
    expected_tenant: str | None
    status: Literal["open", "used", "withdrawn", "expired"]
    created_at: Time
    expires_at: Time
    grant_id: str | None


class NewConsentLink(ConsentLink):
    """A new link; its *url* is shown this once."""

    url: str


class ConsentLinkPage(Answer):
    """Consent links, newest first."""

    data: list[ConsentLink]
    next_cursor: str | None


class Roles(Answer):
    """Application permissions of a tenant."""

    granted: list[str]
    missing: list[str]
    excess: list[str]


class Grant(Answer):
    """What one tenant has given one credential."""

    id: str
    credential_id: str
    tenant: str
    tenant_domain: str | None
    signed_in_as: str | None
    signed_in_at: Time | None
    status: GrantStatus
    detail: str
    usable: bool
    confirmed: bool
    scoped: bool
    roles: Roles
    created_at: Time
    consented_at: Time
    checked_at: Time | None
    next_check_at: Time | None
    fault: Fault | None


class GrantPage(Answer):
    """Grants, newest first."""

    data: list[Grant]
    next_cursor: str | None


class Erased(Answer):
    """How much a purge erased so far."""

    connections: int
    mails: int
    entries: int
    rows: int
    blobs: int


class PurgeReport(Answer):
    """How far the erasure of all that is kept of a tenant is."""

    grant_id: str
    status: Literal["running", "done"]
    started_at: Time
    finished_at: Time | None
    erased: Erased


class MailboxPage(Answer):
    """Mailboxes to choose from."""

    data: list[Person]
    next_cursor: None


class FolderPage(Answer):
    """Folders to choose from."""

    data: list[Folder]
    next_cursor: None


class Checks(Answer):
    """Each step of a test; a step that fails does not make the answer an error."""

    checks: list[Check]
