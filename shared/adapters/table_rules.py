"""
What Table storage takes, said as checks: keys, values, the size of a transaction.

Source: Learn, "Understanding the Table service data model" and "Performing entity group transactions".
"""

import re
from collections.abc import Mapping, Sequence

from shared.ports import Delete, Operation
from shared.rows import Value

MAX_OPERATIONS = 100
MAX_TEXT_UNITS = 32_768
MAX_ROW_BYTES = 1024 * 1024
MAX_INT = 2**63
_KEY = re.compile(r"[0-9A-Za-z|._~-]{1,512}")


def check_key(key: str) -> None:
    """Refuse a key with characters that a URL, a filter or a batch would have to escape; raises ValueError."""
    if not _KEY.fullmatch(key):
        raise ValueError("a partition or row key holds 1 to 512 of the characters 0-9 A-Z a-z | . _ ~ -")


def check_range(partition: str, first: str, last: str, limit: int | None) -> None:
    """Refuse a range that no storage call could ask for; raises ValueError."""
    for key in (partition, first, last):
        check_key(key)
    if limit is not None and limit < 1:
        raise ValueError("a limit is at least 1")


def check_values(values: Mapping[str, Value]) -> None:
    """Refuse values that a property or row cannot hold; raises ValueError that names the property, never its value."""
    if sum(len(value) for value in values.values() if isinstance(value, str)) * 2 > MAX_ROW_BYTES:
        raise ValueError("a row is larger than 1 MiB")
    for name, value in values.items():
        if not isinstance(value, (str, int, float)):
            raise ValueError(f"property {name} must be text, a number or a truth value")  # noqa: TRY004 - one kind of refusal
        if isinstance(value, str) and len(value) * 2 > MAX_TEXT_UNITS and _units(value) > MAX_TEXT_UNITS:
            raise ValueError(f"property {name} is longer than the 32,768 UTF-16 units that a property holds")
        if isinstance(value, int) and not -MAX_INT <= value < MAX_INT:
            raise ValueError(f"property {name} is beyond 64 bits")


def check_operations(partition: str, operations: Sequence[Operation]) -> None:
    """Refuse a transaction that storage would refuse as malformed; raises ValueError."""
    check_key(partition)
    keys = [operation.key for operation in operations]
    if not 1 <= len(keys) <= MAX_OPERATIONS:
        raise ValueError("a transaction has 1 to 100 operations")
    if len(set(keys)) != len(keys):
        raise ValueError("a transaction touches each row once")
    for operation in operations:
        check_key(operation.key)
        if not isinstance(operation, Delete):
            check_values(operation.values)


def _units(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2
