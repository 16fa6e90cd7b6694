"""What a fuzz target is, and where all of them are found."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

AREAS = ("mail", "sent", "http", "wire")
"""Each is a module `localcloud.fuzz.<area>` with `TARGETS`, a tuple of `Target`."""

MB = 1024 * 1024
Mutate = Callable[[Random, bytes, bytes], bytes]
"""Returns another input made of one, and of a second one to take pieces from."""


@dataclass(frozen=True)
class Target:
    """
    One parser under attack: *run* takes any bytes and raises only where something is wrong.

    *seeds* returns good inputs to begin with; *mutate* knows their structure (None: any bytes are as good as others).
    An input has at most *most_bytes*; it may take *seconds* and *memory* bytes + *per_byte* for each of its own.
    """

    name: str
    run: Callable[[bytes], None]
    seeds: Callable[[], Sequence[bytes]] = lambda: (b"",)
    mutate: Mutate | None = None
    most_bytes: int = 64 * 1024
    seconds: float = 5.0
    memory: int = 24 * MB
    per_byte: int = 64


def of_test(name: str, test: Any, **bounds: Any) -> Target:
    """Return the target of a hypothesis test: its strategies draw from the input's bytes."""
    return Target(name, lambda data: _one_input(test, data), **bounds)


def _one_input(test: Any, data: bytes) -> None:
    test.hypothesis.fuzz_one_input(data)


def all_targets() -> dict[str, Target]:
    """Return every target by its name, area by area."""
    found: dict[str, Target] = {}
    for area in AREAS:
        try:
            module = importlib.import_module(f"localcloud.fuzz.{area}")
        except ModuleNotFoundError as error:
            if error.name != f"localcloud.fuzz.{area}":
                raise
            continue
        named = {target.name: target for target in module.TARGETS}
        if found.keys() & named.keys():
            raise ValueError(f"two targets are called {', '.join(sorted(found.keys() & named.keys()))}")
        found |= named
    return found
