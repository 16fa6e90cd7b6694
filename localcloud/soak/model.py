"""What must be true after a soak: which mail came in, who was to take it, what was posted and how it was answered."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Any

from localcloud.soak.mails import recipients_of, subject_of


@dataclass
class Mail:
    """A message that was put into *person*'s mailbox, known by its immutable id."""

    person: str
    message: str


@dataclass
class Reader:
    """
    One person's mailbox that is read: its present connection, and the *lineage* of every connection that it ever had.

    A connection that continues another is of the same lineage: no message has two event ids in one. *starts* holds how
    many messages the mailbox had got when the present lineage began.
    """

    person: str
    address: str
    form: str
    connection_id: str = ""
    lineages: dict[str, int] = field(default_factory=dict)

    def adopt(self, connection_id: str, *, continues: bool) -> None:
        """Let *connection_id* be the mailbox's connection from now on."""
        newest = max(self.lineages.values(), default=0)
        self.lineages[connection_id] = newest if continues else newest + 1
        self.connection_id = connection_id


@dataclass
class Box:
    """
    One outgoing connection of a *person*; *gone* once it was deleted, *discarded* with whatever was open.

    *token* lets software send, *hook* is the secret part of a hook's address ('' without one).
    """

    person: str
    address: str
    connection_id: str
    token: str
    hook: str = ""
    gone: bool = False
    discarded: bool = False


@dataclass
class Order:
    """
    One message to send through *box*, posted under *key* until it is answered, or once only if it *gives_up*.

    Where it goes out *by_hook*, the key is what the hook makes of its *body*.

    *entries* are the ids that answers of 202 named, *refused* the status of another answer, *cancelled* tells that an
    answer said so, *resent* that it may have been sent again, in the entries *again*. *files* are the SHA-256 of what
    is attached, *send_at* the time before which nothing may leave.
    """

    number: int
    box: Box
    gives_up: bool = False
    by_hook: bool = False
    body: dict[str, Any] = field(default_factory=dict)
    posted: bool = False
    entries: set[str] = field(default_factory=set)
    refused: int = 0
    cancel_asked: bool = False
    cancelled: bool = False
    files: list[str] = field(default_factory=list)
    send_at: str = ""
    resent: bool = False
    again: set[str] = field(default_factory=set)

    @property
    def key(self) -> str:
        """The idempotency key."""
        return f"order-{self.number}"

    @property
    def subject(self) -> str:
        """The subject of its copies."""
        return subject_of(self.number)

    @property
    def recipients(self) -> tuple[str, str]:
        """Who must get a copy."""
        return recipients_of(self.number)

    @property
    def unanswered(self) -> bool:
        """Whether it is still to be posted."""
        return not (self.entries or self.refused or self.gives_up or self.box.gone)


@dataclass
class Model:
    """
    Everything that was done to the product and must have its effect; safe to change from several threads.

    Of the events *erasing* the content may be gone, and what was still to be done; of those *erased* it must be.
    """

    readers: dict[str, Reader] = field(default_factory=dict)
    boxes: dict[str, Box] = field(default_factory=dict)
    mails: list[Mail] = field(default_factory=list)
    orders: list[Order] = field(default_factory=list)
    gone: set[str] = field(default_factory=set)
    erasing: set[str] = field(default_factory=set)
    erased: set[str] = field(default_factory=set)
    made: int = 0
    lock: threading.RLock = field(default_factory=threading.RLock)

    def next_number(self) -> int:
        """Return the number of the next mail or order."""
        with self.lock:
            self.made += 1
            return self.made

    def arrived(self, person: str, messages: list[str]) -> None:
        """Note mail that lies in a mailbox now."""
        with self.lock:
            self.mails += [Mail(person, message) for message in messages]

    def order(self, person: str, *, gives_up: bool) -> Order:
        """Return a new message to send through the person's present connection."""
        with self.lock:
            order = Order(self.next_number(), self.boxes[person], gives_up)
            self.orders.append(order)
            return order

    def lineage_of(self) -> dict[str, int]:
        """Return the lineage of every connection that ever read mail, numbered within its mailbox."""
        return {one: number for reader in self.readers.values() for one, number in reader.lineages.items()}
