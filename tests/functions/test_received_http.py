"""What administrators and holders of links see of received mail."""

import json
from collections.abc import Callable
from typing import Any

import azure.functions as func
import pytest

from functions import deliver_queue, fetch_queue, received_http
from shared.audit import Audit
from shared.content_links import ContentLink, expiry_of, make_link
from shared.errors import Unreachable
from shared.identifiers import receipt_id
from shared.receipts import Receipt, ReceiptStatus, hash_of
from shared.received import Received, Wanted
from shared.schedule import DELIVER, FETCH, NOTICE, Wakeup
from shared.settings import Settings
from tests.fakes.graph_reading import mime_of
from tests.fakes.intake import World

BASE = "https://mail.contoso.example"
SETTINGS = Settings.from_environment(
    {
        "AzureWebJobsStorage": "UseDevelopmentStorage=true",
        "MAIL_STORAGE": "UseDevelopmentStorage=true",
        "KEY_VAULT_URL": "https://v.vault.azure.net",
        "PUBLIC_BASE_URL": BASE,
    }
)
KEY = b"k" * 32
WITH_FILE = (
    b"Subject: x\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nbody\r\n--b\r\n"
    b'Content-Type: text/html; name="..\\\\a 1.html"\r\nContent-Disposition: attachment\r\n\r\n<script>\r\n--b--\r\n'
)
WRITE = {"content-type": "application/json", "x-mailgrant-request": "1", "host": "mail.contoso.example"}


class Woken:
    """Stands for a use case and remembers what it was woken with."""

    def __init__(self) -> None:
        self.wakeups: list[Wakeup] = []
        self.looked: list[str] = []

    def hand_on(self, connection_id: str) -> None:
        """Remember."""
        self.looked.append(connection_id)

    def run(self, wakeup: Wakeup) -> None:
        """Remember."""
        self.wakeups.append(wakeup)


class Site:
    """The functions of received mail on memory, with one connection."""

    def __init__(self) -> None:
        self.world = World()
        self.key = self.world.connect()
        self.keys_asked = 0
        world = self.world
        received = Received(world.tables, world.blobs.received, world.wakeups, self._key, BASE, world.clock)
        app = func.FunctionApp()
        app.register_functions(received_http.blueprint(received, Audit(world.tables.audit, world.clock), SETTINGS))
        self.functions = {str(item.get_function_name()): item for item in app.get_functions()}

    def _key(self) -> bytes:
        self.keys_asked += 1
        return KEY

    def call(self, name: str, method: str = "GET", params: dict[str, str] | None = None, **route: str) -> Any:
        """Call a function as the worker does."""
        headers = WRITE if method == "POST" else {}
        request = func.HttpRequest(method, "/", headers=headers, params=params or {}, route_params=route, body=b"{}")
        return self.functions[name].get_user_function()(request)

    def read(self, name: str, status: int = 200, **details: Any) -> dict[str, Any]:
        """Call a function and return its JSON."""
        response = self.call(name, **details)
        found: dict[str, Any] = json.loads(response.get_body())
        assert (status, found.get("code", "")) == (response.status_code, found.get("code", ""))
        return found

    def receive(self, *identifiers: str) -> None:
        """Let mail arrive and be fetched."""
        self.world.graph.arrive(*identifiers)
        self.world.go_on(self.key)

    def link(self, part: str = "raw", expires: int | None = None) -> str:
        """Return a link to mail ``a``."""
        until = expiry_of(self.world.clock()) if expires is None else expires
        return make_link(KEY, ContentLink(receipt_id(self.key, "a"), part, until))


@pytest.fixture
def site() -> Site:
    """Return the routes of a fresh connection."""
    return Site()


def test_the_surface_is_as_documented(site: Site) -> None:
    """Only the signed link is open; the rest needs a function key."""
    found = {}
    for name, function in site.functions.items():
        trigger = function.get_trigger()
        assert trigger is not None
        shape = trigger.get_dict_repr()
        methods = ",".join(str(getattr(method, "value", method)) for method in shape["methods"])
        found[name] = (shape["route"], methods, str(shape["authLevel"]).rpartition(".")[2])
    assert {
        "received_list": ("connections/{id}/received", "GET", "FUNCTION"),
        "received_get": ("received/{id}", "GET", "FUNCTION"),
        "received_raw": ("received/{id}/raw", "GET", "FUNCTION"),
        "received_attachment": ("received/{id}/attachments/{n}", "GET", "FUNCTION"),
        "received_attempts": ("received/{id}/attempts", "GET", "FUNCTION"),
        "received_redeliver": ("received/{id}/redeliver", "POST", "FUNCTION"),
        "content_get": ("content/{token}", "GET", "ANONYMOUS"),
    } == found


def test_a_list_is_newest_first_and_stable_while_mail_arrives(site: Site) -> None:
    """Pages follow one another without gap or repeat; only the missing cursor ends the list."""
    for name in "abcde":
        site.receive(name)
    first = site.read("received_list", params={"limit": "2"}, id=site.key)
    site.receive("f")
    second = site.read("received_list", params={"limit": "2", "cursor": first["next_cursor"]}, id=site.key)
    third = site.read("received_list", params={"limit": "2", "cursor": second["next_cursor"]}, id=site.key)
    subjects = [item["subject"] for page in (first, second, third) for item in page["data"]]
    assert ([f"subject of {name}" for name in "edcba"], None) == (subjects, third["next_cursor"])


@pytest.mark.parametrize(("status", "count"), [("stored", 3), ("delivered", 0), ("retrying", 1), ("quarantined", 0)])
def test_a_list_can_be_of_one_status(site: Site, status: str, count: int) -> None:
    """Rare statuses have an index of their own, common ones are filtered."""
    site.world.graph.items["bad"] = [Unreachable("5xx")]
    site.receive("a", "b", "c", "bad")
    page = site.read("received_list", params={"status": status}, id=site.key)
    assert (count, None) == (len(page["data"]), page["next_cursor"])
    assert {status} >= {item["status"] for item in page["data"]}


def test_a_list_can_be_of_a_span_a_sender_a_subject_or_one_message(site: Site) -> None:
    """Each filter narrows the list, together they narrow it further, and pages go on under a filter."""
    for name in "abc":
        site.receive(name)
        site.world.clock.advance(60)

    def subjects(**params: str) -> list[str]:
        page = site.read("received_list", params=params, id=site.key)
        return [item["subject"] for item in page["data"]]

    mails = site.read("received_list", id=site.key)["data"]
    middle = mails[1]
    assert ["subject of c", "subject of b"] == subjects(since=middle["stored_at"])
    assert ["subject of a"] == subjects(until=middle["stored_at"])
    assert [] == subjects(since=middle["stored_at"], until=middle["stored_at"])
    assert ["subject of b"] == subjects(subject="SUBJECT of b")
    assert 3 == len(subjects(**{"from": middle["sender"][:3].upper()}))
    assert [] == subjects(**{"from": "nobody"})
    assert [] == subjects(message_id="<another@example.com>")
    first = site.read("received_list", params={"limit": "1", "subject": "subject"}, id=site.key)
    second = site.read(
        "received_list", params={"limit": "2", "subject": "subject", "cursor": first["next_cursor"]}, id=site.key
    )
    assert ["subject of b", "subject of a"] == [item["subject"] for item in second["data"]]


@pytest.mark.parametrize("asked", ["<x@example.com>", "x@example.com"])
def test_a_message_id_is_found_with_or_without_its_brackets(asked: str) -> None:
    """Logs and headers write it either way."""
    at = "2026-01-01T00:00:00.000Z"
    receipt = Receipt("h", "g", ReceiptStatus.STORED, at, internet_message_id="<x@example.com>")

    assert Wanted(message_id=asked).takes(receipt)
    assert not Wanted(message_id="y@example.com").takes(receipt)


@pytest.mark.parametrize(
    "params", [{"since": "x"}, {"status": "lost"}, {"cursor": "!"}, {"cursor": "bXxhYg=="}, {"limit": "0"}]
)
def test_a_bad_query_is_named(site: Site, params: dict[str, str]) -> None:
    """What is wrong with a query stands in the problem."""
    assert (
        site.read("received_list", 422, params=params, id=site.key)["errors"][0]["pointer"] == f"?{next(iter(params))}"
    )


def test_a_mail_shows_its_receipt_and_its_parsed_view(site: Site) -> None:
    """Neither the mailbox's id of the message nor the path of the blob is shown."""
    site.receive("a")
    found = site.read("received_get", id=receipt_id(site.key, "a"))
    assert ("stored", "stored", "a") == (found["status"], found["content"], found["message"]["subject"])
    assert f"{BASE}/api/received/{receipt_id(site.key, 'a')}/raw" == found["raw_url"]
    assert not {"graph_id", "blob", "hash"} & set(found)


@pytest.mark.parametrize("identifier", ["x", "rcv_", receipt_id("conn_" + "0" * 16 + "0" * 26, "a")])
def test_unknown_mail_is_not_found(site: Site, identifier: str) -> None:
    """Malformed and foreign ids alike."""
    for name in ("received_get", "received_raw"):
        assert site.read(name, 404, id=identifier)["code"] == "not_found"
    assert site.read("received_redeliver", 404, method="POST", id=identifier)["code"] == "not_found"
    assert site.read("received_list", 404, id="conn_x")["code"] == "not_found"


def test_content_is_handed_out_as_a_file_and_never_as_a_page(site: Site) -> None:
    """Whatever a stranger sent: a browser saves it."""
    site.receive("a")
    response = site.call("received_raw", id=receipt_id(site.key, "a"))
    assert mime_of("a") == response.get_body()
    assert "application/octet-stream" == response.mimetype
    expected = {
        "Cache-Control": "no-store",
        "Content-Security-Policy": "sandbox; default-src 'none'",
        "X-Content-Type-Options": "nosniff",
        "Content-Disposition": "attachment; filename*=UTF-8''message.eml",
    }
    assert expected == {name: response.headers[name] for name in expected}


def test_attachments_are_handed_out_by_number(site: Site) -> None:
    """The name that a stranger chose cannot lead out of a folder or out of the header."""
    site.receive("a")
    site.world.blobs.received.contents[site.world.receipt(site.key, "a").blob] = WITH_FILE
    found = site.read("received_get", id=receipt_id(site.key, "a"))
    assert ["..\\a 1.html"] == [item["name"] for item in found["attachments"]]
    response = site.call("received_attachment", id=receipt_id(site.key, "a"), n="0")
    assert b"<script>" == response.get_body()
    assert "attachment; filename*=UTF-8''.._a%201.html" == response.headers["Content-Disposition"]
    for number in ("1", "x", "-1", "99999999"):
        assert site.read("received_attachment", 404, id=receipt_id(site.key, "a"), n=number)["code"] == "not_found"


def test_a_link_opens_one_object_until_it_ends(site: Site) -> None:
    """Afterwards it says which address holds for ever."""
    site.receive("a")
    assert mime_of("a") == site.call("content_get", token=site.link()).get_body()
    site.world.clock.advance(9 * 86400)
    ended = site.read("content_get", 410, token=site.link(expires=int(site.world.clock().timestamp())))
    assert "link_expired" == ended["code"]
    assert f"{BASE}/api/inbox/{receipt_id(site.key, 'a')}/raw" in ended["detail"]


def test_a_forged_link_is_refused_and_a_malformed_one_costs_nothing(site: Site) -> None:
    """Any changed character is noticed; what has not the form never reaches vault or storage."""
    site.receive("a")
    token = site.link()
    before = site.world.tables.calls()
    for place in range(len(token)):
        changed = token[:place] + ("0" if token[place] != "0" else "1") + token[place + 1 :]
        assert 404 == site.call("content_get", token=changed).status_code
    asked = site.keys_asked
    for malformed in ("", "x", "a.b.c.d", token + "0", token.replace(".raw.", ".rab."), "é" * 50):
        assert 404 == site.call("content_get", token=malformed).status_code
    assert (before, asked) == (site.world.tables.calls(), site.keys_asked)


def test_content_that_is_gone_says_so(site: Site) -> None:
    """The receipt outlives the content."""
    site.receive("a")
    site.world.blobs.received.contents.clear()
    assert "content_expired" == site.read("received_raw", 410, id=receipt_id(site.key, "a"))["code"]
    assert "expired" == site.read("received_get", id=receipt_id(site.key, "a"))["content"]


def test_redelivery_makes_work_and_wakes(site: Site) -> None:
    """The work row, a due row and a wake-up; a write must bear our mark."""
    site.receive("a")
    site.world.wakeups.sent.clear()
    site.world.clock.advance(60)
    found = site.read("received_redeliver", 202, method="POST", id=receipt_id(site.key, "a"))
    assert receipt_id(site.key, "a") == found["id"]
    assert [site.key] == [body["id"] for body in site.world.woken(DELIVER)]
    assert 2 == len([key for key in site.world.rows(site.key, "wd") if key.endswith(hash_of("a"))])
    assert DELIVER in [row.kind for row in site.world.due_rows()]
    request = func.HttpRequest("POST", "/", route_params={"id": receipt_id(site.key, "a")}, body=b"{}")
    assert 415 == site.functions["received_redeliver"].get_user_function()(request).status_code


def _delivering(woken: Any) -> func.Blueprint:
    return deliver_queue.blueprint(woken, Woken())  # type: ignore[arg-type]


def test_notices_have_the_queue_of_deliver_and_a_worker_of_their_own() -> None:
    """Whoever is woken for mail looks for notices too, and leaves them to an invocation of their own."""
    mail, notices = Woken(), Woken()
    app = func.FunctionApp()
    app.register_functions(deliver_queue.blueprint(mail, notices))  # type: ignore[arg-type]
    (function,) = app.get_functions()
    run = function.get_user_function()
    for kind in (DELIVER, NOTICE):
        run(func.QueueMessage(body=json.dumps(Wakeup(kind, "conn_x").to_body()).encode()))

    assert [Wakeup(DELIVER, "conn_x")] == mail.wakeups
    assert (["conn_x"], [Wakeup(NOTICE, "conn_x")]) == (notices.looked, notices.wakeups)


@pytest.mark.parametrize(("blueprint", "kind"), [(fetch_queue.blueprint, FETCH), (_delivering, DELIVER)])
def test_queue_messages_wake_the_use_case(blueprint: Callable[[Any], func.Blueprint], kind: str) -> None:
    """A message is parsed and handed on; what is none is refused, so that it becomes poison."""
    woken = Woken()
    app = func.FunctionApp()
    app.register_functions(blueprint(woken))
    (function,) = app.get_functions()
    wakeup = Wakeup(kind, "conn_x", 3, f"due|20260301T000000000Z|{kind}|conn_x")
    run = function.get_user_function()
    run(func.QueueMessage(body=json.dumps(wakeup.to_body()).encode()))
    assert [wakeup] == woken.wakeups
    with pytest.raises(ValueError, match="not a wake-up"):
        run(func.QueueMessage(body=b"{}"))
