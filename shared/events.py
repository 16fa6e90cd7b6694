"""What receivers are told: CloudEvents 1.0 in JSON, whose bytes are the same at every attempt."""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from shared.connections import Connection
from shared.content_links import RAW, ContentLink, expiry_of, make_link
from shared.mail.parsed import Attachment, Mail
from shared.receipts import Receipt, public_id

MESSAGE_RECEIVED = "mailgrant.message.received"
CONTENT_TYPE = "application/cloudevents+json"
SCHEMA_VERSION = 1
MAX_BODY_BYTES = 64 * 1024
MAX_QUEUE_BYTES = 48 * 1024
_MAX_LISTED = 200
# How an event is made smaller: bytes of each body, items of each list, characters of each other text.
_STEPS = ((12_288, _MAX_LISTED, 4096), (2048, 50, 1024), (0, 20, 500), (0, 5, 100), (0, 2, 50))


@dataclass(frozen=True, slots=True)
class EventMaker:
    """Makes events of one installation: *base_url* is its public root, *link_key* signs the links to content."""

    base_url: str
    link_key: Callable[[], bytes]

    def message_received(self, connection: Connection, receipt: Receipt, mail: Mail) -> dict[str, Any]:
        """Return the event of a fetched mail; it depends on these three alone, never on time or attempt."""
        identifier = public_id(connection.id, receipt.hash)
        return {
            "specversion": "1.0",
            "type": MESSAGE_RECEIVED,
            "id": identifier,
            "source": f"{self.base_url}/api/connections/{connection.id}",
            "time": receipt.stored_at,
            "dataschema": f"urn:mailgrant:schema:message.received:{SCHEMA_VERSION}",
            "datacontenttype": "application/json",
            "data": {
                "id": identifier,
                "connection_id": connection.id,
                "mailbox": {"id": connection.mailbox, "address": receipt.mailbox},
                "received_at": receipt.received_at,
                "stored_at": receipt.stored_at,
                "content": "not_stored" if receipt.not_stored else "stored",
                "content_reason": receipt.not_stored or None,
                "message": message_view(mail),
                "raw": None if receipt.not_stored else self._raw(receipt, identifier),
                "attachments": [
                    self._attachment(receipt, identifier, number, item)
                    for number, item in enumerate(mail.attachments[:_MAX_LISTED])
                ],
                "attachments_omitted": max(0, len(mail.attachments) - _MAX_LISTED),
            },
        }

    def _raw(self, receipt: Receipt, identifier: str) -> dict[str, Any]:
        return {
            "name": "message.eml",
            "content_type": "message/rfc822",
            "size": receipt.size,
            "sha256": receipt.sha256,
            "content_id": "",
            "url": f"{self.base_url}/api/inbox/{identifier}/raw",
            "link": self._link(receipt, identifier, RAW),
        }

    def _attachment(self, receipt: Receipt, identifier: str, number: int, item: Attachment) -> dict[str, Any]:
        return {
            **attachment_view(item),
            "url": f"{self.base_url}/api/inbox/{identifier}/attachments/{number}",
            "link": self._link(receipt, identifier, str(number)),
        }

    def _link(self, receipt: Receipt, identifier: str, part: str) -> str:
        link = ContentLink(identifier, part, expiry_of(receipt.stored_moment()))
        return f"{self.base_url}/api/content/{make_link(self.link_key(), link)}"


def message_view(mail: Mail) -> dict[str, Any]:
    """Return a parsed mail as events and answers show it, each body cut at 64 KiB and marked where it was."""
    text, text_cut = _cut(mail.text)
    html, html_cut = _cut(mail.html)
    calendar, calendar_cut = _cut(mail.calendar)
    return {
        "parsed": mail.parsed.value,
        "parsed_reason": mail.reason,
        "subject": mail.subject,
        "from": [asdict(item) for item in mail.sender],
        "to": [asdict(item) for item in mail.to[:_MAX_LISTED]],
        "cc": [asdict(item) for item in mail.cc[:_MAX_LISTED]],
        "reply_to": [asdict(item) for item in mail.reply_to[:_MAX_LISTED]],
        "date": mail.date or None,
        "message_id": mail.message_id,
        "in_reply_to": mail.in_reply_to,
        "references": list(mail.references),
        "headers": [{"name": name, "value": value} for name, value in mail.headers],
        "automatic": mail.automatic.value,
        "text": text,
        "html": html,
        "calendar": calendar,
        "truncated": text_cut or html_cut or calendar_cut,
    }


def attachment_view(item: Attachment) -> dict[str, Any]:
    """Return what is told of an attachment beside its content."""
    return {
        "name": item.name,
        "content_type": item.content_type,
        "size": item.size,
        "sha256": item.sha256,
        "content_id": item.content_id,
        "inline": item.inline,
    }


def to_bytes(event: Mapping[str, Any]) -> bytes:
    """Return the event as the bytes that are signed and sent."""
    return json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode()


def for_queue(event: dict[str, Any]) -> dict[str, Any]:
    """
    Return the event small enough for a queue message (48 KiB), with references to all that is left out.

    Bodies are cut first, then lists and texts are; it is marked as truncated then.
    """
    smaller = event
    for step in _STEPS:
        if len(to_bytes(smaller)) <= MAX_QUEUE_BYTES:
            break
        smaller = _smaller(event, *step)
    return smaller


def _smaller(event: dict[str, Any], body: int, items: int, chars: int) -> dict[str, Any]:
    """Return the event with bodies of at most *body* bytes, lists of *items* and other texts of *chars* characters."""
    data = event["data"]
    message = {name: _shrunk(value, items, chars) for name, value in data["message"].items()}
    message |= {name: _cut(data["message"][name], body)[0] for name in ("text", "html", "calendar")}
    attachments = [
        {name: value if name in ("url", "link") else _shrunk(value, items, chars) for name, value in item.items()}
        for item in data["attachments"][:items]
    ]
    omitted = data["attachments_omitted"] + len(data["attachments"]) - len(attachments)
    shorter = {"message": message | {"truncated": True}, "attachments": attachments, "attachments_omitted": omitted}
    return {**event, "data": {**data, **shorter}}


def _shrunk(value: Any, items: int, chars: int) -> Any:
    match value:
        case str():
            return value[:chars]
        case list():
            return [_shrunk(item, items, chars) for item in value[:items]]
        case dict():
            return {name: _shrunk(item, items, chars) for name, item in value.items()}
        case _:
            return value


def _cut(text: str, most: int = MAX_BODY_BYTES) -> tuple[str, bool]:
    encoded = text.encode()
    if len(encoded) <= most:
        return text, False
    return encoded[:most].decode(errors="ignore"), True
