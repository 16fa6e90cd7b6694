"""
Every error of the product, in one tree split by what the caller can do, and every problem code in one enum.

MailgrantError
├── InvalidRequest        the request has faults; `faults` names each (422, or 400 for what is no JSON)
├── NotFound              no such thing, or not yours to see (404)
├── Conflict              legal, but not in this state (409)
├── PreconditionFailed    If-Match names an older version (412)
├── Gone                  was there, and is no more (410)
├── TooLarge              beyond a limit that `detail` names (413)
├── Refused               caller not known or not allowed (401, 403)
├── TooMany               too often; `retry_after` says when (429)
├── Fault                 outside trouble that belongs to a thing; an administrator can act on it
│   ├── CredentialFault   secret, certificate, vault: every connection of the credential waits
│   ├── GrantFault        no consent, app disabled: every connection of the tenant waits
│   ├── MailboxFault      one mailbox cannot be used
│   ├── ItemFault         one message or folder cannot be used
│   ├── Throttled         asked to slow down; `retry_after`
│   ├── Unreachable       5xx, timeout, reset; `outcome_unknown` where the effect may have happened
│   └── OutOfSync         Graph forgot the delta token: walk the folder anew
└── StorageError
    ├── RowExists         insert of a row that is there
    ├── RowChanged        conditional write of a row that changed
    ├── RowMissing        update or delete of a row that is gone
    └── StorageUnavailable  no answer, or 5xx; `outcome_unknown` for writes
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum


class Code(StrEnum):
    """Stable codes of every problem that a caller or an administrator can meet."""

    INVALID_JSON = "invalid_json"
    INVALID_REQUEST = "invalid_request"
    NOT_FOUND = "not_found"
    UNSUPPORTED_MEDIA_TYPE = "unsupported_media_type"
    REQUEST_NOT_MARKED = "request_not_marked"
    FOREIGN_HOST = "foreign_host"
    TOKEN_MISSING = "token_missing"  # noqa: S105 - a problem code
    TOKEN_REFUSED = "token_refused"  # noqa: S105 - a problem code
    RATE_LIMITED = "rate_limited"
    STALE_VERSION = "stale_version"
    CONFLICT = "conflict"
    CREDENTIAL_IN_USE = "credential_in_use"
    GRANT_IN_USE = "grant_in_use"
    FOLDER_IN_USE = "folder_in_use"
    WORK_PENDING = "work_pending"
    NOTHING_TO_AUTHORIZE = "nothing_to_authorize"
    GRANT_NOT_USABLE = "grant_not_usable"
    IDEMPOTENCY_KEY_REUSED = "idempotency_key_reused"
    NOT_CANCELLABLE = "not_cancellable"
    BODY_TOO_LARGE = "body_too_large"
    MESSAGE_EXCEEDS_MAILBOX_LIMIT = "message_exceeds_mailbox_limit"
    LINK_EXPIRED = "link_expired"
    CONTENT_EXPIRED = "content_expired"
    SECRET_ID_INSTEAD_OF_VALUE = "secret_id_instead_of_value"  # noqa: S105 - a problem code
    V1_ENDPOINT = "v1_endpoint"
    PERSONAL_ACCOUNTS_UNSUPPORTED = "personal_accounts_unsupported"
    UNKNOWN_CLOUD = "unknown_cloud"
    STATE_UNKNOWN = "state_unknown"
    STATE_EXPIRED = "state_expired"
    STATE_REPLAYED = "state_replayed"
    COOKIE_MISSING = "cookie_missing"
    TICKET_UNKNOWN = "ticket_unknown"
    CONSENT_CANCELLED = "consent_cancelled"
    CONSENT_REFUSED = "consent_refused"
    CONSENT_INCOMPLETE = "consent_incomplete"
    WRONG_TENANT = "wrong_tenant"
    SECRET_WRONG = "secret_wrong"  # noqa: S105 - a problem code
    SECRET_EXPIRED = "secret_expired"  # noqa: S105 - a problem code
    ASSERTION_REFUSED = "assertion_refused"
    VAULT_UNAVAILABLE = "vault_unavailable"
    VAULT_REFUSED = "vault_refused"
    CREDENTIAL_REFUSED = "credential_refused"
    APP_NOT_CONSENTED = "app_not_consented"
    APP_DISABLED = "app_disabled"
    TENANT_UNKNOWN = "tenant_unknown"
    WRONG_CLOUD = "wrong_cloud"
    ROLES_MISSING = "roles_missing"
    SIGN_IN_UNAVAILABLE = "sign_in_unavailable"
    GRAPH_UNAVAILABLE = "graph_unavailable"
    GRAPH_THROTTLED = "graph_throttled"
    GRAPH_REFUSED = "graph_refused"
    SYNC_STATE_LOST = "sync_state_lost"
    MAILBOX_NOT_FOUND = "mailbox_not_found"
    MAILBOX_NOT_ENABLED = "mailbox_not_enabled"
    MAILBOX_ACCESS_DENIED = "mailbox_access_denied"
    FOLDER_NOT_FOUND = "folder_not_found"
    MESSAGE_NOT_FOUND = "message_not_found"
    SEND_AS_DENIED = "send_as_denied"
    SENDING_QUOTA_EXCEEDED = "sending_quota_exceeded"
    MESSAGE_REFUSED = "message_refused"
    DRAFT_REMOVED = "draft_removed"
    OUTCOME_UNKNOWN = "outcome_unknown"
    NOT_SENT_IN_TIME = "not_sent_in_time"
    NEVER_ATTEMPTED = "never_attempted"
    DESTINATION_REFUSED = "destination_refused"
    DESTINATION_UNREACHABLE = "destination_unreachable"
    DESTINATION_FORBIDDEN = "destination_forbidden"
    STORAGE_UNAVAILABLE = "storage_unavailable"
    INTERNAL_ERROR = "internal_error"


@dataclass(frozen=True, slots=True)
class FieldFault:
    """One fault of a request; *pointer* is a JSON pointer to the field."""

    pointer: str
    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Microsoft:
    """What Microsoft said of a refusal, for support cases."""

    code: str = ""
    request_id: str = ""
    trace_id: str = ""
    correlation_id: str = ""


class MailgrantError(Exception):
    """
    Base of all errors; *detail* is a sentence that says what to do.

    *code* is stable; *retryable* tells whether the same call may succeed later without a person.
    """

    code: Code = Code.INTERNAL_ERROR
    retryable = False

    def __init__(self, detail: str, code: Code | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        if code is not None:
            self.code = code


class InvalidRequest(MailgrantError):
    """The request has the *faults* named; nothing was changed."""

    code = Code.INVALID_REQUEST

    def __init__(
        self, detail: str, faults: Sequence[FieldFault] = (), code: Code | None = None
    ) -> None:
        super().__init__(detail, code)
        self.faults = tuple(faults)


class NotFound(MailgrantError):
    """No such thing, or not the caller's."""

    code = Code.NOT_FOUND


class Conflict(MailgrantError):
    """Not possible in the present state; nothing was changed."""

    code = Code.CONFLICT


class PreconditionFailed(MailgrantError):
    """The caller's version is not the present one."""

    code = Code.STALE_VERSION


class Gone(MailgrantError):
    """It was there, and is no more."""

    code = Code.CONTENT_EXPIRED


class TooLarge(MailgrantError):
    """Beyond a size limit."""

    code = Code.BODY_TOO_LARGE


class Refused(MailgrantError):
    """The caller is not known (*known* False), or not allowed."""

    code = Code.TOKEN_REFUSED

    def __init__(self, detail: str, code: Code | None = None, *, known: bool = False) -> None:
        super().__init__(detail, code)
        self.known = known


class TooMany(MailgrantError):
    """Called too often; *retry_after* in seconds."""

    code = Code.RATE_LIMITED
    retryable = True

    def __init__(self, detail: str, retry_after: float) -> None:
        super().__init__(detail)
        self.retry_after = retry_after


class Fault(MailgrantError):
    """Outside trouble that belongs to a credential, grant, mailbox, message or destination."""

    def __init__(
        self,
        detail: str,
        code: Code | None = None,
        *,
        microsoft: Microsoft | None = None,
        retryable: bool | None = None,
        retry_after: float | None = None,
        outcome_unknown: bool = False,
    ) -> None:
        super().__init__(detail, code)
        self.microsoft = microsoft or Microsoft()
        self.retry_after = retry_after
        self.outcome_unknown = outcome_unknown
        if retryable is not None:
            self.retryable = retryable

    def recorded(self, at: str) -> "RecordedFault":
        """Return what a record keeps of this fault; *at* is RFC 3339."""
        return RecordedFault(self.code.value, self.detail, at, self.retryable, **asdict_microsoft(self.microsoft))


class CredentialFault(Fault):
    """The credential is at fault; its connections wait."""

    code = Code.CREDENTIAL_REFUSED


class GrantFault(Fault):
    """The tenant's consent is at fault; its connections wait."""

    code = Code.APP_NOT_CONSENTED


class MailboxFault(Fault):
    """One mailbox cannot be used."""

    code = Code.MAILBOX_NOT_FOUND


class ItemFault(Fault):
    """One message or folder cannot be used."""

    code = Code.MESSAGE_NOT_FOUND


class Throttled(Fault):
    """Asked to slow down; nothing was done."""

    code = Code.GRAPH_THROTTLED
    retryable = True


class Unreachable(Fault):
    """No usable answer: connection refused, reset, timeout, 5xx or HTML."""

    code = Code.GRAPH_UNAVAILABLE
    retryable = True


class OutOfSync(Fault):
    """Graph no longer knows the delta token (410, SyncStateNotFound, resyncRequired)."""

    code = Code.SYNC_STATE_LOST
    retryable = True


@dataclass(frozen=True, slots=True)
class RecordedFault:
    """A fault as records and answers show it: code, sentence, since when, and Microsoft's ids."""

    code: str
    detail: str
    at: str
    retryable: bool = False
    microsoft_code: str = ""
    request_id: str = ""
    trace_id: str = ""
    correlation_id: str = ""

    @property
    def microsoft(self) -> Microsoft:
        """Microsoft's ids, for a fault made of this record."""
        return Microsoft(self.microsoft_code, self.request_id, self.trace_id, self.correlation_id)


def asdict_microsoft(microsoft: Microsoft) -> dict[str, str]:
    """Return Microsoft's ids under the names that `RecordedFault` uses."""
    values = asdict(microsoft)
    values["microsoft_code"] = values.pop("code")
    return values


class StorageError(MailgrantError):
    """A storage call did not do what was asked."""

    code = Code.STORAGE_UNAVAILABLE


class RowExists(StorageError):
    """An insert met a row of that key; *key* names it, nothing of the transaction was done."""

    def __init__(self, key: str) -> None:
        super().__init__("a row of this key exists already")
        self.key = key


class RowChanged(StorageError):
    """A conditional write met a changed row; nothing of the transaction was done."""

    def __init__(self, key: str) -> None:
        super().__init__("the row changed meanwhile")
        self.key = key


class RowMissing(StorageError):
    """An update or delete met no row; nothing of the transaction was done."""

    def __init__(self, key: str) -> None:
        super().__init__("the row is gone")
        self.key = key


class StorageUnavailable(StorageError):
    """Storage gave no usable answer; a write may have happened (*outcome_unknown*)."""

    retryable = True

    def __init__(self, detail: str, *, outcome_unknown: bool = False) -> None:
        super().__init__(detail)
        self.outcome_unknown = outcome_unknown
