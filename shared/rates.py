"""How often a caller may call: a bucket for each key, kept by each process for itself."""

import threading
import time
from collections.abc import Callable
from math import ceil

from shared.errors import TooMany

BURST = 600
PER_SECOND = 20.0


class Rates:
    """Token buckets by key; *burst* calls at once, refilled at *per_second*. Keys must be few: none is forgotten."""

    def __init__(
        self, burst: int = BURST, per_second: float = PER_SECOND, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._burst = float(burst)
        self._per_second = per_second
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._levels: dict[str, tuple[float, float]] = {}

    def take(self, key: str) -> None:
        """Count one call of *key*. Raises `TooMany` with the seconds after which the next one may come."""
        with self._lock:
            now = self._monotonic()
            level, seen = self._levels.get(key, (self._burst, now))
            level = min(self._burst, level + (now - seen) * self._per_second)
            allowed = level >= 1
            self._levels[key] = (level - 1 if allowed else level, now)
        if not allowed:
            wait = ceil((1 - level) / self._per_second)
            detail = (
                f"This token may be used {self._per_second:g} times a second, and {self._burst:g} times in a burst. "
                "Wait as Retry-After says, then go on."
            )
            raise TooMany(detail, wait)
