"""Microsoft's own types for Graph mail, held against recorded traffic; a closed world: unknown properties fail."""

import json
from pathlib import Path
from typing import Any

import jsonschema

SCHEMA = Path(__file__).resolve().parents[3] / "shared" / "contract" / "graph-mail.schema.json"
MESSAGE = "graph.message"
ONE = {
    "messages.get": MESSAGE, "messages.create": MESSAGE, "messages.patch": MESSAGE, "messages.move": MESSAGE,
    "messages.copy": MESSAGE, "messages.reply": MESSAGE, "users.get": "graph.user", "folders.get": "graph.mailFolder",
    "folders.create": "graph.mailFolder", "folders.patch": "graph.mailFolder", "folders.move": "graph.mailFolder",
    "folders.copy": "graph.mailFolder", "attachments.get": "graph.attachment",
    "attachments.create": "graph.attachment", "uploads.create": "graph.uploadSession",
}  # fmt: skip
MANY = {
    "messages.list": MESSAGE, "messages.delta": MESSAGE, "users.list": "graph.user", "folders.list": "graph.mailFolder",
    "attachments.list": "graph.attachment",
}  # fmt: skip
ASKED = {"messages.create": MESSAGE, "messages.patch": MESSAGE, "attachments.create": "graph.attachment"}
# Part of Graph's message (a navigation property of outlookItem), but left out of this excerpt of the metadata.
_EXTENDED = {
    "type": "array",
    "items": {
        "type": "object",
        "properties": {"id": {"type": "string"}, "value": {"type": ["string", "null"]}},
        "required": ["id"],
        "additionalProperties": False,
    },
}

Validators = dict[str, jsonschema.Draft202012Validator]


def validators() -> Validators | None:
    """Return one validator per type of the contract, or None where the contract is not beside this checkout."""
    if not SCHEMA.is_file():
        return None
    definitions = json.loads(SCHEMA.read_text())["$defs"]
    definitions[MESSAGE]["properties"]["singleValueExtendedProperties"] = _EXTENDED
    definitions["graph.itemAttachment"]["properties"]["item"] = {"$ref": f"#/$defs/{MESSAGE}"}
    names = {*ONE.values(), *MANY.values()}
    return {name: jsonschema.Draft202012Validator({"$defs": definitions, "$ref": f"#/$defs/{name}"}) for name in names}


def faults_in(exchange: dict[str, Any], known: Validators) -> list[str]:
    """Return what is wrong with the request and the answer of one recorded exchange."""
    operation, asked = exchange["operation"], exchange.get("request_body")
    found = _judged(operation, "asked", ASKED.get(operation), [asked] if isinstance(asked, dict) else [], known)
    return found + faults_in_answer(exchange, known)


def faults_in_answer(exchange: dict[str, Any], known: Validators) -> list[str]:
    """Return what is wrong with the answer of one recorded exchange, whatever a foreign client asked."""
    operation, body = exchange["operation"], exchange["response_body"]
    if exchange["status"] >= 400 or body is None:
        enveloped = body is None or {"code", "message"} <= set(body["error"])
        return [] if enveloped else [f"{operation}: no error envelope"]
    items = body["value"] if operation in MANY else [body]
    return _judged(operation, "answered", MANY.get(operation) or ONE.get(operation), items, known)


def _judged(operation: str, way: str, kind: str | None, items: list[Any], known: Validators) -> list[str]:
    if kind is None:
        return []
    return [
        f"{operation} {way}: {error.json_path} {error.message[:200]}"
        for item in items
        for error in known[kind].iter_errors(item)
    ]
