"""How MIME becomes the parsed view of a mail: whatever the bytes are, nothing is raised and all that can be is read."""

import hashlib
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from email.generator import BytesGenerator
from email.message import Message
from email.parser import BytesHeaderParser, BytesParser
from email.policy import compat32
from io import BytesIO

from shared.mail.headers import (
    addresses_of,
    automatic_of,
    date_of,
    decoded,
    kept_headers,
    message_ids,
    printable,
    text_of,
)
from shared.mail.parsed import Attachment, Mail, Parsed

MAX_WHOLE_BYTES = 25 * 1024 * 1024
MAX_HEADER_BYTES = 1024 * 1024
MAX_DEPTH = 50
MAX_PARTS = 1000
_END_OF_HEADERS = re.compile(rb"\r?\n\r?\n|\r\r")
_BODY_KINDS = ("text/plain", "text/html", "text/calendar")


def parse(mime: bytes) -> Mail:
    """
    Return what *mime* says; never raises.

    Over 25 MB only the headers are read. What could not be read is named in `Mail.problems`, and `Mail.parsed` says
    whether anything could.
    """
    try:
        return _parse(mime)
    except RecursionError:
        problem = "nested_too_deep"
    except Exception as error:  # noqa: BLE001 - the standard library raises of every kind on malformed mail
        problem = f"parser_{type(error).__name__.lower()}"
    try:
        mail = _headers_only(mime, problem)
    except Exception:  # noqa: BLE001 - see above
        return Mail(Parsed.UNPARSABLE, (problem,))
    return mail if mail.headers or mail.subject or mail.sender else Mail(Parsed.UNPARSABLE, (problem,))


def parse_head(head: bytes) -> Mail:
    """Return what the headers of a mail over 25 MB say, of which *head* is the first megabyte; never raises."""
    try:
        return _headers_only(head, "larger_than_25_mb")
    except Exception as error:  # noqa: BLE001 - the standard library raises of every kind on malformed mail
        return Mail(Parsed.UNPARSABLE, (f"parser_{type(error).__name__.lower()}",))


def _parse(mime: bytes) -> Mail:
    if len(mime) > MAX_WHOLE_BYTES:
        return _headers_only(mime, "larger_than_25_mb")
    if _header_size(mime) > MAX_HEADER_BYTES:
        return _headers_only(mime, "headers_larger_than_1_mb")
    message = BytesParser(policy=compat32).parsebytes(mime)
    if not message.keys():
        return Mail(Parsed.UNPARSABLE, ("no_headers",), text=_guess(mime)[0])
    reading = _Reading()
    for part, depth in _parts(message):
        if not reading.take(part, depth):
            break
    return _mail(message, reading)


def _headers_only(mime: bytes, problem: str) -> Mail:
    message = BytesHeaderParser(policy=compat32).parsebytes(mime[: min(_header_size(mime), MAX_HEADER_BYTES)])
    return _mail(message, _Reading(problems=[problem]))


def _header_size(mime: bytes) -> int:
    end = _END_OF_HEADERS.search(mime, 0, MAX_HEADER_BYTES + 4)
    return end.end() if end else min(len(mime), MAX_HEADER_BYTES + 1)


def _mail(message: Message, reading: "_Reading") -> Mail:
    in_reply_to = message_ids(message, "in-reply-to")
    ids = message_ids(message, "message-id")
    return Mail(
        parsed=Parsed.PARTIAL if reading.problems else Parsed.OK,
        problems=tuple(dict.fromkeys(reading.problems)),
        subject=text_of(message, "subject"),
        sender=addresses_of(message, "from"),
        to=addresses_of(message, "to"),
        cc=addresses_of(message, "cc"),
        reply_to=addresses_of(message, "reply-to"),
        date=date_of(message),
        message_id=ids[0] if ids else "",
        in_reply_to=in_reply_to[0] if in_reply_to else "",
        references=message_ids(message, "references"),
        headers=kept_headers(message),
        text="\n".join(reading.texts),
        html="\n".join(reading.htmls),
        calendar="\n".join(reading.calendars),
        automatic=automatic_of(message, _content_type(message)),
        attachments=tuple(reading.attachments),
    )


@dataclass
class _Reading:
    """What the parts of one mail have given so far."""

    problems: list[str] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    htmls: list[str] = field(default_factory=list)
    calendars: list[str] = field(default_factory=list)
    attachments: list[Attachment] = field(default_factory=list)
    parts: int = 0

    def take(self, part: Message, depth: int) -> bool:
        """Read one part; return False where a limit says to stop."""
        self.parts += 1
        if self.parts > MAX_PARTS or depth > MAX_DEPTH:
            self.problems.append("more_than_1000_parts" if self.parts > MAX_PARTS else "nested_too_deep")
            return False
        kind = _content_type(part)
        if kind.startswith("multipart/") and part.is_multipart():
            self.problems.extend(_defects(part))
            return True
        content = _content(part)
        self.problems.extend(_defects(part))
        if kind in _BODY_KINDS and not _is_attached(part):
            self._take_body(part, kind, content)
        else:
            self.attachments.append(_attachment(part, kind, content))
        return True

    def _take_body(self, part: Message, kind: str, content: bytes) -> None:
        text, exact = _text(part, content)
        if not exact:
            self.problems.append("charset")
        bodies = {"text/plain": self.texts, "text/html": self.htmls, "text/calendar": self.calendars}[kind]
        bodies.append(text)


def _parts(message: Message) -> Iterator[tuple[Message, int]]:
    """Yield every part with its depth in the order of the mail; a message within a message is one part."""
    stack = [(message, 0)]
    while stack:
        part, depth = stack.pop()
        yield part, depth
        payload = part.get_payload()
        if isinstance(payload, list) and _content_type(part).startswith("multipart/"):
            stack.extend((inner, depth + 1) for inner in reversed(payload) if isinstance(inner, Message))


def _content(part: Message) -> bytes:
    payload = part.get_payload()
    if isinstance(payload, list):  # message/rfc822, message/delivery-status
        return b"\r\n".join(_flat(inner) for inner in payload if isinstance(inner, Message))
    decoded_payload = part.get_payload(decode=True)
    return decoded_payload if isinstance(decoded_payload, bytes) else b""


def _flat(message: Message) -> bytes:
    target = BytesIO()
    try:
        BytesGenerator(target, mangle_from_=False, maxheaderlen=0, policy=compat32).flatten(message)
    except Exception:  # noqa: BLE001 - the generator refuses some of what the parser accepts
        target.write(str(message.get_payload()).encode("utf-8", "replace"))
    return target.getvalue()


def _attachment(part: Message, kind: str, content: bytes) -> Attachment:
    name = ""
    with suppress(Exception):
        name = decoded(part.get_filename("") or "")
    content_id = text_of(part, "content-id").strip("<>")
    inline = _disposition(part) == "inline" or (bool(content_id) and _disposition(part) != "attachment")
    digest = hashlib.sha256(content).hexdigest()
    return Attachment(name[:255], kind, len(content), digest, content_id[:255], inline, content)


def _text(part: Message, content: bytes) -> tuple[str, bool]:
    charset = ""
    with suppress(Exception):
        charset = str(part.get_content_charset("") or "")
    for name in (charset or "utf-8", "utf-8"):
        with suppress(LookupError, ValueError):
            return _clean(content.decode(name)), name == (charset or "utf-8")
    text, _ = _guess(content)
    return text, False


def _guess(content: bytes) -> tuple[str, str]:
    try:
        return _clean(content.decode()), "utf-8"
    except ValueError:
        return _clean(content.decode("cp1252", "replace")), "cp1252"


def _clean(text: str) -> str:
    return printable(text.replace("\r\n", "\n"))


def _content_type(part: Message) -> str:
    with suppress(Exception):
        return printable(part.get_content_type())[:200]
    return "application/octet-stream"


def _disposition(part: Message) -> str:
    with suppress(Exception):
        return part.get_content_disposition() or ""
    return ""


def _is_attached(part: Message) -> bool:
    if _disposition(part) == "attachment":
        return True
    with suppress(Exception):
        return bool(part.get_filename())
    return False


def _defects(part: Message) -> list[str]:
    return [
        re.sub(r"(?<!^)(?=[A-Z])", "_", type(defect).__name__.removesuffix("Defect")).lower() for defect in part.defects
    ]
