"""Blob containers in memory: a blob, once written, never changes."""

import hashlib
import threading
from collections import Counter
from collections.abc import Iterator
from datetime import datetime

from shared.ports import Clock, StoredBlob
from shared.times import now_utc
from tests.fakes.failures import Failures

CHUNK = 4 * 1024 * 1024


class MemoryBlobs:
    """One container; *failures* makes calls fail (``put``, ``put_stream``, ``get``, ``chunks``, ``delete``)."""

    def __init__(self, clock: Clock = now_utc) -> None:
        self.contents: dict[str, bytes] = {}
        self.created: dict[str, datetime] = {}
        self.failures = Failures()
        self.calls: Counter[str] = Counter()
        self._clock = clock
        self._lock = threading.Lock()

    def put(self, path: str, content: bytes) -> bool:
        """Write a blob unless one is there; return whether this call made it."""
        self.calls["put"] += 1
        with self.failures.around("put"):
            return self._store(path, content)

    def put_stream(self, path: str, chunks: Iterator[bytes]) -> StoredBlob:
        """Write a blob from *chunks* unless one is there; return size and hash of what was streamed."""
        self.calls["put_stream"] += 1
        with self.failures.around("put_stream"):
            content = b"".join(chunks)
            self._store(path, content)
            return StoredBlob(len(content), hashlib.sha256(content).hexdigest())

    def get(self, path: str) -> bytes | None:
        """Return the content, or None where there is no such blob."""
        self.calls["get"] += 1
        with self.failures.around("get"):
            return self.contents.get(path)

    def chunks(self, path: str, first: int = 0, last: int | None = None) -> Iterator[bytes] | None:
        """Return the bytes from *first* to *last* inclusive in chunks, or None if there is no blob."""
        self.calls["chunks"] += 1
        with self.failures.around("chunks"):
            content = self.contents.get(path)
        if content is None:
            return None
        wanted = content[first : None if last is None else last + 1]
        return (wanted[start : start + CHUNK] for start in range(0, len(wanted), CHUNK))

    def delete(self, path: str) -> None:
        """Remove the blob; no error where there is none."""
        self.calls["delete"] += 1
        with self.failures.around("delete"), self._lock:
            self.contents.pop(path, None)

    def names(self, prefix: str) -> Iterator[str]:
        """Yield the paths that begin with *prefix*."""
        self.calls["names"] += 1
        with self.failures.around("names"):
            return iter(sorted(path for path in self.contents if path.startswith(prefix)))

    def _store(self, path: str, content: bytes) -> bool:
        with self._lock:
            if path in self.contents:
                return False
            self.contents[path] = bytes(content)
            self.created[path] = self._clock()
            return True


class MemoryBlobStore:
    """The containers of the product, each a `MemoryBlobs`."""

    def __init__(self, clock: Clock = now_utc) -> None:
        self.received = MemoryBlobs(clock)
        self.outbox = MemoryBlobs(clock)
        self.uploads = MemoryBlobs(clock)
