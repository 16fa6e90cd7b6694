"""Which function a path belongs to: ASP.NET route templates, as patterns in the order in which the host tries them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from urllib.parse import unquote

from localcloud.host.errors import StartError
from localcloud.host.functions import Function

# A segment that is one parameter: {name}, {name:constraint}, {name?}, {name=default}, {*rest}, {**rest}.
_PARAMETER = re.compile(r"\{(\*{0,2})([A-Za-z_]\w*)((?::[A-Za-z]+(?:\([^()]*\))?)*)(?:=([^{}]*))?(\?)?\}")
_CONSTRAINT = re.compile(r":([A-Za-z]+)(?:\(([^()]*)\))?")
_PATTERNS = {
    "alpha": r"[A-Za-z]*",
    "bool": r"(?i:true|false)",
    "decimal": r"[+-]?\d*\.?\d+",
    "double": r"[+-]?\d*\.?\d+(?:[eE][+-]?\d+)?",
    "float": r"[+-]?\d*\.?\d+(?:[eE][+-]?\d+)?",
    "guid": r"\{?[0-9A-Fa-f]{8}-?(?:[0-9A-Fa-f]{4}-?){3}[0-9A-Fa-f]{12}\}?",
    "int": r"[+-]?\d{1,10}",
    "long": r"[+-]?\d{1,19}",
    "required": r".+",
}
# Precedence digits of ASP.NET's RoutePrecedence: a lower one is tried first.
_LITERAL, _MIXED, _CONSTRAINED, _FREE, _CATCH_ALL = 1, 2, 2, 3, 5
Check = Callable[[str], bool]


@dataclass(frozen=True)
class Template:
    """A compiled route template; *precedence* has one digit per segment and sorts before longer and vaguer ones."""

    text: str
    pattern: re.Pattern[str]
    precedence: tuple[int, ...]
    checks: tuple[tuple[str, Check], ...] = ()
    defaults: dict[str, str] = field(default_factory=dict)

    def match(self, path: str) -> dict[str, str] | None:
        """Return the parameters in *path* (decoded, without leading slash), or None if it does not fit."""
        found = self.pattern.fullmatch(path)
        if not found:
            return None
        values = {name: value for name, value in found.groupdict().items() if value}
        if not all(check(values[name]) for name, check in self.checks if name in values):
            return None
        return {**self.defaults, **values}


@dataclass(frozen=True)
class Route:
    """One function under its template."""

    template: Template
    function: Function

    def answers(self, method: str) -> bool:
        """Tell whether the function lists *method*, or lists none."""
        return not self.function.methods or method in self.function.methods


class RouteTable:
    """All HTTP functions of the app under one *prefix*."""

    def __init__(self, prefix: str, functions: Iterable[Function]) -> None:
        routes = [Route(compile_template(f"{prefix}/{each.route()}".strip("/")), each) for each in functions]
        self.routes = sorted(routes, key=lambda route: (route.template.precedence, route.template.text))

    def find(self, method: str, raw_path: str) -> tuple[Function, dict[str, str]] | None:
        """Return function and parameters for a percent-encoded path; a wrong method finds nothing."""
        path = decode_path(raw_path).strip("/")
        for route in self.routes:
            if route.answers(method) and (parameters := route.template.match(path)) is not None:
                return route.function, parameters
        return None


def decode_path(raw_path: str) -> str:
    """Decode a path as ASP.NET does: everything but an encoded slash, which would otherwise make a new segment."""
    return unquote(re.sub("%2f", "%252F", raw_path, flags=re.IGNORECASE))


def compile_template(text: str) -> Template:
    """
    Compile an ASP.NET route template.

    Raises:
        StartError: the template is malformed or uses a constraint this host does not know.
    """
    pattern, precedence, checks, defaults = "", [], [], {}
    for segment in filter(None, text.split("/")):
        parameter = _PARAMETER.fullmatch(segment)
        if not parameter:
            pattern += _slash(pattern) + _literal_or_mixed(segment, text)
            precedence.append(_MIXED if "{" in segment else _LITERAL)
            continue
        star, name, constraints, default, optional = parameter.groups()
        part = f"{_slash(pattern)}(?P<{name}>{'.*' if star else '[^/]+'})"
        pattern += f"(?:{part})?" if optional or star or default is not None else part
        precedence.append((_CATCH_ALL if star else _FREE) - bool(constraints))
        checks += [(name, _check(kind, argument, text)) for kind, argument in _CONSTRAINT.findall(constraints)]
        if default is not None:
            defaults[name] = default
    try:
        compiled = re.compile(pattern, re.IGNORECASE | re.DOTALL)
    except re.error as error:
        raise StartError(f"route '{text}' is malformed: {error}") from error
    return Template(text, compiled, tuple(precedence), tuple(checks), defaults)


def _slash(before: str) -> str:
    return "/" if before else ""


def _literal_or_mixed(segment: str, text: str) -> str:
    """Return the pattern of a segment that is text, or text around simple parameters such as `{name}.{extension}`."""
    pieces = re.split(r"\{(\w+)\}", segment)
    if any("{" in piece or "}" in piece for piece in pieces):
        raise StartError(f"route '{text}': the segment '{segment}' is malformed or not supported")
    parts = [f"(?P<{piece}>[^/]+)" if index % 2 else re.escape(piece) for index, piece in enumerate(pieces)]
    return "".join(parts)


def _check(name: str, argument: str, text: str) -> Check:
    """Return the test that the constraint `name(argument)` stands for."""
    if name in _PATTERNS and not argument:
        pattern = re.compile(_PATTERNS[name])
        return lambda value: bool(pattern.fullmatch(value))
    if name == "regex" and argument:
        try:
            search = re.compile(argument, re.IGNORECASE)
        except (re.error, OverflowError) as error:
            raise StartError(f"route '{text}' is malformed: {error}") from error
        return lambda value: bool(search.search(value))
    numbers = [int(number) for number in argument.split(",")] if re.fullmatch(r"-?\d+(,-?\d+)?", argument) else []
    tests: dict[tuple[str, int], Check] = {
        ("length", 1): lambda value: len(value) == numbers[0],
        ("length", 2): lambda value: numbers[0] <= len(value) <= numbers[1],
        ("minlength", 1): lambda value: len(value) >= numbers[0],
        ("maxlength", 1): lambda value: len(value) <= numbers[0],
        ("min", 1): lambda value: _is_integer(value) and int(value) >= numbers[0],
        ("max", 1): lambda value: _is_integer(value) and int(value) <= numbers[0],
        ("range", 2): lambda value: _is_integer(value) and numbers[0] <= int(value) <= numbers[1],
    }
    if (name, len(numbers)) not in tests:
        raise StartError(f"route '{text}': the constraint '{name}' is not known to the local host")
    return tests[name, len(numbers)]


def _is_integer(value: str) -> bool:
    return bool(re.fullmatch(_PATTERNS["long"], value))
