"""How does Exchange write a MIME message from an item's properties, and change one that came as MIME."""

from __future__ import annotations

import base64
import email.utils
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from email.header import Header

from localcloud.mail.mime_parse import Address, MimeAttachment

_CONTENT_HEADERS = ("content-type", "content-transfer-encoding", "content-disposition", "content-id")


@dataclass(frozen=True)
class Composition:
    """Everything that a message written by Exchange consists of."""

    headers: list[tuple[str, str]]
    addresses: Mapping[str, Sequence[Address]]
    content: str
    content_is_html: bool
    attachments: Sequence[MimeAttachment] = field(default_factory=tuple)


def compose(composition: Composition, boundary: str) -> bytes:
    """Return the MIME text of *composition*; the same input and *boundary* give the same bytes."""
    lines = [_line(name, _address_list(pairs)) for name, pairs in composition.addresses.items() if pairs] + [
        _line(name, _encoded(value)) for name, value in composition.headers
    ]
    subtype = "html" if composition.content_is_html else "plain"
    body = _part(f'text/{subtype}; charset="utf-8"', composition.content.encode("utf-8", "replace"))
    inline = [item for item in composition.attachments if item.inline]
    others = [item for item in composition.attachments if not item.inline]
    if inline:
        body = _multipart("related", [body, *(_attachment_part(item) for item in inline)], f"{boundary}-related")
    if others:
        body = _multipart("mixed", [body, *(_attachment_part(item) for item in others)], f"{boundary}-mixed")
    return b"".join([*lines, b"MIME-Version: 1.0\r\n", body])


def append_attachments(raw: bytes, attachments: Iterable[MimeAttachment], boundary: str) -> bytes:
    """Return *raw* wrapped into multipart/mixed with *attachments* behind it; no byte of its content changes."""
    blocks, body = split_message(raw)
    outer = [block for block in blocks if _name(block) not in (*_CONTENT_HEADERS, "mime-version")]
    inner = [block for block in blocks if _name(block) in _CONTENT_HEADERS]
    first = b"".join(inner) + b"\r\n" + body
    mixed = _multipart("mixed", [first, *(_attachment_part(item) for item in attachments)], f"{boundary}-added")
    return b"".join([*outer, b"MIME-Version: 1.0\r\n", mixed])


def change_headers(raw: bytes, remove: Iterable[str] = (), add: Iterable[tuple[str, str]] = ()) -> bytes:
    """Return *raw* without the headers named in *remove* and with those of *add* in front."""
    gone = {name.casefold() for name in remove}
    blocks, body = split_message(raw)
    kept = [block for block in blocks if _name(block) not in gone]
    return b"".join([*(_line(name, _encoded(value)) for name, value in add), *kept, b"\r\n", body])


def split_message(raw: bytes) -> tuple[list[bytes], bytes]:
    """Return the header fields of *raw*, each with its continuation lines and line end, and the body."""
    blocks: list[bytes] = []
    position = 0
    while position < len(raw):
        end = raw.find(b"\n", position)
        line = raw[position:] if end < 0 else raw[position : end + 1]
        if not line.strip(b"\r\n"):
            return blocks, raw[position + len(line) :]
        if line[:1] in b" \t" and blocks:
            blocks[-1] += line
        elif b":" not in line and not line.startswith(b"From "):
            return blocks, raw[position:]
        else:
            blocks.append(line)
        position += len(line)
    if blocks and not blocks[-1].endswith(b"\n"):
        blocks[-1] += b"\r\n"
    return blocks, b""


def header_names(raw: bytes) -> set[str]:
    """Return the names of the header fields of *raw*, in lower case."""
    return {_name(block) for block in split_message(raw)[0]}


def _name(block: bytes) -> str:
    return block.split(b":", 1)[0].strip().decode("latin-1").casefold()


def _line(name: str, value: str) -> bytes:
    return f"{name}: {value}\r\n".encode("utf-8", "replace")


def _encoded(value: str) -> str:
    """Return a header value on one or more folded lines; line breaks in it cannot start a new header."""
    flat = " ".join(value.split("\n")).replace("\r", " ")
    if flat.isascii():
        return flat
    return Header(flat, "utf-8", maxlinelen=76).encode(linesep="\r\n")


def _address_list(pairs: Sequence[Address]) -> str:
    return ",\r\n ".join(_address(name, address) for name, address in pairs)


def _address(name: str, address: str) -> str:
    flat = " ".join(name.split())
    plain = "".join(address.split())
    if not flat or flat == plain:
        return plain
    try:
        return email.utils.formataddr((flat, plain), "utf-8")
    except UnicodeEncodeError:  # an internationalised address: written as UTF-8 (RFC 6532)
        return f'"{flat}" <{plain}>'


def _part(content_type: str, content: bytes, more: Sequence[tuple[str, str]] = ()) -> bytes:
    head = [_line("Content-Type", content_type), *(_line(name, value) for name, value in more)]
    head.append(_line("Content-Transfer-Encoding", "base64"))
    return b"".join([*head, b"\r\n", base64.encodebytes(content).replace(b"\n", b"\r\n")])


def _attachment_part(item: MimeAttachment) -> bytes:
    if item.nested:
        return b"Content-Type: message/rfc822\r\nContent-Disposition: attachment\r\n\r\n" + item.content
    simple = item.name.isascii() and item.name.isprintable() and not set('"\\') & set(item.name)
    name = f'filename="{item.name}"' if simple else f"filename*={email.utils.encode_rfc2231(item.name, 'utf-8')}"
    more = [("Content-Disposition", f"{'inline' if item.inline else 'attachment'}; {name}")]
    if item.content_id:
        more.append(("Content-ID", f"<{' '.join(item.content_id.split())}>"))
    return _part(" ".join(item.content_type.split()), item.content, more)


def _multipart(subtype: str, parts: Sequence[bytes], boundary: str) -> bytes:
    delimiter = f"--{boundary}\r\n".encode()
    opened = b"".join(delimiter + part + (b"" if part.endswith(b"\n") else b"\r\n") for part in parts)
    return (
        _line("Content-Type", f'multipart/{subtype}; boundary="{boundary}"')
        + b"\r\n"
        + opened
        + (f"--{boundary}--\r\n".encode())
    )
