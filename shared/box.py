"""One mailbox as one range read sees it: its turn row, and its connections with their runs and deliveries."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import TypeVar

from shared.connections import Connection, Delivery, Run, connection_key, delivery_key, run_key
from shared.ports import Row
from shared.rows import decode, readable
from shared.times import from_text

Record = TypeVar("Record")


@dataclass(frozen=True, slots=True)
class Box:
    """
    The turn row of one mailbox.

    *lease_until* is storage time. *wanted_fetch* and *wanted_send* say since when a non-holder waits. *paused_until*
    comes from any 429 or 503 that anyone saw. *reserved_for* keeps the turn free for a kind that has waited. The rest
    says how much was sent and uploaded lately.
    """

    holder: str = ""
    kind: str = ""
    lease_until: str = ""
    wanted_fetch: str = ""
    wanted_send: str = ""
    reserved_for: str = ""
    reserved_until: str = ""
    paused_until: str = ""
    send_tokens: float = 0.0
    send_refilled_at: str = ""
    uploaded_bytes: float = 0.0
    uploaded_at: str = ""

    def wanted(self, kind: str) -> str:
        """Return since when *kind* waits, '' if it does not."""
        return self.wanted_fetch if kind == "fetch" else self.wanted_send

    def wanting(self, kind: str, since: str) -> "Box":
        """Return the box with *kind* waiting since *since* ('' clears it)."""
        return replace(self, wanted_fetch=since) if kind == "fetch" else replace(self, wanted_send=since)

    def free_for(self, kind: str, now: datetime) -> bool:
        """Tell whether *kind* may take the turn at storage time *now*."""
        if self.holder and from_text(self.lease_until) > now:
            return False
        reserved = self.reserved_for and self.reserved_for != kind and from_text(self.reserved_until) > now
        return not reserved


@dataclass(frozen=True, slots=True)
class View:
    """Everything of one mailbox as one range read saw it, at *storage_time*; etags by row key."""

    box_hash: str
    box: Box
    connections: dict[str, Connection]
    runs: dict[str, Run]
    deliveries: dict[str, Delivery]
    etags: dict[str, str]
    storage_time: datetime
    read_at: float

    def paused_until(self) -> datetime | None:
        """Return until when Graph asked everyone to leave this mailbox alone, or None."""
        until = from_text(self.box.paused_until) if self.box.paused_until else None
        return until if until and until > self.storage_time else None

    def is_strange(self, connection_id: str) -> bool:
        """Tell whether a row of the connection cannot be read: then it is nobody's to work on, to end or to remove."""
        known = ((connection_key, self.connections), (run_key, self.runs), (delivery_key, self.deliveries))
        return any(key(connection_id) in self.etags and connection_id not in found for key, found in known)


def with_row(view: View, row: Row) -> View:
    """
    Return *view* with what *row* holds; tokens, and kinds of a newer version, are left alone.

    A connection of which any row cannot be read is left out of `connections`, so that the others have their turn.
    Raises `UnreadableRow` for the turn row, which all of them need.
    """
    view.etags[row.key] = row.etag
    kind, _, identifier = row.key.split("|", 2)[2].partition("|")
    match kind:
        case "box":
            return replace(view, box=decode(Box, row.values))
        case "conn":
            _take(view, view.connections, identifier, readable(Connection, row.key, row.values))
        case "run":
            _take(view, view.runs, identifier, readable(Run, row.key, row.values))
        case "dlv":
            _take(view, view.deliveries, identifier, readable(Delivery, row.key, row.values))
        case _:
            pass
    return view


def _take(view: View, found: dict[str, Record], identifier: str, record: Record | None) -> None:
    if record is not None:
        found[identifier] = record
    if view.is_strange(identifier):
        view.connections.pop(identifier, None)
