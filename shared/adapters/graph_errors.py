"""What each refusal of Graph means: the one table from status and code to a fault of ours."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from shared import errors
from shared.codes import Code
from shared.errors import Fault, Microsoft

PROVES_REFUSAL = frozenset({400, 401, 403, 404, 411, 413, 429})
"""Statuses after which the effect cannot have happened."""

QUOTA_WAIT_SECONDS = 3600.0
_NO_WORD = re.compile(r"[^A-Za-z0-9_.:,;=|{}-]")


@dataclass(frozen=True, slots=True)
class Meaning:
    """The fault that a code stands for, and the sentence that says what to do."""

    kind: type[Fault]
    code: Code
    detail: str
    retryable: bool = False


_ROLES = "The app has not been granted what this needs. Add the application permissions and let an admin consent again."
_DENIED = (
    "Exchange denied the app access to this mailbox. Check the tenant's application access policy or RBAC scope; "
    "changes take up to 2 hours."
)
_NO_MAILBOX = "There is no such mailbox in the tenant. Check that the user exists and has an Exchange Online mailbox."
_NOT_ENABLED = (
    "The mailbox is inactive, soft-deleted or on premises. Give the user an Exchange Online licence; "
    "a new mailbox may need 15 minutes."
)
_QUOTA = "The mailbox has reached its sending limit of Exchange Online. It is tried again later."
_TOO_BIG = "The message is larger than the mailbox may send. An administrator can raise the limit to 150 MB."
_BAD_MESSAGE = "Graph refused the message or the request as malformed."

# Microsoft's codes differ in case from their documentation, so they are compared in lower case. Sources: entra-docs and
# graph-docs `errors.md`, `auth-limit-mailbox-access.md`, and the reports that the project's protocol notes name.
MEANINGS: Mapping[str, Meaning] = {
    "nopermissionsinaccesstoken": Meaning(errors.GrantFault, Code.ROLES_MISSING, _ROLES),
    "authorization_requestdenied": Meaning(errors.GrantFault, Code.ROLES_MISSING, _ROLES),
    "invalidauthenticationtoken": Meaning(
        errors.GrantFault, Code.GRAPH_REFUSED, "Graph refused a fresh token. Verify the grant.", retryable=True
    ),
    "erroraccessdenied": Meaning(errors.MailboxFault, Code.MAILBOX_ACCESS_DENIED, _DENIED),
    "extensionerror": Meaning(errors.MailboxFault, Code.MAILBOX_ACCESS_DENIED, _DENIED),
    "errorsendasdenied": Meaning(
        errors.ItemFault, Code.SEND_AS_DENIED, "The mailbox may not send as this From address. Grant it Send As."
    ),
    "mailboxnotenabledforrestapi": Meaning(errors.MailboxFault, Code.MAILBOX_NOT_ENABLED, _NOT_ENABLED),
    "errorinvaliduser": Meaning(errors.MailboxFault, Code.MAILBOX_NOT_FOUND, _NO_MAILBOX),
    "resourcenotfound": Meaning(errors.MailboxFault, Code.MAILBOX_NOT_FOUND, _NO_MAILBOX),
    "request_resourcenotfound": Meaning(errors.MailboxFault, Code.MAILBOX_NOT_FOUND, _NO_MAILBOX),
    "errorexceededmessagelimit": Meaning(errors.MailboxFault, Code.SENDING_QUOTA_EXCEEDED, _QUOTA, retryable=True),
    "errorsubmissionquotaexceeded": Meaning(errors.MailboxFault, Code.SENDING_QUOTA_EXCEEDED, _QUOTA, retryable=True),
    "errorexceededmaxrecipientlimit": Meaning(
        errors.ItemFault, Code.MESSAGE_REFUSED, "The message has more recipients than the mailbox may write to at once."
    ),
    "errormessagesizeexceeded": Meaning(errors.ItemFault, Code.MESSAGE_EXCEEDS_MAILBOX_LIMIT, _TOO_BIG),
    "errorinvalidrecipients": Meaning(errors.ItemFault, Code.MESSAGE_REFUSED, "A recipient's address was refused."),
    "errormimecontentinvalidbase64string": Meaning(errors.ItemFault, Code.MESSAGE_REFUSED, _BAD_MESSAGE),
    "invalidinternetmessageheader": Meaning(errors.ItemFault, Code.MESSAGE_REFUSED, _BAD_MESSAGE),
    "invalidinternetmessageheadercollection": Meaning(errors.ItemFault, Code.MESSAGE_REFUSED, _BAD_MESSAGE),
}

_OUT_OF_SYNC = frozenset({"syncstatenotfound", "resyncrequired"})
_THROTTLED = frozenset({"applicationthrottled", "toomanyrequests", "errorservererrorbusy"})
_MISSING_ITEM = frozenset({"erroritemnotfound", "errorinvalididmalformed"})
_BY_STATUS: Mapping[int, Meaning] = {
    401: Meaning(
        errors.GrantFault, Code.GRAPH_REFUSED, "Graph refused a fresh token. Verify the grant.", retryable=True
    ),
    403: Meaning(errors.MailboxFault, Code.MAILBOX_ACCESS_DENIED, _DENIED),
    413: Meaning(errors.ItemFault, Code.MESSAGE_EXCEEDS_MAILBOX_LIMIT, _TOO_BIG),
    507: Meaning(errors.MailboxFault, Code.GRAPH_REFUSED, "The mailbox is full. Make room in it.", retryable=True),
}


def fault_of(status: int, path: str, microsoft: Microsoft, retry_after: float | None, *, html: bool = False) -> Fault:
    """
    Return the fault that an answer of *status* (not 2xx) to a request of *path* stands for.

    A 404 means the mailbox, the folder or the message, which code and path tell apart. *html* tells that some box
    between answered, so that nothing is known.
    """
    code = microsoft.code.lower()
    unknown = html or status not in PROVES_REFUSAL
    if status == 429 or code in _THROTTLED:
        detail = "Graph asked to slow down. It is tried again by itself."
        return errors.Throttled(
            detail, microsoft=microsoft, retry_after=retry_after, outcome_unknown=status not in PROVES_REFUSAL
        )
    if status == 410 or code in _OUT_OF_SYNC:
        detail = "Graph forgot the sync state. The folder is walked anew."
        return errors.OutOfSync(detail, microsoft=microsoft, outcome_unknown=unknown)
    meaning = MEANINGS.get(code)
    if meaning is None and (html or status < 400 or (status >= 500 and status not in _BY_STATUS)):
        detail = f"Graph gave no usable answer (HTTP {status}). It is tried again by itself."
        return errors.Unreachable(detail, microsoft=microsoft, retry_after=retry_after, outcome_unknown=True)
    if meaning is None:
        meaning = _missing(path) if status == 404 or code in _MISSING_ITEM else _BY_STATUS.get(status, _refused(path))
    quota = meaning.code == Code.SENDING_QUOTA_EXCEEDED
    wait = max(QUOTA_WAIT_SECONDS, retry_after or 0.0) if quota else retry_after
    return meaning.kind(
        meaning.detail,
        meaning.code,
        microsoft=microsoft,
        retryable=meaning.retryable,
        retry_after=wait,
        outcome_unknown=unknown,
    )


def ids_of(body: Any, headers: Mapping[str, str]) -> Microsoft:
    """Return Microsoft's code and ids from an error *body* (of any shape) and *headers*."""
    error = body.get("error") if isinstance(body, dict) else None
    error = error if isinstance(error, dict) else {}
    inner = error.get("innerError") or error.get("innererror")
    inner = inner if isinstance(inner, dict) else {}
    return Microsoft(
        code=_word(error.get("code")),
        request_id=_word(headers.get("request-id") or inner.get("request-id")),
        correlation_id=_word(headers.get("client-request-id") or inner.get("client-request-id")),
    )


def _word(value: Any) -> str:
    """Return a code or an id; a text with spaces or lines in it is neither, and may tell of mail."""
    return value if isinstance(value, str) and len(value) <= 100 and not _NO_WORD.search(value) else ""


def _missing(path: str) -> Meaning:
    if "/messages/" in path and "delta" not in path:
        return Meaning(errors.ItemFault, Code.MESSAGE_NOT_FOUND, "The message is no longer in the mailbox.")
    if "/mailFolders" in path:
        return Meaning(
            errors.ItemFault, Code.FOLDER_NOT_FOUND, "The folder is no longer in the mailbox. Choose another folder."
        )
    return Meaning(errors.MailboxFault, Code.MAILBOX_NOT_FOUND, _NO_MAILBOX)


def _refused(path: str) -> Meaning:
    code = Code.MESSAGE_REFUSED if "/messages" in path or "/sendMail" in path else Code.GRAPH_REFUSED
    return Meaning(errors.ItemFault, code, _BAD_MESSAGE)
