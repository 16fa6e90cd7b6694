"""How a list is cut into pages that stay stable while new things arrive."""

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from shared.errors import FieldFault, InvalidRequest

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Page(Generic[Item]):
    """One page; *next_cursor* is None at the end of the list, and only there."""

    items: list[Item]
    next_cursor: str | None


def after(cursor: str) -> str:
    """Return the sort key that *cursor* stands for, '' for none. Raises `InvalidRequest`."""
    try:
        return base64.b64decode(cursor.encode("ascii"), altchars=b"-_", validate=True).decode("ascii")
    except (binascii.Error, ValueError):
        message = "cursor must be the next_cursor of an earlier page"
        raise InvalidRequest(message, [FieldFault("?cursor", "not_a_cursor", message)]) from None


def cursor_of(key: str) -> str:
    """Return the cursor for what comes after the sort key *key*."""
    return base64.urlsafe_b64encode(key.encode()).decode()


def page_of(keyed: Sequence[tuple[str, Item]], limit: int, cursor: str) -> Page[Item]:
    """Return at most *limit* of *keyed* (sort key, item), newest first, that come after *cursor*."""
    last = after(cursor)
    ordered = sorted(keyed, key=lambda pair: pair[0], reverse=True)
    rest = [pair for pair in ordered if not last or pair[0] < last]
    more = len(rest) > limit
    shown = rest[:limit]
    next_cursor = cursor_of(shown[-1][0]) if more and shown else None
    return Page([item for _, item in shown], next_cursor)
