"""Outgoing connections on memory: accept, drain, a tick, and an Exchange that does as a test says."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

from shared.audit import Audit
from shared.compose.message import Address, Outgoing
from shared.connection_admin.changes import ConnectionChanges
from shared.connections import Connection, Direction, Run, connection_key, run_key
from shared.errors import Fault, NotFound, StorageUnavailable
from shared.identifiers import new_connection_id
from shared.outbox.rows import GATE_KEY, Entry
from shared.outbox.work import OPEN, Periods
from shared.ports import GraphMailbox, Insert
from shared.rows import encode
from shared.schedule import DUE_FIRST, SEND, Wakeup, due_upto
from shared.send.accept import Accept, Submission
from shared.send.drain import Drain
from shared.send.entries import Entries
from shared.send.uploads import Uploads
from shared.send.waking import DueRows, SharedWakeups
from shared.tick import Tick
from shared.turns import Turns
from tests.fakes import MemoryBlobStore, MemoryTables, MemoryVault, MemoryWakeups, MovableClock
from tests.fakes.exchange import MemoryExchange, Modes
from tests.fakes.links import MemoryLinks

GRANT = "grant_01ARZ3NDEKTSV4RRFFQ69G5FAV.11111111-2222-4333-8444-555555555555"
BOX = "0123456789abcdef"
PERIODS = Periods(timedelta(seconds=30), timedelta(seconds=60), timedelta(seconds=300))
MAIL = Outgoing(to=(Address("ann@example.com"),), subject="Hello", text="Hi")
QUEUE = "mail-send"


class KilledError(BaseException):
    """The process died here."""


@dataclass
class Killer:
    """Counts the boundaries of workers and dies at the chosen one, once."""

    at: int = -1
    armed: bool = False
    seen: list[str] = field(default_factory=list)

    def step(self, name: str) -> None:
        """Pass a boundary, or die."""
        if not self.armed:
            return
        self.seen.append(name)
        if len(self.seen) == self.at:
            raise KilledError(name)


@dataclass
class Rights:
    """Gives the right to call Graph, or the fault that stands; knows one send token for each connection it was told."""

    fault: Fault | None = None
    suspected: int = 0
    connections: dict[str, Connection] = field(default_factory=dict)

    def graph_mailbox(self, grant_id: str, user: str) -> GraphMailbox:
        """Return a mailbox."""
        if self.fault is not None:
            raise self.fault
        return GraphMailbox("https://graph.microsoft.com", user, lambda _: "t")

    def suspect(self, grant_id: str) -> None:
        """Note that Graph refused what the grant should allow."""
        self.suspected += 1

    def authenticate(self, text: str, scope: str) -> Connection:
        """Return the connection of a token."""
        if scope != "send" or text not in self.connections:
            raise NotFound("There is no such connection for this token.")
        return self.connections[text]


class Sending:
    """One mailbox with an outgoing connection; time moves only when a test says so."""

    def __init__(
        self, modes: Modes | None = None, killer: Killer | None = None, *, confirms: bool = False, **connection: object
    ) -> None:
        self.clock, self.vault = MovableClock(), MemoryVault()
        self.tables, self.blobs = MemoryTables(self.clock), MemoryBlobStore(self.clock)
        self.wakeups, self.rights, self.killer = MemoryWakeups(self.clock), Rights(), killer or Killer()
        self.exchange = MemoryExchange(self.clock, modes or Modes(), step=self.killer.step)
        self.connection = self.make(Direction.OUTGOING, **connection)
        self.turns = Turns(self.tables.connections, 60, monotonic=self.clock.monotonic)
        self.drain = Drain(
            self.turns,
            self.tables.outbox,
            self.blobs,
            self.wakeups,
            self.rights,
            self.exchange,
            PERIODS,
            sent=self.exchange if confirms else None,
        )
        self.links = MemoryLinks(self.blobs.uploads)
        self.uploads = Uploads(self.tables.outbox, self.links, self.clock)
        due_rows = DueRows(self.tables.connections)
        wakeups = SharedWakeups(self.wakeups, self.clock.monotonic)
        self.acceptance = Accept(self.tables.outbox, self.blobs, wakeups, due_rows, self.uploads, self.clock)
        self.entries = Entries(self.tables.outbox, self.clock)
        for table in (self.tables.connections, self.tables.outbox):
            table.failures.before = lambda method: self.killer.step(f"before {method}")

    def make(self, direction: Direction = Direction.OUTGOING, **fields: object) -> Connection:
        """Add a connection to the mailbox; its token is its id. It sends as fast as it can unless told otherwise."""
        made = Connection(
            id=new_connection_id(BOX),
            direction=direction,
            name="n",
            grant_id=GRANT,
            tenant="t",
            mailbox="u",
            address="box@contoso.example",
            created_at="2026-03-02T09:00:00Z",
            send_rate=0,
        )
        made = replace(made, **fields)  # type: ignore[arg-type]
        rows = [Insert(connection_key(made.id), encode(made)), Insert(run_key(made.id), encode(Run(made.id)))]
        self.tables.connections.commit(made.shard, rows)
        self.tables.outbox.commit(made.id, [Insert(GATE_KEY, {"open": True})])
        self.rights.connections[made.id] = made
        return made

    def accept(self, mail: Outgoing = MAIL, key: str = "", body_hash: str = "h", **more: object) -> str:
        """Accept a mail and return its entry's id."""
        made = Submission(mail, key=key, body_hash=body_hash, **more)  # type: ignore[arg-type]
        return self.acceptance.accept(self.connection, made).id

    def entry(self, entry_id: str) -> Entry:
        """Return the entry as it stands."""
        return self.entries.get(entry_id)

    def due_rows(self) -> list[str]:
        """Return the keys of the due rows that wake senders."""
        keys = [key for _, key in self.tables.connections.everything() if key.startswith("due|")]
        return [key for key in keys if key.split("|")[2] == SEND]

    def stored(self) -> list[str]:
        """Return the keys of the outbox beside the gate, which stands as long as a connection takes mail."""
        return [key for _, key in self.tables.outbox.everything() if key != GATE_KEY]

    def changes(self) -> ConnectionChanges:
        """Return what an administrator does to the connections."""
        nobody: Any = None
        audit = Audit(self.tables.audit, self.clock)
        return ConnectionChanges(self.tables, nobody, nobody, nobody, self.wakeups, audit, self.clock, self.vault)

    def work(self) -> None:
        """Deliver the visible wake-ups as the queue trigger does; a failed one comes again by its due row."""
        for body in self.wakeups.take(QUEUE):
            self.killer.armed = True
            with suppress(KilledError, StorageUnavailable):
                self.drain.run(Wakeup.from_body(body))
            self.killer.armed = False

    def run(self, seconds: float, until: Callable[[], bool] = lambda: False) -> None:
        """Let time pass in steps that grow, ticking and working on every wake-up."""
        end, step = self.clock.monotonic() + seconds, 10.0
        while self.clock.monotonic() < end and not until():
            self.work()
            self.clock.advance(step)
            self._tick()
            step = min(step * 1.1, 600)
        self.work()

    def _tick(self) -> None:
        """Run the tick where something is due: elsewhere it would read 16 shards, and tests let days pass."""
        keys = [key for _, key in self.tables.connections.everything() if key.startswith(DUE_FIRST)]
        if keys and min(keys) < due_upto(self.clock()):
            Tick(self.tables, self.wakeups, self.clock).run()

    def finish(self, entry_id: str) -> Entry:
        """Run until the entry is finished (four days at most) and return it."""
        self.run(4 * 86400, lambda: self.entry(entry_id).status not in OPEN)
        self.run(120)
        return self.entry(entry_id)
