"""Graph, as promises: directory, reading, sending."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from shared.errors import Fault


@dataclass(frozen=True, slots=True)
class GraphMailbox:
    """A mailbox as named in a call: the app's token, its cloud's Graph root, and the user's object id or address."""

    root: str
    user: str
    token: Callable[[bool], str]
    """Called with True to get a fresh token after a 401."""
    has_delta: bool = True
    """Whether its cloud has delta queries for mail; where not, folders are listed."""
    may_draft: bool = True
    """Whether drafts can be made in it, which takes the role Mail.ReadWrite."""


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
    """
    A message as a page lists it; *size* in bytes, None where Graph did not say, *item_class* as Exchange names it.

    A light page gives no more than id, time and whether it is a draft.
    """

    id: str
    removed: bool = False
    received_at: str = ""
    subject: str = ""
    sender: str = ""
    internet_message_id: str = ""
    is_draft: bool = False
    size: int | None = None
    item_class: str = ""


@dataclass(frozen=True, slots=True)
class Window:
    """
    Which mail of a folder is listed: received from *since* to *until*, both included (RFC 3339, '' for open).

    The first *skip* of it, oldest first, are passed over.
    """

    folder_id: str
    since: str
    until: str = ""
    skip: int = 0


@dataclass(frozen=True, slots=True)
class DeltaPage:
    """One page; of a delta walk, exactly one of *next_link* and *delta_link* is set."""

    messages: list[Listed]
    next_link: str = field(default="", repr=False)
    delta_link: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Placed:
    """Where a message lies, and whether it is marked read."""

    folder_id: str
    is_read: bool


@dataclass(frozen=True, slots=True)
class MailCount:
    """How many mails there are; *exact* is False where drafts had to be counted with them."""

    mails: int
    exact: bool


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

    def mail_count(self, mailbox: GraphMailbox, folder_id: str, since: str) -> "MailCount":
        """Count the mail of a folder that was received at *since* (RFC 3339, '' for ever) or later."""


class GraphReading(Protocol):
    """What fetch needs of Graph; every call carries ``Prefer: IdType="ImmutableId"``."""

    def first_page(self, mailbox: GraphMailbox, folder_id: str, page_size: int, *, light: bool = False) -> DeltaPage:
        """
        Start a delta walk of one folder (changeType=created), *light* for the rest of its life where that is said.

        Raises `MailboxFault`, `Throttled`, `Unreachable`.
        """

    def next_page(self, mailbox: GraphMailbox, link: str, page_size: int) -> DeltaPage:
        """Follow a link of the configured Graph host only. Raises `OutOfSync` where Graph forgot it."""

    def list_page(self, mailbox: GraphMailbox, window: Window, page_size: int, *, light: bool = False) -> DeltaPage:
        """List mail by the time it was received, oldest first; a *next_link* says that there is more, no more."""

    def details(self, mailbox: GraphMailbox, ids: Sequence[str]) -> dict[str, "Listed | Fault"]:
        """Return at most 20 messages as a full page lists them, by one ``$batch``, each itself or its own `Fault`."""

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

    def send_mail(self, mailbox: GraphMailbox, mime: bytes) -> float | None:
        """Send MIME without a draft, which cannot be looked for; answers and faults are those of `send`."""

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
