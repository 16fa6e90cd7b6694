"""
Every error of the product, in one tree split by what the caller can do.

MailgrantError
├── InvalidRequest        the request has faults; `faults` names each (422, or 400 for what is no JSON)
├── NotFound              no such thing, or not yours to see (404)
├── Conflict              legal, but not in this state (409)
├── PreconditionFailed    If-Match names an older version (412)
├── Gone                  was there, and is no more (410)
├── TooLarge              beyond a limit that `detail` names (413)
│   └── RangeRequired     handed out in pieces only
├── RangeNotSatisfiable   nothing is in the range asked for (416)
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

from shared.codes import Code


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

    def __init__(self, detail: str, faults: Sequence[FieldFault] = (), code: Code | None = None) -> None:
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


class RangeRequired(TooLarge):
    """What is asked for is handed out in pieces only: *size* and *most* (of one piece) in bytes."""

    code = Code.RANGE_REQUIRED

    def __init__(self, size: int, most: int) -> None:
        detail = (
            f"This is {size} bytes, and one answer holds at most {most}. Ask for pieces: Range: bytes=0-{most - 1}, "
            "and so on until the size that Content-Range names is there."
        )
        super().__init__(detail)
        self.size = size


class RangeNotSatisfiable(MailgrantError):
    """The range begins beyond the end of what has *size* bytes."""

    code = Code.RANGE_NOT_SATISFIABLE

    def __init__(self, size: int) -> None:
        super().__init__(f"There is nothing in this range: the content is {size} bytes long.")
        self.size = size


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


class TemplateRefused(ValueError):
    """The template cannot be used, or not with this payload; the text says why and where, and is fit to be shown."""


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
