"""Queues in memory: what was put stays in a list, and can be taken once it is visible."""

import json
import threading
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from shared.adapters.queue_rules import message_text
from shared.ports import Clock
from shared.times import now_utc
from tests.fakes.failures import Failures


class Sent(NamedTuple):
    """One message as it was put."""

    queue: str
    body: dict[str, Any]
    delay_seconds: float


class MemoryWakeups:
    """Queues by name; *sent* is everything ever put, *failures* makes ``put`` fail."""

    def __init__(self, clock: Clock = now_utc) -> None:
        self.sent: list[Sent] = []
        self.failures = Failures()
        self._clock = clock
        self._waiting: list[tuple[datetime, Sent]] = []
        self._lock = threading.Lock()

    def put(self, queue: str, body: Mapping[str, Any], delay_seconds: float = 0) -> None:
        """Put a JSON message, visible after *delay_seconds*."""
        text = message_text(body, delay_seconds)
        with self.failures.around("put"), self._lock:
            message = Sent(queue, json.loads(text), delay_seconds)
            self.sent.append(message)
            self._waiting.append((self._clock() + timedelta(seconds=delay_seconds), message))

    def length(self, queue: str) -> int:
        """Return how many messages *queue* holds, hidden ones among them."""
        with self.failures.around("length"), self._lock:
            return sum(message.queue == queue for _, message in self._waiting)

    def oldest(self, queue: str) -> datetime | None:
        """Return since when the first message that is visible has waited, or None."""
        with self.failures.around("oldest"), self._lock:
            visible = [(at, sent) for at, sent in self._waiting if sent.queue == queue and at <= self._clock()]
            return min((at - timedelta(seconds=sent.delay_seconds) for at, sent in visible), default=None)

    def take(self, queue: str) -> list[dict[str, Any]]:
        """Remove and return the bodies of *queue* that are visible by now, as its worker would get them."""
        with self._lock:
            ready = [item for item in self._waiting if item[1].queue == queue and item[0] <= self._clock()]
            self._waiting = [item for item in self._waiting if item not in ready]
        return [message.body for _, message in ready]
