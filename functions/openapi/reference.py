"""The document as one page for people: no script, nothing from elsewhere."""

import json
from functools import cache
from typing import Any
from urllib.parse import urlsplit

from functions.openapi.document import document
from functions.pages import render
from shared.settings import Settings

_METHODS = ("get", "post", "put", "patch", "delete")


def page(settings: Settings) -> str:
    """Return the page."""
    return _rendered(settings.public_base_url)


@cache
def _rendered(base_url: str) -> str:
    made = document(base_url)
    operations = [
        {"method": method.upper(), "path": path, **operation}
        for path, item in made["paths"].items()
        for method, operation in item.items()
        if method in _METHODS
    ]
    areas = [
        {**tag, "operations": [item for item in operations if tag["name"] in item["tags"]]} for tag in made["tags"]
    ]
    root = urlsplit(base_url).path
    return render(
        "reference.html",
        style_url=f"{root}/api/reference/style.css",
        document_url=f"{root}/api/openapi.json",
        console_url=f"{root}/api/console",
        about=made["info"]["description"].split("\n\n"),
        version=made["info"]["version"],
        base_url=base_url,
        areas=[area for area in areas if area["operations"]],
        events=[{"name": name, **item["post"]} for name, item in made["webhooks"].items()],
        schemas=made["components"]["schemas"],
        schemes=made["components"]["securitySchemes"],
        secured=_secured,
        schema_of=_schema_of,
        words=schema_words,
        as_json=_as_json,
    )


def schema_words(schema: dict[str, Any]) -> str:
    """Return a schema's type in a few words, such as "list of string, or null"."""
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if "anyOf" in schema or "oneOf" in schema:
        return ", or ".join(dict.fromkeys(schema_words(item) for item in schema.get("anyOf") or schema["oneOf"]))
    if "const" in schema:
        return json.dumps(schema["const"])
    if "enum" in schema:
        return " | ".join(str(item) for item in schema["enum"])
    kind = str(schema.get("type", "anything"))
    if kind == "array":
        return f"list of {schema_words(schema.get('items', {}))}"
    return f"{kind}{_bounds(schema)}"


def _bounds(schema: dict[str, Any]) -> str:
    names = {"minimum": "from", "maximum": "to", "minLength": "at least", "maxLength": "at most", "format": ""}
    words = [f"{word} {schema[name]}".strip() for name, word in names.items() if name in schema]
    return f" ({', '.join(words)})" if words else ""


def _schema_of(content: dict[str, Any]) -> str:
    """Return the name of the schema of a body, '' where it has none."""
    found = next(iter(content.values())).get("schema", {}) if content else {}
    return str(found.get("$ref", "")).rpartition("/")[2]


def _secured(security: list[dict[str, Any]]) -> str:
    names = {name for item in security for name in item}
    if not names:
        return "Open to everybody."
    return "Needs a function key." if "function_key" in names else "Needs a connection's token."


def _as_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=2)
