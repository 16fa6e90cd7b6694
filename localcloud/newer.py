"""
A host that runs a newer version of the product: what it writes has fields that the present version does not know.

The change is made to the code that is there, in this process alone: each row gets a property, each record inside a row
a field, each wake-up message a field, and whatever the present version may add later is read by it today.
"""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

SWITCH = "LOCALCLOUD_NEWER"
PROPERTY = "newer_note"
KIND = "digest"
"""A kind of work and of rows that the present version does not know."""


def install(environment: Mapping[str, str]) -> None:
    """Be the newer version if the environment asks for it."""
    if environment.get(SWITCH):
        _rows()
        _records()
        _messages()


def _rows() -> None:
    from shared.adapters.table_storage import StorageTable  # noqa: PLC0415 - only where it is asked for
    from shared.ports import Committed, Delete, Operation  # noqa: PLC0415 - see above

    original = StorageTable.commit

    def commit(self: StorageTable, partition: str, operations: Sequence[Operation]) -> Committed:
        more = [
            item if isinstance(item, Delete) else replace(item, values={**item.values, PROPERTY: "newer"})
            for item in operations
        ]
        return original(self, partition, more)

    StorageTable.commit = commit  # type: ignore[method-assign]


def _records() -> None:
    from shared import rows  # noqa: PLC0415 - only where it is asked for

    original = rows._adapter  # noqa: SLF001 - the one place that every record passes

    class Adapter:
        def __init__(self, kind: Any) -> None:
            self._inner = original(kind)

        def __getattr__(self, name: str) -> Any:
            return getattr(self._inner, name)

        def dump_python(self, record: Any, **details: Any) -> Any:
            return _with_more(record, self._inner.dump_python(record, **details))

    rows._adapter = Adapter  # type: ignore[assignment]  # noqa: SLF001 - see above


def _with_more(record: Any, plain: dict[str, Any]) -> dict[str, Any]:
    """Return *plain* with one more field in each record that stands inside *record*."""
    for item in fields(record):
        value, dumped = getattr(record, item.name), plain.get(item.name)
        if is_dataclass(value) and isinstance(dumped, dict):
            dumped[PROPERTY] = "newer"
        elif isinstance(value, (list, tuple)) and isinstance(dumped, list):
            for one, its in zip(value, dumped, strict=True):
                if is_dataclass(one) and isinstance(its, dict):
                    its[PROPERTY] = "newer"
    return plain


def _messages() -> None:
    from shared.schedule import Wakeup  # noqa: PLC0415 - only where it is asked for

    original = Wakeup.to_body

    def to_body(self: Wakeup) -> dict[str, Any]:
        return {**original(self), PROPERTY: {"since": "the next version"}}

    Wakeup.to_body = to_body  # type: ignore[method-assign]
