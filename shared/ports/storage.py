"""Tables, blobs and queues, as promises."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from shared.rows import Value

ANY = "*"


@dataclass(frozen=True, slots=True)
class Row:
    """A table row as read; *etag* fences conditional writes."""

    key: str
    values: Mapping[str, Value]
    etag: str = ""


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of one range in key order, with storage's own time (the Date header of its answer)."""

    rows: list[Row]
    storage_time: datetime


@dataclass(frozen=True, slots=True)
class Insert:
    """Make a row that must not be there."""

    key: str
    values: Mapping[str, Value]


@dataclass(frozen=True, slots=True)
class Update:
    """Merge *values* into a row that must have *etag* (or merely exist, with `ANY`); other properties stay."""

    key: str
    values: Mapping[str, Value]
    etag: str


@dataclass(frozen=True, slots=True)
class Upsert:
    """Make a row, or merge *values* into the one that is there."""

    key: str
    values: Mapping[str, Value]


@dataclass(frozen=True, slots=True)
class Delete:
    """Remove a row that must have *etag* (or merely exist, with `ANY`)."""

    key: str
    etag: str = ANY


Operation = Insert | Update | Upsert | Delete


@dataclass(frozen=True, slots=True)
class Committed:
    """The etags of a transaction's rows in the order of its operations ('' for deletes), and storage's time."""

    etags: list[str]
    storage_time: datetime


class Table(Protocol):
    """One table; a transaction never crosses a partition."""

    def get(self, partition: str, key: str) -> Row | None:
        """Return the row, or None. Raises `StorageUnavailable`."""

    def read(self, partition: str, first: str, last: str, limit: int | None = None) -> Rows:
        """
        Return the rows with *first* ≤ key < *last* in key order, at most *limit*; follows continuation by itself.

        Raises `StorageUnavailable`.
        """

    def commit(self, partition: str, operations: Sequence[Operation]) -> Committed:
        """
        Do all of 1 to 100 operations on distinct keys, or none.

        Raises `RowExists`, `RowChanged` or `RowMissing` with the key that failed, `StorageUnavailable` with
        `outcome_unknown` where the write may have happened: re-read then.
        """


class Tables(Protocol):
    """The tables of the product, by name."""

    @property
    def connections(self) -> Table:
        """Mailboxes with their turns, connections and runs, and the due rows."""

    @property
    def credentials(self) -> Table:
        """Credentials, and what the system keeps for itself."""

    @property
    def grants(self) -> Table:
        """What tenants gave, and who lives under it."""

    @property
    def tickets(self) -> Table:
        """Consent links and states."""

    @property
    def receipts(self) -> Table:
        """Fetched messages."""

    @property
    def outbox(self) -> Table:
        """Messages to send."""

    @property
    def log(self) -> Table:
        """Runs."""

    @property
    def audit(self) -> Table:
        """Who changed what."""


@dataclass(frozen=True, slots=True)
class StoredBlob:
    """What was stored: *size* in bytes and *sha256* in hexadecimal."""

    size: int
    sha256: str


class Blobs(Protocol):
    """One container of blobs; a blob, once written, never changes."""

    def put(self, path: str, content: bytes) -> bool:
        """Write a blob unless one is there (If-None-Match ``*``); return whether this call made it."""

    def put_stream(self, path: str, chunks: Iterator[bytes]) -> StoredBlob:
        """
        Write a blob from *chunks* in bounded memory unless one is there; return size and hash of what was streamed.

        An error of *chunks* leaves no blob.
        """

    def get(self, path: str) -> bytes | None:
        """Return the content, or None where there is no such blob."""

    def chunks(self, path: str, first: int = 0, last: int | None = None) -> Iterator[bytes] | None:
        """Return the bytes from *first* to *last* inclusive in chunks of at most 4 MiB, or None if there is no blob."""

    def delete(self, path: str) -> None:
        """Remove the blob; no error where there is none."""

    def names(self, prefix: str) -> Iterator[str]:
        """Yield the paths that begin with *prefix*; deleting them meanwhile is allowed. Raises `StorageUnavailable`."""


class UploadLinks(Protocol):
    """How a large file gets into the container ``uploads`` without passing through a request's memory."""

    def link(self, path: str, seconds: float) -> str:
        """Return a URL that may create this one blob, and nothing else, for *seconds*. Raises `StorageUnavailable`."""

    def stage(self, path: str, number: int, content: bytes) -> None:
        """Put part *number* (from 1) of at most 4 MiB; a repeat replaces it. Raises `StorageUnavailable`."""

    def complete(self, path: str, size: int) -> int | None:
        """
        Return how many bytes are there, after joining the parts that were staged if they are *size* bytes together.

        None where neither blob nor part was ever put. Raises `StorageUnavailable`.
        """


class BlobStore(Protocol):
    """The containers of the product, by name."""

    @property
    def received(self) -> Blobs:
        """Fetched content."""

    @property
    def outbox(self) -> Blobs:
        """Content to send."""

    @property
    def uploads(self) -> Blobs:
        """Files put here before they are named in a mail."""


class Wakeups(Protocol):
    """The queues; a message only wakes someone, the record says what is to do."""

    def put(self, queue: str, body: Mapping[str, Any], delay_seconds: float = 0) -> None:
        """Put a JSON message, visible after *delay_seconds* (at most 300). Raises `StorageUnavailable`."""
