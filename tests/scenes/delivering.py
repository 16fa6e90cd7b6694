"""A mailbox whose mail goes to a receiver, on fakes, for the tests of deliver."""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from shared.adapters.webhooks import signature
from shared.connections import Delivery, Destination
from shared.deliver.run import Deliver
from shared.errors import Fault
from shared.events import EventMaker
from shared.ports import Answer
from shared.schedule import DELIVER, Wakeup
from shared.times import from_text
from tests.fakes.intake import BOX, World

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
URL = "https://receiver.example/hook"


class Secrets:
    """Signing secrets; *fault* makes the vault fail."""

    fault: Fault | None = None

    def signing_secret(self, connection_id: str, number: int = 1) -> str:
        """Return the secret."""
        if self.fault:
            raise self.fault
        return SECRET


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
