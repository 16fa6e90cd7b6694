"""How a record becomes the flat values of a table row, and back."""

import json
import logging
from collections.abc import Mapping
from dataclasses import fields
from datetime import timedelta
from typing import Any, TypeVar, cast

from pydantic import TypeAdapter, ValidationError

Value = str | int | float | bool
Record = TypeVar("Record")

log = logging.getLogger("mailgrant.rows")

LOOK_AGAIN = timedelta(hours=1)
"""When work whose row cannot be read is looked at again: a person or a newer version may have seen to it."""


class UnreadableRow(ValueError):
    """A row that holds no such record: damaged, or of a version that says more than this one understands."""


def encode(record: Any) -> dict[str, Value]:
    """
    Return the values of a dataclass *record* as table properties.

    Lists, maps and nested records become JSON text; None becomes the empty text, since a merge removes no property.
    """
    plain = _adapter(type(record)).dump_python(record, mode="json")
    return {name: _to_value(value) for name, value in plain.items()}


def decode(kind: type[Record], values: Mapping[str, Any]) -> Record:
    """
    Return the record of type *kind* that *values* hold.

    Properties that *kind* does not know (written by a newer version) are left alone; missing ones take their default.
    Raises `UnreadableRow` where a value cannot be what the field says; its text names the field and no value.
    """
    try:
        return _decoded(kind, values)
    except ValidationError as error:  # whose text quotes the row, links and all
        at_fault = {item["loc"][0] for item in error.errors() if item["loc"]}
        reason = ", ".join(item.name for item in fields(cast("Any", kind)) if item.name in at_fault)
    except (ValueError, TypeError, RecursionError, OverflowError):
        reason = "JSON"
    message = f"no {kind.__name__}: {reason or 'its fields'}"
    raise UnreadableRow(message)


def readable(kind: type[Record], key: str, values: Mapping[str, Any]) -> Record | None:
    """Return the record of one row among many; where it holds none it is logged by its *key*, left alone, and None."""
    try:
        return decode(kind, values)
    except UnreadableRow as error:
        log.warning("rows.unreadable key=%s reason=%s", key, error)
        return None


def _decoded(kind: type[Record], values: Mapping[str, Any]) -> Record:
    known: dict[str, Any] = {}
    for name, compound, optional in _shape(kind):
        if name not in values:
            continue
        value = values[name]
        if value == "" and optional:
            known[name] = None
        elif compound and isinstance(value, str):
            known[name] = json.loads(value) if value else None
        else:
            known[name] = value
    return cast("Record", _adapter(kind).validate_python(known))


def _to_value(value: Any) -> Value:
    if value is None:
        return ""
    if isinstance(value, (dict, list)):
        return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    return value  # type: ignore[no-any-return]  # pydantic's JSON mode leaves only str, int, float, bool


_ADAPTERS: dict[Any, TypeAdapter[Any]] = {}
_SHAPES: dict[Any, tuple[tuple[str, bool, bool], ...]] = {}


def _adapter(kind: Any) -> TypeAdapter[Any]:
    if kind not in _ADAPTERS:
        _ADAPTERS[kind] = TypeAdapter(kind)
    return _ADAPTERS[kind]


def _shape(kind: Any) -> tuple[tuple[str, bool, bool], ...]:
    if kind not in _SHAPES:
        schema = _adapter(kind).json_schema(mode="serialization")
        properties, definitions = schema["properties"], schema.get("$defs", {})
        _SHAPES[kind] = tuple((item.name, *_classify(properties[item.name], definitions)) for item in fields(kind))
    return _SHAPES[kind]


def _classify(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> tuple[bool, bool]:
    """Return whether a field holds a list, map or record, and whether it may be None."""
    if "$ref" in schema:
        return _classify(definitions[schema["$ref"].rsplit("/", 1)[1]], definitions)
    options = schema.get("anyOf", [schema])
    resolved = [definitions[o["$ref"].rsplit("/", 1)[1]] if "$ref" in o else o for o in options]
    return any(o.get("type") in ("object", "array") for o in resolved), any(o.get("type") == "null" for o in resolved)
