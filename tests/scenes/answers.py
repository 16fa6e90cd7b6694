"""Are real answers what the API's description says: status, type, headers, and every field of every body."""

import json
from copy import deepcopy
from functools import cache
from typing import Any

import azure.functions as func
from jsonschema import Draft202012Validator, ValidationError
from jsonschema.exceptions import best_match

from functions.openapi.document import document, operation
from functions.openapi.routes import ROUTES


def faults_of(name: str, method: str, response: func.HttpResponse) -> list[str]:
    """Return what of the answer of the function *name* is not as described; nothing for functions without a route."""
    if name not in ROUTES:
        return []
    described = operation(name, method, ROUTES[name])["responses"].get(str(response.status_code))
    place = f"{name} {response.status_code}"
    if described is None:
        return [f"{place}: this status is not described"]
    found = [
        f"{place}: no header {header}"
        for header in described.get("headers", {})
        if header in ("X-Request-Id", "ETag", "Location") and header not in response.headers
        if not (header != "X-Request-Id" and response.mimetype == "application/problem+json")
    ]
    content = response.get_body()
    if not content or method == "HEAD":
        return found
    return found + _faults_in_body(place, described, str(response.mimetype), content)


def _faults_in_body(place: str, described: dict[str, Any], mimetype: str, content: bytes) -> list[str]:
    known = described.get("content", {})
    schema = (known.get(mimetype) or known.get("*/*") or {}).get("schema")
    if schema is None:
        return [f"{place}: {mimetype} is not described"]
    if "$ref" not in schema:
        return []
    errors = [_deepest(error) for error in _validator(str(schema["$ref"])).iter_errors(json.loads(content))]
    return [f"{place}: {error.json_path} {error.message[:200]}" for error in errors]


def _deepest(error: ValidationError) -> ValidationError:
    """Return the fault itself where it lies in one of several forms: that in the form which fits best."""
    return best_match([error]) if error.context else error


@cache
def _validator(reference: str) -> Draft202012Validator:
    return Draft202012Validator({"$ref": reference, "components": {"schemas": _strict_schemas()}})


@cache
def _strict_schemas() -> dict[str, Any]:
    """Return the schemas, made so that a field which is not described is a fault; clients are told to ignore such."""
    made: dict[str, Any] = deepcopy(document("https://mail.example")["components"]["schemas"])
    for schema in made.values():
        if "properties" in schema:
            schema.setdefault("additionalProperties", False)
    return made
