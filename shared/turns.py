"""
The mailbox turn: who may use one mailbox's four Graph requests, and how that right is taken, kept and given up.

Graph allows one app and one mailbox four requests at a time, and a ``$batch`` runs four by itself
(graph-docs-contrib, Outlook throttling), so one invocation at a time holds the turn and drains the mailbox's work.
"""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from shared.connections import Connection, Delivery, Run, box_key, box_range
from shared.errors import RowChanged, RowExists, StorageUnavailable
from shared.identifiers import new_ulid, shard_of
from shared.ports import ANY, Insert, Operation, Row, Table, Update
from shared.rows import decode, encode
from shared.times import from_text, to_text

PERMITS = 4
CALL_SECONDS = 30.0
MARGIN_SECONDS = 5.0
RESERVED_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class Box:
    """
    The turn row of one mailbox.

    *lease_until* is storage time. *wanted_fetch* and *wanted_send* say since when a non-holder waits. *paused_until*
    comes from any 429 or 503 that anyone saw. *reserved_for* keeps the turn free for a kind that has waited.
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


class TurnLost(Exception):  # noqa: N818 - not an error of the product, a fact that ends an invocation
    """Another invocation holds the turn now; whatever this one still wanted to write must not be written."""


@dataclass
class Turns:
    """Takes turns. *monotonic* measures only how much of a lease is left, never who owns it."""

    table: Table
    lease_seconds: float
    monotonic: Callable[[], float] = time.monotonic
    new_claim: Callable[[], str] = new_ulid

    def look(self, box_hash: str) -> View:
        """Read everything of a mailbox in one range read."""
        started = self.monotonic()
        first, last = box_range(box_hash)
        found = self.table.read(shard_of(box_hash), first, last)
        view = View(box_hash, Box(), {}, {}, {}, {}, found.storage_time, started)
        for row in found.rows:
            view = _with_row(view, row)
        return view

    def claim(self, view: View, kind: str, operations: Callable[[str], Sequence[Operation]]) -> "Turn | None":
        """
        Take the turn for *kind* in one transaction with *operations* (made for the claim id), or leave word and return None.

        The lease counts from the storage time of *view*, and this process counts its rest from before that read, so that
        the holder always stops before anyone else may start.
        """
        if not view.box.free_for(kind, view.storage_time):
            self.want(view, kind)
            return None
        claim_id = self.new_claim()
        box = replace(
            view.box.wanting(kind, ""),
            holder=claim_id,
            kind=kind,
            lease_until=to_text(view.storage_time + timedelta(seconds=self.lease_seconds)),
            reserved_for="",
            reserved_until="",
        )
        key = box_key(view.box_hash)
        write = Update(key, encode(box), view.etags[key]) if key in view.etags else Insert(key, encode(box))
        writes = [write, *operations(claim_id)]
        try:
            found = self.table.commit(shard_of(view.box_hash), writes).etags
            etags = {operation.key: etag for operation, etag in zip(writes, found, strict=True)}
        except (RowChanged, RowExists) as error:
            if error.key != key:
                raise
            again = self.look(view.box_hash)
            if again.box.holder != claim_id:
                self.want(again, kind)
                return None
            etags = again.etags
        except StorageUnavailable:
            again = self.look(view.box_hash)
            if again.box.holder != claim_id:
                raise
            etags = again.etags
        ends = view.read_at + self.lease_seconds
        return Turn(self, view.box_hash, kind, claim_id, box, etags[key], ends, etags=etags)

    def want(self, view: View, kind: str) -> None:
        """Leave word that *kind* waits, unless that stands there already; nobody waits in a thread."""
        key = box_key(view.box_hash)
        while not view.box.wanted(kind) and key in view.etags:
            wanted = {f"wanted_{kind}": to_text(view.storage_time)}
            try:
                self.table.commit(shard_of(view.box_hash), [Update(key, wanted, view.etags[key])])
            except RowChanged:
                view = self.look(view.box_hash)
                if view.box.free_for(kind, view.storage_time):
                    return
            else:
                return

    def pause(self, box_hash: str, until: datetime) -> None:
        """Write down that Graph asked to leave this mailbox alone until *until*."""
        self.table.commit(shard_of(box_hash), [Update(box_key(box_hash), {"paused_until": to_text(until)}, ANY)])


@dataclass
class Turn:
    """
    A held turn. Thread-safe: workers of one invocation share it.

    *etags* are those of the rows that the claim wrote, by key, for conditional writes while it is held.
    """

    turns: Turns
    box_hash: str
    kind: str
    claim_id: str
    box: Box
    etag: str
    _deadline: float
    permits: "Permits" = field(default_factory=lambda: Permits(PERMITS))
    etags: dict[str, str] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def remaining(self) -> float:
        """Return the seconds left of the lease."""
        return self._deadline - self.turns.monotonic()

    def may_call(self, seconds: float = CALL_SECONDS) -> bool:
        """Tell whether an outward call of at most *seconds* ends well within the lease; renew first."""
        margin = min(MARGIN_SECONDS, self.turns.lease_seconds / 12)
        return self.remaining() >= min(seconds, self.turns.lease_seconds / 2) + margin

    def renew(self) -> None:
        """
        Extend the lease if a quarter of it has passed; call it only after progress.

        Raises `TurnLost` where another invocation holds the turn.
        """
        with self._lock:
            if self.remaining() > self.turns.lease_seconds * 0.75:
                return
            started = self.turns.monotonic()
            view = self._mine()
            until = to_text(view.storage_time + timedelta(seconds=self.turns.lease_seconds))
            key = box_key(self.box_hash)
            try:
                done = self.turns.table.commit(
                    shard_of(self.box_hash), [Update(key, {"lease_until": until}, view.etags[key])]
                )
            except RowChanged:
                return  # someone left word between read and write; the next progress renews
            self.etag = done.etags[0]
            self.box = replace(self.box, lease_until=until)
            self._deadline = started + self.turns.lease_seconds

    def scan_begins(self) -> None:
        """Clear the own kind's flag before a scan, so that `release` can tell whether word was left during it."""
        with self._lock:
            if not self.box.wanted(self.kind):
                return
            self._write(self._mine(), {f"wanted_{self.kind}": ""})

    def release(self, operations: Sequence[Operation] = ()) -> "Released":
        """
        Give the turn up in one transaction with *operations*, unless the own kind left word meanwhile.

        Returns whether it was released, and the kind that has waited and must be woken, if any. Where it was not
        released nothing was written: scan again. Raises `TurnLost`, and `RowChanged` for rows of *operations*.
        """
        with self._lock:
            etag, box = self.etag, self.box
            while True:
                if box.wanted(self.kind):
                    self.box, self.etag = box, etag
                    return Released(done=False, wake="")
                wake = "send" if self.kind == "fetch" and box.wanted_send else ""
                wake = "fetch" if self.kind == "send" and box.wanted_fetch else wake
                values = self._free(box, wake)
                key = box_key(self.box_hash)
                try:
                    self.turns.table.commit(shard_of(self.box_hash), [Update(key, values, etag), *operations])
                except RowChanged as error:
                    if error.key != key:
                        raise
                    view = self._mine()
                    etag, box = view.etags[key], view.box
                else:
                    return Released(done=True, wake=wake)

    def _free(self, box: Box, wake: str) -> dict[str, str | int | float | bool]:
        freed = replace(box, holder="", kind="", lease_until="")
        if wake:
            reserved = self._storage_now() + timedelta(seconds=RESERVED_SECONDS)
            freed = replace(freed.wanting(wake, ""), reserved_for=wake, reserved_until=to_text(reserved))
        return encode(freed)

    def _storage_now(self) -> datetime:
        return from_text(self.box.lease_until) - timedelta(seconds=self.remaining())

    def _mine(self) -> View:
        view = self.turns.look(self.box_hash)
        if view.box.holder != self.claim_id:
            raise TurnLost
        self.box, self.etag = view.box, view.etags[box_key(self.box_hash)]
        return view

    def _write(self, view: View, values: dict[str, str]) -> None:
        key = box_key(self.box_hash)
        while True:
            try:
                done = self.turns.table.commit(shard_of(self.box_hash), [Update(key, values, view.etags[key])])
            except RowChanged:
                view = self._mine()
                continue
            self.etag = done.etags[0]
            self.box = replace(self.box, **values)  # type: ignore[arg-type]
            return


@dataclass(frozen=True, slots=True)
class Released:
    """Whether a turn was given up, and which kind has waited ('' for none)."""

    done: bool
    wake: str


class Permits:
    """A process-local semaphore over the four Graph requests; a ``$batch`` takes all of them."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._free = count
        self._changed = threading.Condition()

    @contextmanager
    def take(self, count: int = 1) -> Iterator[None]:
        """Hold *count* permits for the duration of one call."""
        with self._changed:
            self._changed.wait_for(lambda: self._free >= count)
            self._free -= count
        try:
            yield
        finally:
            with self._changed:
                self._free += count
                self._changed.notify_all()

    def all(self) -> AbstractContextManager[None]:
        """Hold every permit, as a ``$batch`` must."""
        return self.take(self._count)


def _with_row(view: View, row: Row) -> View:
    view.etags[row.key] = row.etag
    kind, _, identifier = row.key.split("|", 2)[2].partition("|")
    match kind:
        case "box":
            return replace(view, box=decode(Box, row.values))
        case "conn":
            view.connections[identifier] = decode(Connection, row.values)
        case "run":
            view.runs[identifier] = decode(Run, row.values)
        case "dlv":
            view.deliveries[identifier] = decode(Delivery, row.values)
        case _:
            pass  # tokens, and kinds of a newer version, are left alone
    return view
