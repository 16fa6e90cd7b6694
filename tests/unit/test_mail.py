"""What the parser makes of mail, well formed or not."""

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shared.mail import parsing as mail_parsing
from shared.mail.parsed import Address, Attachment, Automatic, Parsed
from shared.mail.parsing import parse
from shared.mail.parts import read_part

CORPUS = Path(__file__).parents[2] / "localcloud" / "node_modules" / "@stdlib" / "datasets-spam-assassin" / "data"

WHOLE = b"""\
From: =?utf-8?q?J=C3=B6rg?= <jorg@contoso.example>
To: "Box, the" <box@contoso.example>, ann@fabrikam.example
Cc: ann@fabrikam.example
Reply-To: desk@contoso.example
Subject: =?utf-8?b?R3LDvMOfZQ==?= all
Date: Sun, 22 Nov 2026 08:00:00 +0100
Message-ID: <m1@contoso.example>
In-Reply-To: <m0@contoso.example>
References: <a@x> <m0@contoso.example>
X-Ticket: 42
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary=outer

--outer
Content-Type: multipart/alternative; boundary=inner

--inner
Content-Type: text/plain; charset=iso-8859-1
Content-Transfer-Encoding: quoted-printable

Gr=FC=DFe
--inner
Content-Type: text/html; charset=utf-8

<p>Hello</p>
--inner--
--outer
Content-Type: application/pdf; name="a.pdf"
Content-Disposition: attachment; filename="a.pdf"
Content-Transfer-Encoding: base64

JVBERi0=
--outer
Content-Type: image/png
Content-ID: <logo@x>
Content-Transfer-Encoding: base64

iVBORw==
--outer
Content-Type: message/rfc822

Subject: inner

within
--outer--
"""


def content_of(mime: bytes, part: Attachment) -> bytes:
    """Return the decoded bytes of a part."""
    found = read_part(lambda first, last: iter((mime[first : last + 1],)), part, 0, part.size)
    return b"".join(found or ())


def test_a_well_formed_mail_is_read_whole() -> None:
    """Headers, addresses, both bodies and the threading come out as a reader would see them."""
    mail = parse(WHOLE)
    assert (mail.parsed, mail.problems) == (Parsed.OK, ())
    assert mail.subject == "Grüße all"
    assert mail.sender == (Address("Jörg", "jorg@contoso.example"),)
    assert mail.to == (Address("Box, the", "box@contoso.example"), Address("", "ann@fabrikam.example"))
    assert mail.reply_to == (Address("", "desk@contoso.example"),)
    assert mail.date == "2026-11-22T07:00:00.000Z"
    assert (mail.message_id, mail.in_reply_to) == ("<m1@contoso.example>", "<m0@contoso.example>")
    assert mail.references == ("<a@x>", "<m0@contoso.example>")
    assert mail.headers == (("x-ticket", "42"),)
    assert (mail.text, mail.html) == ("Grüße", "<p>Hello</p>")
    assert mail.automatic == Automatic.NONE


def test_attachments_are_decoded_and_hashed() -> None:
    """Files, inline pictures and nested messages are attachments with the hash of their bytes."""
    pdf, png, nested = parse(WHOLE).attachments
    assert (pdf.name, pdf.content_type, pdf.inline) == ("a.pdf", "application/pdf", False)
    assert content_of(WHOLE, pdf) == b"%PDF-"
    assert pdf.sha256 == hashlib.sha256(b"%PDF-").hexdigest()
    assert (png.content_id, png.inline, png.size) == ("logo@x", True, 4)
    assert (nested.content_type, content_of(WHOLE, nested)) == ("message/rfc822", b"Subject: inner\n\nwithin")


@pytest.mark.parametrize(
    ("mime", "parsed", "problems"),
    [
        (b"Message-ID: \r\nSubject: x\r\n\r\nbody", Parsed.OK, ()),
        (b"Date: Mon, 1 Jan 0001 00:00:00 +0000\r\nSubject: x\r\n\r\nbody", Parsed.OK, ()),
        (b"Date: yesterday\r\nSubject: x\r\n\r\nbody", Parsed.OK, ()),
        (b"Subject: x\r\nContent-Type: text/plain; charset=klingon\r\n\r\nbody", Parsed.PARTIAL, ("charset",)),
        (b"Subject: x\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\nbo\xffdy", Parsed.PARTIAL, ("charset",)),
        (
            b"Subject: x\r\nContent-Type: multipart/mixed; boundary=q\r\n\r\nno parts",
            Parsed.PARTIAL,
            ("start_boundary_not_found", "multipart_invariant_violation"),
        ),
        (b"", Parsed.UNPARSABLE, ("no_headers",)),
        (b"\x00\xff\xfe", Parsed.UNPARSABLE, ("no_headers",)),
    ],
)
def test_malformed_mail_is_read_as_far_as_it_goes(mime: bytes, parsed: Parsed, problems: tuple[str, ...]) -> None:
    """What cannot be read is named; what can be is kept."""
    mail = parse(mime)
    assert (mail.parsed, mail.problems) == (parsed, problems)
    assert mail.subject == ("x" if b"Subject" in mime else "")


def test_bytes_of_no_declared_charset_are_still_text() -> None:
    """A wrong charset costs the mark, not the words."""
    assert parse(b"Subject: caf\xe9\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\ncaf\xe9").text == "café"
    assert parse(b"Subject: caf\xe9\r\n\r\n").subject == "café"
    assert parse("Subject: café\r\n\r\n".encode()).subject == "café"


def test_mail_over_the_limits_is_partial(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond 25 MB, 1 MB of headers, 1,000 parts or depth 50 the mail is read as far as the limit."""
    many = (
        b"Subject: x\r\nContent-Type: multipart/mixed; boundary=q\r\n\r\n" + b"--q\r\n\r\na\r\n" * 1100 + b"--q--\r\n"
    )
    assert parse(many).problems == ("more_than_1000_parts",)
    assert parse(b"Subject: x\r\nX-A: " + b"a" * 1_100_000 + b"\r\n\r\nb").problems == ("headers_larger_than_1_mb",)
    deep = b"Subject: x\r\n" + b"".join(
        b"Content-Type: multipart/mixed; boundary=q%d\r\n\r\n--q%d\r\n" % (n, n) for n in range(60)
    )
    assert "nested_too_deep" in parse(deep).problems
    deeper = b"Subject: x\r\n" + b"".join(
        b"Content-Type: multipart/mixed; boundary=q%d\r\n\r\n--q%d\r\n" % (n, n) for n in range(3000)
    )
    assert (parse(deeper).subject, parse(deeper).parsed) == ("x", Parsed.PARTIAL)
    monkeypatch.setattr(mail_parsing, "MAX_WHOLE_BYTES", 100)
    assert parse(WHOLE).problems == ("larger_than_25_mb",)
    assert parse(WHOLE).subject == "Grüße all"


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        (b"Auto-Submitted: auto-replied (vacation)", Automatic.AUTO_REPLY),
        (b"Auto-Submitted: auto-generated", Automatic.AUTO_GENERATED),
        (b"Auto-Submitted: no", Automatic.NONE),
        (b"Precedence: bulk", Automatic.AUTO_GENERATED),
        (b"List-Id: <l.x>\r\nPrecedence: list", Automatic.NONE),
        (b"Content-Type: multipart/report; report-type=delivery-status; boundary=b", Automatic.BOUNCE),
        (b"Content-Type: multipart/report; report-type=disposition-notification; boundary=b", Automatic.NONE),
        (b"Return-Path: <>\r\nFrom: MAILER-DAEMON@x", Automatic.BOUNCE),
        (b"Return-Path: <>\r\nAuto-Submitted: auto-replied", Automatic.AUTO_REPLY),
        (b"Return-Path: <>", Automatic.AUTO_GENERATED),
        (b"Return-Path: <ann@x>", Automatic.NONE),
        (b"X-Auto-Response-Suppress: All", Automatic.AUTO_GENERATED),
        (b"X-Auto-Response-Suppress: None", Automatic.NONE),
        (b"X-Autoreply: yes", Automatic.AUTO_REPLY),
        (b"Precedence: auto_reply", Automatic.AUTO_REPLY),
        (b"Auto-Submitted: auto-generated\r\nSubject: Automatic reply: away", Automatic.AUTO_REPLY),
        (b"X-Mailgrant-Entry: msg_1\r\nAuto-Submitted: auto-generated", Automatic.OWN),
        (b"Content-Type: multipart/report; boundary=b\r\nX-Mailgrant-Entry: msg_1", Automatic.BOUNCE),
    ],
)
def test_mail_that_machines_wrote_is_told_apart(headers: bytes, expected: Automatic) -> None:
    """Auto-replies, generated mail and bounces are classes of their own."""
    assert parse(headers + b"\r\nSubject: x\r\n\r\nb").automatic == expected


def test_the_same_bytes_give_the_same_view() -> None:
    """An event is built anew at every attempt, so parsing must not depend on anything else."""
    assert parse(WHOLE) == parse(WHOLE)


HEADER = st.sampled_from(
    [
        b"From", b"To", b"Subject", b"Date", b"Message-ID", b"References", b"Content-Type", b"Content-Disposition",
        b"Content-Transfer-Encoding", b"Content-ID", b"Return-Path", b"Auto-Submitted", b"X-A",
    ]
)  # fmt: skip
VALUE = st.one_of(
    st.binary(max_size=60),
    st.sampled_from(
        [
            b"", b"<>", b"=?x?q?a?=", b"=?utf-8?b?!!!?=", b"text/plain; charset*=x''%ff", b"message/rfc822",
            b"multipart/mixed; boundary=b", b"attachment; filename*=utf-8''%e9", b"base64", b"quoted-printable",
            b"x-uuencode", b'"a <b@c', b"@", b"Thu, 32 Foo 99999 99:99:99 +9999", b"text/plain; charset=\x00",
        ]
    ),
)  # fmt: skip
MAILS = st.builds(
    lambda headers, body: b"".join(name + b": " + value + b"\r\n" for name, value in headers) + b"\r\n" + body,
    st.lists(st.tuples(HEADER, VALUE), max_size=8),
    st.one_of(st.binary(max_size=100), st.just(b"--b\r\nContent-Type: text/html\r\n\r\n\xff\r\n--b--")),
)


@given(st.one_of(st.binary(max_size=300), MAILS))
@example(b"Content-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n\r\n\xff")
def test_no_bytes_break_the_parser(mime: bytes) -> None:
    """Whatever arrives, a view comes out, and every text in it can be written as UTF-8."""
    mail = parse(mime)
    repr(replace(mail, attachments=())).encode()
    for item in mail.attachments:
        f"{item.name}{item.content_type}{item.content_id}".encode()


@pytest.mark.skipif(not CORPUS.is_dir(), reason="the corpus of real mail is not installed")
def test_real_mail_is_read() -> None:
    """Of 300 real mails none breaks the parser, and nearly all are read whole with sender and body."""
    files = sorted(path for path in CORPUS.rglob("*") if path.is_file() and path.suffix in ("", ".txt"))[::20][:300]
    mails = [parse(path.read_bytes()) for path in files]
    assert len(mails) == 300
    assert sum(mail.parsed == Parsed.UNPARSABLE for mail in mails) == 0
    assert sum(mail.parsed == Parsed.OK for mail in mails) > 230
    assert sum(bool(mail.sender and (mail.text or mail.html)) for mail in mails) > 290
