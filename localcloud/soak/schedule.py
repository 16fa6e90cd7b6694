"""What happens when in a soak: every action, its moment and its parameters, drawn ahead from the seed."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

from localcloud.soak.troubles import TROUBLES

HOSTS = 2
READERS = tuple(f"{form}{number}" for number in range(2) for form in ("read", "move", "delete", "none"))
"""People whose mail is fetched, each named by what follows the fetch."""
SENDERS = ("plain0", "plain1", "again", "renamed", "late", "lingers", "direct0", "direct1")
"""People from whose mailboxes mail is sent; those named direct grant no right to make drafts."""
HOOKED = ("plain0", "renamed", "lingers")
"""Senders that have a hook beside their token."""
MAILS = ("plain", "eight_bit", "attached", "same_id")
CLOCK_SECONDS = 120
QUIET_END = 4.0


@dataclass(frozen=True, order=True)
class Action:
    """Do *kind* with *details*, *at* seconds after the beginning; *number* is its place in the schedule."""

    at: float
    kind: str
    number: int = 0
    details: dict[str, Any] = field(default_factory=dict, compare=False)

    def line(self) -> str:
        """Return the action as one line of JSON."""
        return json.dumps(asdict(self), sort_keys=True)


Draw = Callable[[random.Random], dict[str, Any]]


@dataclass(frozen=True)
class Kind:
    """One kind of action: about every *every* seconds from *first* on, its parameters as *draw* draws them."""

    name: str
    every: float
    first: float
    draw: Draw = lambda _: {}


def _host(chance: random.Random) -> dict[str, Any]:
    way = chance.choices(("kill", "kill_both", "freeze", "terminate"), (10, 2, 3, 2))[0]
    pause = chance.uniform(7.5, 9.5) if way == "freeze" else chance.uniform(0.0, 3.0)
    offsets = [chance.choice((0, chance.randint(-CLOCK_SECONDS, CLOCK_SECONDS))) for _ in range(HOSTS)]
    return {"host": chance.randrange(HOSTS), "way": way, "pause": round(pause, 2), "offsets": offsets}


def _mail(chance: random.Random) -> dict[str, Any]:
    return {
        "person": chance.choice(READERS),
        "mails": [chance.choice(MAILS) for _ in range(chance.choice((1, 1, 1, 2, 5)))],
        "large": chance.random() < 0.05,
        "fetch": chance.choice(([], [0], [1], [0, 1])),
    }


def _send(chance: random.Random) -> dict[str, Any]:
    person = chance.choice(SENDERS)
    files = chance.choices(("none", "small", "large", "upload"), (10, 10, 1, 1))[0]
    return {
        "person": person,
        "host": chance.randrange(HOSTS),
        "hook": person in HOOKED and files == "none",
        # Without the right to make drafts a large mail is refused, as the design says.
        "files": "small" if person.startswith("direct") else files,
        "later": round(chance.uniform(1, 5), 1) if chance.random() < 0.2 else 0,
        "cancel": round(chance.uniform(0, 1.5), 2) if chance.random() < 0.15 else None,
        "twice": chance.random() < 0.2,
        "gives_up": chance.random() < 0.1,
    }


def _trouble(chance: random.Random) -> dict[str, Any]:
    where = chance.choices(("graph", "receiver", "entra", "vault"), (12, 8, 2, 2))[0]
    return {
        "where": where,
        "name": chance.choice(TROUBLES[where]),
        "person": chance.choice(READERS + SENDERS if where == "graph" else READERS),
        "host": chance.randrange(HOSTS),
        "pause": round(chance.uniform(4, 12), 1),
        "anyone": chance.random() < 0.6,
        "times": chance.randint(1, 3),
    }


def _outage(chance: random.Random) -> dict[str, Any]:
    where = chance.choice(("entra", "vault", "invalid_client", "receiver"))
    return {"where": where, "seconds": round(chance.uniform(2, 7), 1)}


def _connection(chance: random.Random) -> dict[str, Any]:
    way = chance.choice(("disable", "anew", "continue", "continue", "resign", "anew_sender", "discard_sender"))
    return {
        "way": way,
        "person": chance.choice(SENDERS if way.endswith("_sender") else READERS),
        "host": chance.randrange(HOSTS),
        "pause": round(chance.uniform(0.2, 4), 1),
        "overlap": chance.choice((0, 1)),
    }


def _again(chance: random.Random) -> dict[str, Any]:
    way = chance.choice(("redeliver", "redeliver_all", "erase", "resend", "resend"))
    return {
        "way": way,
        "person": chance.choice(SENDERS if way == "resend" else READERS),
        "host": chance.randrange(HOSTS),
        "pick": round(chance.random(), 3),
    }


def _pages(chance: random.Random) -> dict[str, Any]:
    return {
        "mode": chance.choice(("delta_empty_pages", "delta_duplicates", "delta_removed_first")),
        "person": chance.choice(READERS),
        "seconds": round(chance.uniform(3, 15), 1),
    }


def _organisation(chance: random.Random) -> dict[str, Any]:
    return {
        "organisation": chance.randrange(2),
        "host": chance.randrange(HOSTS),
        "pause": round(chance.uniform(1, 6), 1),
    }


KINDS = (
    Kind("mail", 0.8, 0.0, _mail),
    Kind("send", 0.9, 0.0, _send),
    Kind("host", 6.0, 4.0, _host),
    Kind("trouble", 1.0, 1.0, _trouble),
    Kind("outage", 30.0, 12.0, _outage),
    Kind("storage", 30.0, 8.0, lambda chance: {"pause": round(chance.uniform(0.3, 4), 1)}),
    Kind("connection", 9.0, 10.0, _connection),
    Kind("again", 5.0, 8.0, _again),
    Kind("pages", 12.0, 2.0, _pages),
    Kind("rotate", 40.0, 15.0, _organisation),
    Kind("revoke", 60.0, 25.0, _organisation),
)


def plan(seconds: float, seed: int) -> list[Action]:
    """Return what is to be done within *seconds*, in its order; the same seed gives the same."""
    drawn = [action for kind in KINDS for action in _of(kind, seconds, seed)]
    return [Action(item.at, item.kind, number, item.details) for number, item in enumerate(sorted(drawn))]


def _of(kind: Kind, seconds: float, seed: int) -> Iterator[Action]:
    """Yield the actions of one kind, which does not depend on what other kinds there are."""
    chance = random.Random(f"{seed} {kind.name}")
    ends = seconds - min(QUIET_END, seconds / 4)
    at, number = kind.first + chance.uniform(0, kind.every / 2), 0
    while at < ends:
        yield Action(round(at, 2), kind.name, number, kind.draw(chance))
        at, number = at + max(0.05, chance.expovariate(1 / kind.every)), number + 1
