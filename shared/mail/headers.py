"""What the headers of a mail say; nothing that stands in one can raise."""

import email.utils
import re
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC
from email.header import decode_header
from email.message import Message
from email.policy import compat32
from email.utils import getaddresses, parsedate_to_datetime
from itertools import islice
from typing import Any

from shared.mail.charsets import codec_of, collapsed
from shared.mail.parsed import Address, Automatic
from shared.times import to_text

MAX_ADDRESSES = 1000
MAX_REFERENCES = 100
MAX_FIELDS = 2000
# The standard library takes quadratic time for some values, so that what it reads of one is bounded.
_LONGEST = {
    "to": 64 * 1024,
    "cc": 64 * 1024,
    "references": 64 * 1024,
    "received": 64 * 1024,
    "from": 16 * 1024,
    "reply-to": 16 * 1024,
    "subject": 8 * 1024,
}
_LONGEST_OTHER = 4 * 1024
_LONGEST_NAME = 1000
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
_SELDOM_READ = frozenset({"received", "dkim-signature", "authentication-results"})
_MAX_VALUE = 2000
OWN_PREFIX = "x-mailgrant-"
_SUBJECT_OF_REPLIES = re.compile(r"(automatic reply|out of office|auto(matic)?[- ]?(reply|response))\b", re.IGNORECASE)
_MESSAGE_ID = re.compile(r"<[^<>\s]{1,900}>")
# Strict reading, where this Python has it, returns nothing at all for one malformed address among many.
_LENIENT: dict[str, Any] = {"strict": False} if getattr(email.utils, "supports_strict_parsing", False) else {}
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


def read_block(block: bytes, default_kind: str = "text/plain") -> tuple[Message, list[str]]:
    """Return the headers of *block*, at most 2,000 and each cut at a bound, and what is wrong with them."""
    message = Message(policy=compat32)
    message.set_default_type(default_kind)
    fields: list[tuple[str, list[str]]] = []
    problems: list[str] = []
    for line in re.split(r"\r\n|\r|\n", block.decode("ascii", "surrogateescape")):
        if line[:1] in (" ", "\t") and fields:
            fields[-1][1].append(line)
        elif ":" in line:
            if len(fields) == MAX_FIELDS:
                problems.append("more_than_2000_headers")
                break
            name, _, value = line.partition(":")
            fields.append((name, [value.lstrip(" \t")]))
    for name, lines in fields:
        value, most = "\r\n".join(lines), _LONGEST.get(name.lower(), _LONGEST_OTHER)
        if len(value) > most and name.lower() not in _SELDOM_READ:
            problems.append("header_cut")
        message.set_raw(name, value[:most])
    return message, problems


def content_type_of(message: Message) -> str:
    """Return the media type of a part, in lower case."""
    with suppress(Exception):
        return printable(message.get_content_type())[:200]
    return "application/octet-stream"


def boundary_of(message: Message) -> bytes:
    """Return what separates the parts of a multipart, b'' where it does not say."""
    with suppress(Exception):
        value = message.get_param("boundary")
        if value:
            return collapsed(value).rstrip().encode("ascii", "surrogateescape")
    return b""


def disposition_of(message: Message) -> str:
    """Return ``inline``, ``attachment`` or whatever else a part says, '' for nothing."""
    with suppress(Exception):
        return message.get_content_disposition() or ""
    return ""


def file_name_of(message: Message) -> str:
    """Return the name of a part as a file, '' where it has none."""
    with suppress(Exception):
        value = message.get_param("filename", None, "content-disposition")
        return decoded(collapsed(message.get_param("name", "") if value is None else value).strip())
    return ""


def is_attached(message: Message) -> bool:
    """Tell whether a part of a body's kind is a file nevertheless; invitations often have a name, and are bodies."""
    if disposition_of(message) == "attachment":
        return True
    return content_type_of(message) != "text/calendar" and bool(file_name_of(message))


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
    return tuple(islice(_addresses(message, name), MAX_ADDRESSES))


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


def automatic_of(message: Message) -> Automatic:
    """
    Return whether a machine wrote the mail; mail of lists is written by people.

    After RFC 3834 and RFC 3464, and the habits of those that follow neither: Precedence, X-Autoreply, Exchange's
    X-Auto-Response-Suppress, and the null return path.
    """
    submitted = text_of(message, "auto-submitted").lower()
    precedence = text_of(message, "precedence").lower()
    null_path = _raw(message, "return-path").strip() == "<>"
    if _is_report(message) or (null_path and _from_daemon(message)):
        return Automatic.BOUNCE
    if any(name.lower().startswith(OWN_PREFIX) for name, _ in message.raw_items()):
        return Automatic.OWN
    if submitted.startswith("auto-replied") or precedence == "auto_reply":
        return Automatic.AUTO_REPLY
    if any(_raw(message, name) for name in ("x-autoreply", "x-autorespond", "x-auto-reply")):
        return Automatic.AUTO_REPLY
    generated = submitted.startswith("auto-") or precedence in ("bulk", "junk")
    if generated and _SUBJECT_OF_REPLIES.match(text_of(message, "subject")):
        return Automatic.AUTO_REPLY  # Exchange says auto-generated of its out-of-office answers
    suppressed = text_of(message, "x-auto-response-suppress").lower() not in ("", "none")
    return Automatic.AUTO_GENERATED if generated or suppressed or null_path else Automatic.NONE


def _is_report(message: Message) -> bool:
    """Tell whether a mail reports on a delivery (RFC 3464), not on a reading (RFC 8098) or on abuse (RFC 5965)."""
    kind, report = content_type_of(message), str(_parameter(message, "report-type")).lower()
    return kind == "multipart/report" and report in ("delivery-status", "")


def _from_daemon(message: Message) -> bool:
    local = [item.address.partition("@")[0].lower() for item in addresses_of(message, "from")]
    return any(name in ("mailer-daemon", "postmaster") for name in local)


def _addresses(message: Message, name: str) -> Iterator[Address]:
    with suppress(Exception):
        for shown, address in getaddresses(list(_values(message, name)), **_LENIENT):
            if shown or address:
                yield Address(decoded(shown[:_LONGEST_NAME])[:300], printable(address[:_LONGEST_NAME]).strip()[:320])


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
    for codec in (codec_of(str(charset or "ascii")), "utf-8"):
        with suppress(ValueError):
            if codec:
                return content.decode(codec)
    return content.decode("cp1252", "replace")
