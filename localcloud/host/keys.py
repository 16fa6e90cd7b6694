"""Who may call what: function keys, host keys and the master key."""

from __future__ import annotations

import hmac
import json
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from localcloud.host.errors import StartError
from localcloud.host.functions import Function

ADMIN = "ADMIN"


@dataclass(frozen=True)
class Keys:
    """The host's keys by value; *functions* maps a function's name in lower case to its own keys."""

    master: str
    host: tuple[str, ...]
    functions: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    enforced: bool = True

    def allow(self, level: str, given: str | None, function: Function | None = None) -> bool:
        """Tell whether the key *given* opens a route of auth level *level* (of *function*, where there is one)."""
        if level == "ANONYMOUS" or not self.enforced:
            return True
        accepted = [self.master]
        if level != ADMIN:
            accepted += self.host
            accepted += self.functions.get(function.name.lower(), ()) if function else ()
        return any([hmac.compare_digest((given or "").encode(), key.encode()) for key in accepted])  # noqa: C419 - no early exit


def generate_keys() -> Keys:
    """Return fresh master and host keys."""
    return Keys(master=secrets.token_urlsafe(40), host=(secrets.token_urlsafe(40),))


def no_keys() -> Keys:
    """Return keys that are not asked for, as under `func start`."""
    return Keys(master="", host=(), enforced=False)


def parse_keys(text: str) -> Keys:
    """
    Read keys from JSON: `{"master": "…", "host": {"default": "…"}, "functions": {"NAME": {"default": "…"}}}`.

    Raises:
        StartError: the text has another shape, or an empty key.
    """
    try:
        document = json.loads(text)
        functions = {name.lower(): _values(named) for name, named in document.get("functions", {}).items()}
        keys = Keys(str(document["master"]), _values(document.get("host", {})), functions)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise StartError('keys must be JSON like {"master": "…", "host": {"default": "…"}, "functions": {}}') from error
    if not all(_all(keys)):
        raise StartError("a key must not be empty")
    return keys


def dump_keys(keys: Keys) -> str:
    """Return the JSON that `parse_keys` reads."""

    def named(values: Iterable[str]) -> dict[str, str]:
        return {("default" if index == 0 else f"key{index}"): value for index, value in enumerate(values)}

    document: dict[str, Any] = {"master": keys.master, "host": named(keys.host)}
    document["functions"] = {name: named(values) for name, values in keys.functions.items()}
    return json.dumps(document)


def _values(named: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(str(value) for value in named.values())


def _all(keys: Keys) -> list[str]:
    return [keys.master, *keys.host, *(value for values in keys.functions.values() for value in values)]
