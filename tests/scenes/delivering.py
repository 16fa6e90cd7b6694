"""A mailbox whose mail goes to a receiver, on fakes, for the tests of deliver."""

import base64
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from shared.adapters.webhooks import signature
from shared.audit import Audit
from shared.connection_admin.changes import ConnectionChanges
from shared.connection_admin.redelivery import Asked, Redeliveries
from shared.connection_admin.signing import SecretRotation
from shared.connections import Delivery, Destination, Redelivery
from shared.deliver.run import Deliver
from shared.errors import Fault
from shared.events import EventMaker
from shared.identifiers import receipt_id, shard_of
from shared.notices import box_prefix
from shared.ports import Answer
from shared.received import Received
from shared.schedule import DELIVER, QUEUES, Wakeup
from shared.tick import Tick
from shared.times import from_text
from tests.fakes.intake import BOX, World

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
URL = "https://receiver.example/hook"


class Secrets:
    """Signing secrets; *fault* makes the vault fail."""

    fault: Fault | None = None

    def signing_secret(self, connection_id: str, number: int = 1) -> str:
        """Return the secret, another one for each number."""
        if self.fault:
            raise self.fault
        return SECRET if number == 1 else f"whsec_{base64.b64encode(bytes([number]) * 32).decode()}"


@dataclass
class Receiver:
    """A destination that answers as *answers* say, else 204."""

    answers: list[int | Fault] = field(default_factory=list)
    default: int | Fault = 204
    got: list[tuple[str, bytes, dict[str, str]]] = field(default_factory=list)
    before: Callable[[], None] | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        """Take one event."""
        if self.before:
            self.before()
        with self._lock:
            self.got.append((url, body, dict(headers)))
            answer = self.answers.pop(0) if self.answers else self.default
        if isinstance(answer, Fault):
            raise answer
        return Answer(answer)

    def check(self, url: str) -> str | None:
        """Allow every address."""
        return None


class Post:
    """A mailbox with one incoming connection whose mail goes to a receiver."""

    def __init__(self, **changes: object) -> None:
        self.world = World()
        self.receiver = Receiver()
        self.secrets = Secrets()
        self.lock = threading.Lock()
        self.key = self.world.connect(destination=Destination("webhook", URL), **changes)

    def deliver(self) -> Deliver:
        """Return the use case on the fakes."""
        world = self.world
        return Deliver(
            world.tables,
            world.blobs,
            world.wakeups,
            world.turns,
            self.receiver,
            self.secrets,
            signature,
            EventMaker("https://mail.example", lambda: b"k" * 32),
            5.0,
            world.clock,
            monotonic=world.clock.monotonic,
        )

    def store(self, *identifiers: str) -> None:
        """Let mail arrive and be fetched."""
        self.world.graph.arrive(*identifiers)
        self.world.go_on(self.key)

    def go(self, due: str = "") -> None:
        """Wake the deliverer."""
        self.deliver().run(Wakeup(DELIVER, self.key, 0, due))

    def go_on(self) -> None:
        """Let time pass until the delivery row is due, and wake the deliverer as its due row would."""
        row = self.row()
        self.world.clock.advance(max((from_text(row.next_at) - self.world.clock()).total_seconds(), 0) + 1)
        self.go(row.due)

    def settle(self, seconds: float = 3600) -> None:
        """Let ticks and the deliverer work for *seconds*, a minute at a time, until nothing is due any more."""
        tick = Tick(self.world.tables, self.world.wakeups, self.world.clock)
        for _ in range(round(seconds / 60)):
            for body in self.world.wakeups.take(QUEUES[DELIVER]):
                self.deliver().run(Wakeup.from_body(body))
            if not self.due():
                return
            self.world.clock.advance(60)
            tick.run()

    def change(self, **changes: object) -> None:
        """Change the connection as an administrator does."""
        world = self.world
        parts: Any = (world.tables, None, None, self.receiver, world.wakeups, self.audit(), world.clock, None)
        ConnectionChanges(*parts).change(self.key, changes)

    def audit(self) -> Audit:
        """Return the audit log."""
        return Audit(self.world.tables.audit, self.world.clock)

    def redeliveries(self) -> Redeliveries:
        """Return the use case on the fakes."""
        return Redeliveries(self.world.tables, self.world.wakeups, self.audit())

    def redeliver(self, status: str, **bounds: datetime) -> Redelivery:
        """Ask for mail of *status* once more."""
        return self.redeliveries().start(self.key, Asked(status, **bounds))

    def rotation(self) -> SecretRotation:
        """Return the use case on the fakes."""
        secrets: Any = self.secrets
        return SecretRotation(self.world.tables, secrets, self.world.wakeups, self.audit())

    def notices(self) -> list[str]:
        """Return the types of the notices that wait beside the delivery row."""
        first = box_prefix(self.key)
        rows = self.world.tables.connections.read(shard_of(BOX), first, f"{first[:-1]}~").rows
        return [str(row.values["type"]) for row in rows]

    def row(self) -> Delivery:
        """Return the delivery record."""
        return self.world.turns.look(BOX).deliveries[self.key]

    def etags(self) -> dict[str, str]:
        """Return the etags of the mailbox's rows."""
        return self.world.turns.look(BOX).etags

    def ids(self) -> list[str]:
        """Return the ids that the receiver has got."""
        return [headers["webhook-id"] for _, _, headers in self.receiver.got]

    def due(self) -> list[str]:
        """Return the due rows of deliveries."""
        return [row.key for row in self.world.due_rows() if row.kind == DELIVER]


def ask_again(post: Post, name: str) -> None:
    """Ask for one mail once more, as a person does."""
    world = post.world
    parts = (world.tables, world.blobs.received, world.wakeups, lambda: b"k" * 32, "https://mail.example", world.clock)
    Received(*parts).redeliver(receipt_id(post.key, name))


class Killed(BaseException):
    """The process is gone."""


@contextmanager
def befallen(post: Post, at: int, what: Callable[[Any], None]) -> Iterator[list[int]]:
    """Let *what* happen at the *at*-th call outward; the list ends up with how many there were."""
    world, calls = post.world, [0]
    parts: list[Any] = [world.tables.connections, world.tables.receipts, world.blobs.received, world.wakeups]

    def hook(part: Any) -> Callable[[str], None]:
        def before(_: str) -> None:
            calls[0] += 1
            if calls[0] == at:
                what(part)

        return before

    def posted() -> None:
        hook(None)("post")

    post.receiver.before = posted
    for part in parts:
        part.failures.before = hook(part)
    try:
        yield calls
    finally:
        post.receiver.before = None
        for part in parts:
            part.failures.before = None
            part.failures._planned.clear()


def die(_: Any) -> None:
    """End the process."""
    raise Killed


def lose_answer(part: Any) -> None:
    """Let the call at hand have its effect, and its answer be lost."""
    if part is not None:
        for method in ("commit", "read", "get", "put", "chunks"):
            part.failures.plan(method, after_effect=True)
