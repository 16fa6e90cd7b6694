"""Standards-clean MIME from an accepted mail, and which of its files have to leave the MIME."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from email import policy
from email.message import EmailMessage
from email.utils import format_datetime
from typing import Any, cast

from shared.compose import words
from shared.compose.message import Address, File, Outgoing
from shared.identifiers import split_entry_id

MIME_BYTES = 2_900_000
"""What a Graph request of 4 MB carries once the MIME is in base64 (Outlook's request limit)."""

MARKER = "X-Mailgrant-Entry"
_FILE_HEADERS = 1024
_PART_BYTES = 2_000
_POLICY = policy.SMTP.clone(cte_type="7bit")
_CONTENT_TYPE = re.compile(r"([A-Za-z0-9!#$&^_.+-]{1,127})/([A-Za-z0-9!#$&^_.+-]{1,127})\s*(?:;(.*))?", re.DOTALL)
_CHARSET = re.compile(r"""charset\s*=\s*"?([A-Za-z0-9_.:+-]{1,40})"?""", re.IGNORECASE)
_STRUCTURED = ("message", "multipart")  # types that must not be carried in base64 (RFC 2046 §5)


@dataclass(frozen=True, slots=True)
class Envelope:
    """What the mail does not say itself: its marker, Message-ID, sender and date."""

    entry_id: str
    message_id: str
    sender: Address
    date: datetime


@dataclass(frozen=True, slots=True)
class Composed:
    """The MIME of a draft, and the files that are to be attached to it one by one."""

    mime: bytes
    separate: tuple[File, ...]


def compose(mail: Outgoing, envelope: Envelope, limit: int = MIME_BYTES) -> Composed:
    """
    Return the MIME of *mail* with as many of its files as fit into *limit* bytes, inline images first.

    The parts are the caller's text and html and never hold a header that the caller did not name. Bcc stands in the
    draft, since Exchange takes recipients from there and removes it when it sends.
    """
    head = "".join(_head(mail, envelope)).encode()
    room = limit - len(head) - _room_for_text(mail, limit - len(head))
    inside: set[int] = set()
    for number, file in sorted(enumerate(mail.files), key=lambda item: not item[1].inline):
        if file.content is not None and encoded_bytes(file.size) <= room:
            inside.add(number)
            room -= encoded_bytes(file.size)
    body = _body(mail, [file for number, file in enumerate(mail.files) if number in inside])
    separate = tuple(file for number, file in enumerate(mail.files) if number not in inside)
    return Composed(head + body.as_bytes(policy=_POLICY), separate)


def _room_for_text(mail: Outgoing, limit: int) -> int:
    """Return what to leave for text and html: counted only where a generous guess would leave a file outside."""
    parts = [part.encode(errors="replace") for part in (mail.text, mail.html) if part is not None]
    guess = sum(4 * len(part) + _PART_BYTES for part in parts)
    files = sum(encoded_bytes(file.size) for file in mail.files if file.content is not None)
    return guess if guess + files <= limit else body_bytes(mail)


def body_bytes(mail: Outgoing) -> int:
    """Return the size of text and html as they are encoded, in bytes."""
    return len(_body(mail, []).as_bytes(policy=_POLICY))


def encoded_bytes(size: int) -> int:
    """Return what a file of *size* bytes takes in MIME: base64 in lines of 76, and its headers."""
    return -(-size // 57) * 78 + _FILE_HEADERS


def content_type(text: str) -> str:
    """Return a usable content type with at most its charset; raises ValueError where *text* is none."""
    match = _CONTENT_TYPE.fullmatch(text.strip())
    if match is None:
        raise ValueError("is not a content type such as application/pdf")
    main, sub, parameters = match[1].lower(), match[2].lower(), match[3] or ""
    if main in _STRUCTURED:
        return "application/octet-stream"
    charset = _CHARSET.search(parameters)
    return f"{main}/{sub}; charset={charset[1]}" if charset and main == "text" else f"{main}/{sub}"


def _head(mail: Outgoing, envelope: Envelope) -> Iterator[str]:
    yield words.header("From", words.mailbox(mail.sender or envelope.sender))
    for name, people in (("To", mail.to), ("Cc", mail.cc), ("Bcc", mail.bcc), ("Reply-To", mail.reply_to)):
        if people:
            yield words.header(name, words.mailboxes(people))
    yield words.header("Subject", words.unstructured(mail.subject))
    yield words.header("Date", format_datetime(envelope.date))
    yield words.header("Message-ID", envelope.message_id)
    if mail.in_reply_to:
        yield words.header("In-Reply-To", mail.in_reply_to)
    if mail.references or mail.in_reply_to:
        yield words.header("References", words.identifiers(mail.references or (mail.in_reply_to,)))
    if mail.importance != "normal":
        yield words.header("Importance", mail.importance.capitalize())
    for name, value in mail.headers:
        yield words.header(name, words.unstructured(value, len(name)))
    if mail.automatic:
        yield words.header("Auto-Submitted", "auto-generated")  # RFC 3834; Exchange heeds the other one
        yield words.header("X-Auto-Response-Suppress", "All")
        yield words.header("X-Mailgrant-Connection", (split_entry_id(envelope.entry_id) or ("unknown",))[0])
    yield words.header(MARKER, envelope.entry_id)


def _body(mail: Outgoing, files: list[File]) -> EmailMessage:
    message = EmailMessage(policy=_POLICY)
    if mail.html is None:
        message.set_content(mail.text or "", charset="utf-8")
    elif mail.text is None:
        message.set_content(mail.html, subtype="html", charset="utf-8")
    else:
        message.set_content(mail.text, charset="utf-8")
        message.add_alternative(mail.html, subtype="html", charset="utf-8")
    related = [file for file in files if file.inline and mail.html is not None]
    for file in related:
        _html_part(message).add_related(*_content(file), **_parameters(file, "inline"))
    for file in [file for file in files if not file.inline or mail.html is None]:
        message.add_attachment(*_content(file), **_parameters(file, "attachment"))
    return message


def _html_part(message: EmailMessage) -> EmailMessage:
    if message.get_content_type() != "multipart/alternative":
        return message
    return cast("EmailMessage", list(message.iter_parts())[-1])


def _content(file: File) -> tuple[bytes, str, str]:
    main, _, sub = file.content_type.partition(";")[0].partition("/")
    return file.content or b"", main, sub


def _parameters(file: File, disposition: str) -> dict[str, Any]:
    charset = _CHARSET.search(file.content_type)
    return {
        "disposition": disposition,
        "filename": file.name,
        "cid": f"<{file.content_id}>" if file.content_id else None,
        "params": {"charset": charset[1]} if charset else None,
    }
