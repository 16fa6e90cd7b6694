"""How drafts, files, sends and looks go over the wire, and what each answer means."""

import base64
import json
from collections.abc import Callable, Iterator

import httpx
import pytest

from shared.adapters.graph_http import GraphHttp
from shared.adapters.graph_sending import GraphSender
from shared.adapters.graph_uploads import CHUNK_BYTES
from shared.codes import Code
from shared.errors import Fault, ItemFault, MailboxFault, Throttled, Unreachable
from shared.ports import Attachment, Found, GraphMailbox

MAILBOX = GraphMailbox("https://graph.microsoft.com", "5e0f", lambda fresh: "t2" if fresh else "t1")
DRAFT = {"id": "AA=1", "isDraft": True, "internetMessageId": "<a@b.c>", "parentFolderId": "f"}
FILE = Attachment("a.pdf", "application/pdf", "logo", inline=True)
URL = "https://outlook.office.com/api/v2.0/Users('u')/Messages('m')/AttachmentSessions('s')?authtoken=secret"
Answers = Callable[[httpx.Request], httpx.Response]


def sender(handle: Answers) -> tuple[GraphSender, list[httpx.Request]]:
    """Return the adapter over *handle*, and the requests it will have made."""
    seen: list[httpx.Request] = []

    def note(request: httpx.Request) -> httpx.Response:
        request.read()
        seen.append(request)
        return handle(request)

    return GraphSender(GraphHttp(httpx.Client(transport=httpx.MockTransport(note)))), seen


def answering(status: int, body: object = None, **headers: str) -> Answers:
    """Return what always answers the same."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda _: httpx.Response(status, json=body, headers=named) if body else httpx.Response(status, headers=named)


def fault_of(handle: Answers, call: Callable[[GraphSender], object]) -> Fault:
    """Return the fault that *call* ends in."""
    with pytest.raises(Fault) as caught:
        call(sender(handle)[0])
    return caught.value


def refusal(status: int, code: str) -> Answers:
    """Return Graph's error envelope."""
    return answering(status, {"error": {"code": code, "message": "m"}}, request_id="r")


def test_a_draft_goes_as_base64_text_and_comes_back_with_its_immutable_id() -> None:
    """MIME drafts are text/plain; the id must be the one that survives moving."""
    graph, seen = sender(answering(201, DRAFT))
    found = graph.create_draft(MAILBOX, b"Subject: x\r\n\r\n")

    assert Found("AA=1", is_draft=True, internet_message_id="<a@b.c>") == found
    request = seen[0]
    assert ("POST", "/v1.0/users/5e0f/messages") == (request.method, request.url.path)
    assert ("text/plain", 'IdType="ImmutableId"') == (request.headers["content-type"], request.headers["prefer"])
    assert b"Subject: x\r\n\r\n" == base64.b64decode(request.content)


def test_a_draft_without_an_id_is_as_good_as_no_answer() -> None:
    """It exists somewhere; another is made."""
    fault = fault_of(answering(201, {"isDraft": True}), lambda graph: graph.create_draft(MAILBOX, b""))

    assert fault.outcome_unknown


def test_a_small_file_goes_in_one_post() -> None:
    """With the content id by which the html names it."""
    graph, seen = sender(answering(201, {"id": "x"}))
    graph.attach(MAILBOX, "AA=1", FILE, b"%PDF")

    assert "/v1.0/users/5e0f/messages/AA=1/attachments" == seen[0].url.path
    body = json.loads(seen[0].content)
    assert ("a.pdf", "logo", True, b"%PDF") == (
        body["name"],
        body["contentId"],
        body["isInline"],
        base64.b64decode(body["contentBytes"]),
    )


def test_only_a_202_is_a_yes() -> None:
    """The body is empty and says so; a rest that Graph asks for is passed on."""
    graph, seen = sender(answering(202, retry_after="2.128"))

    assert 2.128 == graph.send(MAILBOX, "AA=1")
    assert "0" == seen[0].headers["content-length"]
    assert sender(answering(202))[0].send(MAILBOX, "AA=1") is None


@pytest.mark.parametrize("status", [200, 201, 204, 206, 500, 502, 503, 504, 302])
def test_every_other_success_and_every_5xx_leaves_the_outcome_unknown(status: int) -> None:
    """Neither is a yes nor a no."""
    assert fault_of(answering(status), lambda graph: graph.send(MAILBOX, "a")).outcome_unknown


@pytest.mark.parametrize(
    ("handle", "kind", "code"),
    [
        (refusal(429, "TooManyRequests"), Throttled, Code.GRAPH_THROTTLED),
        (refusal(404, "ErrorItemNotFound"), ItemFault, Code.MESSAGE_NOT_FOUND),
        (refusal(403, "ErrorSendAsDenied"), ItemFault, Code.SEND_AS_DENIED),
        (refusal(403, "ErrorAccessDenied"), MailboxFault, Code.MAILBOX_ACCESS_DENIED),
        (refusal(400, "ErrorInvalidRecipients"), ItemFault, Code.MESSAGE_REFUSED),
        (refusal(413, "ErrorMessageSizeExceeded"), ItemFault, Code.MESSAGE_EXCEEDS_MAILBOX_LIMIT),
        (refusal(400, "ErrorSubmissionQuotaExceeded"), MailboxFault, Code.SENDING_QUOTA_EXCEEDED),
    ],
)
def test_a_refusal_proves_that_nothing_was_sent(handle: Answers, kind: type[Fault], code: Code) -> None:
    """And says whose fault it is."""
    fault = fault_of(handle, lambda graph: graph.send(MAILBOX, "a"))

    assert (kind, code, False) == (type(fault), fault.code, fault.outcome_unknown)


@pytest.mark.parametrize(("error", "unknown"), [(httpx.ReadError, True), (httpx.ConnectError, False)])
def test_a_broken_connection_is_unknown_only_after_it_stood(error: type[httpx.TransportError], unknown: bool) -> None:
    """What never connected was never sent; and nothing is repeated by itself."""

    def fail(request: httpx.Request) -> httpx.Response:
        raise error("x", request=request)

    graph, seen = sender(fail)
    with pytest.raises(Unreachable) as caught:
        graph.send(MAILBOX, "a")

    assert (unknown, 1) == (caught.value.outcome_unknown, len(seen))


def test_a_html_page_is_no_answer_of_graphs() -> None:
    """A proxy's page with status 202 means nothing."""
    page = httpx.Response(202, html="<html>")

    assert fault_of(lambda _: page, lambda graph: graph.send(MAILBOX, "a")).outcome_unknown


def test_a_message_is_asked_for_by_id() -> None:
    """A missing one is None, whatever Graph calls that."""
    graph, seen = sender(answering(200, {**DRAFT, "isDraft": False}))
    assert Found("AA=1", is_draft=False, internet_message_id="<a@b.c>") == graph.get(MAILBOX, "AA=1")
    assert "id,isDraft,internetMessageId,parentFolderId" == seen[0].url.params["$select"]

    for status, code in ((404, "ErrorItemNotFound"), (400, "ErrorInvalidIdMalformed")):
        assert sender(refusal(status, code))[0].get(MAILBOX, "x") is None
    assert isinstance(
        fault_of(refusal(404, "MailboxNotEnabledForRESTAPI"), lambda g: g.get(MAILBOX, "x")), MailboxFault
    )


def test_a_look_searches_by_every_key_and_everywhere() -> None:
    """Marker, Message-ID, then the same among recoverable items; a draft ends nothing."""
    graph, seen = sender(answering(200, {"value": [DRAFT]}))
    found = graph.find_marked(MAILBOX, "msg_1", "<o'b@c.d>")

    assert 6 == len(found) == len(seen)
    filters = [request.url.params["$filter"] for request in seen]
    assert "Name X-Mailgrant-Entry' and ep/value eq 'msg_1'" in filters[0]
    assert "internetMessageId eq '<o''b@c.d>'" == filters[2]
    folder = "/v1.0/users/5e0f/mailFolders/recoverableitemsdeletions/messages"
    assert [folder] * 3 == [request.url.path for request in seen[3:]]


def test_a_look_ends_at_the_first_message_that_is_no_draft() -> None:
    """More cannot be learnt."""
    graph, seen = sender(answering(200, {"value": [DRAFT, {**DRAFT, "isDraft": False}]}))

    assert [True, False] == [message.is_draft for message in graph.find_marked(MAILBOX, "msg_1", "<a@b.c>")]
    assert 1 == len(seen)


def test_a_search_that_one_key_cannot_do_leaves_the_others() -> None:
    """A mailbox that refuses one filter, or has no such folder, is searched by the rest."""

    def handle(request: httpx.Request) -> httpx.Response:
        if "internetMessageId" in request.url.params["$filter"] and "recoverable" not in request.url.path:
            return httpx.Response(200, json={"value": [{**DRAFT, "isDraft": False}]})
        return refusal(400, "ErrorInvalidProperty")(request)

    assert [False] == [message.is_draft for message in sender(handle)[0].find_marked(MAILBOX, "msg_1", "<a@b.c>")]


def test_a_search_without_an_answer_proves_nothing() -> None:
    """The look has failed, and says so."""
    fault = fault_of(answering(503), lambda graph: graph.find_marked(MAILBOX, "msg_1", "<a@b.c>"))

    assert isinstance(fault, Unreachable)


def test_empty_pages_are_followed() -> None:
    """Graph may answer a filter with an empty page that has a next one."""

    def handle(request: httpx.Request) -> httpx.Response:
        if "skip" in str(request.url):
            return httpx.Response(200, json={"value": [{**DRAFT, "isDraft": False}]})
        link = "https://graph.microsoft.com/v1.0/users/5e0f/messages?$skip=50"
        return httpx.Response(200, json={"value": [], "@odata.nextLink": link})

    graph, seen = sender(handle)
    assert 1 == len(graph.find_marked(MAILBOX, "msg_1", "<a@b.c>"))
    assert 2 == len(seen)


def test_removing_a_draft_that_is_gone_is_no_error() -> None:
    """It may be repeated."""
    graph, seen = sender(refusal(404, "ErrorItemNotFound"))
    graph.delete_draft(MAILBOX, "AA=1")

    assert "DELETE" == seen[0].method


class Session:
    """An upload session: keeps what it gets, and misbehaves as a test says."""

    def __init__(self, size: int) -> None:
        self.size, self.data = size, b""
        self.trouble: Iterator[str] = iter(())
        self.puts: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        """Answer one request."""
        if request.method == "POST":
            return httpx.Response(201, json={"uploadUrl": URL, "nextExpectedRanges": ["0-"]})
        self.puts.append(request)
        trouble = next(self.trouble, "")
        if trouble == "lost before":
            raise httpx.ReadError("x", request=request)
        if trouble == "expired":
            return httpx.Response(404, json={"error": {"code": "ErrorItemNotFound", "message": "m"}})
        start = int(request.headers["content-range"].split()[1].split("-")[0])
        if start == len(self.data):
            self.data += request.content
        if trouble == "lost after":
            raise httpx.ReadError("x", request=request)
        if len(self.data) == self.size:
            return httpx.Response(201, headers={"Location": "x"})
        return httpx.Response(200, json={"nextExpectedRanges": [str(len(self.data))]})


def upload(session: Session, content: bytes) -> None:
    """Attach *content* in chunks of 1 MB."""
    chunks = (content[start : start + 1_000_000] for start in range(0, len(content), 1_000_000))
    sender(session)[0].attach_large(MAILBOX, "AA=1", FILE, len(content), chunks)


CONTENT = bytes(range(256)) * 40_000  # 10.24 MB


@pytest.mark.parametrize("trouble", [[], ["lost before"], ["lost after"], ["", "lost after", "lost before"]])
def test_a_large_file_arrives_whole_whatever_answers_are_lost(trouble: list[str]) -> None:
    """Chunks go in order, under 4 MB each, without our token; a lost answer is repeated."""
    session = Session(len(CONTENT))
    session.trouble = iter(trouble)
    upload(session, CONTENT)

    assert CONTENT == session.data
    assert {"outlook.office.com"} == {put.url.host for put in session.puts}
    assert not any("authorization" in put.headers for put in session.puts)
    assert CHUNK_BYTES == max(len(put.content) for put in session.puts) < 4_000_000


def test_a_session_that_is_gone_starts_over_with_a_new_draft() -> None:
    """Its 404 is not the mailbox's, and does not fail the mail."""
    session = Session(len(CONTENT))
    session.trouble = iter(["", "expired"])
    with pytest.raises(Unreachable) as caught:
        upload(session, CONTENT)

    assert caught.value.retryable
    assert "authtoken" not in str(caught.value)


def test_an_upload_url_outside_of_exchange_is_not_used() -> None:
    """Files go to Exchange Online and nowhere else."""

    def handle(request: httpx.Request) -> httpx.Response:
        assert "evil.example" != request.url.host
        return httpx.Response(201, json={"uploadUrl": "https://evil.example/x"})

    with pytest.raises(Unreachable):
        sender(handle)[0].attach_large(MAILBOX, "AA=1", FILE, 3, iter([b"abc"]))


@pytest.mark.parametrize(
    "item", [None, {}, {"id": "AA=1"}, {"id": "AA=1", "isDraft": None}, {"id": "", "isDraft": False}]
)
def test_a_message_that_does_not_say_whether_it_is_a_draft_proves_nothing(item: object) -> None:
    """Taken for sent, it would be called accepted without having gone; taken for gone, it would be sent again."""
    handle: Answers = lambda _: httpx.Response(200, json=item)  # noqa: E731 - with a type

    assert fault_of(handle, lambda graph: graph.get(MAILBOX, "AA=1")).outcome_unknown


@pytest.mark.parametrize("body", [{}, {"value": None}, {"value": [None]}, {"value": [{"id": "x"}]}, [], {"value": 5}])
def test_a_search_that_cannot_be_read_found_neither_something_nor_nothing(body: object) -> None:
    """Had it found nothing, a draft that lingers would be sent once more."""
    handle: Answers = lambda _: httpx.Response(200, json=body)  # noqa: E731 - with a type

    assert fault_of(handle, lambda graph: graph.find_marked(MAILBOX, "msg_1", "<a@b.c>")).outcome_unknown


@pytest.mark.parametrize("status", [301, 302, 304, 307])
def test_a_redirect_is_no_answer(status: int) -> None:
    """It is not followed, and it does not say that a mailbox cannot search by a key."""
    assert fault_of(answering(status), lambda graph: graph.find_marked(MAILBOX, "msg_1", "<a@b.c>")).outcome_unknown


@pytest.mark.parametrize(
    "url", ["https://[::1", "https://outlook.office.com:secret/", "https://outlook.office.com/\x7f"]
)
def test_an_upload_url_that_is_none_is_refused_without_a_word_of_it(url: str) -> None:
    """What an HTTP client says of it would quote it."""
    handle = answering(200, {"uploadUrl": url})
    fault = fault_of(handle, lambda graph: graph.attach_large(MAILBOX, "AA=1", FILE, 1, iter([b"x"])))

    assert "secret" not in f"{fault!r}"


@pytest.mark.parametrize("expected", ["²-", "9" * 5000, "x"])
def test_a_range_that_is_no_number_asks_for_nothing(expected: str) -> None:
    """The session goes on, or breaks off by a fault."""
    body = {"uploadUrl": URL, "nextExpectedRanges": [expected]}

    fault = fault_of(answering(200, body), lambda graph: graph.attach_large(MAILBOX, "AA=1", FILE, 1, iter([b"x"])))

    assert isinstance(fault, Unreachable)


@pytest.mark.parametrize("code", ["", "SyncStateNotFound", "ApplicationThrottled", "ErrorSendAsDenied"])
@pytest.mark.parametrize("status", [302, 405, 409, 410, 412, 418, 423])
def test_a_status_that_proves_no_refusal_leaves_the_outcome_unknown_whatever_its_code(status: int, code: str) -> None:
    """Taken for a refusal, a 410 from some box between would let the mail go a second time."""
    assert fault_of(refusal(status, code), lambda graph: graph.send(MAILBOX, "AA=1")).outcome_unknown
