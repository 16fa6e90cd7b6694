"""What strangers write into mailboxes: mail, its html, its reports of delivery, and the small texts of public links."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from html.parser import HTMLParser

from localcloud.corpus import CORPUS, mails
from localcloud.fuzz import mutations
from localcloud.fuzz.targets import MB, Target
from shared import content_links, identifiers, paging, times
from shared.adapters.html_cleaning import MOST_PICTURE_CHARACTERS, clean
from shared.bounces import MOST_ADDRESS, MOST_REASON, read_report
from shared.connections import Connection, Direction
from shared.errors import InvalidRequest, TemplateRefused
from shared.events import MAX_BODY_BYTES, MAX_QUEUE_BYTES, EventMaker, for_queue, message_view, to_bytes
from shared.mail.index import from_index, to_index
from shared.mail.page import data_address, page_of
from shared.mail.parsed import Mail
from shared.mail.parsing import parse, parse_stream
from shared.mail.parts import read_part
from shared.mail.scanner import BODY_KINDS, MAX_PARTS, MAX_TEXT_BYTES
from shared.receipts import Receipt, ReceiptStatus, hash_of
from shared.templating import checked
from shared.tickets import TICKET, parse_dated

NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
KEY = b"k" * 32
BOX = "0123456789abcdef"
CONNECTION = identifiers.new_connection_id(BOX)
OUTPUT_PER_CHARACTER = 12
"""An entity is the most that cleaning makes of a character, and the page adds little."""

EVIL_TAGS = frozenset(
    (
        "base",
        "button",
        "embed",
        "form",
        "frame",
        "iframe",
        "input",
        "link",
        "math",
        "meta",
        "object",
        "script",
        "style",
        "svg",
    )
)

CRAFTED = (
    (
        b"From: a@b\r\nSubject: =?utf-8?q?x?=\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/html\r\n\r\n"
        b"<p style='color:red'>x<img src=cid:pic>\r\n--b\r\nContent-Type: image/png\r\nContent-ID: <pic>\r\n"
        b"Content-Transfer-Encoding: base64\r\n\r\niVBORw0K\r\n--b\r\nContent-Type: text/calendar; method=REQUEST\r\n\r\n"
        b"BEGIN:VCALENDAR\r\n--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: in\r\n\r\nx\r\n--b--\r\n"
    ),
    b"Content-Transfer-Encoding: x-uuencode\r\nContent-Type: a/b; name*0=x; name*1*=%41\r\n\r\nbegin 644 a\r\n#86)C\r\n`\r\nend\r\n",
)
REPORT = (
    b"From: MAILER-DAEMON@a\r\nIn-Reply-To: <1@a>\r\nContent-Type: multipart/report; report-type=delivery-status; boundary=b\r\n\r\n"
    b"--b\r\n\r\nnot delivered\r\n--b\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns;a\r\n\r\n"
    b"Final-Recipient: rfc822;x@y\r\nAction: failed\r\nStatus: 5.1.1\r\nDiagnostic-Code: smtp;550 5.1.1\r\n no\r\n\r\n"
    b"Final-Recipient: rfc822;z@y\r\nAction: delayed\r\nStatus: 4.0.0\r\n--b\r\nContent-Type: text/rfc822-headers\r\n\r\n"
    b"Message-ID: <1@a>\r\nX-Mailgrant-Entry: msg_x\r\n--b--\r\n"
)
HTML = (
    b"<table><tr><td width=1 style='background:url(x);color:red'>x<img src='cid:pic'><a href=x>y</a></table>",
    b"<style>p{}</style><svg><script>alert(1)</script></svg><math><mi><p></mi>&amp;&#60;&notit;<!-- x --><![CDATA[x]]>",
    b"<font face=x><b><i><p>a</b>b</i></font><template><form><input><select><option></template><img src=data:image/png;base64,AA==>",
)


def _mails() -> tuple[bytes, ...]:
    real = tuple(mails(60)) if CORPUS.exists() else ()
    return (*CRAFTED, REPORT, *(mail[:20_000] for mail in real))


def _cut(data: bytes, size: int) -> Iterator[bytes]:
    return (data[start : start + size] for start in range(0, len(data), size))


def read_mail(data: bytes) -> None:
    """Any bytes make a view within its bounds, the same in pieces and from its index, whose parts are there."""
    mail = parse(data)
    # A piece for each thousandth: single bytes of long mail would take the square of its size.
    assert mail == parse_stream(_cut(data, 1 + len(data) // 1000 + sum(data[:2]) % 50), len(data)), "pieces differ"
    assert mail == from_index(to_index(mail)), "the index says something else"
    bounded(mail)
    for part in mail.attachments[:20]:
        content = b"".join(read_part(lambda first, last: _cut(data[first : last + 1], 4096), part, 0, part.size) or ())
        assert 0 <= part.start <= part.end <= len(data), "a part is not in the mail"
        assert (part.size, part.sha256) == (len(content), hashlib.sha256(content).hexdigest()), "a part is another"
    tell(mail)


def bounded(mail: Mail) -> None:
    """Nothing in a view is longer than its readers may rely on."""
    assert len(mail.attachments) <= MAX_PARTS, "more parts than listed"
    assert max(len(mail.to), len(mail.cc), len(mail.sender), len(mail.reply_to)) <= 1000, "more addresses than read"
    assert len(mail.headers) <= 50, "more headers than kept"
    assert all(len(value) <= 2000 for _, value in mail.headers), "a header is too long"
    assert all(len(text) <= MAX_TEXT_BYTES + MAX_PARTS for text in (mail.text, mail.html, mail.calendar)), BODY_KINDS
    assert len(mail.references) <= 100, "more references than read"


def tell(mail: Mail) -> None:
    """The event of the mail can be written, and made small enough for a queue."""
    stored = times.to_text(NOW)
    receipt = Receipt(hash_of("a"), "a", ReceiptStatus.STORED, stored, blob="a", mailbox="a@b.example")
    connection = Connection(CONNECTION, Direction.INCOMING, "x", "grant_x", "t", "m", "a@b.example", stored)
    event = EventMaker("https://mail.example", lambda: KEY).message_received(connection, receipt, mail)
    view = message_view(mail)
    assert all(len(view[name].encode()) <= MAX_BODY_BYTES for name in ("text", "html", "calendar")), (
        "a body is too long"
    )
    to_bytes(event)
    assert len(to_bytes(for_queue(event))) <= MAX_QUEUE_BYTES, "a queue does not take it"


def read_bounce(data: bytes) -> None:
    """Any bytes are a report, or none; what it says is short and on one line."""
    reported = read_report(data, NOW)
    texts = [text for one in reported.bounces for text in (one.address, one.status, one.reason)]
    assert all(text.isprintable() for text in (*texts, *reported.markers, *reported.message_ids)), "not on one line"
    assert all(len(text) <= max(MOST_ADDRESS, MOST_REASON) for text in texts), "a report says too much"


class _Tags(HTMLParser):
    """What another parser sees in cleaned html: nothing may be there that runs, loads or leads away."""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Judge one tag."""
        assert tag not in EVIL_TAGS, "something in the page may run"
        for name, value in attrs:
            assert not name.startswith("on"), "something in the page may run"
            assert name not in ("href", "srcset", "action"), "something leads away"
            assert name != "src" or str(value).lower().startswith("data:image/"), "something is loaded"
            assert name != "style" or "url" not in str(value).lower(), "something is loaded"


def show_page(data: bytes) -> None:
    """Nothing in a page runs, loads or leads away, whoever parses it, and it is no multiple of its html."""
    html = data.decode("utf-8", "replace")
    page = page_of(Mail(html=html), {"pic": data_address("image/png", b"\x89PNG" * 1000)}, clean)
    _Tags().feed(clean(html[:50_000], {}) if html.count("<") <= 2000 else "")
    assert len(page) <= OUTPUT_PER_CHARACTER * len(html) + MOST_PICTURE_CHARACTERS, "a page is far larger than its html"


def read_words(data: bytes) -> None:
    """Ids, tokens, links, cursors and times of any text are read or refused."""
    text = data.decode("utf-8", "replace")
    if content_links.well_formed(text):
        assert content_links.read_link(KEY, text) is None or text.isascii()
    for parse_one in (identifiers.split_receipt_id, identifiers.split_entry_id, identifiers.split_grant_id):
        assert parse_one(text) is None or len(text) < 200
    for kind in ("send", TICKET):
        token = identifiers.parse_token(text, kind)
        assert token is None or str(token) == text, "a token is read that was not made"
    parse_dated(text, TICKET)
    with suppress(InvalidRequest):
        assert paging.after(text).isascii()
    moment = None
    with suppress(ValueError):
        moment = times.from_text(text)
    if moment:
        assert times.from_text(times.to_text(moment)) <= moment
        assert times.from_key(times.to_key(moment)) <= moment, "a time has no key"
        assert len(times.to_key(moment)) == len(times.to_key(NOW)), "a key is no sort key"


def _words() -> tuple[bytes, ...]:
    receipt = identifiers.receipt_id(CONNECTION, "a")
    token = identifiers.new_token("send", identifiers.new_ulid())
    link = content_links.make_link(KEY, content_links.ContentLink(receipt, "12", 1_800_000_000))
    known = (
        receipt,
        identifiers.new_entry_id(CONNECTION),
        str(token),
        link,
        paging.cursor_of("a|b"),
        times.to_text(NOW),
    )
    return tuple(text.encode() for text in (*known, *(one for one in mutations.TEXTS if one.isascii())))


def render(data: bytes) -> None:
    """Any text is a template or is refused, and renders within its bounds or is refused."""
    source, _, html = data.decode("utf-8", "replace").partition("\x01")
    payload = {"a": [1, 2.5, None, True, "x<y>", {"b": [{}]}], "n": 10**14, "t": "long " * 2000, "d": {"k": "v"}}
    for text in (source, html):
        with suppress(TemplateRefused):
            made = checked(text, html=text is html).render({"payload": payload, "received_at": times.to_text(NOW)})
            assert len(made) <= MB, "a rendering is too long"


TEMPLATES = (
    b"Hello {{ payload.a[4]|upper }}{% for x in payload.a if x is number %}{{ loop.index }}{{ x * 2|round(1) }}{% endfor %}",
    b"{{ payload.d|items|join('') }}{{ payload.t|truncate(9) }}{% set x = payload.t ~ payload.n %}{{ x|length }}\x01{{ payload.a|tojson }}",
    b"{% if payload.a|sort|last == 'x' or payload.n > 1e3 %}{{ [payload.a, payload.a]|string|lower }}{% elif not 1 in [1] %}{% endif %}",
    b"{{ payload.t|replace('o','oo')|split(' ')|unique|first|nl2br|e }}{{ 5 // 2 % 3 - -1 }}{{ payload.z|default('y')|urlencode }}",
)

TARGETS = (
    Target("mime", read_mail, _mails, mutations.mail, most_bytes=256 * 1024, seconds=8, per_byte=120),
    Target("bounce", read_bounce, lambda: (REPORT, *CRAFTED), mutations.mail, most_bytes=256 * 1024, per_byte=120),
    Target("page", show_page, lambda: HTML, mutations.text, most_bytes=512 * 1024, per_byte=100),
    Target("words", read_words, _words, mutations.text, most_bytes=16 * 1024),
    Target(
        "template",
        render,
        lambda: TEMPLATES,
        mutations.text,
        most_bytes=70 * 1024,
        seconds=10,
        memory=128 * MB,
        per_byte=2000,
    ),
)
