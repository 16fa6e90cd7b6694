"""Is a message that a client writes as JSON acceptable to Graph, and what does it consist of."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from localcloud.mail.errors import MailError, bad_request
from localcloud.mail.fields import Json
from localcloud.mail.message import canonical_property_id
from localcloud.mail.mime_parse import MimeAttachment

_MAX_HEADERS = 5
_RECIPIENT_LISTS = ("toRecipients", "ccRecipients", "bccRecipients", "replyTo")
ANY_TIME = frozenset(
    (
        "isRead", "categories", "flag", "importance", "inferenceClassification", "isReadReceiptRequested",
        "isDeliveryReceiptRequested", "from", "sender", "toRecipients", "ccRecipients", "bccRecipients",
    )
)  # fmt: skip
DRAFT_ONLY = frozenset(("subject", "body", "replyTo", "internetMessageId"))


@dataclass
class MessageInput:
    """The parts of a written message; *headers* is None where none were given."""

    properties: Json = field(default_factory=dict)
    headers: list[tuple[str, str]] | None = None
    attachments: list[MimeAttachment] = field(default_factory=list)
    extended: dict[str, str] = field(default_factory=dict)


def read_message(body: Mapping[str, Any]) -> MessageInput:
    """
    Return the parts of the message *body*.

    Raises:
        MailError: 400 for unknown properties, wrong types and what Graph's header rules forbid.
    """
    found = MessageInput()
    for name, value in body.items():
        if "@" in name:
            continue
        if name in _PROPERTIES:
            found.properties[name] = _PROPERTIES[name](name, value)
        elif name == "internetMessageHeaders":
            found.headers = _headers(value)
        elif name == "attachments":
            found.attachments = [read_attachment(item) for item in _list(name, value)]
        elif name == "singleValueExtendedProperties":
            found.extended = dict(_extended(item) for item in _list(name, value))
        else:
            raise bad_request(
                f"The property '{name}' does not exist on type 'microsoft.graph.message'. "
                "Make sure to only use property names that are defined by the type.",
                "RequestBodyRead",
            )
    return found


def read_attachment(value: Any) -> MimeAttachment:
    """
    Return the file that a ``fileAttachment`` holds.

    Raises:
        MailError: 400 where it is none.
    """
    if not isinstance(value, dict) or value.get("@odata.type") not in (
        "#microsoft.graph.fileAttachment",
        "microsoft.graph.fileAttachment",
    ):
        raise bad_request("A type named with '@odata.type' is required for an attachment.", "RequestBodyRead")
    known = {"name", "contentType", "contentBytes", "isInline", "contentId", "size", "contentLocation"}
    unknown = [name for name in value if "@" not in name and name not in known]
    name, content = value.get("name"), value.get("contentBytes")
    if unknown or not isinstance(name, str) or not name or not isinstance(content, str):
        raise bad_request("The attachment must have a name and contentBytes.", "ErrorInvalidAttachment")
    inline, content_id = value.get("isInline", False), value.get("contentId")
    if not isinstance(inline, bool) or not isinstance(content_id, str | None):
        raise _wrong_type("isInline")
    content_type = value.get("contentType") or "application/octet-stream"
    return MimeAttachment(name, str(content_type), decode_base64(content, "RequestBodyRead"), content_id, inline)


def decode_base64(
    text: str | bytes, code: str, message: str = "Cannot convert the value to the type Edm.Binary."
) -> bytes:
    """
    Decode strict base64 (line breaks allowed).

    Raises:
        MailError: 400 with *code* and *message*.
    """
    data = text.encode("utf-8", "replace") if isinstance(text, str) else text
    try:
        return base64.b64decode(b"".join(data.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise bad_request(message, code) from error


def _wrong_type(name: str) -> MailError:
    return bad_request(
        f"When trying to read the value of the property '{name}', a value of another type was found.", "RequestBodyRead"
    )


def _list(name: str, value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise _wrong_type(name)
    return value


def _text(name: str, value: Any) -> str:
    if value is not None and not isinstance(value, str):
        raise _wrong_type(name)
    return value or ""


def _flag(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise _wrong_type(name)
    return value


def _choice(*allowed: str) -> Callable[[str, Any], str]:
    def read(name: str, value: Any) -> str:
        found = next((word for word in allowed if isinstance(value, str) and word.casefold() == value.casefold()), None)
        if found is None:
            raise _wrong_type(name)
        return found

    return read


def _body(name: str, value: Any) -> Json:
    if not isinstance(value, dict) or not set(value) <= {"contentType", "content"}:
        raise _wrong_type(name)
    kind = _choice("text", "html")("contentType", value.get("contentType", "text"))
    return {"contentType": kind, "content": _text("content", value.get("content"))}


def _recipient(name: str, value: Any) -> Json | None:
    if value is None:
        return None
    mailbox = value.get("emailAddress") if isinstance(value, dict) else None
    if not isinstance(mailbox, dict) or set(value) != {"emailAddress"} or not set(mailbox) <= {"name", "address"}:
        raise _wrong_type(name)
    address = _text("address", mailbox.get("address"))
    return {"emailAddress": {"name": _text("name", mailbox.get("name")) or address, "address": address}}


def _recipients(name: str, value: Any) -> list[Json | None]:
    return [_recipient(name, item) for item in _list(name, value)]


def _strings(name: str, value: Any) -> list[str]:
    return [_text(name, item) for item in _list(name, value)]


def _follow_up(name: str, value: Any) -> Json:
    if not isinstance(value, dict):
        raise _wrong_type(name)
    return value | {"flagStatus": _choice("notFlagged", "complete", "flagged")("flagStatus", value.get("flagStatus"))}


_PROPERTIES: dict[str, Callable[[str, Any], Any]] = {
    "subject": _text, "body": _body, "importance": _choice("low", "normal", "high"), "categories": _strings,
    "inferenceClassification": _choice("focused", "other"), "internetMessageId": _text, "isRead": _flag,
    "isReadReceiptRequested": _flag, "isDeliveryReceiptRequested": _flag, "from": _recipient, "sender": _recipient,
    "flag": _follow_up,
} | dict.fromkeys(_RECIPIENT_LISTS, _recipients)  # fmt: skip


def _headers(value: Any) -> list[tuple[str, str]]:
    """Apply Graph's rules: one to five headers, and only ``x-`` names (facts, section 4.4)."""
    entries = _list("internetMessageHeaders", value)
    if not 1 <= len(entries) <= _MAX_HEADERS:
        raise bad_request("Maximum number of headers in one message should be less than or equal to 5.",
                          "InvalidInternetMessageHeaderCollection")  # fmt: skip
    found = []
    for entry in entries:
        if not isinstance(entry, dict) or not set(entry) <= {"name", "value"}:
            raise _wrong_type("internetMessageHeaders")
        name, content = _text("name", entry.get("name")), _text("value", entry.get("value"))
        if not name.casefold().startswith("x-"):
            raise bad_request(f"The internet message header name '{name}' should start with 'x-' or 'X-'.",
                              "InvalidInternetMessageHeader")  # fmt: skip
        found.append((name, content))
    return found


def _extended(value: Any) -> tuple[str, str]:
    entry = value if isinstance(value, dict) else {}
    name = canonical_property_id(str(entry.get("id", "")))
    if name is None or not isinstance(entry.get("value"), str):
        raise bad_request("PropertyId values may only be in one of the supported formats.", "ErrorInvalidProperty")
    return name, entry["value"]
