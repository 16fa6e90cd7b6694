"""Looking at a mail: a link for a minute, and a page that can do nothing."""

import base64
import json
from typing import Any

import azure.functions as func
import pytest

from functions import message_page_http
from shared.adapters.html_cleaning import clean
from shared.audit import Audit
from shared.content_links import ContentLink, make_link
from shared.identifiers import box_hash, new_connection_id
from shared.message_pages import MOST_PICTURE_BYTES, VALID, MessagePages
from shared.receipts import Receipt, ReceiptStatus, hash_of, insertion, public_id
from shared.times import to_text
from tests.fakes import MemoryBlobStore, MemoryTables, MovableClock
from tests.scenes.administration import settings
from tests.scenes.calls import ADMIN, Caller

KEY = b"k" * 32


def picture(name: str, size: int) -> bytes:
    """Return an inline picture as a part."""
    head = f"Content-Type: image/png\r\nContent-ID: <{name}>\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    return head.encode() + base64.encodebytes(b"p" * size)


def mime(html: str, *pictures: bytes) -> bytes:
    """Return a mail of html."""
    head = b'Subject: x\r\nContent-Type: multipart/related; boundary="b"\r\n\r\n'
    parts = [b"Content-Type: text/html; charset=utf-8\r\n\r\n" + html.encode(), *pictures]
    return head + b"".join(b"--b\r\n" + part + b"\r\n" for part in parts) + b"--b--\r\n"


class Site:
    """The routes on memory with one mail."""

    def __init__(self, content: bytes = b"") -> None:
        self.clock = MovableClock()
        self.tables = MemoryTables(self.clock)
        self.keys_asked = 0
        blobs = MemoryBlobStore(self.clock).received
        blob = "a" if content else ""
        self.connection = new_connection_id(box_hash("app", "tenant", "user"))
        receipt = Receipt(hash_of("a"), "a", ReceiptStatus.STORED, to_text(self.clock()), blob=blob, size=len(content))
        self.tables.receipts.commit(self.connection, insertion(receipt, []))
        if content:
            blobs.put("a", content)
        self.id = public_id(self.connection, receipt.hash)
        pages = MessagePages(self.tables.receipts, blobs, self._key, self.clock, clean)
        self.caller = Caller(message_page_http.blueprint(pages, Audit(self.tables.audit, self.clock), settings()))

    def _key(self) -> bytes:
        self.keys_asked += 1
        return KEY

    def ask(self, path: str = "") -> Any:
        """Ask for a link."""
        return self.caller.call("POST", path or f"received/{self.id}/page", {}, ADMIN)

    def open(self) -> func.HttpResponse:
        """Ask for a link and follow it."""
        return self.follow(json.loads(self.ask().get_body())["url"])

    def follow(self, url: str) -> func.HttpResponse:
        """Follow a link."""
        return self.caller.call("GET", url.partition("/api/")[2], headers={})


def test_a_mail_is_shown_as_a_page_that_can_do_nothing() -> None:
    """Cleaned, with the policy that the design names, kept by nobody; a picture of its own is in it."""
    site = Site(mime('<p onclick="x()">Hello</p><script>x()</script><img src="cid:dot">', picture("dot", 3)))
    answer = site.open()
    html = answer.get_body().decode()

    assert (200, "text/html") == (answer.status_code, answer.mimetype)
    assert (
        "sandbox; default-src 'none'; img-src data:; style-src 'unsafe-inline'; form-action 'none'; base-uri 'none'; "
        "frame-ancestors 'self'"
    ) == answer.headers["Content-Security-Policy"]
    assert ("no-store", "no-referrer", "nosniff", "off") == tuple(
        answer.headers[name]
        for name in ("Cache-Control", "Referrer-Policy", "X-Content-Type-Options", "X-DNS-Prefetch-Control")
    )
    assert '<p>Hello</p><img src="data:image/png;base64,cHBw">' in html.replace("\r\n", "")
    assert "script" not in html


def test_large_pictures_are_left_out() -> None:
    """A page stays small, whatever a mail brings."""
    page = Site(mime('<img src="cid:big">', picture("big", MOST_PICTURE_BYTES + 1))).open().get_body()

    assert b"<img>" in page


def test_opening_is_written_down() -> None:
    """Who made a link, and for which mail."""
    site = Site(mime("x"))
    site.ask()
    (row,) = site.tables.audit.read(site.clock().strftime("%Y%m"), "0", "~", 9).rows

    assert ("received.open", "page", site.id) == tuple(
        row.values[name] for name in ("action", "outcome", "received_id")
    )


def test_a_link_holds_for_a_minute() -> None:
    """Then it is gone, and the answer still bears the policy."""
    site = Site(mime("x"))
    made = json.loads(site.ask().get_body())
    site.clock.advance(VALID.total_seconds() - 1)
    before = site.follow(made["url"])
    site.clock.advance(1)
    after = site.follow(made["url"])

    assert to_text(site.clock()) >= made["expires_at"]
    assert (200, 410) == (before.status_code, after.status_code)
    assert "link_expired" == json.loads(after.get_body())["code"]
    assert after.headers["Content-Security-Policy"].startswith("sandbox; ")


@pytest.mark.parametrize("part", ["raw", "0"])
def test_links_of_other_kinds_open_no_page(part: str) -> None:
    """Those of events hold for a week; they hand out files."""
    site = Site(mime("x"))
    token = make_link(KEY, ContentLink(site.id, part, 2**33))

    assert 404 == site.follow(f"/api/content/{token}/page").status_code


def test_a_forged_link_opens_nothing() -> None:
    """A malformed one costs not even the key."""
    site = Site(mime("x"))
    forged = make_link(b"o" * 32, ContentLink(site.id, "page", 2**33))

    assert 404 == site.follow(f"/api/content/{forged}/page").status_code
    assert 1 == site.keys_asked
    assert 404 == site.follow("/api/content/rubbish/page").status_code
    assert 1 == site.keys_asked


def test_a_mail_without_content_has_no_page() -> None:
    """One that is not there is 404, one whose content is gone is 410."""
    site = Site()

    assert (410, "content_expired") == (site.ask().status_code, json.loads(site.ask().get_body())["code"])
    assert 404 == site.ask(f"received/{site.id[:-1]}/page").status_code
    assert 404 == site.ask("received/x/page").status_code
