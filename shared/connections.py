"""A connection: one mailbox used one way, its configuration, its run, its delivery, and the rows that hold them."""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum

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
    """Where fetched mail goes: ``webhook`` with *url*, or ``queue`` with *name* (prefix ``out-``)."""

    type: str
    url: str = ""
    name: str = ""
    signing_version: int = 1


@dataclass(frozen=True, slots=True)
class Connection:
    """The configuration row, written by the API only. *mailbox* is an object id; address and name are labels."""

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
    may list what is stored already.
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


@dataclass(frozen=True, slots=True)
class Delivery:
    """The delivery row of an incoming connection: who delivers, and how its destination fares."""

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
