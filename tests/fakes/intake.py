"""One mailbox with connections on fakes, for the tests of fetch and deliver."""

from dataclasses import dataclass, field, replace

from shared.connections import Connection, Direction, Run, box_key, connection_key, run_key
from shared.errors import Fault
from shared.fetch.run import Fetch, FetchLimits
from shared.identifiers import box_hash, new_connection_id, shard_of
from shared.ports import GraphMailbox, Insert, Update
from shared.receipts import Receipt, hash_of, read_receipt
from shared.rows import encode
from shared.schedule import FETCH, DueRow, Wakeup
from shared.times import from_text, to_text
from shared.turns import Turns
from tests.fakes import MemoryBlobStore, MemoryTables, MemoryWakeups, MovableClock
from tests.fakes.graph_reading import MemoryGraphReading

BOX = box_hash("app", "tenant", "user")
GRANT = "grant_01ARZ3NDEKTSV4RRFFQ69G5FAV.11111111-2222-4333-8444-555555555555"


@dataclass
class Access:
    """Grants that work, unless *fault* says otherwise."""

    fault: Fault | None = None
    suspected: list[str] = field(default_factory=list)
    has_delta: bool = True

    def standing(self, grant_id: str) -> Fault | None:
        """Return the planned fault."""
        return self.fault

    def graph_mailbox(self, grant_id: str, user: str) -> GraphMailbox:
        """Return the mailbox."""
        return GraphMailbox("https://graph.microsoft.com", user, lambda fresh: "token", self.has_delta)

    def suspect(self, grant_id: str) -> None:
        """Remember the grant."""
        self.suspected.append(grant_id)


@dataclass
class World:
    """One mailbox with incoming connections, on fakes."""

    clock: MovableClock = field(default_factory=MovableClock)
    graph: MemoryGraphReading = field(default_factory=MemoryGraphReading)
    access: Access = field(default_factory=Access)
    limits: FetchLimits = field(default_factory=FetchLimits)

    def __post_init__(self) -> None:
        """Make the fakes on one clock."""
        self.tables = MemoryTables(self.clock)
        self.blobs = MemoryBlobStore(self.clock)
        self.wakeups = MemoryWakeups()
        self.turns = Turns(self.tables.connections, 60.0, monotonic=self.clock.monotonic)
        self.slept: list[float] = []

    def fetch(self) -> Fetch:
        """Return the use case on the fakes."""
        return Fetch(
            self.tables, self.blobs, self.wakeups, self.turns, self.access, self.graph, self.limits, self.slept.append
        )

    def connect(self, **changes: object) -> str:
        """Make a connection that is due now, with its due row; return its id."""
        key = new_connection_id(BOX)
        now = to_text(self.clock())
        connection = Connection(
            key, Direction.INCOMING, "n", GRANT, "t", "user", "box@contoso.example", now, folder_id="inbox", start="all"
        )
        due = DueRow(self.clock(), FETCH, key, 1)
        run = Run(key, seq=1, next_at=now, due=due.key)
        operations = [
            Insert(connection_key(key), encode(replace(connection, **changes))),  # type: ignore[arg-type]
            Insert(run_key(key), encode(run)),
            due.insert(),
        ]
        self.tables.connections.commit(shard_of(BOX), operations)
        return key

    def run(self, key: str) -> Run:
        """Return the run record."""
        return self.turns.look(BOX).runs[key]

    def go(self, key: str) -> None:
        """Wake fetch for a connection the way its due row would."""
        run = self.run(key)
        self.fetch().run(Wakeup(FETCH, key, run.seq, run.due))

    def go_on(self, key: str) -> None:
        """Let time pass until the connection is due, and wake fetch."""
        wait = from_text(self.run(key).next_at) - self.clock()
        self.clock.advance(max(wait.total_seconds(), 0) + 1)
        self.go(key)

    def receipt(self, key: str, graph_id: str) -> Receipt:
        """Return the receipt of a message."""
        row = self.tables.receipts.get(key, f"m|{hash_of(graph_id)}")
        assert row is not None
        return read_receipt(row.values)

    def change_receipt(self, key: str, graph_id: str, **values: str | int) -> None:
        """Change what a message's receipt says."""
        self.tables.receipts.commit(key, [Update(f"m|{hash_of(graph_id)}", values, "*")])

    def rows(self, key: str, kind: str) -> list[str]:
        """Return the keys of the receipt rows of one kind."""
        return [row.key for row in self.tables.receipts.read(key, f"{kind}|", f"{kind}~").rows]

    def due_rows(self) -> list[DueRow]:
        """Return every due row of the mailbox's shard."""
        rows = self.tables.connections.read(shard_of(BOX), "due|", "due~").rows
        return [DueRow.from_row(row.key, row.values) for row in rows]

    def want(self, kind: str) -> None:
        """Leave word that *kind* waits for the turn."""
        operation = Update(box_key(BOX), {f"wanted_{kind}": to_text(self.clock())}, "*")
        self.tables.connections.commit(shard_of(BOX), [operation])

    def woken(self, kind: str) -> list[dict[str, object]]:
        """Return the wake-ups of one kind that were put."""
        return [dict(item.body) for item in self.wakeups.sent if item.body.get("kind") == kind]
