"""
What does one mailbox hold: folders, messages with both kinds of id, and the log of changes that delta queries read.

Messages are MIME bytes or, for drafts written through JSON, properties from which the MIME text is made when needed.
"""

from __future__ import annotations

import base64
import hashlib
import heapq
import itertools
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from localcloud.mail.errors import MailError, bad_request, item_not_found, malformed_id
from localcloud.mail.message import Message

if TYPE_CHECKING:
    from localcloud.world import User

WELL_KNOWN_FOLDERS = {
    "inbox": "Inbox", "drafts": "Drafts", "sentitems": "Sent Items", "deleteditems": "Deleted Items",
    "junkemail": "Junk Email", "archive": "Archive", "outbox": "Outbox",
}  # fmt: skip
_HIDDEN_FOLDERS = {"recoverableitemsdeletions": "Deletions", "purges": "Purges"}
MESSAGE_ID_PREFIXES = ("AAkALg", "AAMkAG")


class Change(NamedTuple):
    """One entry of a folder's log; *kind* is ``created`` (came into the folder), ``updated`` or ``removed``."""

    sequence: int
    kind: str
    immutable_id: str
    mutable_id: str


@dataclass(eq=False)
class Folder:
    """A mail folder; *well_known* is its locale-independent name, empty for those that people made."""

    id: str
    name: str
    well_known: str = ""
    parent: Folder | None = None
    hidden: bool = False
    messages: dict[str, Message] = field(default_factory=dict)
    log: list[Change] = field(default_factory=list)

    def unread(self) -> int:
        """Return how many messages are unread."""
        return sum(not message.is_read for message in self.messages.values())


def identifier(prefix: str, *parts: object) -> str:
    """Return a deterministic id of Exchange's look for *parts*."""
    digest = hashlib.sha512("|".join(map(str, parts)).encode()).digest()
    return f"{prefix}AAAAAAHYQDEapmEc2byACqAC{base64.urlsafe_b64encode(digest).decode().rstrip('=')}AAA="


class Mailbox:
    """One person's mail. *clock* gives epoch seconds."""

    def __init__(self, user: User, tenant_id: str, clock: Callable[[], float]) -> None:
        self.user = user
        self.tenant_id = tenant_id
        self.clock = clock
        self.folders: dict[str, Folder] = {}
        self.well_known: dict[str, Folder] = {}
        self.messages: dict[str, Message] = {}
        self.sequence = 0
        self._created = itertools.count(1)
        self.by_mutable_id: dict[str, Message] = {}
        self._pending: list[tuple[float, int, Callable[[], None]]] = []
        self.root = self._new_folder("Top of Information Store", "msgfolderroot", None)
        for well_known, name in WELL_KNOWN_FOLDERS.items():
            self._new_folder(name, well_known, self.root)
        for well_known, name in _HIDDEN_FOLDERS.items():
            self._new_folder(name, well_known, self.root, hidden=True)

    def _new_folder(self, name: str, well_known: str, parent: Folder | None, *, hidden: bool = False) -> Folder:
        seed = well_known or next(self._created)
        folder = Folder(identifier("AQMkAD", self.user.id, "folder", seed), name, well_known, parent, hidden)
        self.folders[folder.id] = folder
        if well_known:
            self.well_known[well_known] = folder
        return folder

    def create_folder(self, name: str, parent: Folder, *, hidden: bool = False) -> Folder:
        """
        Create a folder.

        Raises:
            MailError: ErrorFolderExists where *parent* has one of this name.
        """
        self._check_name(name, parent)
        return self._new_folder(name, "", parent, hidden=hidden)

    def _check_name(self, name: str, parent: Folder, but: Folder | None = None) -> None:
        if any(child.name.casefold() == name.casefold() for child in self.children(parent) if child is not but):
            # Tenants were seen to answer 400 as well; clients such as mailsuite know it by 409.
            text = f"A folder with the specified name already exists., Could not create folder '{name}'."
            raise MailError(409, "ErrorFolderExists", text)

    def place_folder(self, folder: Folder, parent: Folder, name: str) -> None:
        """
        Give *folder* a parent and a name; its id stays.

        Raises:
            MailError: ErrorMoveDistinguishedFolder, ErrorMoveCopyFailed (into itself) or ErrorFolderExists.
        """
        if folder.well_known:
            raise bad_request("Distinguished folders cannot be moved or renamed.", "ErrorMoveDistinguishedFolder")
        if folder in self.lineage(parent):
            raise bad_request("The move or copy operation failed.", "ErrorMoveCopyFailed")
        self._check_name(name, parent, but=folder)
        folder.parent, folder.name = parent, name

    def copy_folder(self, folder: Folder, parent: Folder) -> Folder:
        """
        Copy *folder* with its messages and the folders in it.

        Raises:
            MailError: ErrorMoveCopyFailed (into itself) or ErrorFolderExists.
        """
        if folder in self.lineage(parent):
            raise bad_request("The move or copy operation failed.", "ErrorMoveCopyFailed")
        twin = self.create_folder(folder.name, parent, hidden=folder.hidden)
        for message in list(folder.messages.values()):
            self.copy(message, twin)
        for child in self.children(folder):
            self.copy_folder(child, twin)
        return twin

    def delete_folder(self, folder: Folder) -> None:
        """
        Delete *folder* with all that is in it: to Deleted Items, from there for good.

        Raises:
            MailError: ErrorDeleteDistinguishedFolder for one that every mailbox has.
        """
        if folder.well_known:
            raise bad_request("Distinguished folders cannot be deleted.", "ErrorDeleteDistinguishedFolder")
        bin_ = self.well_known["deleteditems"]
        if bin_ not in self.lineage(folder):
            folder.parent = bin_
            return
        for child in self.children(folder):
            self.delete_folder(child)
        for message in list(folder.messages.values()):
            self.remove(message)
        del self.folders[folder.id]

    def lineage(self, folder: Folder) -> list[Folder]:
        """Return *folder* and every folder that it lies in, the root last."""
        return [folder, *(self.lineage(folder.parent) if folder.parent else ())]

    def children(self, parent: Folder) -> list[Folder]:
        """Return the folders directly in *parent*."""
        return [folder for folder in self.folders.values() if folder.parent is parent]

    def folder(self, key: str) -> Folder:
        """
        Return the folder with this id or well-known name.

        Raises:
            MailError: ErrorItemNotFound or ErrorInvalidIdMalformed.
        """
        found = self.folders.get(key) or self.well_known.get(key.casefold())
        if found is not None and found.well_known != "purges":
            return found
        raise item_not_found() if key.startswith(("AQMk", "AAMk")) else malformed_id()

    def message(self, key: str) -> Message:
        """
        Return the message with this immutable or (current) mutable id.

        Raises:
            MailError: ErrorItemNotFound or ErrorInvalidIdMalformed.
        """
        found = self.messages.get(key) or self.by_mutable_id.get(key)
        if found is not None:
            return found
        raise item_not_found() if key.startswith(MESSAGE_ID_PREFIXES) else malformed_id()

    def new_message_id(self) -> str:
        """Return the next immutable id."""
        return identifier("AAkALg", self.user.id, "message", next(self._created))

    def add(self, message: Message, folder: Folder) -> Message:
        """Put a new *message* into *folder*."""
        self.messages[message.immutable_id] = message
        self._enter(message, folder)
        return message

    def touch(self, message: Message) -> None:
        """Record that *message* was changed."""
        self.sequence += 1
        message.changed(self.sequence, self.clock())
        change = Change(self.sequence, "updated", message.immutable_id, message.mutable_id)
        self.folders[message.folder_id].log.append(change)

    def move(self, message: Message, folder: Folder) -> None:
        """Move *message*, which gets a new mutable id; into the hidden Purges it goes for good."""
        self._leave(message)
        if folder.well_known == "purges":
            del self.messages[message.immutable_id]
            return
        self._enter(message, folder)

    def copy(self, message: Message, folder: Folder) -> Message:
        """Put a copy of *message*, which has ids of its own, into *folder* and return it."""
        return self.add(message.twin(self.new_message_id(), self.clock()), folder)

    def remove(self, message: Message) -> None:
        """Take *message* out of the mailbox without a trace other than the log."""
        self.move(message, self.well_known["purges"])

    def delete(self, message: Message) -> None:
        """Delete as Exchange does: to Deleted Items, from there to Recoverable Items, from there for good."""
        steps = {"deleteditems": "recoverableitemsdeletions", "recoverableitemsdeletions": "purges"}
        here = self.folders[message.folder_id].well_known
        self.move(message, self.well_known[steps.get(here, "deleteditems")])

    def visible_messages(self) -> Iterable[Message]:
        """Return the messages of all folders but the hidden ones, as ``/users/{id}/messages`` lists them."""
        folders = [folder for folder in self.folders.values() if not folder.hidden]
        return itertools.chain.from_iterable(folder.messages.values() for folder in folders)

    def later(self, due: float, action: Callable[[], None]) -> None:
        """Do *action* when the mailbox is looked at after *due* (epoch seconds)."""
        heapq.heappush(self._pending, (due, next(self._created), action))

    def settle(self) -> None:
        """Do what has become due."""
        while self._pending and self._pending[0][0] <= self.clock():
            heapq.heappop(self._pending)[2]()

    def _enter(self, message: Message, folder: Folder) -> None:
        self.sequence += 1
        message.moves += 1
        message.folder_id = folder.id
        message.mutable_id = identifier("AAMkAG", message.immutable_id, folder.id, message.moves)
        message.changed(self.sequence, self.clock())
        folder.messages[message.immutable_id] = message
        folder.log.append(Change(self.sequence, "created", message.immutable_id, message.mutable_id))
        self.by_mutable_id[message.mutable_id] = message

    def _leave(self, message: Message) -> None:
        self.sequence += 1
        folder = self.folders[message.folder_id]
        del folder.messages[message.immutable_id]
        del self.by_mutable_id[message.mutable_id]
        folder.log.append(Change(self.sequence, "removed", message.immutable_id, message.mutable_id))
