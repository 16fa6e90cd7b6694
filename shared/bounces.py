"""What a report of failed delivery says (RFC 3464), and which of our mails it is about."""

import email
import email.policy
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from email.message import Message

from shared.outbox import moves
from shared.outbox.work import Bounce, Status, Work
from shared.times import to_text

MARKER = "X-Mailgrant-Entry"
MOST_REASON = 200
MOST_ADDRESS = 254
MOST_PARTS = 50
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
    try:
        parts = list(_parts(email.message_from_bytes(mime, policy=email.policy.compat32)))
        found = [bounce for part in parts for bounce in _failures(part, now)]
        returned = [headers for part in parts for headers in _returned(part)]
    except Exception:  # noqa: BLE001 - the parser is known to stumble over what strangers write
        return Reported()
    markers = {_line(headers[MARKER]) for headers in returned if headers[MARKER]}
    ids = {_line(headers["Message-ID"]) for headers in returned if headers["Message-ID"]}
    if not ids and parts:  # the whole of References would name each mail of a conversation
        ids = set((_line(parts[0]["In-Reply-To"]) or _line(parts[0]["References"])).split()[-1:])
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


def _parts(message: Message) -> Iterator[Message]:
    """Yield the parts of *message*, but not those of mails within it: what those hold, they only pass on."""
    pending, number = [message], 0
    while pending and number < MOST_PARTS:
        part, number = pending.pop(0), number + 1
        yield part
        inner = part.get_payload() if part.get_content_maintype() == "multipart" else ()
        pending[:0] = [item for item in inner if isinstance(item, Message)]


def _failures(part: Message, now: datetime) -> Iterator[Bounce]:
    """Yield the recipients of a ``message/delivery-status`` part whose action is ``failed`` (RFC 3464, 2.3)."""
    if part.get_content_type() != "message/delivery-status":
        return
    blocks = part.get_payload()
    for block in blocks if isinstance(blocks, list) else ():
        if not isinstance(block, Message) or _line(block["Action"]).casefold() != "failed":
            continue
        address = _typed(block["Original-Recipient"]) or _typed(block["Final-Recipient"])
        reason = _typed(block["Diagnostic-Code"])[:MOST_REASON]
        yield Bounce(address[:MOST_ADDRESS], _line(block["Status"]).split(" ")[0][:12], reason, to_text(now))


def _returned(part: Message) -> Iterable[Message]:
    """Return the headers of the returned mail: a part of its own, or the whole of it."""
    kind, content = part.get_content_type(), part.get_payload()
    if kind == "message/rfc822" and isinstance(content, list):
        return [item for item in content if isinstance(item, Message)]
    if kind == "text/rfc822-headers":
        raw = part.get_payload(decode=True)
        return [email.message_from_bytes(raw)] if isinstance(raw, bytes) else []
    return []


def _typed(value: object) -> str:
    """Return what follows the type of a field such as ``rfc822; ann@example.com``."""
    text = _line(value)
    kind, separator, rest = text.partition(";")
    return rest.strip() if separator and " " not in kind.strip() else text


def _line(value: object) -> str:
    """Return a header's value on one line, without control characters."""
    text = " ".join(str(value or "").split())
    return "".join(character for character in text if character.isprintable())
