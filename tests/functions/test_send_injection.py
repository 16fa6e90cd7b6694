"""No field of POST /api/messages becomes a header, a recipient or a part of the mail that it was not meant to be."""

import base64
import email
import unicodedata
from collections import Counter
from datetime import UTC, datetime
from email import policy
from email.message import EmailMessage
from typing import Any

from hypothesis import event, given, settings
from hypothesis import strategies as st

from functions.requests import check
from functions.send_bodies import MessageBody
from localcloud.mail.mime_parse import ParsedMail, parse_mime
from shared.compose.message import Address, Outgoing
from shared.compose.mime import Envelope, compose
from shared.errors import InvalidRequest

ENVELOPE = Envelope(
    "msg_0.X", "<01X@contoso.example>", Address("box@contoso.example", "Box"), datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
)
# What has broken out of mails before: line breaks of every kind, encoded ones, quotes, comments, boundaries, headers.
EVIL = (
    "\r\nBcc: evil@evil.example",
    "\nBcc: evil@evil.example\n\n",
    "\r\n\r\n<b>body</b>",
    "\x0bBcc: evil@evil.example",
    "\x85Bcc: evil@evil.example",
    "\u2028Bcc: evil@evil.example",
    "=?utf-8?q?=0D=0ABcc=3A_evil=40evil.example?=",
    "=?utf-8?b?DQpCY2M6IGV2aWxAZXZpbC5leGFtcGxl?=",
    "evil@evil.example, ",
    '"x" <evil@evil.example>, ',
    "a; b: evil@evil.example;",
    "(comment) <evil@evil.example>",
    '"; filename="evil.exe',
    'a.pdf"\r\nContent-Type: text/html',
    "text/html; boundary=x",
    "--=_\r\nContent-Type: text/html\r\n\r\nevil",
    "%0d%0aBcc:evil@evil.example",
    '\\"\\',
    "\ud800",
    "\x00",
    "X-A: b\r\n\tc",
    ".\r\nQUIT",
    "From evil",
)
LINES = [text for text in EVIL if not any(unicodedata.category(one) in ("Cc", "Cs", "Zl", "Zp") for one in text)]
TEXT = st.one_of(
    st.sampled_from(EVIL),
    st.text(max_size=30),
    st.tuples(st.text(max_size=8), st.sampled_from(EVIL), st.text(max_size=8)).map("".join),
)
# What is let in: a line without control characters.
LINE = st.one_of(
    st.sampled_from(LINES),
    st.lists(
        st.one_of(
            st.sampled_from(LINES), st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), max_size=12)
        ),
        min_size=1,
        max_size=3,
    ).map("".join),
)
GOOD = st.sampled_from(["ann@example.com", "o'brien@example.com", "jörg@münchen.example", "a.b+c@sub.example.com"])
ID = st.just("<a@b.example>")
TYPES = st.sampled_from(["text/plain; charset=utf-8", "image/png", "message/rfc822", "text/html"])


def named(text: st.SearchStrategy[str]) -> st.SearchStrategy[Any]:
    """Return people whose names are *text*."""
    return st.one_of(GOOD, st.builds(lambda good, name: {"address": good, "name": name}, GOOD, text))


def wild(text: st.SearchStrategy[str]) -> st.SearchStrategy[Any]:
    """Return people whose addresses hold *text*."""
    return st.one_of(st.builds(lambda one: f"{one}@example.com", text), st.builds(lambda one: f"a@{one}", text))


def messages(text: st.SearchStrategy[str], *, careful: bool) -> st.SearchStrategy[dict[str, Any]]:
    """Return requests with *text* in every field, or if *careful* in those alone that may hold any line."""
    person = named(text) if careful else st.one_of(named(text), wild(text))
    name = st.sampled_from(["X-Ticket", "X-A"])
    file = st.fixed_dictionaries(
        {"name": text, "content": st.binary(max_size=40).map(lambda content: base64.b64encode(content).decode())},
        optional={"content_type": TYPES if careful else st.one_of(TYPES, text)}
        | ({} if careful else {"content_id": st.one_of(st.just("logo@x"), text), "inline": st.booleans()}),
    )
    return st.fixed_dictionaries(
        {"to": st.lists(person, min_size=1, max_size=2), "text": TEXT},
        optional={
            "cc": st.lists(person, max_size=2),
            "bcc": st.lists(person, max_size=2),
            "reply_to": st.lists(person, max_size=1),
            "from": person,
            "subject": text,
            "html": TEXT,
            "headers": st.dictionaries(name if careful else st.one_of(name, text), text, max_size=2),
            "attachments": st.lists(file, max_size=2),
            "in_reply_to": ID if careful else st.one_of(ID, text),
            "references": st.lists(ID if careful else st.one_of(ID, text), max_size=2),
            "importance": st.sampled_from(["low", "high", "normal"]),
            "metadata": st.dictionaries(text, text, max_size=1),
        },
    )


OURS = {"from", "to", "cc", "bcc", "reply-to", "subject", "date", "message-id", "x-mailgrant-entry", "mime-version"}
OURS |= {"content-type", "content-transfer-encoding", "in-reply-to", "references", "importance", "x-priority"}


def accepted(data: dict[str, Any]) -> Outgoing | None:
    """Return the mail of a request, or None where it is refused."""
    try:
        return check(MessageBody, data).submission("", "").mail
    except InvalidRequest:
        return None


def addresses_of(people: tuple[Address, ...]) -> Counter[str]:
    """Return the addresses of *people*."""
    return Counter(person.address for person in people)


def plain(text: str) -> str:
    """Return what Python's parser took apart, as UTF-8."""
    return text.encode("utf-8", "surrogateescape").decode()


def same_lines(text: str) -> str:
    """Return *text* with one kind of line end, and none at its end."""
    return text.replace("\r\n", "\n").replace("\r", "\n").rstrip("\n")


def judge_recipients(mail: Outgoing, message: EmailMessage, seen: ParsedMail) -> None:
    """Two parsers see the recipients that the request named, and no other."""
    for field, wire, people in (("to", "to", mail.to), ("cc", "cc", mail.cc), ("bcc", "bcc", mail.bcc)):
        strict = Counter(plain(found.addr_spec) for found in message[wire].addresses) if people else Counter()
        assert addresses_of(people) == strict == Counter(address for _, address in seen.addresses.get(field, []))


def judge_parts(mail: Outgoing, message: EmailMessage) -> None:
    """The parts are text, html and files, each with what the request gave."""
    leaves = [part for part in message.walk() if not part.is_multipart()]
    assert (mail.text is not None) + (mail.html is not None) + len(mail.files) == len(leaves)
    bodies = [part for part in leaves if not part.get_content_disposition()]
    given_bodies = [body for body in (mail.text, mail.html) if body is not None]
    assert [same_lines(body) for body in given_bodies] == [same_lines(part.get_content()) for part in bodies]
    files = [part for part in leaves if part.get_content_disposition()]
    # A raw payload: attached text may be in any charset, and its bytes are the caller's.
    assert Counter(file.content for file in mail.files) == Counter(part.get_payload(decode=True) for part in files)


@settings(max_examples=100, deadline=None)
@given(st.one_of(messages(LINE, careful=True), messages(TEXT, careful=False)))
def test_no_field_of_a_request_breaks_out_of_its_place(data: dict[str, Any]) -> None:
    """A request is refused, or recipients, headers and parts are exactly those that it names."""
    mail = accepted(data)
    event("refused" if mail is None else "accepted")
    if mail is None:
        return
    mime = compose(mail, ENVELOPE).mime
    message = email.message_from_bytes(mime, policy=policy.SMTPUTF8)

    names = Counter(name.lower() for name in message)
    assert set(names) <= OURS | {name.lower() for name, _ in mail.headers}
    assert 1 == max(names.values())
    assert {name.lower() for name in data.get("headers", {})} == {name.lower() for name, _ in mail.headers}
    seen = parse_mime(mime)
    assert mail.subject.strip() == seen.subject.strip()
    judge_recipients(mail, message, seen)
    judge_parts(mail, message)
    assert max(len(line) for line in mime.split(b"\r\n")) <= 998
    assert not set(b"\r\n") & set(mime.replace(b"\r\n", b""))
