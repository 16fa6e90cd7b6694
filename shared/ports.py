"""
What the product needs of the outside, as promises: tables, blobs, queues, vault, Entra, Graph, webhooks, time.

Every method says what it promises, what it raises and what a repeat does. Adapters keep these promises; each has one
contract suite that its fake and its real form both pass.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from shared.errors import Fault
from shared.rows import Value

ANY = "*"

Clock = Callable[[], datetime]


# Tables


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


# Blobs


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


# Queues


class Wakeups(Protocol):
    """The queues; a message only wakes someone, the record says what is to do."""

    def put(self, queue: str, body: Mapping[str, Any], delay_seconds: float = 0) -> None:
        """Put a JSON message, visible after *delay_seconds* (at most 300). Raises `StorageUnavailable`."""


# Vault


class Vault(Protocol):
    """Key Vault secrets, always by pinned version."""

    def put(self, name: str, value: str) -> str:
        """Store a new version and return its version id. Raises `CredentialFault` (vault_*)."""

    def get(self, name: str, version: str) -> str:
        """Return a version's value. Raises `CredentialFault` (vault_*)."""

    def delete(self, name: str) -> None:
        """Soft-delete the secret with all versions; no error where it is gone."""


# Entra


@dataclass(frozen=True, slots=True)
class AccessToken:
    """A Graph token; *roles* is None where it could not be decoded. *expires_in* in seconds."""

    value: str = field(repr=False)
    expires_in: float
    roles: tuple[str, ...] | None
    tenant: str = ""


class Entra(Protocol):
    """Tokens of one tenant for one app, by client credentials."""

    def token(
        self, *, login_host: str, tenant: str, client_id: str, secret: str, scope: str, fresh: bool
    ) -> AccessToken:
        """
        Return a token; *fresh* never takes one from a cache.

        Raises `CredentialFault`, `GrantFault`, `Throttled`, `Unreachable`.
        """

    def tenant_of(self, *, login_host: str, name: str) -> str:
        """
        Return the id of the tenant that *name*, its id or one of its domains, stands for.

        Raises `GrantFault` (tenant_unknown), `Throttled`, `Unreachable`.
        """


# Graph


@dataclass(frozen=True, slots=True)
class GraphMailbox:
    """A mailbox as named in a call: the app's token, its cloud's Graph root, and the user's object id or address."""

    root: str
    user: str
    token: Callable[[bool], str]
    """Called with True to get a fresh token after a 401."""


@dataclass(frozen=True, slots=True)
class Person:
    """A directory user."""

    id: str
    address: str
    name: str


@dataclass(frozen=True, slots=True)
class Folder:
    """A mail folder; ids are constant."""

    id: str
    name: str


@dataclass(frozen=True, slots=True)
class Listed:
    """A message as a delta page lists it; *size* in bytes, None where Graph did not say."""

    id: str
    removed: bool = False
    received_at: str = ""
    subject: str = ""
    sender: str = ""
    internet_message_id: str = ""
    is_draft: bool = False
    size: int | None = None


@dataclass(frozen=True, slots=True)
class DeltaPage:
    """One page; exactly one of *next_link* and *delta_link* is set."""

    messages: list[Listed]
    next_link: str = field(default="", repr=False)
    delta_link: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Placed:
    """Where a message lies, and whether it is marked read."""

    folder_id: str
    is_read: bool


class GraphDirectory(Protocol):
    """Users and folders."""

    def person(self, mailbox: GraphMailbox) -> Person:
        """Return the user. Raises `MailboxFault`, `GrantFault`, `Throttled`, `Unreachable`."""

    def people(self, mailbox: GraphMailbox, search: str, limit: int) -> list[Person]:
        """Return users whose name or address starts with *search*."""

    def folder(self, mailbox: GraphMailbox, name_or_id: str) -> Folder:
        """Return the folder of this id, well-known name, or path such as ``Inbox/Support``; raises `ItemFault`."""

    def folders(self, mailbox: GraphMailbox, parent: str | None = None) -> list[Folder]:
        """Return the folders below *parent*, or the top ones."""


class GraphReading(Protocol):
    """What fetch needs of Graph; every call carries ``Prefer: IdType="ImmutableId"``."""

    def first_page(self, mailbox: GraphMailbox, folder_id: str, page_size: int) -> DeltaPage:
        """Start a delta walk of one folder (changeType=created). Raises `MailboxFault`, `Throttled`, `Unreachable`."""

    def next_page(self, mailbox: GraphMailbox, link: str, page_size: int) -> DeltaPage:
        """Follow a link of the configured Graph host only. Raises `OutOfSync` where Graph forgot it."""

    def contents(self, mailbox: GraphMailbox, ids: Sequence[str]) -> dict[str, "bytes | Fault"]:
        """Return the MIME of at most 20 messages by one ``$batch``, each its bytes or its own `Fault`."""

    def content_stream(self, mailbox: GraphMailbox, message_id: str) -> Iterator[bytes]:
        """Yield the MIME of one message in chunks; raises `ItemFault`, `Throttled`, `Unreachable`."""

    def apply(
        self, mailbox: GraphMailbox, action: str, ids: Sequence[str], folder_id: str = ""
    ) -> "dict[str, Fault | None]":
        """Mark read (``read``) or move (``move`` to *folder_id*) at most 20 messages by one ``$batch``."""

    def placed(self, mailbox: GraphMailbox, ids: Sequence[str]) -> "dict[str, Placed | Fault]":
        """Return where at most 20 messages lie by one ``$batch``: look before repeating an `apply`."""


@dataclass(frozen=True, slots=True)
class Found:
    """A message found while looking for what became of a send."""

    id: str
    is_draft: bool
    internet_message_id: str


@dataclass(frozen=True, slots=True)
class Attachment:
    """What is said of a file that is attached to a draft; *content_id* is '' unless the html names it."""

    name: str
    content_type: str
    content_id: str = ""
    inline: bool = False


class GraphSending(Protocol):
    """What send needs of Graph. Every error says by `outcome_unknown` whether the effect may have happened."""

    def create_draft(self, mailbox: GraphMailbox, mime: bytes) -> Found:
        """Make a draft from MIME; a repeat makes another."""

    def attach(self, mailbox: GraphMailbox, draft_id: str, file: "Attachment", content: bytes) -> None:
        """Add a file of less than 3 MB to a draft; a repeat adds another."""

    def attach_large(
        self, mailbox: GraphMailbox, draft_id: str, file: "Attachment", size: int, chunks: Iterator[bytes]
    ) -> None:
        """Add a file of *size* bytes through an upload session, chunk by chunk; a repeat adds another."""

    def send(self, mailbox: GraphMailbox, draft_id: str) -> float | None:
        """
        Send a draft; returns only on 202, with the seconds for which Graph asked to be left alone (None: it did not).

        Raises a `Fault` whose `outcome_unknown` is False only for answers that prove a refusal: connect error, 400,
        401, 403, 404, 413, 429.
        """

    def get(self, mailbox: GraphMailbox, message_id: str) -> Found | None:
        """Return the message by immutable id, or None where it is not found."""

    def find_marked(self, mailbox: GraphMailbox, entry_id: str, internet_message_id: str) -> list[Found]:
        """
        Return messages that bear the marker of *entry_id* or this Message-ID.

        Searches the whole mailbox, recoverable items included, within the time of one call. Stops early at one
        that is no draft. Raises where a search gave no answer and none was found.
        """

    def delete_draft(self, mailbox: GraphMailbox, draft_id: str) -> None:
        """Remove a draft; no error where it is gone."""


# Webhooks


@dataclass(frozen=True, slots=True)
class Answer:
    """What a destination answered; *retry_after* in seconds."""

    status: int
    retry_after: float | None = None


class Webhooks(Protocol):
    """The guarded client for addresses that a person entered."""

    def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        """
        POST *body*; redirects are not followed.

        Raises `Fault` with destination_forbidden where the address may not be called, destination_unreachable else.
        """

    def check(self, url: str) -> str | None:
        """Return why this URL can never be called, or None; makes no call."""
