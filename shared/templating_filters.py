"""The filters and tests of templates; every one counts the characters that it goes through."""

import json
import urllib.parse
from collections.abc import Callable, Iterator, Sized
from dataclasses import dataclass
from functools import wraps
from typing import Any

from jinja2 import Undefined, pass_context
from markupsafe import Markup, escape

LOWEST_COST = 16
THING_COST = 48
BUDGET = "_mailgrant_"
"""The name under which a rendering's budget stands in its context; no template can say it."""


class OutOfBounds(Exception):
    """A template went beyond what it may use, or used a value that it may not; the text says which."""


@dataclass
class Budget:
    """What one rendering may still use: loop *steps*, *characters* gone through, and time until *ends*."""

    steps: int
    characters: int
    ends: float
    monotonic: Callable[[], float]

    def step(self) -> None:
        """Count a loop step; raises `OutOfBounds`."""
        self.steps -= 1
        if self.steps < 0:
            raise OutOfBounds("The loops take more than 10,000 steps in all.")
        self.check_time()

    def work(self, characters: int) -> None:
        """Count *characters* gone through or made; raises `OutOfBounds`."""
        self.characters -= characters + LOWEST_COST
        if self.characters < 0:
            raise OutOfBounds("The template works on too much text.")
        self.check_time()

    def check_time(self) -> None:
        """Raise `OutOfBounds` once the time is over."""
        if self.monotonic() >= self.ends:
            raise OutOfBounds("Rendering takes too long.")


def budget_of(context: Any) -> Budget:
    """Return the budget of the rendering that *context* belongs to."""
    budget = context.parent.get(BUDGET)
    if not isinstance(budget, Budget):  # constant folding, which has no rendering
        raise OutOfBounds("not while rendering")
    return budget


def measured(budget: Budget, value: Any) -> Any:
    """Return *value* once all that it holds is counted, each thing as often as it is held; raises `OutOfBounds`."""
    pending = [value]
    while pending:
        item = pending.pop()
        budget.work(len(item) if isinstance(item, str) else THING_COST)
        if isinstance(item, dict):
            pending.extend(item)
        if isinstance(item, (list, tuple, dict)):
            pending.extend(_members(item))
    return value


def shown(value: Any) -> Any:
    """Return what an expression puts out: nothing for null, JSON's words for truth values, JSON for objects."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (dict, list, tuple)):
        return json.dumps(value, ensure_ascii=False)
    if not isinstance(value, (str, int, float, Undefined)):
        raise OutOfBounds("This is no value that can be shown.")
    return value


def _text(value: Any) -> str:
    return value if isinstance(value, str) else str(shown(value))


def _number(value: Any) -> float:
    if type(value) not in (int, float):
        raise OutOfBounds("round takes a number; put int or float before it.")
    return float(value)


def _replace(value: Any, old: Any, new: Any) -> str:
    text = _text(value)
    if not isinstance(old, str) or not old or not isinstance(new, str):
        raise OutOfBounds("replace takes two texts, the first of them not empty.")
    if len(text) + text.count(old) * (len(new) - len(old)) > 1024 * 1024:
        raise OutOfBounds("replace makes a text of more than a million characters.")
    return str(text).replace(old, str(new))


def _truncate(value: Any, length: Any = 255, end: Any = "…") -> str:
    text = _text(value)
    if type(length) is not int or not 0 <= length <= 1024 * 1024 or not isinstance(end, str):
        raise OutOfBounds("truncate takes a number of characters, and the text to put at the end.")
    return text if len(text) <= length else f"{text[:length].rstrip()}{end}"


def _join(value: Any, separator: Any = ", ", attribute: str | None = None) -> str:
    if not isinstance(separator, str):
        raise OutOfBounds("join takes a text to put between.")
    items = [_text(_key(item, attribute)) for item in _list(value)]
    if sum(map(len, items)) + len(items) * len(separator) > 1024 * 1024:
        raise OutOfBounds("join makes a text of more than a million characters.")
    return str(separator).join(str(item) for item in items)


def _list(value: Any) -> list[Any]:
    if isinstance(value, (list, tuple)):
        return list(value)
    if isinstance(value, dict):
        return list(value)
    raise OutOfBounds("This filter takes a list.")


def _key(item: Any, attribute: str | None) -> Any:
    if attribute is None:
        return item
    return item.get(attribute) if isinstance(item, dict) else None


def _sorted(value: Any, attribute: str | None = None, reverse: bool = False) -> list[Any]:
    return sorted(_list(value), key=lambda item: _order(_key(item, attribute)), reverse=bool(reverse))


def _order(value: Any) -> tuple[int, float, str]:
    """Return a key by which any two values can be compared: numbers first, then texts."""
    if isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 1e300:
        return 0, float(value), ""
    return 1, 0.0, _text(value).casefold()


def _items(value: Any) -> list[tuple[str, Any]]:
    if not isinstance(value, dict):
        raise OutOfBounds("items takes an object.")
    return list(value.items())


def _whole(value: Any, default: int = 0) -> Any:
    if isinstance(value, (list, tuple, dict)):
        return default
    try:
        return int(value) if isinstance(value, (int, float)) else int(str(value).strip()[:20])
    except (ValueError, OverflowError):
        return default


def _real(value: Any, default: float = 0.0) -> Any:
    if isinstance(value, (list, tuple, dict)):
        return default
    try:
        return float(value) if isinstance(value, (int, float)) else float(str(value).strip()[:40])
    except (ValueError, OverflowError):
        return default


def _round(value: Any, digits: Any = 0) -> Any:
    if type(digits) is not int or not 0 <= digits <= 15:
        raise OutOfBounds("round takes a number of digits from 0 to 15.")
    rounded = round(_number(value), digits)
    return int(rounded) if digits == 0 or type(value) is int else rounded


def _split(value: Any, separator: Any = ",") -> list[str]:
    if not isinstance(separator, str) or not separator:
        raise OutOfBounds("split takes the text that stands between.")
    return [part.strip() for part in _text(value).split(separator)]


def _unique(value: Any) -> list[Any]:
    return list({_text(item): item for item in reversed(_list(value))}.values())[::-1]


def _to_json(value: Any) -> Markup:
    text = json.dumps(value, ensure_ascii=False)
    for character in "<>&'":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)  # noqa: S704 - nothing in it can end a string or begin a tag


def _lines(value: Any) -> Markup:
    return Markup(str(escape(_text(value))).replace("\n", "<br>\n"))  # noqa: S704 - escaped just before


def _length(value: Any) -> int:
    if not isinstance(value, Sized):
        raise OutOfBounds("length takes a text, a list or an object.")
    return len(value)


def _default(value: Any, other: Any = "", empty_too: bool = False) -> Any:
    return other if isinstance(value, Undefined) or (empty_too and not value) else value


def _weight(value: Any) -> int:
    """Return about how many characters a value has, with those that it holds one level down."""
    if isinstance(value, str):
        return len(value)
    if isinstance(value, (list, tuple, dict)):
        return sum(_weight_of_item(item) for item in _members(value)) + 8 * len(value)
    return 0


def _members(value: Any) -> Iterator[Any]:
    yield from (value.values() if isinstance(value, dict) else value)


def _weight_of_item(item: Any) -> int:
    return len(item) if isinstance(item, (str, list, tuple, dict)) else 8


_MADE: dict[str, Callable[..., Any]] = {
    "capitalize": lambda value: _text(value).capitalize(),
    "default": _default,
    "escape": lambda value: escape(_text(value)),
    "first": lambda value: _list(value)[0],
    "float": _real,
    "int": _whole,
    "items": _items,
    "join": _join,
    "last": lambda value: _list(value)[-1],
    "length": _length,
    "lower": lambda value: _text(value).lower(),
    "nl2br": _lines,
    "replace": _replace,
    "round": _round,
    "sort": _sorted,
    "split": _split,
    "string": _text,
    "title": lambda value: _text(value).title(),
    "tojson": _to_json,
    "trim": lambda value: _text(value).strip(),
    "truncate": _truncate,
    "unique": _unique,
    "upper": lambda value: _text(value).upper(),
    "urlencode": lambda value: urllib.parse.quote(_text(value), safe=""),
}


def _counted(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    @pass_context  # which also keeps the compiler from working it out beforehand
    @wraps(function)
    def filtered(context: Any, value: Any, *args: Any, **kwargs: Any) -> Any:
        if isinstance(value, Undefined) and name != "default":
            str(value)  # raises, and names what is missing
        budget = budget_of(context)
        budget.work(_weight(value))
        result = function(value, *args, **kwargs)
        budget.work(_weight(result))
        return result

    return filtered


def _is_whole(value: Any) -> bool:
    return type(value) is int


FILTERS: dict[str, Callable[..., Any]] = {name: _counted(name, function) for name, function in _MADE.items()}
FILTERS |= {"d": FILTERS["default"], "e": FILTERS["escape"], "count": FILTERS["length"]}

TESTS: dict[str, Callable[..., bool]] = {
    "defined": lambda value: not isinstance(value, Undefined),
    "undefined": lambda value: isinstance(value, Undefined),
    "none": lambda value: value is None,
    "boolean": lambda value: isinstance(value, bool),
    "number": lambda value: isinstance(value, (int, float)) and not isinstance(value, bool),
    "string": lambda value: isinstance(value, str),
    "mapping": lambda value: isinstance(value, dict),
    "sequence": lambda value: isinstance(value, (list, tuple)),
    "odd": lambda value: _is_whole(value) and value % 2 == 1,
    "even": lambda value: _is_whole(value) and value % 2 == 0,
}
