"""
The mailbox turn: who may use one mailbox's four Graph requests, and how that right is taken, kept and given up.

Graph allows one app and one mailbox four requests at a time, and a ``$batch`` runs four by itself
(graph-docs-contrib, Outlook throttling), so one invocation at a time holds the turn and drains the mailbox's work.
"""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from shared.box import Box, View, with_row
from shared.connections import box_key, box_range
from shared.errors import RowChanged, RowExists, RowMissing, StorageUnavailable
from shared.identifiers import new_ulid, shard_of
from shared.permits import PERMITS, Permits
from shared.ports import Insert, Operation, Table, Update
from shared.rows import Value, decode, encode
from shared.telemetry import measure
from shared.times import from_text, to_text

__all__ = ["PERMITS", "Box", "Permits", "Released", "Turn", "TurnLost", "Turns", "View"]

CALL_SECONDS = 30.0
MARGIN_SECONDS = 5.0
RESERVED_SECONDS = 3.0
ROUNDING_SECONDS = 1.0


class TurnLost(Exception):
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
            view = with_row(view, row)
        return view

    def claim(self, view: View, kind: str, operations: Callable[[str], Sequence[Operation]]) -> "Turn | None":
        """
        Take the turn for *kind* in one transaction with *operations* (made for the claim id), or leave word: None.

        The lease counts from the storage time of *view*, and this process counts its rest from before that read, so
        that the holder always stops before anyone else may start.
        """
        while True:
            if view.box.free_for(kind, view.storage_time):
                turn, view = self._take(view, kind, operations)
                if turn:
                    return turn
            elif self._leave_word(view, kind):
                return None
            else:
                view = self.look(view.box_hash)

    def _take(
        self, view: View, kind: str, operations: Callable[[str], Sequence[Operation]]
    ) -> "tuple[Turn | None, View]":
        """Try to take a free turn; return it, or None with what a newer read saw."""
        claim_id = self.new_claim()
        box = replace(
            view.box.wanting(kind, ""),
            holder=claim_id,
            kind=kind,
            lease_until=self.lease_end(view.storage_time),
            reserved_for="",
            reserved_until="",
        )
        waited = view.box.wanted(kind)
        key = box_key(view.box_hash)
        write = Update(key, encode(box), view.etags[key]) if key in view.etags else Insert(key, encode(box))
        newer = view
        try:
            writes = [write, *operations(claim_id)]
            found = self.table.commit(shard_of(view.box_hash), writes).etags
            etags = {operation.key: etag for operation, etag in zip(writes, found, strict=True)}
        except (RowChanged, RowExists, StorageUnavailable) as error:
            if not isinstance(error, StorageUnavailable) and error.key != key:
                raise
            newer = self.look(view.box_hash)
            if newer.box.holder != claim_id:
                if isinstance(error, StorageUnavailable):
                    raise
                return None, newer
            etags = newer.etags
        if waited:
            measure("turn_wait", (view.storage_time - from_text(waited)).total_seconds(), kind=kind)
        return Turn(self, view, kind, claim_id, box, etags[key], view.read_at + self.lease_seconds, etags=etags), newer

    def lease_end(self, storage_time: datetime) -> str:
        """
        Return when a lease seen to begin at *storage_time* ends for everyone else.

        Storage tells its time in whole seconds, cut: a lease counted from there alone could end for the others up to a
        second before it ends for its holder.
        """
        return to_text(storage_time + timedelta(seconds=self.lease_seconds + ROUNDING_SECONDS))

    def _leave_word(self, view: View, kind: str) -> bool:
        """Leave word that *kind* waits, unless that stands there already; tell whether it stands there now."""
        key = box_key(view.box_hash)
        if view.box.wanted(kind):
            return True
        try:
            wanted = {f"wanted_{kind}": to_text(view.storage_time)}
            self.table.commit(shard_of(view.box_hash), [Update(key, wanted, view.etags[key])])
        except RowChanged:
            return False
        return True

    def pause(self, box_hash: str, until: datetime) -> None:
        """Write down that Graph asked to leave this mailbox alone until *until*; a longer pause that stands is kept."""
        shard, key = shard_of(box_hash), box_key(box_hash)
        while (row := self.table.get(shard, key)) is not None:
            standing = decode(Box, row.values).paused_until
            if standing and from_text(standing) >= until:
                return
            try:
                self.table.commit(shard, [Update(key, {"paused_until": to_text(until)}, row.etag)])
            except RowChanged:
                continue  # someone left word, or saw another 429
            except RowMissing:
                return
            return


@dataclass
class Turn:
    """
    A held turn. Thread-safe: workers of one invocation share it.

    *view* is the last read of the mailbox, *etags* are those of the rows that the claim wrote, by key, for conditional
    writes while it is held.
    """

    turns: Turns
    view: View
    kind: str
    claim_id: str
    box: Box
    etag: str
    _deadline: float
    permits: Permits = field(default_factory=Permits)
    etags: dict[str, str] = field(default_factory=dict)
    _kept: dict[str, Value] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def box_hash(self) -> str:
        """The mailbox that the turn is for."""
        return self.view.box_hash

    def remaining(self) -> float:
        """Return the seconds left of the lease."""
        return self._deadline - self.turns.monotonic()

    def may_call(self, seconds: float = CALL_SECONDS) -> bool:
        """Tell whether an outward call of at most *seconds* ends well within the lease; renew first."""
        margin = min(MARGIN_SECONDS, self.turns.lease_seconds / 12)
        return self.remaining() >= min(seconds, self.turns.lease_seconds / 2) + margin

    def keep(self, **values: str | float) -> None:
        """Change fields of the turn row that only its holder writes; they are stored at the next renewal or release."""
        with self._lock:
            self._kept = {**self._kept, **values}
            self.box = replace(self.box, **values)  # type: ignore[arg-type]

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
            until = self.turns.lease_end(view.storage_time)
            key = box_key(self.box_hash)
            try:
                done = self.turns.table.commit(
                    shard_of(self.box_hash), [Update(key, {**self._kept, "lease_until": until}, view.etags[key])]
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

    def release(self, operations: Sequence[Operation] = (), *, yielding: bool = False) -> "Released":
        """
        Give the turn up in one transaction with *operations*, unless the own kind left word meanwhile.

        Where the other kind waits, *yielding* gives it up all the same: then the caller wakes its own kind once more.
        Returns whether it was released, and the kind that has waited and must be woken, if any. Where it was not
        released nothing was written: scan again. Raises `TurnLost`, and `RowChanged` for rows of *operations*.
        """
        with self._lock:
            etag, box = self.etag, self.box
            while True:
                wake = "send" if self.kind == "fetch" and box.wanted_send else ""
                wake = "fetch" if self.kind == "send" and box.wanted_fetch else wake
                if box.wanted(self.kind) and not (yielding and wake):
                    self.box, self.etag = box, etag
                    return Released(done=False, wake="")
                values = self._free(box.wanting(self.kind, ""), wake)
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
        freed = replace(box, holder="", kind="", lease_until="", **self._kept)  # type: ignore[arg-type]
        if wake:
            reserved = self._storage_now() + timedelta(seconds=RESERVED_SECONDS)
            freed = replace(freed.wanting(wake, ""), reserved_for=wake, reserved_until=to_text(reserved))
        return encode(freed)

    def _storage_now(self) -> datetime:
        # Not from the lease: a renewal whose answer was lost left the row a later end than this process knows.
        return self.view.storage_time + timedelta(seconds=self.turns.monotonic() - self.view.read_at)

    def _mine(self) -> View:
        view = self.turns.look(self.box_hash)
        if view.box.holder != self.claim_id:
            raise TurnLost
        self.view, self.etag = view, view.etags[box_key(self.box_hash)]
        self.box = replace(view.box, **self._kept)  # type: ignore[arg-type]
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
