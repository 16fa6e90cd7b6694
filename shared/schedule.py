"""Due rows, the only scheduler, and the wake-up messages that they become."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from shared.identifiers import short_hash
from shared.ports import Insert
from shared.rows import Value
from shared.times import from_key, to_key

FETCH = "fetch"
DELIVER = "deliver"
SEND = "send"
GRANT = "grant"
STATE = "state"
PURGE = "purge"
CREDENTIAL = "credential"
NOTICE = "notice"
KEEP = "keep"

QUEUES = {
    FETCH: "mail-fetch",
    DELIVER: "mail-deliver",
    SEND: "mail-send",
    GRANT: "consent-check",
    STATE: "consent-check",
    PURGE: "consent-check",
    CREDENTIAL: "consent-check",
    NOTICE: "mail-deliver",
    KEEP: "consent-check",
}
SHARDS = tuple("0123456789abcdef")
REFIRE = timedelta(minutes=5)

TICK_PARTITION = "system"
TICK_KEY = "tick"
"""Where the tick leaves its heartbeat, in the table `credentials`."""

DUE_FIRST = "due|"
DUE_LAST = "due~"
_ID = re.compile(r"[0-9A-Za-z._-]{1,200}")


@dataclass(frozen=True, slots=True)
class Wakeup:
    """
    A message that wakes someone: what *kind* of work, whose (*id*), as of which *seq* of its record.

    *due* is the key of the due row that fired it, '' where no due row did. The record says what is to do.
    """

    kind: str
    id: str
    seq: int = 0
    due: str = ""

    def to_body(self) -> dict[str, Any]:
        """Return the JSON body of the queue message."""
        return {"kind": self.kind, "id": self.id, "seq": self.seq, "due": self.due}

    @classmethod
    def from_body(cls, body: Mapping[str, Any]) -> "Wakeup":
        """Return the wake-up of a message; unknown fields are left alone. Raises ValueError where it is none."""
        kind, identifier = body.get("kind"), body.get("id")
        seq, due = body.get("seq", 0), body.get("due", "")
        message = "not a wake-up message"
        if not (isinstance(kind, str) and isinstance(identifier, str) and isinstance(due, str)):
            raise ValueError(message)  # noqa: TRY004 - as for any other that is none
        if not isinstance(seq, int) or not 0 <= seq < 2**31 or kind not in QUEUES or not _ID.fullmatch(identifier):
            raise ValueError(message)
        # Who is woken removes this row: it can be no other than one that fires for the same.
        if due and (due[:4] != DUE_FIRST or due.split("|", 3)[2:] != [kind, identifier]):
            raise ValueError(message)
        return cls(kind, identifier, seq, due)


@dataclass(frozen=True, slots=True)
class DueRow:
    """A row that fires by itself at *at*; its key carries time, kind and id."""

    at: datetime
    kind: str
    id: str
    seq: int = 0

    @property
    def key(self) -> str:
        """The row key."""
        return f"due|{to_key(self.at)}|{self.kind}|{self.id}"

    @property
    def values(self) -> dict[str, Value]:
        """The properties beside the key."""
        return {"seq": self.seq}

    def insert(self) -> Insert:
        """Return the operation that makes this row."""
        return Insert(self.key, self.values)

    def refired(self, now: datetime) -> "DueRow":
        """
        Return the row that the tick leaves behind while the woken worker has not spoken.

        Its time never falls on a whole minute, so that it can never be the row of `minute_bucket`.
        """
        later = now + REFIRE
        return DueRow(later.replace(microsecond=501_000), self.kind, self.id, self.seq)

    @classmethod
    def from_row(cls, key: str, values: Mapping[str, Any]) -> "DueRow":
        """Return the due row of a table row; raises ValueError where the key is none."""
        parts = key.split("|", 3)
        if len(parts) != 4 or parts[0] != "due":
            message = "not a due row"
            raise ValueError(message)
        return cls(from_key(parts[1]), parts[2], parts[3], int(values.get("seq", 0)))


def due_upto(now: datetime) -> str:
    """Return the key before which every due row has fired by *now*."""
    return f"due|{to_key(now)}~"


def minute_bucket(now: datetime) -> datetime:
    """
    Return the whole minute, two to three minutes ahead, at which work accepted *now* fires if its wake-up is lost.

    All work of one minute shares one row; since the row lies two minutes ahead, no worker can remove it between the
    moment it is made sure of and the moment the work itself is stored.
    """
    return now.replace(second=0, microsecond=0) + timedelta(minutes=3)


def shard_for(identifier: str) -> str:
    """Return the shard of things that have no box, such as grants."""
    return short_hash(identifier, 1)
