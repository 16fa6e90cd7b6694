"""What one invocation of fetch works on: a claimed connection, its progress, and the time left."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import count
from threading import Lock
from typing import Protocol, TypeVar

from shared.connections import Connection, Direction, Run, run_key
from shared.errors import Fault, RecordedFault
from shared.fetch.room import Room
from shared.ports import Delete, GraphMailbox, Operation, Update, Upsert
from shared.rows import encode
from shared.schedule import DELIVER, FETCH, DueRow, Wakeup
from shared.times import from_text, to_text
from shared.troubles import stopped_mark
from shared.turns import Turn, TurnLost, View

Item = TypeVar("Item")

DUE_SLACK = timedelta(seconds=5)
WALK_LASTS = timedelta(minutes=10)
CLAIM_LONGEST = timedelta(seconds=120)
DELIVER_AFTER = timedelta(minutes=2)
NEVER_BEFORE = timedelta(days=393)
"""
How long ago mail may have been received for a resync or a sweep to take it: a week less than receipts are kept.

Of older mail nobody knows any more whether it was taken.
"""


class Access(Protocol):
    """What fetch needs of the token module."""

    def standing(self, grant_id: str) -> Fault | None:
        """Return why the grant cannot be used now, or None; costs no call outward."""

    def graph_mailbox(self, grant_id: str, user: str) -> GraphMailbox:
        """Return the mailbox; raises `CredentialFault`, `GrantFault` or `NotFound`."""

    def suspect(self, grant_id: str) -> None:
        """Tell that Graph refused what the grant should allow."""


@dataclass
class Job:
    """
    A claimed connection under a held turn. *run* is its record as it will be written, *etag* fences that write.

    *recheck* tells that listed messages may be stored already, *seen* that there may be mail to deliver, *more* that
    the walk goes on in a next run, *work_at* when work left in rows is due again. *now* is storage's time. *page_size*
    is what a page that failed was brought down to (0: it was not), *bisecting* that one is taken apart at its first
    failure. *index* holds the hashes of all receipts where they were read, *listed* the times of messages that a
    listing has shown, by hash, *notices* the rows that tell of what the run's record is about to say, *room* what may
    still be stored today.
    """

    connection: Connection
    run: Run
    etag: str
    claim_due: str
    turn: Turn
    now: Callable[[], datetime]
    recheck: bool
    more: bool = False
    seen: bool = False
    taken: int = 0
    work_at: datetime | None = None
    page_size: int = 0
    bisecting: bool = False
    index: frozenset[str] | None = None
    listed: dict[str, str] = field(default_factory=dict)
    notices: list[Operation] = field(default_factory=list)
    pages: int = 0
    trouble: RecordedFault | None = None
    began: float = field(default_factory=time.monotonic)
    numbers: "count[int]" = field(default_factory=count)
    room: Room = field(init=False)
    _lock: Lock = field(default_factory=Lock)

    def __post_init__(self) -> None:
        """Begin to count what is stored, from what the record says of this day."""
        self.room = Room(self.connection.limits, self.run, self.now())

    @property
    def walking(self) -> bool:
        """Whether the folder is walked from its beginning, rather than followed."""
        return not self.run.cursor

    @property
    def link(self) -> str:
        """The link of the next page, '' for the first of a walk."""
        return self.run.walk or self.run.cursor

    def blob_path(self, message_hash: str) -> str:
        """Return a path that no other attempt uses: Graph makes MIME anew at each read, and two reads may differ."""
        day = self.now().strftime("%Y%m%d")
        connection = self.connection
        return f"{connection.grant_id}/{connection.id}/{day}/{message_hash}/{self.run.claim}-{next(self.numbers)}.eml"

    def keep_turn(self) -> None:
        """Renew the turn after progress; raises `TurnLost` where too little of it is left for one more call."""
        for _ in range(3):  # word left by someone else at this moment undoes one renewal
            self.turn.renew()
            if self.turn.may_call():
                return
        raise TurnLost

    def restart(self, *, light: bool = False) -> None:
        """Walk the folder anew, *light* where delta is to name no more than ids."""
        resync = self.run.resync or bool(self.run.cursor)
        self.run = replace(self.run, cursor="", walk="", light=light, resync=resync)
        self.recheck, self.page_size = True, 0

    def wait_for(self, moment: datetime) -> None:
        """Note that work of this connection stands at *moment*."""
        with self._lock:
            self.work_at = moment if self.work_at is None else min(self.work_at, moment)


def is_due(view: View, connection_id: str) -> bool:
    """Tell whether the connection's record says that it is to be fetched now."""
    connection, run = view.connections.get(connection_id), view.runs.get(connection_id)
    if connection is None or run is None or connection.direction != Direction.INCOMING:
        return False
    if not connection.enabled or not run.next_at:
        return False
    return from_text(run.next_at) <= view.storage_time + DUE_SLACK


def due_connections(view: View, first: str) -> list[str]:
    """Return the due connections of a mailbox, *first* before the others."""
    return sorted((key for key in view.runs if is_due(view, key)), key=lambda key: (key != first, key))


def claimed(run: Run, claim_id: str, now: datetime, lease_seconds: float) -> Run:
    """Return the run as *claim_id* claims it, due again by itself at the claim's end."""
    until = now + claim_length(lease_seconds)
    due = DueRow(until, FETCH, run.connection_id, run.seq + 1)
    return replace(run, seq=run.seq + 1, claim=claim_id, next_at=to_text(until), due=due.key)


def claim_length(lease_seconds: float) -> timedelta:
    """Return how long a claim stands: the lease, and half of it lest somebody is woken while it still holds."""
    return min(timedelta(seconds=lease_seconds * 1.5), CLAIM_LONGEST)


def claim_operations(before: Run, after: Run, etag: str, fired: str, skip: str) -> list[Operation]:
    """Return the claim: the record, a due row at its end, and the end of the *fired* row, which is not *skip*."""
    operations: list[Operation] = [
        Update(run_key(after.connection_id), encode(after), etag),
        Upsert(after.due, {"seq": after.seq}),
    ]
    old = fired or before.due
    if old and old not in (after.due, skip):
        operations.append(Delete(old))
    return operations


def commit_operations(job: Job, skip: str) -> list[Operation]:
    """Return the commit: the record, its next due row, deliveries made sure of, and the end of the claim's due row."""
    run, now = job.run, job.now()
    operations: list[Operation] = [Update(run_key(run.connection_id), encode(run), job.etag)]
    if run.due:
        operations.append(Upsert(run.due, {"seq": run.seq}))
    if run.stopped:
        operations.append(stopped_mark(run.connection_id, now))
    if job.seen:
        due = DueRow(now + DELIVER_AFTER, DELIVER, run.connection_id)
        operations.append(Upsert(due.key, due.values))
    if job.claim_due not in (run.due, skip):
        operations.append(Delete(job.claim_due))
    return [*operations, *job.notices]


def scheduled(run: Run) -> Run:
    """Return the finished *run* with the due row that its `next_at` asks for."""
    done = replace(run, seq=run.seq + 1, claim="", due="")
    if not done.next_at:
        return done
    return replace(done, due=DueRow(from_text(done.next_at), FETCH, done.connection_id, done.seq).key)


def wakeup_of(run: Run) -> Wakeup:
    """Return the message that wakes fetch for *run* as it stands."""
    return Wakeup(FETCH, run.connection_id, run.seq, run.due)


def since_of(connection: Connection, run: Run) -> datetime | None:
    """
    Return the time before which a walk takes nothing, or None.

    Cut to whole seconds, as receivedDateTime is: mail of the same second is taken.
    """
    text = run.since or {"now": connection.created_at, "all": ""}.get(connection.start, connection.start)
    return from_text(text).replace(microsecond=0) if text else None


def scope_of(job: Job, *, again: bool = False) -> datetime | None:
    """
    Return the time before which a walk of *job* takes nothing, or None.

    A walk *again* over what was followed before takes nothing either of which there may be no receipt any more.
    """
    since = since_of(job.connection, job.run)
    if not (again or job.run.resync):
        return since
    oldest = (job.now() - NEVER_BEFORE).replace(microsecond=0)
    return max(since, oldest) if since else oldest


def portions(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    """Yield *items* in portions of at most *size*."""
    for start in range(0, len(items), size):
        yield items[start : start + size]
