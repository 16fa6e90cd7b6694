"""Is any mail storable and listable, however malformed, and does composed mail say what it should."""

import email
import json
from email.policy import default

from hypothesis import given
from hypothesis import strategies as st

from localcloud.mail.fields import addresses_in, fields_of_mail
from localcloud.mail.mime_compose import Composition, append_attachments, change_headers, compose, split_message
from localcloud.mail.mime_parse import MimeAttachment, parse_mime, read_header
from tests.localcloud.graph_cast import GraphScene

BROKEN = {
    "empty Message-ID": b"Message-ID:\r\nSubject: x\r\n\r\nbody",
    "unknown charset": b"Content-Type: text/plain; charset=unknown-9\r\nSubject: =?nonsense-1?Q?a=FF?=\r\n\r\n\xff\xfe",
    "8-bit headers": b"From: J\xf6rg <j@x.example>\r\nSubject: gr\xfc\xdfe\r\n\r\n",
    "impossible dates": b"Date: Tue, 99 Foo 0001 99:99:99 +9999\r\n\r\nx",
    "a date before 1900": b"Date: Mon, 01 Jan 1880 00:00:00 +0000\r\n\r\nx",
    "no header at all": b"just text\nand more",
    "nothing": b"",
    "multipart without parts": b"Content-Type: multipart/mixed\r\n\r\nx",
    "bad base64": b"Content-Transfer-Encoding: base64\r\nContent-Type: application/x\r\n\r\n!!!not base64",
    "bad encoded word": b"Subject: =?utf-8?B?####?=\r\nFrom: =?utf-8?B?a?= <a@b.example>\r\n\r\n",
    "broken addresses": b"From: <<>>,,;\r\nTo: a@b.example, (c\r\nCc: group: x@y.example;\r\n\r\n",
    "nul bytes": b"Subject: a\x00b\r\nContent-Type: text/html\r\n\r\n<p>\x00</p>",
    "rfc822 that is none": b"Content-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n\r\nYWJj",
    "mbox line": b"From someone Mon Jan 1\nSubject: kept\n\nx",
    "file name games": b"Content-Type: a/b; name*0*=bad''%ff; name*1=\"x\"\r\n"
    b"Content-Disposition: attachment; filename*=x'y'%\r\n\r\nz",
}


def test_malformed_mail_is_stored_listed_and_served() -> None:
    """Each kind of broken mail is listed as JSON, shows its attachments, and is served byte for byte."""
    scene = GraphScene()
    mailbox = scene.mailboxes.find("ann@contoso.example")
    assert mailbox is not None
    ids = {name: scene.mailboxes.store(mailbox, raw).immutable_id for name, raw in BROKEN.items()}
    path = "/users/ann@contoso.example/messages"
    listed = scene.get(f"{path}?$top=100&$expand=attachments&$select=subject,from,internetMessageHeaders,body")["value"]

    assert len(BROKEN) == len(listed)
    for name, message in ids.items():
        assert BROKEN[name] == scene.call("GET", f"{path}/{message}/$value").content, name


@given(st.binary(max_size=300))
def test_any_bytes_can_be_read(raw: bytes) -> None:
    """No bytes make the parser raise, and what it finds can be written as JSON text."""
    mail = parse_mime(raw)

    text = json.dumps(fields_of_mail(mail), ensure_ascii=False)
    assert text == text.encode("utf-8", "strict").decode()


NAMES = (
    "From", "To", "Subject", "Message-ID", "Date", "Content-Type", "Content-Disposition", "Content-ID", "References",
    "Importance",
)  # fmt: skip
HEADER_SOUP = st.lists(
    st.tuples(
        st.sampled_from(NAMES),
        st.text(st.characters(codec="utf-8", exclude_characters="\r\n"), max_size=40),
    ),
    max_size=8,
)


@given(HEADER_SOUP, st.text(max_size=60))
def test_any_headers_can_be_read(headers: list[tuple[str, str]], body: str) -> None:
    """Whatever stands in the headers, the properties of the message follow."""
    raw = "".join(f"{name}: {value}\r\n" for name, value in headers) + f"\r\n{body}"
    fields = fields_of_mail(parse_mime(raw.encode("utf-8", "replace")))

    assert isinstance(fields["conversationId"], str)


TEXT = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Zl", "Zp")), max_size=60)


@given(TEXT, TEXT, st.booleans(), st.binary(max_size=200))
def test_composed_mail_reads_back(subject: str, content: str, html: bool, data: bytes) -> None:
    """Subject, body and attachments of composed mail are read back as they were given."""
    file = MimeAttachment("a.bin", "application/octet-stream", data)
    message = Composition([("Subject", subject)], {"To": [("Zoë", "zoe@x.example")]}, content, html, [file])
    mail = parse_mime(compose(message, "_b_"))

    assert " ".join(subject.split()) == " ".join(mail.subject.split())
    assert content == (mail.html if html else mail.text)
    assert [data] == [item.content for item in mail.attachments]
    assert [("Zoë", "zoe@x.example")] == mail.addresses["to"]


def test_no_header_can_be_smuggled_in() -> None:
    """Line breaks in any field stay inside that field."""
    evil = "x\r\nBcc: evil@x.example\r\n\r\nbody"
    file = MimeAttachment(evil, evil, b"", evil, inline=True)
    raw = compose(
        Composition([("Subject", evil), ("X-A", evil)], {"To": [(evil, f"a@b.example{evil}")]}, "", False, [file]),
        "_b_",
    )
    parsed = email.message_from_bytes(raw, policy=default)

    assert parsed["Bcc"] is None
    assert all(part["Bcc"] is None for part in parsed.walk())


@given(st.binary(max_size=200))
def test_changing_headers_keeps_the_body(raw: bytes) -> None:
    """Taking away and adding headers never touches the body."""
    changed = change_headers(raw, remove=("Subject",), add=(("X-New", "1"),))

    assert split_message(raw)[1] == split_message(changed)[1]
    assert changed.startswith(b"X-New: 1\r\n")


def test_appended_attachment_leaves_the_content_alone() -> None:
    """A multipart mail that gets a file still has its old parts, byte for byte."""
    raw = (
        b"Subject: s\nMIME-Version: 1.0\nContent-Type: multipart/alternative; boundary=q\n\n"
        b"--q\n\nt\n--q\nContent-Type: text/html\n\n<b>h</b>\n--q--\n"
    )
    grown = append_attachments(raw, [MimeAttachment("f", "a/b", b"data")], "_b_")
    mail = parse_mime(grown)

    assert split_message(raw)[1] in grown
    assert ("t", "<b>h</b>", [b"data"]) == (
        (mail.text or "").strip(),
        (mail.html or "").strip(),
        [item.content for item in mail.attachments],
    )


def test_recipients_without_address_are_left_out() -> None:
    """A recipient without an address is nobody."""
    assert [("", "a@b.example")] == addresses_in(
        {"toRecipients": [None, {"emailAddress": {}}, {"emailAddress": {"address": "a@b.example"}}]}, "toRecipients"
    )


@given(st.binary(max_size=200), HEADER_SOUP)
def test_single_header_is_read_as_in_the_whole_mail(body: bytes, headers: list[tuple[str, str]]) -> None:
    """Reading one header without the body gives what reading the whole mail gives."""
    head = "".join(f"{name}: {value}\r\n" for name, value in headers).encode("utf-8", "replace")
    raw = head + b"\r\n" + body

    assert [parse_mime(raw).header(name) for name in NAMES] == [read_header(raw, name) for name in NAMES]
