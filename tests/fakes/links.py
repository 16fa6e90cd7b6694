"""Upload links in memory: parts wait until they are joined into a blob."""

from collections import defaultdict

from tests.fakes.blobs import MemoryBlobs


class MemoryLinks:
    """The `UploadLinks` port over a container in memory."""

    def __init__(self, blobs: MemoryBlobs) -> None:
        self._blobs = blobs
        self._parts: dict[str, dict[int, bytes]] = defaultdict(dict)

    def link(self, path: str, seconds: float) -> str:
        """Return a URL that a test can tell."""
        return f"https://storage.invalid/uploads/{path}?for={seconds:.0f}"

    def stage(self, path: str, number: int, content: bytes) -> None:
        """Keep a part."""
        self._parts[path][number] = content

    def complete(self, path: str, size: int) -> int | None:
        """Join the parts if they are *size* bytes together, and return how many bytes are there."""
        whole = b"".join(self._parts[path][number] for number in sorted(self._parts[path]))
        if whole and len(whole) == size:
            self._blobs.put(path, whole)
        content = self._blobs.get(path)
        return (len(whole) or None) if content is None else len(content)
