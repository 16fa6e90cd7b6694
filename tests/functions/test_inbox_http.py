"""What holders of a receive token see of their connection's mail: what events and ended links point to."""

import hashlib
import json
import re
from typing import Any

import azure.functions as func
import pytest

from functions import inbox_http, received_http
from shared.audit import Audit
from shared.connection_admin.tokens import ConnectionTokens
from shared.connection_rows import find
from shared.content_links import ContentLink, make_link
from shared.events import EventMaker
from shared.identifiers import receipt_id
from shared.receipts import ReceiptStatus
from shared.received import Received
from shared.stored_mail import read_mail
from tests.fakes.graph_reading import mime_of
from tests.fakes.intake import World
from tests.scenes.administration import settings
from tests.scenes.calls import Caller

BASE = "https://mail.example"
KEY = b"k" * 32
WITH_FILE = (
    b"Subject: x\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nbody\r\n--b\r\n"
    b'Content-Type: text/html; name="a.html"\r\nContent-Disposition: attachment\r\n\r\n<script>\r\n--b--\r\n'
)


class Site:
    """The inbox and the signed links on memory: two connections of one mailbox, a receive token of the first."""

    def __init__(self) -> None:
        self.world = world = World()
        self.key, self.other = world.connect(), world.connect()
        audit = Audit(world.tables.audit, world.clock)
        received = Received(world.tables, world.blobs.received, world.wakeups, lambda: KEY, BASE, world.clock)
        self.tokens = ConnectionTokens(world.tables, audit, world.clock)
        self.row, token = self.tokens.create(self.key, "receive")
        self.headers = {"Authorization": f"Bearer {token}"}
        self.caller = Caller(
            inbox_http.blueprint(self.tokens, received, settings(BASE)),
            received_http.blueprint(received, audit, settings(BASE)),
        )

    def get(self, url: str) -> func.HttpResponse:
        """Ask with the token."""
        return self.caller.call("GET", url.removeprefix(BASE), None, self.headers)

    def read(self, url: str, status: int = 200) -> Any:
        """Ask with the token and return the JSON of the answer."""
        response = self.get(url)
        assert status == response.status_code, response.get_body()
        return json.loads(response.get_body())

    def receive(self, key: str, *identifiers: str) -> None:
        """Let mail arrive and be fetched by one connection."""
        self.world.graph.arrive(*identifiers)
        self.world.go_on(key)

    def event(self, identifier: str) -> Any:
        """Return the data of a mail's event."""
        receipt = self.world.receipt(self.key, identifier)
        mail = read_mail(self.world.blobs.received, receipt)
        assert mail is not None
        connection = find(self.world.tables, self.key).connection
        return EventMaker(BASE, lambda: KEY).message_received(connection, receipt, mail)["data"]


@pytest.fixture
def site() -> Site:
    """Return the inbox of a fresh connection."""
    return Site()


def test_the_original_is_what_the_event_says(site: Site) -> None:
    """Its address leads to the mailbox's bytes, of the size and hash that it names; a browser only saves them."""
    site.receive(site.key, "a")
    told = site.event("a")["raw"]
    response = site.get(told["url"])
    content = response.get_body()
    assert mime_of("a") == content
    assert (told["size"], told["sha256"]) == (len(content), hashlib.sha256(content).hexdigest())
    assert ("application/octet-stream", "no-store") == (response.mimetype, response.headers["Cache-Control"])
    assert "attachment; filename*=UTF-8''message.eml" == response.headers["Content-Disposition"]


def test_attachments_are_what_the_event_says(site: Site) -> None:
    """Each by its number; others are not found."""
    site.receive(site.key, "a")
    site.world.blobs.received.contents[site.world.receipt(site.key, "a").blob] = WITH_FILE
    (told,) = site.event("a")["attachments"]
    content = site.get(told["url"]).get_body()
    assert (b"<script>", told["sha256"]) == (content, hashlib.sha256(content).hexdigest())
    for number in ("1", "x", "-1"):
        assert "not_found" == site.read(f"inbox/{receipt_id(site.key, 'a')}/attachments/{number}", 404)["code"]


def test_an_ended_link_names_an_address_that_works(site: Site) -> None:
    """Until the content itself is gone, which has a code of its own."""
    site.receive(site.key, "a")
    link = make_link(KEY, ContentLink(receipt_id(site.key, "a"), "raw", int(site.world.clock().timestamp())))
    ended = site.read(f"content/{link}", 410)
    (url,) = re.findall(r"https://\S+", ended["detail"])
    assert ("link_expired", mime_of("a")) == (ended["code"], site.get(url).get_body())
    site.world.blobs.received.contents.clear()
    assert "content_expired" == site.read(url, 410)["code"]


def test_a_mail_shows_addresses_that_the_token_opens(site: Site) -> None:
    """The same view as administrators have, with the inbox's own addresses."""
    site.receive(site.key, "a")
    identifier = receipt_id(site.key, "a")
    mine, theirs = site.read(f"inbox/{identifier}"), site.read(f"received/{identifier}")
    assert mime_of("a") == site.get(mine["raw_url"]).get_body()
    assert theirs | {"raw_url": mine["raw_url"]} == mine


def test_the_list_is_of_the_tokens_connection_alone(site: Site) -> None:
    """Paged and filtered as the administrators' list is, and with the same faults."""
    site.receive(site.key, "a", "b", "c")
    site.world.go_on(site.other)
    first = site.read("inbox?limit=2")
    rest = site.read(f"inbox?limit=2&cursor={first['next_cursor']}")
    assert site.read(f"connections/{site.key}/received")["data"] == first["data"] + rest["data"]
    assert {site.key} == {item["connection_id"] for item in first["data"] + rest["data"]}
    assert 3 == len(site.read(f"inbox?status={ReceiptStatus.STORED}")["data"])
    assert "?status" == site.read("inbox?status=lost", 422)["errors"][0]["pointer"]


def test_mail_of_another_connection_is_not_there(site: Site) -> None:
    """Though it is in the same mailbox; an id of a wrong form is answered alike, and neither reads any receipt."""
    site.receive(site.other, "d")
    assert site.world.receipt(site.other, "d").blob
    calls = site.world.tables.receipts.calls.copy()
    for identifier in (receipt_id(site.other, "d"), "x", "rcv_", receipt_id(site.key, "d").upper()):
        for path in ("", "/raw", "/attachments/0"):
            assert "not_found" == site.read(f"inbox/{identifier}{path}", 404)["code"]
    assert calls == site.world.tables.receipts.calls


def test_a_revoked_token_opens_nothing(site: Site) -> None:
    """From the next request on."""
    site.receive(site.key, "a")
    site.tokens.delete(site.key, site.row.id)
    for path in ("", *(f"/{receipt_id(site.key, 'a')}{part}" for part in ("", "/raw", "/attachments/0"))):
        assert "not_found" == site.read(f"inbox{path}", 404)["code"]
