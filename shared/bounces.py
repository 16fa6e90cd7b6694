"""What a report of failed delivery says (RFC 3464), and which of our mails it is about."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from email.message import Message

from shared.mail.headers import read_block
from shared.mail.parsed import Attachment
from shared.mail.parsing import parse
from shared.mail.parts import read_part
from shared.outbox import moves
from shared.outbox.work import Bounce, Status, Work
from shared.times import to_text

MARKER = "X-Mailgrant-Entry"
MOST_REASON = 200
MOST_ADDRESS = 254
MOST_PARTS = 50
_NO_HEADERS = re.compile(rb"\r?\n\r?\n|\r\r")
MOST_BLOCKS = 1000
"""A report has one block of lines for each recipient."""
_BOUNCING = frozenset({Status.ACCEPTED, Status.SENT, Status.OUTCOME_UNKNOWN, Status.BOUNCED})


@dataclass(frozen=True, slots=True)
class Reported:
    """
    What one report says: who was not reached, and which mail it is about.

    *markers* are ids of entries as the returned headers bear them, *message_ids* those of the returned headers, or
    where there are none those of the mail that the report answers.
    """

    bounces: tuple[Bounce, ...] = ()
    markers: frozenset[str] = frozenset()
    message_ids: frozenset[str] = frozenset()

    def concerns(self, work: Work) -> bool:
        """Tell whether it is about this mail; by the marker alone where there is one."""
        if self.markers:
            return work.id in self.markers
        return bool(work.internet_message_id) and work.internet_message_id in self.message_ids


def read_report(mime: bytes, now: datetime) -> Reported:
    """Return what a report says; nothing where it is none, or tells of delay or success only."""
    parts = parse(mime).attachments[:MOST_PARTS]
    try:
        found = [bounce for part in parts for bounce in _failures(mime, part, now)]
        returned = [headers for part in parts for headers in _returned(mime, part)]
    except Exception:  # noqa: BLE001 - the standard library is known to stumble over what strangers write
        return Reported()
    markers = {_line(headers[MARKER]) for headers in returned if headers[MARKER]}
    ids = {_line(headers["Message-ID"]) for headers in returned if headers["Message-ID"]}
    if not ids:  # the whole of References would name each mail of a conversation
        top = _headers(mime)
        ids = set((_line(top["In-Reply-To"]) or _line(top["References"])).split()[-1:])
    unique = {bounce.address.casefold(): bounce for bounce in reversed(found)}
    return Reported(tuple(reversed(unique.values())), frozenset(markers), frozenset(ids))


def bounce(work: Work, reported: Reported, now: datetime) -> Work | None:
    """Return the mail as *reported* leaves it; None where that says nothing new of it."""
    if work.status not in _BOUNCING:
        return None
    known = {one.address.casefold() for one in work.bounces}
    fresh = tuple(one for one in reported.bounces if one.address.casefold() not in known)
    room = moves.MOST_BOUNCES - len(work.bounces)
    return moves.bounced(work, fresh[:room], now) if fresh[:room] else None


def _failures(mime: bytes, part: Attachment, now: datetime) -> Iterator[Bounce]:
    """Yield the recipients of a ``message/delivery-status`` part whose action is ``failed`` (RFC 3464, 2.3)."""
    if part.content_type != "message/delivery-status":
        return
    for text in re.split(rb"\n{2,}", _content(mime, part), maxsplit=MOST_BLOCKS)[:MOST_BLOCKS]:
        block, _ = read_block(text)
        if _line(block["Action"]).casefold() != "failed":
            continue
        address = _typed(block["Original-Recipient"]) or _typed(block["Final-Recipient"])
        reason = _typed(block["Diagnostic-Code"])[:MOST_REASON]
        yield Bounce(address[:MOST_ADDRESS], _line(block["Status"]).split(" ")[0][:12], reason, to_text(now))


def _returned(mime: bytes, part: Attachment) -> Iterator[Message]:
    """Yield the headers of the returned mail: a part of its own, or the beginning of the whole of it."""
    if part.content_type in ("message/rfc822", "text/rfc822-headers"):
        yield _headers(_content(mime, part).lstrip(b"\n"))


def _content(mime: bytes, part: Attachment) -> bytes:
    """Return a part decoded, each of its lines ended by a line feed."""
    content = b"".join(read_part(lambda first, last: iter((mime[first : last + 1],)), part, 0, part.size) or ())
    return content.replace(b"\r\n", b"\n").replace(b"\r", b"\n")


def _headers(mime: bytes) -> Message:
    """Return the headers that *mime* begins with."""
    end = _NO_HEADERS.search(mime)
    return read_block(mime[: end.start() if end else None])[0]


def _typed(value: object) -> str:
    """Return what follows the type of a field such as ``rfc822; ann@example.com``."""
    text = _line(value)
    kind, separator, rest = text.partition(";")
    return rest.strip() if separator and " " not in kind.strip() else text


def _line(value: object) -> str:
    """Return a header's value on one line, without control characters."""
    text = " ".join(str(value or "").split())
    return "".join(character for character in text if character.isprintable())
