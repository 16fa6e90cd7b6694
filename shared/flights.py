"""Who may fetch a thing that many want at once: one of them, while the others wait."""

import threading
from collections.abc import Hashable


class Flights:
    """One lock per key, so that of many who want the same thing one fetches it and the others wait."""

    def __init__(self) -> None:
        self._locks: dict[Hashable, threading.RLock] = {}

    def of(self, key: Hashable) -> threading.RLock:
        """Return the lock of *key*."""
        return self._locks.setdefault(key, threading.RLock())
