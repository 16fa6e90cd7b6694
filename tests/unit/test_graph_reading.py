"""What is asked of Graph to read mail, and what its answers become."""

import base64
import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from shared.adapters.graph_http import GraphHttp
from shared.adapters.graph_reading import HttpGraphReading
from shared.errors import ItemFault, OutOfSync, Throttled, Unreachable
from shared.ports import GraphMailbox, Listed, Placed, Window

MAILBOX = GraphMailbox("https://graph.microsoft.com", "5e0f", lambda fresh: "t")
MESSAGE = {
    "@odata.type": "#microsoft.graph.message",
    "id": "AAk1",
    "receivedDateTime": "2026-11-22T07:00:00Z",
    "subject": "Invoice 42",
    "from": {"emailAddress": {"name": "Ann", "address": "ann@contoso.example"}},
    "internetMessageId": "<m1@contoso.example>",
    "isDraft": False,
    "singleValueExtendedProperties": [{"id": "Long 0xe08", "value": "12345"}],
}


class Wire:
    """Answers by *handle* and keeps what was asked."""

    def __init__(self, handle: Callable[[httpx.Request], httpx.Response]) -> None:
        self.asked: list[httpx.Request] = []
        self.handle = handle
        self.reading = HttpGraphReading(GraphHttp(httpx.Client(transport=httpx.MockTransport(self._answer))))

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        return self.handle(request)


def page(**changes: Any) -> httpx.Response:
    """Return a delta page with one message."""
    return httpx.Response(
        200, json={"value": [MESSAGE], "@odata.deltaLink": "https://graph.microsoft.com/d", **changes}
    )


def test_a_walk_asks_for_created_mail_with_its_size_and_immutable_ids() -> None:
    """No filter, ever: a filtered delta falls silent after 5,000 messages."""
    wire = Wire(lambda _: page())
    found = wire.reading.first_page(MAILBOX, "AAF", 100)
    (asked,) = wire.asked
    assert asked.url.path == "/v1.0/users/5e0f/mailFolders/AAF/messages/delta"
    assert (asked.url.params["changeType"], "$filter" in asked.url.params) == ("created", False)
    assert asked.headers["prefer"] == 'IdType="ImmutableId", odata.maxpagesize=100'
    assert found.messages == [
        Listed(
            "AAk1",
            received_at="2026-11-22T07:00:00Z",
            subject="Invoice 42",
            sender="ann@contoso.example",
            internet_message_id="<m1@contoso.example>",
            size=12345,
        )
    ]
    assert (found.next_link, found.delta_link) == ("", "https://graph.microsoft.com/d")


def test_a_server_that_refuses_the_size_is_asked_without_it() -> None:
    """Unknown sizes cost streaming, not the walk."""

    def handle(request: httpx.Request) -> httpx.Response:
        if "$expand" in request.url.params:
            return httpx.Response(400, json={"error": {"code": "ErrorInvalidUrlQuery"}})
        return page(value=[{"id": "x"}])

    assert Wire(handle).reading.first_page(MAILBOX, "AAF", 10).messages == [Listed("x")]


def test_a_folder_that_is_gone_is_not_asked_for_twice() -> None:
    """A 404 is the folder's fault and has nothing to do with the size."""
    wire = Wire(lambda _: httpx.Response(404, json={"error": {"code": "ErrorItemNotFound"}}))
    with pytest.raises(ItemFault):
        wire.reading.first_page(MAILBOX, "AAF", 10)
    assert len(wire.asked) == 1


def test_links_are_followed_as_they_are() -> None:
    """Options are part of the link; the preferences must be sent again."""
    wire = Wire(lambda _: page(value=[], **{"@odata.nextLink": "https://graph.microsoft.com/n"}))
    found = wire.reading.next_page(MAILBOX, "https://graph.microsoft.com/v1.0/x?$skiptoken=s", 50)
    assert str(wire.asked[0].url) == "https://graph.microsoft.com/v1.0/x?$skiptoken=s"
    assert wire.asked[0].headers["prefer"] == 'IdType="ImmutableId", odata.maxpagesize=50'
    assert (found.messages, found.next_link, found.delta_link) == ([], "https://graph.microsoft.com/n", "")


def test_a_forgotten_link_is_out_of_sync() -> None:
    """410 means: walk anew."""
    wire = Wire(lambda _: httpx.Response(410, json={"error": {"code": "SyncStateNotFound"}}))
    with pytest.raises(OutOfSync):
        wire.reading.next_page(MAILBOX, "https://graph.microsoft.com/v1.0/x", 50)


@pytest.mark.parametrize(
    ("item", "listed"),
    [
        ({"id": "x", "@removed": {"reason": "deleted"}}, Listed("x", removed=True)),
        ({"id": "x", "isDraft": True, "from": None, "subject": None}, Listed("x", is_draft=True)),
        ({"id": "x", "from": {"emailAddress": {"name": "n"}}}, Listed("x")),
        ({"id": "x", "singleValueExtendedProperties": [{"id": "Long 0x0E08", "value": "x"}]}, Listed("x")),
    ],
)
def test_odd_items_are_listed_as_far_as_they_go(item: dict[str, Any], listed: Listed) -> None:
    """Removed ones, drafts, and mail without a sender."""
    assert Wire(lambda _: page(value=[item])).reading.first_page(MAILBOX, "f", 1).messages == [listed]


@pytest.mark.parametrize(
    "body",
    [
        b"null",
        b"[]",
        b"[" * 20_000,
        b'{"@odata.deltaLink":"https://graph.microsoft.com/d"}',
        b'{"value":null,"@odata.deltaLink":"https://graph.microsoft.com/d"}',
        b'{"value":5}',
        b'{"value":[null],"@odata.deltaLink":"https://graph.microsoft.com/d"}',
        b'{"value":[{"subject":"no id"}],"@odata.deltaLink":"https://graph.microsoft.com/d"}',
        b'{"value":[{"id":"' + b"x" * 20_000 + b'"}],"@odata.deltaLink":"https://graph.microsoft.com/d"}',
        b'{"value":[],"@odata.nextLink":{"a":1}}',
        b'{"value":[],"@odata.nextLink":"messages?$skiptoken=1"}',
        b'{"value":[],"@odata.deltaLink":"https://graph.microsoft.com/' + b"x" * 20_000 + b'"}',
    ],
)
def test_a_page_that_cannot_be_read_whole_is_none(body: bytes) -> None:
    """Whoever went on by its link would leave out mail that was never shown, for good."""
    wire = Wire(lambda _: httpx.Response(200, content=body))
    with pytest.raises(Unreachable, match="tried again"):
        wire.reading.next_page(MAILBOX, "https://graph.microsoft.com/v1.0/x", 50)


@pytest.mark.parametrize("size", ["²", "9" * 5000, str(2**31), "-1", "", None, [], {}])
def test_a_size_that_is_no_number_is_unknown(size: Any) -> None:
    """The message is then streamed, as one of unknown size."""
    item = {"id": "x", "singleValueExtendedProperties": [{"id": "Long 0xe08", "value": size}]}
    assert [Listed("x")] == Wire(lambda _: page(value=[item])).reading.first_page(MAILBOX, "f", 1).messages


def test_half_a_character_is_no_reason_to_fail() -> None:
    """A subject cut in the middle of an emoji holds half of one, which no storage would take."""
    body = json.dumps({"value": [{"id": "x", "subject": "cut \ud83d"}], "@odata.deltaLink": "https://g.example/d"})
    (found,) = Wire(lambda _: httpx.Response(200, content=body)).reading.first_page(MAILBOX, "f", 1).messages
    assert "cut ?" == found.subject


@pytest.mark.parametrize(
    "body", [None, "", "=", {"a": 1}, 5, [], "not base64, and no mail either"], ids=lambda body: repr(body)[:12]
)
def test_an_answer_without_content_is_a_fault_and_no_empty_mail(body: Any) -> None:
    """A mail is never empty; stored as empty it would be marked read and lost."""
    responses = [{"id": "0", "status": 200, "body": body}]
    found = Wire(lambda _: httpx.Response(200, json={"responses": responses})).reading.contents(MAILBOX, ["a"])
    assert isinstance(found["a"], Unreachable)


@pytest.mark.parametrize("text", ["U3ViamVjdDogPz8-DQoNCg==", "U3ViamVjdDogPz8-DQoNCg", "U3ViamVjdDog\r\nPz8+DQoNCg=="])
def test_content_comes_in_any_form_of_base64(text: str) -> None:
    """Graph's documents name that for URLs; lines may be broken, and the end may be open."""
    responses = [{"id": "0", "status": 200, "body": text}]
    found = Wire(lambda _: httpx.Response(200, json={"responses": responses})).reading.contents(MAILBOX, ["a"])
    assert {"a": b"Subject: ??>\r\n\r\n"} == found


@pytest.mark.parametrize("content", [b"", b" <!DOCTYPE html><p>Sign in</p>"])
def test_a_stream_without_a_message_is_a_fault(content: bytes) -> None:
    """Nothing, or the page of some box between, is not stored as a mail."""
    wire = Wire(lambda _: httpx.Response(200, content=content, headers={"Content-Type": "text/html"}))
    with pytest.raises(Unreachable):
        b"".join(wire.reading.content_stream(MAILBOX, "a"))


def test_two_answers_to_one_request_of_a_batch_are_none() -> None:
    """Which of them is true nobody knows."""
    responses = [{"id": "0", "status": 200, "body": {}}, {"id": "0", "status": 404, "body": {}}]
    found = Wire(lambda _: httpx.Response(200, json={"responses": responses})).reading.apply(MAILBOX, "read", ["a"])
    assert isinstance(found["a"], Unreachable)


def test_details_and_places_that_are_none_are_faults() -> None:
    """A message without properties would be taken for mail, and one without a folder for one that was not moved."""
    responses = [{"id": "0", "status": 200, "body": []}]
    reading = Wire(lambda _: httpx.Response(200, json={"responses": responses})).reading
    assert isinstance(reading.details(MAILBOX, ["a"])["a"], Unreachable)
    assert isinstance(reading.placed(MAILBOX, ["a"])["a"], Unreachable)


def test_contents_come_by_one_batch_each_its_own() -> None:
    """Every sub-request bears the preference; a fault is its message's alone."""

    def handle(request: httpx.Request) -> httpx.Response:
        responses = [
            {"id": "0", "status": 200, "body": base64.b64encode(b"MIME").decode()},
            {"id": "1", "status": 429, "headers": {"Retry-After": "2"}, "body": {"error": {"code": "TooManyRequests"}}},
        ]
        return httpx.Response(200, json={"responses": responses})

    wire = Wire(handle)
    found = wire.reading.contents(MAILBOX, ["a", "b"])
    assert found["a"] == b"MIME"
    assert isinstance(found["b"], Throttled)
    assert json.loads(wire.asked[0].content)["requests"][1] == {
        "id": "1",
        "method": "GET",
        "url": "/users/5e0f/messages/b/$value",
        "headers": {"Prefer": 'IdType="ImmutableId"'},
    }


@pytest.mark.parametrize(
    ("action", "method", "url", "body"),
    [
        ("read", "PATCH", "/users/5e0f/messages/a", {"isRead": True}),
        ("move", "POST", "/users/5e0f/messages/a/move", {"destinationId": "f"}),
    ],
)
def test_marks_and_moves_go_by_batch(action: str, method: str, url: str, body: dict[str, Any]) -> None:
    """Bodies of sub-requests need their content type."""
    wire = Wire(lambda _: httpx.Response(200, json={"responses": [{"id": "0", "status": 200, "body": {}}]}))
    assert wire.reading.apply(MAILBOX, action, ["a"], "f") == {"a": None}
    (asked,) = json.loads(wire.asked[0].content)["requests"]
    assert (asked["method"], asked["url"], asked["body"]) == (method, url, body)
    assert asked["headers"]["Content-Type"] == "application/json"


def test_places_are_looked_up_by_batch() -> None:
    """Where a message lies and whether it is read, before a change is repeated."""
    body = {"id": "a", "parentFolderId": "f", "isRead": True}
    wire = Wire(lambda _: httpx.Response(200, json={"responses": [{"id": "0", "status": 200, "body": body}]}))
    assert wire.reading.placed(MAILBOX, ["a"]) == {"a": Placed("f", is_read=True)}


def test_a_light_walk_asks_for_no_more_than_ids_and_times() -> None:
    """What names a message that Exchange cannot read must not ask for more of it."""
    wire = Wire(lambda _: page(value=[{"id": "x", "receivedDateTime": "2026-11-22T07:00:00Z", "isDraft": True}]))
    found = wire.reading.first_page(MAILBOX, "AAF", 100, light=True)
    (asked,) = wire.asked
    assert ("id,receivedDateTime,isDraft", "created") == (
        asked.url.params["$select"],
        asked.url.params["changeType"],
    )
    assert not {"$expand", "$filter"} & set(asked.url.params)
    assert [Listed("x", received_at="2026-11-22T07:00:00Z", is_draft=True)] == found.messages


def test_a_list_is_ordered_by_what_it_is_filtered_by() -> None:
    """Graph refuses any other order, and a skip is only sent where something is passed over."""
    wire = Wire(lambda _: page())
    wire.reading.list_page(MAILBOX, Window("AAF", "2026-11-01T00:00:00Z"), 50)
    wire.reading.list_page(MAILBOX, Window("AAF", "2026-11-01T00:00:00Z", "2026-11-02T00:00:00Z", 3), 1, light=True)
    open_end, closed = (request.url.params for request in wire.asked)
    assert ("receivedDateTime ge 2026-11-01T00:00:00Z", "receivedDateTime", "50") == (
        open_end["$filter"],
        open_end["$orderby"],
        open_end["$top"],
    )
    assert "$skip" not in open_end
    assert ("receivedDateTime ge 2026-11-01T00:00:00Z and receivedDateTime le 2026-11-02T00:00:00Z", "3") == (
        closed["$filter"],
        closed["$skip"],
    )
    assert all(request.url.path == "/v1.0/users/5e0f/mailFolders/AAF/messages" for request in wire.asked)
    assert all('IdType="ImmutableId"' in request.headers["prefer"] for request in wire.asked)
