"""
What does an OData ``$filter`` expression mean.

The part of the language that Outlook understands: comparisons, and/or/not, startswith/endswith/contains, and ``any``
over extended properties.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Lookup = Callable[[str], Any]
TEXT_FUNCTIONS = ("startswith", "endswith", "contains")


@dataclass(frozen=True)
class Comparison:
    """*path* compared with *value*; *operator* is one of eq ne gt ge lt le startswith endswith contains."""

    operator: str
    path: str
    value: Any


@dataclass(frozen=True)
class Logical:
    """``and``, ``or`` or ``not`` of the *terms*."""

    operator: str
    terms: tuple[Node, ...]


@dataclass(frozen=True)
class AnyOf:
    """``collection/any(variable: condition)``; paths in *condition* start with the variable."""

    collection: str
    variable: str
    condition: Node


Node = Comparison | Logical | AnyOf


def paths(node: Node) -> list[str]:
    """Return the property paths in *node*, in the order in which they stand there."""
    if isinstance(node, Logical):
        return [path for term in node.terms for path in paths(term)]
    return [node.collection] if isinstance(node, AnyOf) else [node.path]


def comparisons(node: Node) -> list[Comparison]:
    """Return all comparisons in *node*."""
    if isinstance(node, Logical):
        return [item for term in node.terms for item in comparisons(term)]
    return comparisons(node.condition) if isinstance(node, AnyOf) else [node]


def matches(node: Node, lookup: Lookup) -> bool:
    """
    Say whether *node* holds for the thing whose properties *lookup* gives.

    For an ``any`` over a collection, *lookup* of the collection's path is a function from the condition (paths
    without the variable) to the answer.
    """
    if isinstance(node, Logical):
        results = (matches(term, lookup) for term in node.terms)
        if node.operator == "and":
            return all(results)
        return any(results) if node.operator == "or" else not next(results)
    if isinstance(node, AnyOf):
        return bool(lookup(node.collection)(node.condition))
    return compare(node.operator, lookup(node.path), node.value)


def compare(operator: str, actual: Any, expected: Any) -> bool:
    """Compare two values as Graph does: text without regard to case, times as times, null only equal to null."""
    left, right = _comparable(actual), _comparable(expected)
    if operator == "eq":
        return bool(left == right)
    if operator == "ne":
        return bool(left != right)
    if left is None or right is None or isinstance(left, bool) or type(left) is not type(right):
        return False
    if operator in TEXT_FUNCTIONS:
        return isinstance(left, str) and _text_function(operator, left, right)
    return bool({"gt": left > right, "ge": left >= right, "lt": left < right, "le": left <= right}[operator])


def _text_function(operator: str, left: str, right: str) -> bool:
    if operator == "startswith":
        return left.startswith(right)
    return left.endswith(right) if operator == "endswith" else right in left


def _comparable(value: Any) -> Any:
    if isinstance(value, str):
        return value.casefold()
    if isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    return value
