"""
What does a MIME message say, however broken it is.

Real mail has charsets that do not exist, missing headers and impossible dates; nothing here raises for any bytes.
"""

from __future__ import annotations

import email
import email.errors
import email.header
import email.utils
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.message import Message as MimePart
from email.policy import compat32

Address = tuple[str, str]  # display name, address
_ADDRESS = re.compile(r"[^\s<>,;\"]+@[^\s<>,;\"]+")


@dataclass(frozen=True)
class MimeAttachment:
    """One attached file, or (*nested*) one attached message."""

    name: str
    content_type: str
    content: bytes
    content_id: str | None = None
    inline: bool = False
    nested: bool = False


@dataclass(frozen=True)
class ParsedMail:
    """What could be read of a message; anything unreadable is empty or None."""

    headers: list[tuple[str, str]] = field(default_factory=list)
    subject: str = ""
    message_id: str | None = None
    date: datetime | None = None
    addresses: dict[str, list[Address]] = field(default_factory=dict)
    text: str | None = None
    html: str | None = None
    attachments: list[MimeAttachment] = field(default_factory=list)

    def header(self, name: str) -> str | None:
        """Return the first header called *name* (without regard to case)."""
        wanted = name.casefold()
        return next((value for key, value in self.headers if key.casefold() == wanted), None)


def parse_mime(raw: bytes) -> ParsedMail:
    """Read *raw* as far as possible."""
    message = email.message_from_bytes(raw, policy=compat32)
    headers = [(name, _header_text(value)) for name, value in message.raw_items()]
    first = {name.casefold(): value for name, value in reversed(headers)}
    text, html, attachments = _contents(message)
    return ParsedMail(
        headers=headers,
        subject=first.get("subject", ""),
        message_id=first.get("message-id", "").strip() or None,
        date=_date(first.get("date", "")),
        addresses={
            name: parse_addresses([value for key, value in message.raw_items() if key.casefold() == name])
            for name in ("from", "sender", "to", "cc", "bcc", "reply-to")
        },
        text=text,
        html=html,
        attachments=attachments,
    )


def read_header(raw: bytes, name: str) -> str | None:
    """Return the first header called *name* of *raw*, as `parse_mime` would, without reading the body."""
    ends = [end for end in (raw.find(b"\n\r\n"), raw.find(b"\n\n")) if end >= 0]
    head = raw[: min(ends) + 1] if ends else raw
    wanted = name.casefold()
    if wanted.encode("utf-8", "replace") not in head.lower():
        return None
    message = email.message_from_bytes(head, policy=compat32)
    return next((_header_text(value) for key, value in message.raw_items() if key.casefold() == wanted), None)


def parse_addresses(values: list[str]) -> list[Address]:
    """Return the mailboxes in the raw header *values*; encoded names are decoded after splitting."""
    cleaned = [_printable(value) for value in values]
    try:
        pairs = email.utils.getaddresses(cleaned)
    except (ValueError, IndexError, TypeError):
        pairs = []
    found = [(_header_text(name), address.strip()) for name, address in pairs if address.strip()]
    if found or not any(value.strip() for value in cleaned):
        return found
    return [("", address) for value in cleaned for address in _ADDRESS.findall(value)]


def _printable(value: object) -> str:
    """Return a raw header, whose 8-bit bytes arrive as surrogates, as plain text without line breaks."""
    data = str(value).encode("utf-8", "surrogateescape")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        text = data.decode("latin-1")
    return re.sub(r"\r?\n[ \t]*", " ", text).replace("\r", " ").replace("\n", " ")


def _header_text(value: object) -> str:
    text = _printable(value)
    if "=?" not in text:
        return text
    try:
        parts = email.header.decode_header(text)
    except (email.errors.HeaderParseError, ValueError, IndexError):
        return text
    return "".join(part if isinstance(part, str) else _decode(part, charset) for part, charset in parts)


def _decode(data: bytes, charset: str | None) -> str:
    """Decode *data*; Exchange, too, falls back to Latin-1 where the named charset is unknown or wrong."""
    for candidate in (charset, "utf-8"):
        if not candidate:
            continue
        try:
            return data.decode(candidate).encode("utf-8", "replace").decode()
        except (LookupError, ValueError):
            continue
    return data.decode("latin-1")


def _date(value: str) -> datetime | None:
    try:
        moment = email.utils.parsedate_to_datetime(value)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def _leaves(message: MimePart) -> Iterator[MimePart]:
    """Yield the parts that hold content; an attached message counts as one part."""
    stack = [message]
    while stack:
        part = stack.pop()
        payload = part.get_payload()
        if part.get_content_maintype() == "multipart" and isinstance(payload, list):
            stack.extend(reversed([child for child in payload if isinstance(child, MimePart)]))
        else:
            yield part


def _contents(message: MimePart) -> tuple[str | None, str | None, list[MimeAttachment]]:
    texts: dict[str, str] = {}
    attachments: list[MimeAttachment] = []
    for part in _leaves(message):
        kind = part.get_content_type()
        disposition = _disposition(part)
        if kind in ("text/plain", "text/html") and disposition != "attachment" and kind not in texts:
            texts[kind] = _decode(_payload(part), _charset(part))
        elif part.get_content_maintype() != "multipart":
            attachments.append(_attachment(part, kind, disposition))
    return texts.get("text/plain"), texts.get("text/html"), attachments


def _disposition(part: MimePart) -> str:
    try:
        return part.get_content_disposition() or ""
    except (ValueError, IndexError, TypeError):
        return ""


def _charset(part: MimePart) -> str | None:
    try:
        return part.get_content_charset()
    except (ValueError, LookupError, TypeError):
        return None


def _payload(part: MimePart) -> bytes:
    try:
        payload = part.get_payload(decode=True)
    except (ValueError, LookupError, TypeError):
        payload = None
    if isinstance(payload, bytes):
        return payload
    body = part.get_payload()
    return body.encode("utf-8", "surrogateescape") if isinstance(body, str) else b""


def _attachment(part: MimePart, kind: str, disposition: str) -> MimeAttachment:
    content_id = str(part.get("Content-ID") or "").strip().strip("<>") or None
    nested = kind == "message/rfc822"
    if nested:
        inner = part.get_payload()
        child = inner[0] if isinstance(inner, list) and inner else None
        content = _flattened(child) if isinstance(child, MimePart) else b""
        name = _header_text(child.get("Subject", "")) if isinstance(child, MimePart) else ""
    else:
        content, name = _payload(part), ""
    return MimeAttachment(
        name=_file_name(part) or name or "ATT00001",
        content_type=kind,
        content=content,
        content_id=content_id,
        inline=content_id is not None and disposition != "attachment",
        nested=nested,
    )


def _flattened(part: MimePart) -> bytes:
    try:
        return part.as_bytes(policy=part.policy.clone(linesep="\r\n"))
    except (ValueError, LookupError, TypeError, AttributeError):
        return _payload(part)


def _file_name(part: MimePart) -> str:
    try:
        name = part.get_filename()
    except (ValueError, LookupError, TypeError):
        return ""
    return _header_text(name) if name else ""
