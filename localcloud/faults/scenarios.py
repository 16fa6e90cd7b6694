"""What goes wrong in a round beside the kill: a list per area, each scripted at Graph, at the receiver or the host."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import TYPE_CHECKING, Any

from localcloud.receiver import Trouble

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from localcloud.control.client import ControlClient
    from localcloud.receiver import Receiver

CLOCK_SECONDS = 120


@dataclass
class Scene:
    """What a scenario may disturb: a mailbox, the receiver's *path* for it, the new *messages* by immutable id."""

    control: ControlClient
    receiver: Receiver
    address: str
    path: str
    messages: Sequence[str]
    poisoned: list[dict[str, Any]] = field(default_factory=list)
    ill: list[tuple[str, str, str]] = field(default_factory=list)

    def graph(self, operation: str, effect: dict[str, Any], **details: Any) -> None:
        """Script a fault of the mailbox; a `$batch` is nobody's in particular."""
        key = {} if operation == "batch" else {"key": self.address}
        self.control.add_fault("graph", operation, effect, **{"times": 1, **key, **details})

    def modes(self, **modes: Any) -> None:
        """Set switches for this mailbox alone."""
        self.control.set_modes(**{f"{name}:{self.address}": value for name, value in modes.items()})

    def receiving(self, *troubles: Trouble) -> None:
        """Let the receiver fail the next posts on this path."""
        self.receiver.troubles[self.path] = list(troubles)

    def poison(self, effect: dict[str, Any]) -> None:
        """Let the content of the first new message never be read again."""
        fault: dict[str, Any] = {"operation": "messages.value", "effect": effect, "key": self.messages[0], "times": 0}
        self.poisoned.append(fault)
        self.control.add_fault("graph", **fault)

    def sicken(self, kind: str) -> None:
        """Let every list that holds the first new message fail as a whole."""
        self.ill.append((self.address, self.messages[0], kind))
        self.control.poison_message(self.address, self.messages[0], kind)


def nothing(_: Scene) -> None:
    """Disturb nothing."""


@dataclass(frozen=True)
class Scenario:
    """
    One kind of trouble; *script* sets it up before the host starts.

    The round lasts at most *patience* seconds. *weight* says how often it is drawn once each had its turn; short
    campaigns draw from 2 on, since what is below takes half a minute to heal. *clock* shifts the host's clock by so
    many seconds, *hosts* run at once, *large* mail is streamed.
    """

    name: str
    script: Callable[[Scene], None] = nothing
    patience: float = 2.5
    weight: int = 2
    clock: int = 0
    hosts: int = 1
    large: bool = False


def _status(status: int, code: str = "", **headers: str) -> dict[str, Any]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return {"kind": "status", "status": status, "headers": named, "code": code or "UnknownError"}


def _throttled(seconds: str | None = "1") -> dict[str, Any]:
    return _status(429, "ApplicationThrottled", **({} if seconds is None else {"Retry_After": seconds}))


def _date() -> str:
    return formatdate(time.time() + 2, usegmt=True)


def _on_graph(operation: str, effect: Callable[[], dict[str, Any]], **details: Any) -> Callable[[Scene], None]:
    return lambda scene: scene.graph(operation, effect(), **details)


def _reset(when: str) -> dict[str, Any]:
    return {"kind": "reset", "when": when}


def _modes(**modes: Any) -> Callable[[Scene], None]:
    return lambda scene: scene.modes(**modes)


def _changes(effect: Callable[[], dict[str, Any]]) -> Callable[[Scene], None]:
    """Return a script that fails what follows fetching, whichever of the two it is for this mailbox."""

    def script(scene: Scene) -> None:
        for operation in ("messages.patch", "messages.move"):
            scene.graph(operation, effect())

    return script


_HOSTS = (
    Scenario("host clock two minutes fast", clock=CLOCK_SECONDS),
    Scenario("host clock two minutes slow", clock=-CLOCK_SECONDS),
    Scenario("two hosts at once", hosts=2, weight=4),
)

FETCH = (
    Scenario("nothing else", weight=8),
    *_HOSTS,
    Scenario("large mail", large=True),
    Scenario("429 with seconds", _on_graph("messages.delta", _throttled), 4.0),
    Scenario("429 with a date", _on_graph("messages.delta", lambda: _throttled(_date())), 5.0),
    Scenario("429 without Retry-After", _on_graph("messages.delta", lambda: _throttled(None)), 2.0, weight=1),
    Scenario("429 of a whole $batch", _on_graph("batch", _throttled), 4.0),
    Scenario("429 inside a $batch, reading", _on_graph("messages.value", _throttled), 4.0),
    Scenario(
        "429 inside a $batch, reading, without Retry-After",
        _on_graph("messages.value", lambda: _throttled(None)),
        4.0,
        weight=1,
    ),
    Scenario("429 inside a $batch, marking", _changes(_throttled), 4.0, weight=1),
    Scenario("503 with Retry-After", _on_graph("messages.delta", lambda: _status(503, Retry_After="1")), 4.0),
    Scenario("503 without Retry-After", _on_graph("messages.delta", lambda: _status(503)), 2.0),
    Scenario("503 inside a $batch, reading", _on_graph("messages.value", lambda: _status(503)), 2.0, weight=1),
    Scenario("503 inside a $batch, marking", _changes(lambda: _status(503)), 2.0, weight=1),
    Scenario("403 once while marking", _changes(lambda: _status(403, "ErrorAccessDenied")), 2.0, weight=1),
    Scenario("504 before the effect", _on_graph("batch", lambda: _status(504))),
    Scenario("504 after the effect", _on_graph("batch", lambda: {**_status(504), "when": "after"}, skip=1)),
    Scenario("reset of a page", _on_graph("messages.delta", lambda: _reset("before"))),
    Scenario("reset of a page after it was made", _on_graph("messages.delta", lambda: _reset("after"), times=2)),
    Scenario("reset of a $batch before the effect", _on_graph("batch", lambda: _reset("before"))),
    Scenario("reset of a $batch after the effect", _on_graph("batch", lambda: _reset("after"), skip=1)),
    Scenario(
        "an answer that drips past its deadline",
        _on_graph("messages.delta", lambda: {"kind": "drip", "seconds_per_byte": 0.1}),
        45.0,
        weight=0,
    ),
    Scenario("a slow answer", _on_graph("messages.delta", lambda: {"kind": "drip", "seconds_per_byte": 0.0002}), 3.0),
    Scenario("410 SyncStateNotFound", _on_graph("messages.delta", lambda: _status(410, "SyncStateNotFound"))),
    Scenario("empty pages", _modes(delta_empty_pages=2)),
    Scenario("messages twice on a page", _modes(delta_duplicates=True)),
    Scenario("a poison item, 500", lambda scene: scene.poison(_status(500, "ErrorInternalServerError")), weight=0),
    Scenario("a poison item, 403", lambda scene: scene.poison(_status(403, "ErrorAccessDenied")), weight=0),
    Scenario("lists that fail for one message", lambda scene: scene.sicken("full"), 4.0, weight=0),
    Scenario("lists that fail for one message, even by its id", lambda scene: scene.sicken("hard"), 4.0, weight=0),
)

DELIVER = (
    Scenario("nothing else", weight=8),
    *_HOSTS,
    Scenario("500", lambda scene: scene.receiving(Trouble(500))),
    Scenario("503 with seconds", lambda scene: scene.receiving(Trouble(503, (("Retry-After", "1"),))), 4.0),
    Scenario("503 with a date", lambda scene: scene.receiving(Trouble(503, (("Retry-After", _date()),))), 5.0),
    Scenario("429 with seconds", lambda scene: scene.receiving(Trouble(429, (("Retry-After", "1"),))), 4.0),
    Scenario("429 without Retry-After", lambda scene: scene.receiving(Trouble(429))),
    Scenario("a redirect", lambda scene: scene.receiving(Trouble(302, (("Location", "/elsewhere"),)))),
    Scenario("a refusal", lambda scene: scene.receiving(Trouble(403))),
    Scenario("taken, yet answered 500", lambda scene: scene.receiving(Trouble(500, keeps=True))),
    Scenario("reset before it was taken", lambda scene: scene.receiving(Trouble(reset=True))),
    Scenario("reset after it was taken", lambda scene: scene.receiving(Trouble(reset=True, keeps=True))),
    Scenario("a slow receiver", lambda scene: scene.receiving(*[Trouble(seconds=0.7, keeps=True)] * 2), 4.0),
    Scenario(
        "a receiver past its deadline", lambda scene: scene.receiving(Trouble(seconds=25, keeps=True)), 30.0, weight=0
    ),
    Scenario("a destination paused, probed and drained", lambda scene: scene.receiving(*[Trouble(500)] * 11), 12.0, 1),
    Scenario("410, and enabled again", lambda scene: scene.receiving(Trouble(410)), weight=1),
)
