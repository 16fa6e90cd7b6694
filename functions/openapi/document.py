"""The OpenAPI 3.1 document of the whole API."""

import json
import re
from functools import cache
from hashlib import sha256
from typing import Any

from functions.openapi.describing import ADMIN, TOKEN, File, Parameter, Route
from functions.openapi.routes import ROUTES
from functions.openapi.schemas import is_model, name_of, reference, schemas
from functions.openapi.webhooks import webhooks
from shared.codes import Code
from shared.version import VERSION

_ABOUT = (
    "Reads and sends mail of Microsoft 365 mailboxes by an administrator's consent.\n\n"
    "Lists take `limit` and `cursor`, newest first; only `next_cursor: null` ends one. Times are RFC 3339, UTC. "
    "Problems are `application/problem+json` with a stable `code`. Unknown fields of requests are refused; "
    "ignore unknown fields of answers."
)
_SECURITY: dict[str, list[dict[str, list[str]]]] = {
    "public": [],
    ADMIN: [{"function_key": []}, {"function_key_query": []}],
    TOKEN: [{"bearer": []}, {"token_header": []}, {"basic": []}],
}
_SCHEMES = {
    "function_key": {"type": "apiKey", "in": "header", "name": "x-functions-key", "description": "A function key."},
    "function_key_query": {"type": "apiKey", "in": "query", "name": "code", "description": "The same in the address."},
    "bearer": {"type": "http", "scheme": "bearer", "description": "A connection's token of the scope that is needed."},
    "token_header": {"type": "apiKey", "in": "header", "name": "X-Mailgrant-Token", "description": "The same token."},
    "basic": {"type": "http", "scheme": "basic", "description": "The same token as password, any user name."},
}
_TAGS = {
    "system": "Health, tick and audit.",
    "credentials": "App registrations and their consent links.",
    "consent": "Pages that a tenant's administrator sees.",
    "grants": "What tenants have given.",
    "connections": "Mailboxes, each used one way; their tokens, hooks and templates.",
    "received": "Received mail, for administrators.",
    "inbox": "Received mail, for holders of a receive token.",
    "messages": "Sending, for holders of a send token.",
    "outbox": "Messages to send, for administrators.",
    "hooks": "Webhooks of others that become mail.",
    "content": "Links of events.",
    "events": "What Mailgrant posts to you.",
}
_TAG_OF = {
    "mailboxes": "connections",
    "folders": "connections",
    "uploads": "messages",
}
_PATH = {
    "id": "The id of the thing.",
    "n": "Its number: an attachment's from 0, a part's from 1.",
    "name": "The template's name.",
    "ticket": "The secret part of a consent link.",
    "token": "The secret part of the address.",
}
_HEADERS = {
    "X-Request-Id": {"description": "Names the request in the logs.", "schema": {"type": "string"}},
    "ETag": {"description": "Names this version, for `If-Match`.", "schema": {"type": "string"}},
    "Location": {"description": "Where the new thing is.", "schema": {"type": "string"}},
    "Retry-After": {"description": "In how many seconds to come again.", "schema": {"type": "integer"}},
}
_MARK = Parameter("X-Mailgrant-Request", "Keeps foreign pages out.", {"const": "1", "type": "string"}, "header", True)


def document(base_url: str) -> dict[str, Any]:
    """Return the document; *base_url* is our public root."""
    paths: dict[str, dict[str, Any]] = {}
    for name, route in ROUTES.items():
        for method in route.methods:
            paths.setdefault(f"/api/{route.path.replace('{*', '{')}", {})[method.lower()] = operation(
                name, method, route
            )
    return {
        "openapi": "3.1.0",
        "info": {"title": "Mailgrant", "version": VERSION, "summary": "Mail by consent.", "description": _ABOUT}
        | {"license": {"name": "MIT", "identifier": "MIT"}},
        "servers": [{"url": base_url}],
        "tags": [{"name": name, "description": text} for name, text in _TAGS.items()],
        "paths": paths,
        "webhooks": dict(webhooks()),
        "components": {"schemas": schemas(), "securitySchemes": _SCHEMES, "headers": _HEADERS},
    }


@cache
def document_bytes(base_url: str) -> tuple[bytes, str]:
    """Return the document as JSON, and its ETag."""
    content = json.dumps(document(base_url), ensure_ascii=False, separators=(",", ":")).encode()
    return content, f'"{sha256(content).hexdigest()[:32]}"'


def operation(name: str, method: str, route: Route) -> dict[str, Any]:
    """Return the description of one method of a route."""
    made: dict[str, Any] = {
        "operationId": name if method != "HEAD" else f"{name}_head",
        "summary": route.summary,
        "tags": [tag_of(route)],
        "security": _SECURITY[route.caller],
        "parameters": [*_path_parameters(route), *map(_parameter, _parameters(route))],
        "responses": _responses(route, method),
    }
    if route.about:
        made["description"] = route.about
    if route.body is not None:
        made["requestBody"] = _request_body(route)
    return made


def tag_of(route: Route) -> str:
    """Return the area of a route."""
    parts = route.path.split("/")
    if parts[0] == "connections" and parts[-1] in ("received", "outbox"):
        return parts[-1]
    return parts[0] if parts[0] in _TAGS else _TAG_OF.get(parts[0], "system")


def _parameters(route: Route) -> list[Parameter]:
    return [*([_MARK] if route.caller == ADMIN and route.is_write else []), *route.parameters]


def _path_parameters(route: Route) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "in": "path",
            "required": True,
            "description": _PATH.get(name, "The id of the thing below."),
            "schema": {"type": "string", "minLength": 1},
        }
        for name in re.findall(r"\{\*?(\w+)\}", route.path)
    ]


def _parameter(parameter: Parameter) -> dict[str, Any]:
    return {
        "name": parameter.name,
        "in": parameter.place,
        "required": parameter.required,
        "description": parameter.description,
        "schema": dict(parameter.schema),
    }


def _request_body(route: Route) -> dict[str, Any]:
    if isinstance(route.body, type):
        return {"required": True, "content": {"application/json": {"schema": reference(name_of(route.body))}}}
    kind = str(route.body)
    schema = {"type": "object", "description": "Nothing is read of it."} if kind == "application/json" else {}
    return {"required": kind == "application/json", "content": {kind: {"schema": schema}}}


def _responses(route: Route, method: str) -> dict[str, Any]:
    made = {status: _answer(route, status, model, method) for status, model in route.answers.items()}
    for status, codes in route.refusals().items():
        made[status] = _refusal(made.get(status), status, codes, route)
    if route.caller == ADMIN:
        made[401] |= {"description": f"The function key is missing or wrong: no body. {made[401]['description']}"}
        made[401].pop("headers")  # the host answers before the app does
    return {str(status): made[status] for status in sorted(made)}


def _answer(route: Route, status: int, model: Any, method: str) -> dict[str, Any]:
    headers = ["X-Request-Id"]
    if route.etag and status in (200, 206, 304):
        headers.append("ETag")
    if (route.creates and status in (201, 202)) or status in (303, 307):
        headers.append("Location")
    made: dict[str, Any] = {"description": _words(status, model), "headers": _headers(*headers)}
    if method == "HEAD":
        return made
    if isinstance(model, File):
        made["content"] = {model.type: {"schema": {"type": "string"} if model.type.startswith("text/") else {}}}
    elif is_model(model):
        made["content"] = {"application/json": {"schema": reference(name_of(model))}}
    return made


def _words(status: int, model: Any) -> str:
    words = {204: "Done, also where it was done before.", 202: "Taken on.", 201: "Made."}
    words |= {303: "The way is on.", 307: "The same at the public address.", 304: "Unchanged."}
    if isinstance(model, File):
        return model.description
    return words.get(status, "As asked.")


def _refusal(known: dict[str, Any] | None, status: int, codes: list[Code], route: Route) -> dict[str, Any]:
    """Return a problem of some *codes*; *known* is an answer of the same status that is no problem."""
    made = known or {"description": "", "headers": _headers("X-Request-Id")}
    names = ", ".join(f"`{code.value}`" for code in codes)
    made["description"] = f"{made['description']} Or a problem: {names}." if known else f"{names}."
    if status in (429, 503):
        made["headers"] = {**made["headers"], **_headers("Retry-After")}
    if route.methods[-1] != "HEAD" or known is None:
        made.setdefault("content", {})["application/problem+json"] = {"schema": reference("Problem")}
    if route.path.startswith("consent/"):
        made["content"] = {"text/html": {"schema": {"type": "string"}}}
    made["x-problem-codes"] = [code.value for code in codes]
    return made


def _headers(*names: str) -> dict[str, Any]:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}
