"""How stored mail is handed out: whole, by ranges, or not again, and always as something that no browser runs."""

import hashlib
from collections.abc import Callable

import azure.functions as func
import pytest

from functions import inbox_http, received_http
from functions.content_replies import MAX_PIECE
from shared.audit import Audit
from shared.connection_admin.tokens import ConnectionTokens
from shared.content_links import ContentLink, expiry_of, make_link
from shared.identifiers import receipt_id
from shared.received import Received
from tests.fakes.graph_reading import mime_of
from tests.fakes.intake import World
from tests.scenes.administration import settings
from tests.scenes.calls import Caller

BASE = "https://mail.example"
KEY = b"k" * 32
FILE = b"0123456789" * 50
MAIL = (
    b"Subject: x\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nbody\r\n--b\r\n"
    b'Content-Type: a/b; name="a.bin"\r\nContent-Transfer-Encoding: binary\r\n\r\n' + FILE + b"\r\n--b--\r\n"
)
GUARDED = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "sandbox; default-src 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class Site:
    """Every route of stored content on memory, over one mail."""

    def __init__(self) -> None:
        self.world = world = World()
        self.key = world.connect()
        audit = Audit(world.tables.audit, world.clock)
        received = Received(world.tables, world.blobs.received, world.wakeups, lambda: KEY, BASE, world.clock)
        tokens = ConnectionTokens(world.tables, audit, world.clock)
        _, self.token = tokens.create(self.key, "receive")
        self.caller = Caller(
            inbox_http.blueprint(tokens, received, settings(BASE)),
            received_http.blueprint(received, audit, settings(BASE)),
        )
        world.graph.arrive("a")
        world.go_on(self.key)
        self.mail = receipt_id(self.key, "a")

    def get(self, path: str, **headers: str) -> func.HttpResponse:
        """Ask with the token, and with *headers* (``_`` stands for ``-``)."""
        sent = {"Authorization": f"Bearer {self.token}"} | {
            name.replace("_", "-"): value for name, value in headers.items()
        }
        return self.caller.call("GET", path, None, sent)

    def link(self, part: str) -> str:
        """Return the signed link to a part."""
        link = ContentLink(self.mail, part, expiry_of(self.world.clock()))
        return f"content/{make_link(KEY, link)}"


PATHS: list[Callable[[Site], str]] = [
    lambda site: f"received/{site.mail}/raw",
    lambda site: f"inbox/{site.mail}/raw",
    lambda site: site.link("raw"),
]


@pytest.fixture
def site() -> Site:
    """Return the routes of one stored mail."""
    return Site()


@pytest.mark.parametrize("path", PATHS, ids=["received", "inbox", "content"])
@pytest.mark.parametrize(
    ("headers", "status", "body", "told"),
    [
        ({}, 200, slice(None), None),
        ({"Range": "bytes=0-3"}, 206, slice(0, 4), "bytes 0-3/{size}"),
        ({"Range": "bytes=5-"}, 206, slice(5, None), "bytes 5-{last}/{size}"),
        ({"Range": "bytes=-4"}, 206, slice(-4, None), "bytes {fourth}-{last}/{size}"),
        ({"Range": "bytes=2-99999"}, 206, slice(2, None), "bytes 2-{last}/{size}"),
        ({"Range": "bytes=99999-"}, 416, None, "bytes */{size}"),
        ({"Range": "bytes=-0"}, 416, None, "bytes */{size}"),
        ({"Range": "bytes=4-2"}, 200, slice(None), None),
        ({"Range": "bytes=0-1,3-4"}, 200, slice(None), None),
        ({"Range": "lines=0-1"}, 200, slice(None), None),
        ({"Range": "bytes=-"}, 200, slice(None), None),
        ({"Range": "bytes=0-3", "If_Range": '"{sha}"'}, 206, slice(0, 4), "bytes 0-3/{size}"),
        ({"Range": "bytes=0-3", "If_Range": '"other"'}, 200, slice(None), None),
        ({"If_None_Match": '"{sha}"'}, 304, slice(0), None),
        ({"If_None_Match": 'W/"{sha}", "x"'}, 304, slice(0), None),
        ({"If_None_Match": "*", "Range": "bytes=0-3"}, 304, slice(0), None),
        ({"If_None_Match": '"other"'}, 200, slice(None), None),
    ],
)
def test_what_is_asked_for_is_answered(
    site: Site,
    path: Callable[[Site], str],
    headers: dict[str, str],
    status: int,
    body: slice | None,
    told: str | None,
) -> None:
    """Ranges, conditions and everything odd, on every route, and each answer keeps browsers off."""
    mime = mime_of("a")
    sha, size = hashlib.sha256(mime).hexdigest(), len(mime)
    answer = site.get(path(site), **{name: value.format(sha=sha) for name, value in headers.items()})
    assert status == answer.status_code
    assert GUARDED == {name: answer.headers[name] for name in GUARDED}
    expected = told.format(size=size, last=size - 1, fourth=size - 4) if told else None
    assert expected == answer.headers.get("Content-Range")
    assert body is None or mime[body] == answer.get_body()
    assert status == 416 or (f'"{sha}"', "bytes") == (answer.headers["ETag"], answer.headers["Accept-Ranges"])


def test_attachments_have_ranges_of_their_own(site: Site) -> None:
    """They count in decoded bytes, and each has its own hash as ETag."""
    site.world.blobs.received.contents[site.world.receipt(site.key, "a").blob] = MAIL
    for path in (f"received/{site.mail}/attachments/0", f"inbox/{site.mail}/attachments/0", site.link("0")):
        answer = site.get(path, Range="bytes=10-14")
        assert (206, b"01234", "bytes 10-14/500") == (
            answer.status_code,
            answer.get_body(),
            answer.headers["Content-Range"],
        )
        etag = answer.headers["ETag"]
        assert f'"{hashlib.sha256(FILE).hexdigest()}"' == etag
        assert 304 == site.get(path, If_None_Match=etag).status_code


def test_large_content_is_handed_out_in_pieces_only(site: Site) -> None:
    """Without a range the answer says how to ask; a piece is at most 8 MiB, whatever was asked for."""
    content = bytes(range(256)) * 4096 * 17
    receipt = site.world.receipt(site.key, "a")
    site.world.blobs.received.contents[receipt.blob] = content
    site.world.change_receipt(site.key, "a", size=len(content))
    path = f"inbox/{site.mail}/raw"
    refused = site.get(path)
    assert (413, f"bytes */{len(content)}") == (refused.status_code, refused.headers["Content-Range"])
    assert b'"code":"range_required"' in refused.get_body()
    assert f"bytes=0-{MAX_PIECE - 1}".encode() in refused.get_body()
    got = b""
    while True:  # what `curl --continue-at -` does when it is called again and again
        piece = site.get(path, Range=f"bytes={len(got)}-")
        if piece.status_code == 416:
            break
        assert len(piece.get_body()) <= MAX_PIECE
        got += piece.get_body()
    assert content == got


def test_content_that_is_gone_and_ended_links_keep_browsers_off_too(site: Site) -> None:
    """Problems on these routes bear the same headers."""
    site.world.blobs.received.contents.clear()
    gone = [site.get(path(site)) for path in PATHS] + [site.get("content/x"), site.get("inbox/x/raw")]
    assert [410, 410, 410, 404, 404] == [answer.status_code for answer in gone]
    assert all({name: answer.headers[name] for name in GUARDED} == GUARDED for answer in gone)
