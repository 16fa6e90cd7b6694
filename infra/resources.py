"""Whether each resource has the properties, types and values that Azure's type library asks for."""

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tree_sitter import Node

from infra.syntax import BicepFile, Fault, body_of, literal, named, properties, text

SCHEMAS = Path(__file__).parent / "schema"
_BICEPS_OWN = {"parent", "scope", "dependsOn"}
_TYPE = re.compile(r"(?P<type>[A-Za-z.]+(?:/[A-Za-z]+)+)@(?P<version>\d{4}-\d\d-\d\d(?:-preview)?)")
_LITERALS = {
    "string": "string",
    "number": "int",
    "boolean": "bool",
    "array": "array",
    "object": "object",
}


def schemas() -> dict[str, dict[str, Any]]:
    """Return the schema of each resource type that the project uses."""
    found = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(SCHEMAS.glob("*.json"))]
    return {schema["type"]: schema for schema in found}


@dataclass
class ResourceCheck:
    """Holds the resources of one file against *known* schemas, and gathers faults."""

    file: BicepFile
    known: dict[str, dict[str, Any]]
    faults: list[Fault] = field(default_factory=list)
    _types: dict[str, Any] = field(default_factory=dict)

    def run(self) -> list[Fault]:
        """Return the faults of all resources in the file."""
        for node in named(self.file.tree, "resource_declaration"):
            self._resource(node)
        return self.faults

    def _say(self, node: Node, message: str) -> None:
        self.faults.append(self.file.fault(node, message))

    def _resource(self, node: Node) -> None:
        wanted = named(node, "string")[0]
        match = _TYPE.fullmatch(literal(wanted) or "")
        if match is None:
            return self._say(wanted, f"resource type {text(wanted)} is not 'Type@version'")
        schema = self.known.get(match["type"])
        if schema is None:
            return self._say(wanted, f"{match['type']}: no schema in infra/schema, so nothing can be checked")
        if match["version"] != schema["apiVersion"]:
            self._say(wanted, f"{match['type']}: API version {match['version']}, schema has {schema['apiVersion']}")
        body = body_of(node)
        if any(text(child) == "existing" for child in node.children) or body is None:
            return None
        self._types = schema["types"]
        return self._object(body, self._body(body, schema["body"]), match["type"], extra=_BICEPS_OWN)

    def _body(self, body: Node, shape: dict[str, Any]) -> dict[str, Any]:
        """Return the shape for this body; of a computed name any variant will do, and they are alike."""
        if "variants" not in shape:
            return shape
        name = next((literal(value) for key, value in properties(body) if key == shape["by"]), None)
        variants = shape["variants"]
        if name is None:
            return {**next(iter(variants.values())), shape["by"]: "!string"}
        if name not in variants:
            self._say(body, f"{shape['by']} {name!r} is none of {sorted(variants)}")
            return {"*": "any"}
        found: dict[str, Any] = variants[name]
        return found

    def _object(self, node: Node, shape: dict[str, Any], where: str, extra: set[str] = frozenset()) -> None:  # type: ignore[assignment]
        given: set[str] = set()
        for name, value in properties(node):
            if name is None:
                if "*" in shape:
                    self._value(value, shape["*"], f"{where}.*")
                continue
            if name in given:
                self._say(value, f"{where}.{name} is given twice")
            given.add(name)
            spec = shape.get(name, shape.get("*"))
            if name in extra:
                continue
            if spec is None:
                near = [key for key in shape if key.lower() == name.lower()]
                self._say(value, f"{where} has no property {name}{f', but {near[0]}' if near else ''}")
            elif spec.startswith("-"):
                self._say(value, f"{where}.{name} is read-only")
            else:
                self._value(value, spec.lstrip("!"), f"{where}.{name}")
        for name, spec in shape.items():
            if spec.startswith("!") and name not in given:
                self._say(node, f"{where}.{name} is required and missing")

    def _value(self, node: Node, spec: str, where: str) -> None:
        if node.type == "ternary_expression":
            for branch in named(node)[1:]:
                self._value(branch, spec, where)
            return
        if node.type == "for_statement" and spec.endswith("[]"):
            body = body_of(node)
            if body is not None:
                self._value(body, spec[:-2], f"{where}[]")
            return
        kind = _LITERALS.get(node.type)
        if kind is None or spec == "any":
            return
        if spec.endswith("[]") and " | " not in spec:
            self._array(node, spec[:-2], where)
        elif spec in self._types:
            self._named(node, self._types[spec], where)
        else:
            self._plain(node, kind, spec, where)

    def _array(self, node: Node, spec: str, where: str) -> None:
        if node.type != "array":
            return self._say(node, f"{where} must be an array")
        for item in named(node):
            self._value(item, spec, f"{where}[]")
        return None

    def _named(self, node: Node, shape: dict[str, Any], where: str) -> None:
        if node.type != "object":
            return self._say(node, f"{where} must be an object")
        return self._object(node, self._body(node, shape), where)

    def _plain(self, node: Node, kind: str, spec: str, where: str) -> None:
        choices, value = spec.split(" | "), literal(node)
        # Azure's lists end in `string` where newer values may come; the project uses none that the list does not have.
        if kind in choices and not (len(choices) > 1 and kind == "string" and value not in {None, *choices}):
            return
        if {"string", "int", "bool"} & set(choices) and kind not in choices:
            if not (kind == "string" and (value is None or value in choices)):
                self._say(node, f"{where} must be {' or '.join(choices)}, not {kind}")
        elif kind != "string":
            self._say(node, f"{where} must be one of {choices}, not {kind}")
        elif value is not None and value not in choices:
            self._say(node, f"{where} is {value!r}, and must be one of {choices}")


def check_resources(files: list[BicepFile]) -> list[Fault]:
    """Return what is wrong with the resources of *files*."""
    known = schemas()
    return [fault for file in files for fault in ResourceCheck(file, known).run()]


def resources(file: BicepFile) -> list[tuple[str, Node]]:
    """Return type and declaration of each resource of *file* that it makes."""
    made = [node for node in named(file.tree, "resource_declaration") if "existing" not in map(text, node.children)]
    return [((literal(named(node, "string")[0]) or "").partition("@")[0], node) for node in made]


def strings_in(file: BicepFile) -> list[Node]:
    """Return every string of *file*."""
    return [found for found in file.nodes if found.type == "string"]
