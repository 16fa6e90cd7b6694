"""What an indexed function is, and which functions the host refuses to start with."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from localcloud.host.errors import StartError

TRIGGERS = ("httpTrigger", "queueTrigger", "timerTrigger")
OUTPUTS = ("http", "queue")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,126}")
_QUEUE_NAME = re.compile(r"(?=.{3,63}$)[a-z0-9]+(?:-[a-z0-9]+)*")
# The host keeps these beginnings for itself, under any route prefix (azure-functions-host issue 1781).
_RESERVED = ("admin", "runtime")


@dataclass(frozen=True)
class Function:
    """One function of the app, its *bindings* as the decorators describe them (the dictionaries of function.json)."""

    id: str
    name: str
    bindings: tuple[Mapping[str, Any], ...]
    has_retry: bool = False

    @property
    def trigger(self) -> Mapping[str, Any]:
        """Return the binding that starts the function."""
        return next(binding for binding in self.bindings if is_trigger(binding))

    @property
    def outputs(self) -> dict[str, Mapping[str, Any]]:
        """Return the queue outputs by parameter name (`$return` for the returned value)."""
        return {binding["name"]: binding for binding in self.bindings if binding["type"] == "queue"}

    @property
    def methods(self) -> frozenset[str]:
        """Return the upper-case methods an HTTP function answers; empty means every method."""
        return frozenset(str(method).upper() for method in self.trigger.get("methods") or ())

    @property
    def auth_level(self) -> str:
        """Return ANONYMOUS, FUNCTION or ADMIN."""
        return str(self.trigger.get("authLevel") or "FUNCTION").upper()

    def route(self) -> str:
        """Return the route template without the host's prefix."""
        route = self.trigger.get("route")
        return str(self.name if route is None else route).strip("/")


def is_trigger(binding: Mapping[str, Any]) -> bool:
    """Tell whether *binding* starts a function."""
    return str(binding["type"]).lower().endswith("trigger")


def check(functions: Iterable[Function]) -> None:
    """
    Refuse an app that the real host would refuse, or that this one cannot run.

    Raises:
        StartError: naming every function at fault.
    """
    problems = [f"{function.name}: {problem}" for function in functions for problem in _problems(function)]
    problems += _route_conflicts(functions)
    if problems:
        raise StartError("\n".join(problems))


def check_queue_name(name: str) -> str:
    """Return *name*, or raise StartError when storage would refuse it."""
    if not _QUEUE_NAME.fullmatch(name):
        raise StartError(f"'{name}' is not a valid queue name")
    return name


def _problems(function: Function) -> Iterable[str]:
    name = function.name
    if not _NAME.fullmatch(name) or name.lower() == "host":
        yield "this is not a valid function name"
    if name.lower().startswith(_RESERVED):
        yield "function names must not begin with 'admin' or 'runtime'"
    if function.has_retry:
        yield "retry policies are not supported by the local host"
    for binding in function.bindings:
        kind = binding["type"]
        if kind not in TRIGGERS + OUTPUTS:
            yield f"binding type '{kind}' is not supported by the local host"
        if kind == "queue" and str(binding.get("direction")).upper() not in ("OUT", "1"):
            yield "a queue binding can only be an output"
    triggers = [binding for binding in function.bindings if is_trigger(binding)]
    if len(triggers) != 1:
        yield f"a function has exactly one trigger, this one has {len(triggers)}"
    elif triggers[0]["type"] == "httpTrigger" and function.route().lower().startswith(_RESERVED):
        yield f"route '{function.route()}' conflicts with the built-in routes 'admin' and 'runtime'"


def _route_conflicts(functions: Iterable[Function]) -> list[str]:
    """Find functions that share a route and a method."""
    taken: list[Function] = []
    problems = []
    for function in functions:
        if not any(binding["type"] == "httpTrigger" for binding in function.bindings):
            continue
        for other in taken:
            overlap = not function.methods or not other.methods or function.methods & other.methods
            if overlap and function.route().lower() == other.route().lower():
                problems.append(f"{function.name}: its route '{function.route()}' is taken by '{other.name}'")
        taken.append(function)
    return problems
