"""What every form of the `Blobs` port promises: the in-memory one that unit tests use, and Azure Blob storage."""

import hashlib
import uuid
from collections.abc import Iterator

import pytest

from shared.adapters.blob_storage import BLOCK_BYTES, open_blobs
from shared.ports import Blobs
from shared.settings import Settings
from tests.fakes import MemoryBlobStore

pytestmark = pytest.mark.enable_socket


@pytest.fixture(params=["memory", "storage"])
def blobs(request: pytest.FixtureRequest) -> Blobs:
    """Return a container of each kind."""
    if request.param == "memory":
        return MemoryBlobStore().received
    settings: Settings = request.getfixturevalue("storage_settings")
    return open_blobs(settings, None).received


@pytest.fixture
def path() -> str:
    """Return a path of the test's own."""
    return f"grant_1.contoso/conn_a/2026-03-02/{uuid.uuid4().hex}.eml"


def read(blobs: Blobs, path: str, first: int = 0, last: int | None = None) -> bytes | None:
    """Return a range at once."""
    chunks = blobs.chunks(path, first, last)
    return None if chunks is None else b"".join(chunks)


@pytest.mark.parametrize("content", [b"", b"a", bytes(range(256)) * 40])
def test_a_blob_comes_back_as_it_was_put(blobs: Blobs, path: str, content: bytes) -> None:
    """Content is returned byte by byte, whole or in chunks, an empty one too."""
    assert blobs.put(path, content)

    assert [content, content] == [blobs.get(path), read(blobs, path)]


def test_there_is_no_blob_before_it_is_put(blobs: Blobs, path: str) -> None:
    """A missing blob is None, whole or in chunks."""
    assert [None, None] == [blobs.get(path), read(blobs, path)]


def test_a_blob_never_changes(blobs: Blobs, path: str) -> None:
    """Of two writers the first one wins, and the second is told."""
    assert [True, False] == [blobs.put(path, b"first"), blobs.put(path, b"second")]
    assert b"first" == blobs.get(path)


def test_a_stream_never_overwrites_either(blobs: Blobs, path: str) -> None:
    """A stream of any length onto an existing blob leaves it, and says what it streamed."""
    blobs.put(path, b"first")
    small, large = b"second", b"x" * (BLOCK_BYTES + 1)

    stored = [blobs.put_stream(path, iter([content])) for content in (small, large)]

    assert [len(small), len(large)] == [item.size for item in stored]
    assert b"first" == blobs.get(path)


@pytest.mark.parametrize("size", [0, 1, BLOCK_BYTES - 1, BLOCK_BYTES, BLOCK_BYTES + 1, 2 * BLOCK_BYTES + 7])
def test_a_stream_is_stored_hashed_and_counted(blobs: Blobs, path: str, size: int) -> None:
    """Whatever the pieces and wherever the blocks end, all bytes arrive, with their size and SHA-256."""
    content = (b"0123456789abcde\n" * (size // 16 + 1))[:size]
    pieces = (content[start : start + 70_001] for start in range(0, size, 70_001))

    stored = blobs.put_stream(path, pieces)

    assert (size, hashlib.sha256(content).hexdigest()) == (stored.size, stored.sha256)
    assert content == blobs.get(path)


@pytest.mark.parametrize("before", [1, BLOCK_BYTES + 1])
def test_a_broken_stream_leaves_no_blob(blobs: Blobs, path: str, before: int) -> None:
    """An error of the source passes through, whether it comes early or late, and nothing is stored."""

    def broken() -> Iterator[bytes]:
        yield b"x" * before
        yield b"x" * before
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        blobs.put_stream(path, broken())

    assert blobs.get(path) is None
    assert blobs.put(path, b"later")


@pytest.mark.parametrize(
    ("first", "last", "expected"),
    [(0, None, b"0123456789"), (3, None, b"3456789"), (3, 3, b"3"), (8, 99, b"89"), (10, None, b""), (99, 100, b"")],
)
def test_a_range_is_inclusive(blobs: Blobs, path: str, first: int, last: int | None, expected: bytes) -> None:
    """Ranges count from 0 and include both ends; beyond the end is nothing."""
    blobs.put(path, b"0123456789")

    assert expected == read(blobs, path, first, last)


def test_chunks_are_bounded(blobs: Blobs, path: str) -> None:
    """No chunk is over 4 MiB, so that a large mail passes through little memory."""
    size = 2 * BLOCK_BYTES + 7
    blobs.put(path, b"x" * size)
    chunks = [len(chunk) for chunk in blobs.chunks(path) or ()]

    assert size == sum(chunks)
    assert max(chunks) <= BLOCK_BYTES


def test_a_blob_is_deleted_once(blobs: Blobs, path: str) -> None:
    """A deleted blob is gone, and deleting it again is no error."""
    blobs.put(path, b"content")
    blobs.delete(path)
    blobs.delete(path)

    assert blobs.get(path) is None


def test_blobs_are_listed_by_the_beginning_of_their_path(blobs: Blobs) -> None:
    """Exactly those below the prefix, all of them, and they may be deleted while they are listed."""
    mine, other = f"grant_{uuid.uuid4().hex}/conn_a/", f"grant_{uuid.uuid4().hex}/conn_a/"
    for path in [*(f"{mine}{number}" for number in range(3)), f"{other}0"]:
        blobs.put(path, b"x")

    listed = []
    for path in blobs.names(mine):
        listed.append(path)
        blobs.delete(path)

    assert [f"{mine}{number}" for number in range(3)] == sorted(listed)
    assert ([], [f"{other}0"]) == (list(blobs.names(mine)), list(blobs.names(other)))


def test_blobs_are_listed_by_half_a_name_too(blobs: Blobs) -> None:
    """A prefix may end within a name, as that of a span of time does in an id that begins with its time."""
    mine = f"conn_{uuid.uuid4().hex}/msg_a."
    for ulid in ("01KJPA", "01KJPB", "01KJQA"):
        blobs.put(f"{mine}{ulid}/hash", b"x")

    assert [f"{mine}01KJPA/hash", f"{mine}01KJPB/hash"] == list(blobs.names(f"{mine}01KJP"))
