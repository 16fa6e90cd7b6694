"""What a function sees of a queue message: its body, its trigger metadata, and the fields of its JSON."""

from __future__ import annotations

import base64
import contextlib
import json
from typing import Any

from azure.storage.queue import QueueMessage

from localcloud.host.messages import TypedData


def decode(content: str, *, base64_encoding: bool) -> bytes | None:
    """Return the body of a message, None where it is not valid base64 but should be."""
    if not base64_encoding:
        return content.encode()
    try:
        return base64.b64decode(content, validate=True)
    except ValueError:
        return None


def as_typed(body: bytes) -> TypedData:
    """Return *body* as the host hands it to the worker: text where it is UTF-8."""
    try:
        return TypedData(string=body.decode())
    except UnicodeDecodeError:
        return TypedData(bytes=body)


def describe(message: QueueMessage, value: TypedData) -> dict[str, TypedData]:
    """Return the trigger metadata from which the worker makes `func.QueueMessage`."""
    times = {
        "ExpirationTime": message.expires_on,
        "InsertionTime": message.inserted_on,
        "NextVisibleTime": message.next_visible_on,
    }
    return {
        "Id": TypedData(string=message.id),
        "PopReceipt": TypedData(string=message.pop_receipt),
        "DequeueCount": TypedData(json=str(message.dequeue_count)),
        "QueueTrigger": value,
        **{name: TypedData(json=json.dumps(time.isoformat())) for name, time in times.items() if time},
    }


def message_fields(message_id: str, value: TypedData) -> dict[str, Any]:
    """Return what placeholders of output bindings may name: the id, the text, and the fields of a JSON object."""
    fields: dict[str, Any] = {"id": message_id, "queueTrigger": value.content}
    if isinstance(value.content, str):
        with contextlib.suppress(ValueError):
            document = json.loads(value.content)
            fields.update(document if isinstance(document, dict) else {})
    return fields
