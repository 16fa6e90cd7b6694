"""How many Graph requests one invocation runs at a time: four for a mailbox, all of them for a ``$batch``."""

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

PERMITS = 4


class Permits:
    """A process-local semaphore over the four Graph requests; a ``$batch`` takes all of them."""

    def __init__(self, count: int = PERMITS) -> None:
        self._count = count
        self._free = count
        self._changed = threading.Condition()

    @contextmanager
    def take(self, count: int = 1) -> Iterator[None]:
        """Hold *count* permits for the duration of one call."""
        with self._changed:
            self._changed.wait_for(lambda: self._free >= count)
            self._free -= count
        try:
            yield
        finally:
            with self._changed:
                self._free += count
                self._changed.notify_all()

    def all(self) -> AbstractContextManager[None]:
        """Hold every permit, as a ``$batch`` must."""
        return self.take(self._count)
