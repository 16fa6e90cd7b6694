"""A connection: one mailbox used one way, its configuration, its run, its delivery, and the rows that hold them."""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol

from shared.aftercare import Aftercare
from shared.errors import RecordedFault
from shared.identifiers import box_of, shard_of
from shared.times import to_text


class Direction(StrEnum):
    """Which way a connection moves mail."""

    INCOMING = "incoming"
    OUTGOING = "outgoing"


class Status(StrEnum):
    """The effective state of a connection, as answers show it."""

    ACTIVE = "active"
    WAITING = "waiting"
    BACKING_OFF = "backing_off"
    STOPPED = "stopped"
    DISABLED = "disabled"


class Action(StrEnum):
    """What becomes of a message in the mailbox once it is stored; ``delete`` moves it to Deleted Items."""

    NONE = "none"
    READ = "read"
    MOVE = "move"
    DELETE = "delete"


@dataclass(frozen=True, slots=True)
class AfterFetch:
    """What to do with a fetched message; *folder_id* for ``move`` and ``delete``."""

    action: Action = Action.NONE
    folder_id: str = ""
    folder_name: str = ""


@dataclass(frozen=True, slots=True)
class Destination:
    """
    Where fetched mail goes: ``webhook`` with *url*, or ``queue`` with *name* (prefix ``out-``).

    *signing_superseded* says until when the secrets before *signing_version* sign too, the latest last. *events* are
    the types it asked for, none for the usual ones.
    """

    type: str
    url: str = ""
    name: str = ""
    signing_version: int = 1
    signing_rotated_at: str = ""
    signing_superseded: tuple[str, ...] = ()
    events: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Limits:
    """
    How much of a mailbox an incoming connection stores; what is beyond stays in the mailbox, its receipt says so.

    Exchange Online takes messages of up to 150 MB; as MIME they may be larger.
    """

    max_message_mb: int = 250
    max_stored_mb_per_day: int = 10_240


@dataclass(frozen=True, slots=True)
class Connection:
    """
    The configuration row, written by the API only. *mailbox* is an object id; address and name are labels.

    *continues* names the deleted connections that it goes on for, the first one first: what they took is not taken.
    """

    id: str
    direction: Direction
    name: str
    grant_id: str
    tenant: str
    mailbox: str
    address: str
    created_at: str
    mailbox_name: str = ""
    enabled: bool = True
    version: int = 1
    folder_id: str = ""
    folder_name: str = ""
    interval_minutes: int = 5
    start: str = "now"  # now | all | RFC 3339
    after_fetch: AfterFetch = field(default_factory=AfterFetch)
    destination: Destination | None = None
    automatic_mail: str = "deliver"
    retention_days: int = 30
    hold_hours: int = 72
    max_message_mb: int = 35
    send_rate: int = 30
    recipient_allow_list: tuple[str, ...] = ()
    limits: Limits = field(default_factory=Limits)
    continues: tuple[str, ...] = ()

    @property
    def shard(self) -> str:
        """The partition of every row of this mailbox."""
        return shard_of(self.id)

    @property
    def box(self) -> str:
        """The hash of the app's view of the mailbox."""
        return box_of(self.id)


@dataclass(frozen=True, slots=True)
class Run:
    """
    The run row of a connection, written by whoever holds the mailbox turn.

    *next_at* is when work is due, *due* the key of the due row that stands for it, *claim* the claim id of the running
    invocation ('' when none). For incoming connections *cursor* is the committed delta link ('' before the first walk),
    *walk* the next link between back-to-back runs of one walk, *since* the time before which a walk takes nothing.
    *pending* tells that work of earlier runs (after_fetch, fetch again) stands in rows, *recheck* that the next pages
    may list what is stored already, *unsettled* that what the connection before left open is still to be sorted.
    *resync* tells that a folder that was followed before is walked anew, *light* that delta names no more than ids.
    *sweep_from* is where the sweep goes on ('' when none is under way), *swept_at* when the last one ended, *swept* how
    many mails sweeps found, *holes* how many messages Graph would not even name, *alarmed* that it was said that the
    connection has failed. *stored_bytes* came on *stored_day* (of storage's time), for the connection's limits.
    """

    connection_id: str
    seq: int = 0
    next_at: str = ""
    due: str = ""
    claim: str = ""
    config_version: int = 1
    cursor: str = field(default="", repr=False)
    walk: str = field(default="", repr=False)
    since: str = ""
    failures: int = 0
    failing_since: str = ""
    stopped: bool = False
    fault: RecordedFault | None = None
    last_run_at: str = ""
    last_success_at: str = ""
    taken: int = 0
    pending: bool = False
    recheck: bool = False
    unsettled: bool = False
    resync: bool = False
    light: bool = False
    sweep_from: str = field(default="", repr=False)
    swept_at: str = ""
    swept: int = 0
    holes: int = 0
    alarmed: bool = False
    stored_day: str = ""
    stored_bytes: int = 0
    aftercare: Aftercare = field(default_factory=Aftercare)


class Selectable(Protocol):
    """What of a receipt decides whether it is redelivered."""

    @property
    def status(self) -> str:
        """What became of the message."""

    @property
    def stored_at(self) -> str:
        """When it was stored."""


@dataclass(frozen=True, slots=True)
class Redelivery:
    """
    A person's wish to have mail of *status*, stored from *since* until *until* ('' for no bound), delivered once more.

    It is worked off receipt row by receipt row; *cursor* is the key of the last one that was looked at. *selected*
    were put in line, *without_content* have nothing left to deliver.
    """

    id: str
    status: str
    since: str
    until: str
    asked_at: str
    cursor: str = ""
    selected: int = 0
    without_content: int = 0
    finished_at: str = ""

    def takes(self, receipt: "Selectable") -> bool:
        """Tell whether a receipt is among those that are asked for."""
        ended = bool(self.until) and receipt.stored_at >= self.until
        # By whole seconds, as storage tells them: what comes later is delivered anyhow.
        known = receipt.stored_at[:19] <= self.asked_at[:19]
        return known and not ended and receipt.status == self.status and receipt.stored_at >= self.since


@dataclass(frozen=True, slots=True)
class Delivery:
    """
    The delivery row of an incoming connection: who delivers, and how its destination fares.

    *backlog* tells that everything goes out now, whatever the waits of single mails. *succeeded_at* is when the
    destination last took a mail, *revived_at* when a person last gave it a new start, *failed* how many mails it was
    not asked any more to take.
    """

    connection_id: str
    seq: int = 0
    next_at: str = ""
    due: str = ""
    claim: str = ""
    lease_until: str = ""
    failures: int = 0
    failing_since: str = ""
    paused: bool = False
    disabled: bool = False
    fault: RecordedFault | None = None
    delivered: int = 0
    backlog: bool = False
    redelivery: Redelivery | None = None
    succeeded_at: str = ""
    revived_at: str = ""
    failed: int = 0


@dataclass(frozen=True, slots=True)
class Back:
    """A back-off: how long the n-th failure in a row waits, in seconds, doubling from *first* to *longest*."""

    first: float
    longest: float

    def after(self, failures: int, asked: float | None = None) -> timedelta:
        """Return the wait after *failures* failures, never less than the *asked* seconds."""
        own = min(self.longest, self.first * 2 ** min(max(failures - 1, 0), 20))
        return timedelta(seconds=max(own, asked or 0.0))


def box_key(box: str) -> str:
    """Return the key of the turn row."""
    return f"b|{box}|box"


def connection_key(connection_id: str) -> str:
    """Return the key of the configuration row."""
    return f"b|{box_of(connection_id)}|conn|{connection_id}"


def run_key(connection_id: str) -> str:
    """Return the key of the run row."""
    return f"b|{box_of(connection_id)}|run|{connection_id}"


def delivery_key(connection_id: str) -> str:
    """Return the key of the delivery row."""
    return f"b|{box_of(connection_id)}|dlv|{connection_id}"


def token_key(token_id: str) -> str:
    """Return the key of a token's row; a token id begins with its connection's box hash."""
    return f"b|{box_of(token_id)}|tok|{token_id}"


def box_range(box: str) -> tuple[str, str]:
    """Return first and last key of everything that belongs to one mailbox."""
    return f"b|{box}|", f"b|{box}~"


def failed(run: Run, fault: RecordedFault, wait: timedelta, now: datetime, *, stop: bool = False) -> Run:
    """Return the run after a failure of its own: counted, explained, due again after *wait*, or stopped."""
    return replace(
        run,
        failures=run.failures + 1,
        failing_since=run.failing_since or to_text(now),
        fault=fault,
        stopped=stop,
        next_at="" if stop else to_text(now + wait),
        last_run_at=to_text(now),
    )
