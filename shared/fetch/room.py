"""How much more a connection may store: by the size of one mail, and by what a day has brought."""

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from threading import Lock

from shared.connections import Limits, Run

MB = 1024 * 1024
MESSAGE_LIMIT = "larger_than_max_message_mb"
DAY_LIMIT = "beyond_max_stored_mb_per_day"


class BeyondLimit(Exception):
    """A mail turned out to be beyond *limit* while it streamed."""

    def __init__(self, limit: str) -> None:
        super().__init__(limit)
        self.limit = limit


class Room:
    """
    Counts what one run stores against *limits*; thread-safe.

    The day's sum stands on the run's record and is of storage's day, so that counting costs no call. A run that dies
    leaves what it stored uncounted.
    """

    def __init__(self, limits: Limits, run: Run, now: datetime) -> None:
        self._limits = limits
        self._day = now.strftime("%Y-%m-%d")
        self._stored = run.stored_bytes if run.stored_day == self._day else 0
        self._lock = Lock()

    def beyond(self, size: int) -> str:
        """Return the limit that a mail of *size* bytes would be beyond, '' for none."""
        return self._beyond(size, size)

    @contextmanager
    def counted(self, size: int) -> Iterator[str]:
        """Count a mail of *size* bytes unless it is beyond the limit yielded; an error takes it out again."""
        limit = self._take(size, size)
        try:
            yield limit
        except BaseException:
            self._give_back(0 if limit else size)
            raise

    def through(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        """Pass the *chunks* of one mail on, counted; raises `BeyondLimit` as soon as they are more than there is."""
        size, done = 0, False
        try:
            for chunk in chunks:
                limit = self._take(len(chunk), size + len(chunk))
                if limit:
                    raise BeyondLimit(limit)
                size += len(chunk)
                yield chunk
            done = True
        finally:
            self._give_back(0 if done else size)
            if isinstance(chunks, Generator):
                chunks.close()  # ends the download at once

    def noted(self, run: Run) -> Run:
        """Return the run's record with the day's sum."""
        return replace(run, stored_day=self._day, stored_bytes=self._stored) if self._stored else run

    def _beyond(self, size: int, whole: int) -> str:
        if whole > self._limits.max_message_mb * MB:
            return MESSAGE_LIMIT
        return DAY_LIMIT if self._stored + size > self._limits.max_stored_mb_per_day * MB else ""

    def _take(self, size: int, whole: int) -> str:
        with self._lock:
            limit = self._beyond(size, whole)
            self._stored += 0 if limit else size
            return limit

    def _give_back(self, size: int) -> None:
        with self._lock:
            self._stored -= size
