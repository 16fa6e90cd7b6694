"""What Mailgrant posts to others by itself: one description for each type of event, see docs/events.md."""

from collections.abc import Iterator, Mapping
from typing import Any

from functions.openapi.answers import Answer, Time
from functions.openapi.mail_answers import LinkedFile, Message
from shared.notices import ALARMS, PREFIX, SUBSCRIBABLE, EventType


class EventMailbox(Answer):
    """The mailbox that a mail was fetched from."""

    id: str
    address: str


class ReceivedData(Answer):
    """A mail that was fetched and stored; *raw* is its MIME, both are null or short where a limit kept it out."""

    id: str
    connection_id: str
    mailbox: EventMailbox
    received_at: Time
    stored_at: Time
    content: str
    content_reason: str | None
    message: Message
    raw: LinkedFile | None
    attachments: list[LinkedFile]
    attachments_omitted: int


_FAULT = {"code": "string", "detail": "string"}
_DESTINATION = {"connection_id": "string", "failures": "integer", "failing_since": "string", **_FAULT}
DATA: Mapping[EventType, Mapping[str, str]] = {
    EventType.MESSAGE_STATUS: {},
    EventType.MESSAGE_QUARANTINED: {
        "connection_id": "string",
        "received_id": "string",
        **_FAULT,
        "microsoft_code": "string",
        "attempts": "integer",
        "what_to_do": "string",
    },
    EventType.CONNECTION_CHANGED: {
        "connection_id": "string",
        "version": "integer",
        "enabled": "boolean",
        "fields": "array",
    },
    EventType.CONNECTION_FAILED: {"connection_id": "string", **_FAULT},
    EventType.CONNECTION_RECOVERED: {"connection_id": "string", "status": "string", "detail": "string"},
    EventType.DESTINATION_PAUSED: _DESTINATION,
    EventType.DESTINATION_DISABLED: _DESTINATION,
    EventType.GRANT_CHANGED: {
        "grant_id": "string",
        "credential_id": "string",
        "tenant": "string",
        "before": "string",
        "status": "string",
        "missing": "array",
        **_FAULT,
    },
    EventType.CREDENTIAL_EXPIRING: {
        "credential_id": "string",
        "auth_method": "string",
        "expires_at": "string",
        "days": "integer",
        "detail": "string",
    },
    EventType.CREDENTIAL_FAILED: {"credential_id": "string", **_FAULT, "microsoft_code": "string"},
    EventType.POISON_FOUND: {"queue": "string", "kind": "string", "id": "string", "detail": "string"},
    EventType.TICK_MISSED: {"last_tick_at": "string", "silent_seconds": "number", "detail": "string"},
    EventType.TEST: {"connection_id": "string"},
}
"""The members of each notice's data; what is there depends on the case, so none is promised."""

_HEADERS = {
    "webhook-id": "The event's id, the same at every attempt: drop one that you have seen.",
    "webhook-timestamp": "When it was sent, in seconds since 1970.",
    "webhook-signature": "Standard Webhooks: `v1,` and the base64 of HMAC-SHA256 over id, timestamp and body.",
}


def webhooks() -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the short type and the description of every event that is posted."""
    for kind in EventType:
        yield kind.short, {"post": _operation(kind)}


def _operation(kind: EventType) -> dict[str, Any]:
    return {
        "operationId": f"event_{kind.short.replace('.', '_')}",
        "summary": kind.value,
        "description": _about(kind),
        "tags": ["events"],
        "security": [],
        "parameters": [
            {"name": name, "in": "header", "required": True, "description": text, "schema": {"type": "string"}}
            for name, text in _HEADERS.items()
        ],
        "requestBody": {"required": True, "content": {"application/cloudevents+json": {"schema": _event(kind)}}},
        "responses": {
            "2XX": {"description": "Taken. Answer within 10 seconds; work on it afterwards."},
            "410": {"description": "Not wanted any more: nothing is sent again."},
            "default": {"description": "Tried again at growing intervals, for three days."},
        },
    }


def _about(kind: EventType) -> str:
    targets = ["a connection's destination that asks for it"] if kind in SUBSCRIBABLE else []
    targets += ["the operator's `ALERT_WEBHOOK`"] if kind in ALARMS else []
    return f"Posted to {' and '.join(targets or ['the destination that is tried'])}, at least once, in no fixed order."


def _event(kind: EventType) -> dict[str, Any]:
    text = {"type": "string"}
    data: dict[str, Any] = {
        "type": "object",
        "properties": {
            name: {"type": type_} | ({"items": text} if type_ == "array" else {})
            for name, type_ in DATA.get(kind, {}).items()
        },
    }
    if kind is EventType.MESSAGE_RECEIVED:
        data = {"$ref": "#/components/schemas/ReceivedData"}
    properties = {
        "specversion": {"const": "1.0"},
        "type": {"const": kind.value},
        "id": text,
        "source": {"type": "string", "format": "uri"},
        "subject": text,
        "time": {"type": "string", "format": "date-time"},
        "dataschema": {"const": f"urn:mailgrant:schema:{kind.value.removeprefix(PREFIX)}:1"},
        "datacontenttype": {"const": "application/json"},
        "data": data,
    }
    return {"type": "object", "required": [name for name in properties if name != "subject"], "properties": properties}
