"""What the headers of a mail say; nothing that stands in one can raise."""

import email.utils
import re
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC
from email.header import decode_header
from email.message import Message
from email.utils import getaddresses, parsedate_to_datetime
from typing import Any

from shared.mail.parsed import Address, Automatic
from shared.times import to_text

MAX_ADDRESSES = 1000
MAX_REFERENCES = 100
_KEPT = (
    "auto-submitted",
    "importance",
    "list-id",
    "list-unsubscribe",
    "precedence",
    "return-path",
    "thread-index",
    "thread-topic",
    "x-auto-response-suppress",
    "x-priority",
)
_MAX_VALUE = 2000
_MESSAGE_ID = re.compile(r"<[^<>\s]{1,900}>")
# Strict reading, where this Python has it, returns nothing at all for one malformed address among many.
_LENIENT: dict[str, Any] = {"strict": False} if getattr(email.utils, "supports_strict_parsing", False) else {}
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


def text_of(message: Message, name: str) -> str:
    """Return a header as readable text on one line, '' where there is none."""
    return decoded(_raw(message, name))


def decoded(raw: str) -> str:
    """Return *raw* with its encoded words read, as far as their charsets can be."""
    try:
        pieces = [_piece(content, charset) for content, charset in decode_header(raw)]
    except Exception:  # noqa: BLE001 - the standard library raises several kinds on malformed encoded words
        pieces = [raw]
    return printable("".join(pieces)).strip()


def printable(text: str) -> str:
    """Return *text* without control characters and without halves of surrogate pairs."""
    return _CONTROL.sub("", text.encode("utf-8", "replace").decode())


def addresses_of(message: Message, name: str) -> tuple[Address, ...]:
    """Return the addresses of every header of this *name*, at most 1,000."""
    return tuple(_addresses(message, name))[:MAX_ADDRESSES]


def date_of(message: Message) -> str:
    """Return the Date header as RFC 3339, '' where it names no moment of our era."""
    with suppress(Exception):
        moment = parsedate_to_datetime(_raw(message, "date"))
        return to_text(moment if moment.tzinfo else moment.replace(tzinfo=UTC))
    return ""


def message_ids(message: Message, name: str) -> tuple[str, ...]:
    """Return the message ids that a header names, with their angle brackets."""
    return tuple(_MESSAGE_ID.findall(printable(_raw(message, name))))[:MAX_REFERENCES]


def kept_headers(message: Message) -> tuple[tuple[str, str], ...]:
    """Return the headers beside the usual ones that receivers ask for: known ones and all that begin with X-."""
    found: list[tuple[str, str]] = []
    for name in message:
        lower = printable(str(name)).lower()
        if (lower in _KEPT or lower.startswith("x-")) and lower not in [seen for seen, _ in found] and len(found) < 50:
            found.append((lower, text_of(message, lower)[:_MAX_VALUE]))
    return tuple(found)


def automatic_of(message: Message, content_type: str) -> Automatic:
    """Return whether a machine wrote the mail; mail of lists is written by people."""
    submitted = text_of(message, "auto-submitted").lower()
    precedence = text_of(message, "precedence").lower()
    report = str(_parameter(message, "report-type")).lower()
    if content_type == "multipart/report" and report in ("delivery-status", ""):
        return Automatic.BOUNCE
    if _raw(message, "return-path").strip() == "<>" and _from_daemon(message):
        return Automatic.BOUNCE
    if submitted.startswith("auto-replied") or precedence == "auto_reply":
        return Automatic.AUTO_REPLY
    if any(_raw(message, name) for name in ("x-autoreply", "x-autorespond")):
        return Automatic.AUTO_REPLY
    if submitted.startswith("auto-") or precedence in ("bulk", "junk"):
        return Automatic.AUTO_GENERATED
    return Automatic.NONE


def _from_daemon(message: Message) -> bool:
    local = [item.address.partition("@")[0].lower() for item in addresses_of(message, "from")]
    return any(name in ("mailer-daemon", "postmaster") for name in local)


def _addresses(message: Message, name: str) -> Iterator[Address]:
    with suppress(Exception):
        for shown, address in getaddresses(list(_values(message, name)), **_LENIENT):
            if shown or address:
                yield Address(decoded(shown)[:300], printable(address).strip()[:320])


def _raw(message: Message, name: str) -> str:
    return next(_values(message, name), "")


def _values(message: Message, name: str) -> Iterator[str]:
    """Yield the values of a header on one line each, bytes beyond ASCII read as UTF-8 or else as cp1252."""
    for key, value in message.raw_items():
        if key.lower() == name:
            raw = str(value).encode("utf-8", "surrogateescape")
            try:
                text = raw.decode()
            except ValueError:
                text = raw.decode("cp1252", "replace")
            yield re.sub(r"\r?\n[ \t]*|[\r\n]", " ", text)


def _parameter(message: Message, name: str) -> str:
    with suppress(Exception):
        value = message.get_param(name, "")
        return value if isinstance(value, str) else str(value[-1])
    return ""


def _piece(content: str | bytes, charset: Any) -> str:
    if isinstance(content, str):
        return content
    for name in (str(charset or "ascii"), "utf-8"):
        with suppress(LookupError, ValueError):
            return content.decode(name)
    return content.decode("cp1252", "replace")
