"""Every mailbox and permission error of Graph, as the protocol notes list them, through the real HTTP core."""

import httpx
import pytest

from shared.adapters.graph_http import GraphHttp
from shared.codes import Code
from shared.errors import Fault, GrantFault, ItemFault, MailboxFault, Unreachable
from shared.ports import GraphMailbox

ROOT = "https://graph.microsoft.com"
FOLDER, MESSAGE, PERSON = "mailFolders/inbox/messages/delta", "messages/AAkALg", "/users/box@contoso.example"

RAOP = "Access to OData is disabled: [RAOP] : Blocked by tenant configured AppOnly AccessPolicy settings."
STORE = "The specified object was not found in the store., The process failed to get the correct properties."

# HTTP status, Graph's code, Graph's words, what was asked for; then whose fault, our code, tried again, what to do.
TABLE: list[tuple[int, str, str, str, type[Fault], Code, bool, str]] = [
    (401, "NoPermissionsInAccessToken", "The token contains no permissions, or permissions can not be understood.",
     FOLDER, GrantFault, Code.ROLES_MISSING, False, "let an admin consent again"),
    (401, "InvalidAuthenticationToken", "Access token has expired or is not yet valid.",
     FOLDER, GrantFault, Code.GRAPH_REFUSED, True, "Verify the grant"),
    (403, "ErrorAccessDenied", "Access is denied. Check credentials and try again.",
     FOLDER, MailboxFault, Code.MAILBOX_ACCESS_DENIED, False, "application access policy or RBAC scope"),
    (403, "ErrorAccessDenied", RAOP,
     MESSAGE, MailboxFault, Code.MAILBOX_ACCESS_DENIED, False, "application access policy or RBAC scope"),
    (403, "Authorization_RequestDenied", "Insufficient privileges to complete the operation.",
     PERSON, GrantFault, Code.ROLES_MISSING, False, "let an admin consent again"),
    (403, "extensionError", "Access is denied.", FOLDER, MailboxFault, Code.MAILBOX_ACCESS_DENIED, False, "2 hours"),
    (403, "ExtensionError", "Access is denied.", FOLDER, MailboxFault, Code.MAILBOX_ACCESS_DENIED, False, "2 hours"),
    (404, "MailboxNotEnabledForRESTAPI", "The mailbox is either inactive, soft-deleted, or is hosted on-premise.",
     FOLDER, MailboxFault, Code.MAILBOX_NOT_ENABLED, False, "Exchange Online licence"),
    (404, "MailboxNotEnabledForRESTAPI", "REST API is not yet supported for this mailbox.",
     MESSAGE, MailboxFault, Code.MAILBOX_NOT_ENABLED, False, "Exchange Online licence"),
    (404, "ErrorInvalidUser", "The requested user 'x@y' is invalid.",
     FOLDER, MailboxFault, Code.MAILBOX_NOT_FOUND, False, "Check that the user exists"),
    (404, "ResourceNotFound", "Resource could not be discovered.",
     FOLDER, MailboxFault, Code.MAILBOX_NOT_FOUND, False, "Check that the user exists"),
    (404, "Request_ResourceNotFound", "Resource 'x' does not exist.",
     PERSON, MailboxFault, Code.MAILBOX_NOT_FOUND, False, "Check that the user exists"),
    (404, "ErrorItemNotFound", "The specified object was not found in the store.",
     MESSAGE, ItemFault, Code.MESSAGE_NOT_FOUND, False, "no longer in the mailbox"),
    (404, "ErrorItemNotFound", STORE, FOLDER, ItemFault, Code.FOLDER_NOT_FOUND, False, "Choose another folder"),
    (400, "ErrorInvalidIdMalformed", "Id is malformed.",
     MESSAGE, ItemFault, Code.MESSAGE_NOT_FOUND, False, "no longer in the mailbox"),
    (400, "ErrorInvalidIdMalformed", "Id is malformed.",
     "mailFolders/garbage", ItemFault, Code.FOLDER_NOT_FOUND, False, "Choose another folder"),
]  # fmt: skip


def fault_from(answer: httpx.Response | Exception, path: str) -> Fault:
    """Return the fault that a GET of *path* answered so becomes."""

    def handle(_: httpx.Request) -> httpx.Response:
        if isinstance(answer, Exception):
            raise answer
        return answer

    graph = GraphHttp(httpx.Client(transport=httpx.MockTransport(handle)))
    with pytest.raises(Fault) as caught:
        graph.request(GraphMailbox(ROOT, "5e0f", lambda _: "token"), "GET", path)
    return caught.value


@pytest.mark.parametrize(("status", "said", "message", "path", "kind", "code", "retried", "words"), TABLE)
def test_every_refusal_is_told_as_in_the_table(
    status: int, said: str, message: str, path: str, kind: type[Fault], code: Code, retried: bool, words: str
) -> None:
    """Whose fault it is, our code, whether a repeat may help, what to do, and Microsoft's code and ids."""
    inner = {"date": "2026-11-22T07:00:00", "request-id": "r-1", "client-request-id": "c-1"}
    body = {"error": {"code": said, "message": message, "innerError": inner}}
    fault = fault_from(httpx.Response(status, json=body), path)

    assert (kind, code, retried) == (type(fault), fault.code, fault.retryable)
    assert words in fault.detail
    assert (said, "r-1", "c-1") == (fault.microsoft.code, fault.microsoft.request_id, fault.microsoft.correlation_id)
    assert not fault.outcome_unknown


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(403, html="<html>Proxy</html>"),
        httpx.Response(502, html="<html>Bad gateway</html>"),
        httpx.Response(503, text="", headers={"Retry-After": "5"}),
        httpx.ConnectError("[Errno -2] Name or service not known"),
        httpx.ReadTimeout("slow"),
        httpx.RemoteProtocolError("cut"),
    ],
)
def test_what_is_no_answer_of_graph_is_retried(answer: httpx.Response | Exception) -> None:
    """A proxy's page, an outage, a name that does not resolve and a timeout say nothing of the mailbox."""
    fault = fault_from(answer, FOLDER)

    assert (Unreachable, Code.GRAPH_UNAVAILABLE, True) == (type(fault), fault.code, fault.retryable)
