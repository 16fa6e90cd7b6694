"""How Graph calls are made and how refusals become faults."""

import base64
import json
import sys
from collections.abc import Callable
from datetime import UTC, datetime

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared import errors
from shared.adapters.graph_errors import MEANINGS, fault_of
from shared.adapters.graph_http import GraphHttp
from shared.adapters.graph_wire import SubRequest, retry_after_seconds, url_of
from shared.codes import Code
from shared.errors import Microsoft
from shared.ports import GraphMailbox

ROOT = "https://graph.microsoft.com"
NOW = datetime(2026, 11, 22, 7, 0, tzinfo=UTC)


def mailbox(user: str = "5e0f") -> GraphMailbox:
    """Return a mailbox whose token tells whether it is fresh."""
    return GraphMailbox(ROOT, user, lambda fresh: "fresh" if fresh else "cached")


def graph(handle: Callable[[httpx.Request], httpx.Response]) -> GraphHttp:
    """Return the core over a transport that *handle* answers."""
    return GraphHttp(httpx.Client(transport=httpx.MockTransport(handle)), now=lambda: NOW)


def refusal(status: int, code: str, **headers: str) -> httpx.Response:
    """Return an answer in Graph's error envelope."""
    body = {"error": {"code": code, "message": "m", "innerError": {"request-id": "r-1"}}}
    return httpx.Response(status, json=body, headers=headers)


def fault_from(response: httpx.Response, path: str = "messages/a") -> errors.Fault:
    """Return the fault that a POST answered so raises."""
    with pytest.raises(errors.Fault) as caught:
        graph(lambda _: response).request(mailbox(), "POST", path)
    return caught.value


def test_a_call_names_the_user_and_bears_the_token() -> None:
    """A path without a slash is the mailbox's own; the token goes as Bearer."""
    seen: list[httpx.Request] = []

    def handle(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, json={"id": "x"})

    answer = graph(handle).request(mailbox("a#EXT#@b.c"), "GET", "mailFolders/inbox", params={"$select": "id"})
    assert answer.json() == {"id": "x"}
    assert str(seen[0].url) == f"{ROOT}/v1.0/users/a%23EXT%23@b.c/mailFolders/inbox?%24select=id"
    assert seen[0].headers["authorization"] == "Bearer cached"


def test_a_user_name_that_begins_with_a_dollar_is_quoted() -> None:
    """Graph reads a leading $ as OData unless it stands in quotes."""
    assert url_of(mailbox("$x@y"), "messages") == f"{ROOT}/v1.0/users('%24x@y')/messages"


def test_a_401_is_tried_once_more_with_a_fresh_token() -> None:
    """A spurious 401 costs one repeat, no more."""
    tokens: list[str] = []

    def handle(request: httpx.Request) -> httpx.Response:
        tokens.append(request.headers["authorization"])
        return refusal(401, "InvalidAuthenticationToken") if len(tokens) == 1 else httpx.Response(204)

    assert graph(handle).request(mailbox(), "PATCH", "messages/a", json={}).status == 204
    assert tokens == ["Bearer cached", "Bearer fresh"]


def test_a_second_401_is_the_grants_fault() -> None:
    """A token without roles is refused fresh or not."""
    fault = fault_from(refusal(401, "NoPermissionsInAccessToken"))
    assert (type(fault), fault.code) == (errors.GrantFault, Code.ROLES_MISSING)


@pytest.mark.parametrize(
    ("status", "code", "path", "kind", "ours"),
    [
        (403, "ErrorAccessDenied", "messages/a", errors.MailboxFault, Code.MAILBOX_ACCESS_DENIED),
        (403, "Authorization_RequestDenied", "", errors.GrantFault, Code.ROLES_MISSING),
        (403, "extensionError", "messages/a", errors.MailboxFault, Code.MAILBOX_ACCESS_DENIED),
        (403, "ErrorSendAsDenied", "messages/a/send", errors.ItemFault, Code.SEND_AS_DENIED),
        (404, "MailboxNotEnabledForRESTAPI", "messages/a", errors.MailboxFault, Code.MAILBOX_NOT_ENABLED),
        (404, "ErrorInvalidUser", "mailFolders/f/messages/delta", errors.MailboxFault, Code.MAILBOX_NOT_FOUND),
        (404, "ResourceNotFound", "mailFolders/f", errors.MailboxFault, Code.MAILBOX_NOT_FOUND),
        (404, "Request_ResourceNotFound", "", errors.MailboxFault, Code.MAILBOX_NOT_FOUND),
        (404, "ErrorItemNotFound", "messages/a/$value", errors.ItemFault, Code.MESSAGE_NOT_FOUND),
        (404, "ErrorItemNotFound", "mailFolders/f/messages/delta", errors.ItemFault, Code.FOLDER_NOT_FOUND),
        (404, "", "mailFolders/f", errors.ItemFault, Code.FOLDER_NOT_FOUND),
        (404, "", "", errors.MailboxFault, Code.MAILBOX_NOT_FOUND),
        (400, "ErrorInvalidIdMalformed", "messages/x/move", errors.ItemFault, Code.MESSAGE_NOT_FOUND),
        (400, "InvalidInternetMessageHeader", "messages", errors.ItemFault, Code.MESSAGE_REFUSED),
        (410, "SyncStateNotFound", "mailFolders/f/messages/delta", errors.OutOfSync, Code.SYNC_STATE_LOST),
        (400, "resyncREQUIRED", "mailFolders/f/messages/delta", errors.OutOfSync, Code.SYNC_STATE_LOST),
        (413, "", "messages", errors.ItemFault, Code.MESSAGE_EXCEEDS_MAILBOX_LIMIT),
        (429, "ApplicationThrottled", "messages", errors.Throttled, Code.GRAPH_THROTTLED),
        (429, "ErrorExceededMessageLimit", "messages/a/send", errors.Throttled, Code.GRAPH_THROTTLED),
        (403, "ErrorExceededMessageLimit", "messages/a/send", errors.MailboxFault, Code.SENDING_QUOTA_EXCEEDED),
        (503, "ErrorMailboxStoreUnavailable", "messages", errors.Unreachable, Code.GRAPH_UNAVAILABLE),
        (504, "", "messages/a/send", errors.Unreachable, Code.GRAPH_UNAVAILABLE),
    ],
)
def test_a_refusal_belongs_to_the_thing_at_fault(
    status: int, code: str, path: str, kind: type[errors.Fault], ours: Code
) -> None:
    """Status, code and path together say whose fault it is; Microsoft's ids are kept."""
    fault = fault_from(refusal(status, code), path)
    assert (type(fault), fault.code) == (kind, ours)
    assert fault.microsoft == Microsoft(code=code, request_id="r-1")


@pytest.mark.parametrize("code", sorted(MEANINGS))
def test_every_known_code_has_a_sentence_that_ends(code: str) -> None:
    """Each row of the table gives its own fault whatever the case of the code."""
    fault = fault_of(400, "/v1.0/users/u/messages/a", Microsoft(code=code.upper()), None)
    assert (type(fault), fault.code) == (MEANINGS[code].kind, MEANINGS[code].code)
    assert fault.detail.endswith(".")


@pytest.mark.parametrize(
    ("status", "unknown"),
    [(400, False), (403, False), (404, False), (413, False), (429, False), (409, True), (500, True), (503, True)],
)
def test_only_some_answers_prove_that_nothing_was_done(status: int, unknown: bool) -> None:
    """After 5xx a message may have left."""
    assert fault_from(refusal(status, "X")).outcome_unknown is unknown


def test_html_proves_nothing() -> None:
    """A proxy's page under any status leaves the outcome open."""
    page = httpx.Response(200, html="<html>")
    assert isinstance(fault_from(page), errors.Unreachable)
    assert fault_from(page).outcome_unknown
    assert fault_from(httpx.Response(403, html="<html>")).outcome_unknown


@pytest.mark.parametrize(
    ("error", "unknown"),
    [(httpx.ConnectError, False), (httpx.ConnectTimeout, False), (httpx.ReadTimeout, True), (httpx.ReadError, True)],
)
def test_only_a_failed_connect_proves_that_nothing_was_sent(error: type[httpx.TransportError], unknown: bool) -> None:
    """A reset after sending leaves the outcome open."""

    def handle(request: httpx.Request) -> httpx.Response:
        raise error("x", request=request)

    with pytest.raises(errors.Unreachable) as caught:
        graph(handle).request(mailbox(), "POST", "messages/a/send")
    assert caught.value.outcome_unknown is unknown


def test_a_read_whose_connection_broke_is_repeated_once_and_a_write_never() -> None:
    """A pooled connection may have died; only a GET may simply be repeated."""
    calls: list[str] = []

    def handle(request: httpx.Request) -> httpx.Response:
        calls.append(request.method)
        if len(calls) == 1:
            raise httpx.RemoteProtocolError("gone", request=request)
        return httpx.Response(200, json={})

    graph(handle).request(mailbox(), "GET", "messages/a")
    assert calls == ["GET", "GET"]
    calls.clear()
    with pytest.raises(errors.Unreachable):
        graph(handle).request(mailbox(), "POST", "messages/a/send")
    assert calls == ["POST"]


def test_links_of_other_hosts_are_not_followed() -> None:
    """A link that Graph names is followed only within the mailbox's own Graph root."""
    with pytest.raises(errors.Unreachable):
        graph(lambda _: httpx.Response(200)).request(mailbox(), "GET", "https://graph.microsoft.com.evil.example/x")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("7", 7.0),
        ("2.128", 2.128),
        ("Sun, 22 Nov 2026 07:00:30 GMT", 30.0),
        ("", None),
        ("soon", None),
        ("nan", None),
        ("-3", 0.0),
        ("1e99", 86400.0),
        ("Sun, 22 Nov 2026 07:00:30 +99999999999", None),
    ],
)
def test_retry_after_is_read_in_all_its_forms(text: str, seconds: float | None) -> None:
    """Whole seconds, decimal seconds, a date, or nothing."""
    assert retry_after_seconds({"retry-after": text}, lambda: NOW) == seconds


@given(st.text(max_size=40))
def test_no_retry_after_breaks_the_reader(text: str) -> None:
    """Whatever stands there, the result is None or a bounded number."""
    seconds = retry_after_seconds({"retry-after": text}, lambda: NOW)
    assert seconds is None or 0 <= seconds <= 86400


def test_a_batch_answers_in_the_order_asked_with_each_its_own_fault() -> None:
    """Answers come in any order; a throttled or missing one has its own fault beside the others' bodies."""
    asked: list[dict[str, object]] = []

    def handle(request: httpx.Request) -> httpx.Response:
        asked.extend(json.loads(request.content)["requests"])
        error = {"error": {"code": "TooManyRequests"}}
        responses = [
            {"id": "2", "status": 429, "headers": {"Retry-After": "2.5"}, "body": error},
            {"id": "1", "status": 200, "body": base64.b64encode(b"MIME").decode()},
        ]
        return httpx.Response(200, json={"responses": responses})

    requests = [SubRequest(str(n), "GET", f"messages/{n}/$value") for n in (1, 2, 3)]
    first, second, third = graph(handle).batch(mailbox(), requests)
    assert asked[0] == {"id": "1", "method": "GET", "url": "/users/5e0f/messages/1/$value"}
    assert (first.fault, first.mime()) == (None, b"MIME")
    assert isinstance(second.fault, errors.Throttled)
    assert second.fault.retry_after == 2.5
    assert isinstance(third.fault, errors.Unreachable)


def test_a_stream_yields_the_body_and_raises_refusals() -> None:
    """A streamed message comes in chunks; a refusal is a fault before any chunk."""
    body = b"x" * 600_000
    chunks = list(graph(lambda _: httpx.Response(200, content=body)).stream(mailbox(), "messages/a/$value"))
    assert b"".join(chunks) == body
    assert max(map(len, chunks)) <= 256 * 1024
    with pytest.raises(errors.ItemFault):
        list(graph(lambda _: refusal(404, "ErrorItemNotFound")).stream(mailbox(), "messages/a/$value"))


class Reading(httpx.BaseTransport):
    """Takes a body to its end and keeps nothing of it, as a socket does."""

    def __init__(self) -> None:
        self.requests: list[httpx.Request] = []
        self.size = 0

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Answer like an upload session."""
        assert isinstance(request.stream, httpx.SyncByteStream)
        self.requests.append(request)
        self.size += sum(len(piece) for piece in request.stream)
        return httpx.Response(200, json={})


def test_a_chunk_is_let_go_once_it_is_sent() -> None:
    """Whoever still holds the request does not hold its megabytes; its length is said, so that it goes in one piece."""
    transport, chunk = Reading(), bytes(range(256)) * 400
    held = sys.getrefcount(chunk)

    GraphHttp(httpx.Client(transport=transport)).upload("https://outlook.office.com/x", chunk, {"Content-Range": "b"})

    assert (held, len(chunk)) == (sys.getrefcount(chunk), transport.size)
    headers = transport.requests[0].headers
    assert (str(len(chunk)), None) == (headers["content-length"], headers.get("transfer-encoding"))


def test_an_upload_goes_only_to_exchange_and_without_a_token() -> None:
    """An upload URL carries its own right, and is checked before anything is sent."""
    seen: list[httpx.Request] = []

    def handle(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(201)

    assert graph(handle).upload("https://outlook.office.com/s?authtoken=t", b"x", {}).status == 201
    assert "authorization" not in seen[0].headers
    with pytest.raises(errors.Unreachable):
        graph(handle).upload("https://outlook.office.com.evil.example/s", b"x", {})
