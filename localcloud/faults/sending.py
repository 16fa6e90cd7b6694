"""Messages posted by webhooks that repeat themselves until they are answered: the work of `send`."""

from __future__ import annotations

import base64
import contextlib
import json
import random
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import httpx
from azure.storage.queue import QueueServiceClient

from localcloud.faults.outbox import LEFT, Outbox, Verdict, judge
from localcloud.faults.outgoing import DIRECT, PLAIN, POOLS, UNKNOWABLE, Mailing
from localcloud.faults.records import Records
from localcloud.faults.scenarios import Scene
from localcloud.story import letter, small_file

if TYPE_CHECKING:
    from localcloud.faults.scenarios import Scenario
    from localcloud.story import Organisation, Story

BATCH = 4
PLAIN_MAILBOXES = 6
WITHOUT_DRAFTS = ["Mail.Send", "User.Read.All"]
# The first goes through an upload, the second does not fit into the MIME, the third does.
_LARGE = (2_500_000, 1_900_000, 1_900_000)
_TROUBLES = (httpx.TransportError, OSError)


@dataclass
class Mailbox:
    """A mailbox that sends, and how it behaves."""

    address: str
    pool: str
    connection_id: str
    token: str


@dataclass
class Order:
    """One message to post until it is answered; *entry* is what the answer named."""

    number: int
    mailbox: Mailbox
    body: dict[str, Any]
    large: bool = False
    cancel: bool = False
    entry: str = ""
    cancelled: bool = False


@dataclass
class Sending:
    """*batch* messages per round from the mailbox whose turn it is, some cancelled, and some old ones sent again."""

    story: Story
    batch: int = BATCH
    mailboxes: dict[str, list[Mailbox]] = field(default_factory=lambda: defaultdict(list))
    orders: list[Order] = field(default_factory=list)
    current: list[Order] = field(default_factory=list)
    again: dict[str, str] = field(default_factory=dict)
    mailbox: Mailbox | None = None
    made: int = 0
    hasten: bool = False
    _chance: random.Random = field(default_factory=lambda: random.Random(5))

    def __post_init__(self) -> None:
        self.outbox = Outbox(self.story.stack.storage)
        host = self.story.stack.host
        keys = {"x-functions-key": host.host_key, "X-Mailgrant-Request": "1"}
        self._http = httpx.Client(base_url=f"{host.url}/api/", trust_env=False, timeout=30)
        self._keys = keys

    @staticmethod
    def people(each: int) -> dict[str, list[str]]:
        """Return the people to found by pool: *each* of the plain ones, one of every other."""
        return {
            pool: [f"pool{number}-{copy}" for copy in range(each if pool == PLAIN else 1)]
            for number, pool in enumerate(POOLS)
        }

    def connect(self, organisation: Organisation, other: Organisation, each: int) -> None:
        """Connect every mailbox, with its ways; those without drafts are of the *other* organisation."""
        for pool, people in self.people(each).items():
            owner = other if pool == DIRECT else organisation
            for person in people:
                connection, token = self.story.connect_outgoing(owner, person, send_rate=0)
                address = owner.address(person)
                self.mailboxes[pool].append(Mailbox(address, pool, connection["id"], token))
                modes = {f"{name}:{address}": value for name, value in POOLS[pool].items()}
                if modes:
                    self.story.stack.control.set_modes(**modes)

    def prepare(self, scenario: Scenario) -> None:
        """Have more messages to post, and set the scenario up; the host does not run."""
        pool = scenario.pool if isinstance(scenario, Mailing) else PLAIN
        boxes = self.mailboxes[pool]
        boxes.append(boxes.pop(0))
        self.mailbox = boxes[0]
        self.current = [self._order(self.mailbox, large=scenario.large and number == 0) for number in range(self.batch)]
        self.orders += self.current
        control, receiver = self.story.stack.control, self.story.stack.receiver
        scenario.script(Scene(control, receiver, self.mailbox.address, "", []))

    def begin(self) -> None:
        """Post what was never answered, cancel some of it, wake the worker too often, and send an old mail again."""
        with contextlib.suppress(*_TROUBLES):
            self._post_missing()
            for order in self.current:
                if order.cancel and order.entry:
                    answer = self._admin(f"outbox/{order.entry}/cancel", {})
                    order.cancelled = answer.status_code == 200
            self._send_again()
        self._wake()

    def done(self) -> bool:
        """Tell whether the round's mails have their ends, but for those of which no trace is left."""
        if self.mailbox is None or not all(order.entry for order in self.current):
            return False
        return not self._unfinished(self.mailbox, {order.entry for order in self.current})

    def end(self) -> int:
        """Return how many faults happened until now; those that did not stay for a later round."""
        return int(sum(self.story.stack.control.faults()["hits"].values()))

    def settle(self, *, hasten: bool) -> None:
        """Take back what has not happened yet, and post what was never answered; *hasten* wakes every worker."""
        self.story.stack.control.clear_faults()
        self.hasten = hasten
        self._post_missing()

    def settled(self) -> bool:
        """Tell whether every mail has its end; days pass for those that are looked for in vain."""
        self._post_missing()
        for mailbox in self._all():
            moved = self.outbox.let_a_day_pass(mailbox.connection_id)
            if moved or (self.hasten and self.outbox.open(mailbox.connection_id)):
                self._put(mailbox.connection_id)
        unanswered = any(not order.entry for order in self.orders)
        return not unanswered and not any(self.outbox.open(mailbox.connection_id) for mailbox in self._all())

    def figures(self) -> dict[str, Any]:
        """Return what the recipients and the entries say; nothing can be posted afterwards."""
        self._http.close()
        unknowable = {mailbox.connection_id for mailbox in self._all() if mailbox.pool in UNKNOWABLE}
        entries = self.outbox.entries()
        copies = Counter(
            (str(copy["subject"]), str(copy["address"])) for copy in self.story.stack.control.all_received()
        )
        verdict = judge(entries, copies, unknowable)
        known = {entry["id"]: str(entry["status"]) for entry in entries}
        unanswered = [order.number for order in self.orders if order.entry not in known]
        verdict.lost += len(unanswered)
        self._check_cancelled(verdict, known)
        stuck = Records(self.story.stack.storage).stays_stuck()
        states = verdict.states
        return {
            "messages": len(entries),
            "lost": verdict.lost,
            "duplicates": verdict.duplicates,
            "repeats": 0,
            "wrong_state": len(verdict.wrong),
            "stuck": len(stuck),
            "accepted": sum(states[name] for name in LEFT),
            **{name: states[name] for name in ("outcome_unknown", "cancelled", "failed")},
            "resent": sum(bool(entry["resend_of"]) for entry in entries),
            "details": [*verdict.wrong, *sorted(set(stuck))][:10],
        }

    def _check_cancelled(self, verdict: Verdict, known: dict[str, str]) -> None:
        asked = {order.entry for order in self.orders if order.cancel}
        told = {order.entry for order in self.orders if order.cancelled}
        verdict.wrong += [f"{entry}: cancelled, said the answer" for entry in told if known.get(entry) != "cancelled"]
        verdict.wrong += [
            f"{entry}: cancelled, though nobody asked"
            for entry, status in known.items()
            if status == "cancelled" and entry not in asked
        ]

    def _order(self, mailbox: Mailbox, *, large: bool) -> Order:
        self.made += 1
        number = self.made
        to, hidden = f"buyer{number % 50}@outside.example", f"archive{number % 7}@outside.example"
        details: dict[str, Any] = {"attachments": [small_file(number)], "bcc": [hidden]}
        if number % 5 == 3:
            details["send_at"] = (datetime.now(UTC) + timedelta(seconds=1.5)).isoformat()
        return Order(number, mailbox, letter(number, to, **details), large, cancel=number % 10 in (3, 7))

    def _post_missing(self) -> None:
        """Post every message that was not answered yet; the first four at once, and each once more at the same time."""
        missing = [order for order in self.orders if not order.entry]
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(self._post, [order for order in missing for _ in range(2 if order.number % 4 == 0 else 1)]))

    def _post(self, order: Order) -> None:
        with contextlib.suppress(*_TROUBLES):
            if order.large and len(order.body["attachments"]) == 1:
                order.body["attachments"] = self._large_files(order)
            headers = {"Authorization": f"Bearer {order.mailbox.token}", "Idempotency-Key": f"order-{order.number}"}
            answer = self._http.post("messages", json=order.body, headers=headers)
            if answer.status_code == 202:
                order.entry = answer.json()["id"]

    def _large_files(self, order: Order) -> list[dict[str, Any]]:
        contents = [random.Random(order.number).randbytes(size) for size in _LARGE]
        try:
            upload = self.story.upload(order.mailbox.token, "drawing.bin", contents[0])
        except httpx.HTTPStatusError as error:
            raise httpx.TransportError(str(error)) from error
        rest = [{"name": "more.bin", "content": base64.b64encode(content).decode()} for content in contents[1:]]
        return [{"upload_id": upload}, *rest]

    def _send_again(self) -> None:
        """Ask for a second copy of an old mail, and once more where the answer to that was lost."""
        waiting = [entry for entry, key in self.again.items() if key]
        old = [order.entry for order in self.orders[: -2 * self.batch] if order.entry and order.entry not in self.again]
        if old:
            chosen = self._chance.choice(old)
            self.again[chosen] = f"again-{chosen}"
            waiting.append(chosen)
        for entry in waiting:
            answer = self._admin(f"outbox/{entry}/resend", {"accept_duplicate": True}, self.again[entry])
            if answer.status_code < 500:
                self.again[entry] = ""

    def _admin(self, path: str, body: dict[str, Any], key: str = "") -> httpx.Response:
        headers = {**self._keys, **({"Idempotency-Key": key} if key else {})}
        return self._http.post(path, json=body, headers=headers)

    def _unfinished(self, mailbox: Mailbox, entries: set[str]) -> list[dict[str, Any]]:
        rows = [row for row in self.outbox.open(mailbox.connection_id) if row["id"] in entries]
        return [row for row in rows if not (mailbox.pool in UNKNOWABLE and row["looks"])]

    def _wake(self) -> None:
        """Put wake-ups that nobody needs: twice at once, one late, and one of a state that is over."""
        if self.mailbox is not None:
            self._put(self.mailbox.connection_id)
            self._put(self.mailbox.connection_id)
            self._put(self.mailbox.connection_id, seconds=2)
            self._put(self.mailbox.connection_id, seq=1)

    def _put(self, connection_id: str, *, seq: int = 0, seconds: int = 0) -> None:
        body = base64.b64encode(json.dumps({"kind": "send", "id": connection_id, "seq": seq, "due": ""}).encode())
        with QueueServiceClient.from_connection_string(self.story.stack.storage) as queues:
            queues.get_queue_client("mail-send").send_message(body.decode(), visibility_timeout=seconds)

    def _all(self) -> list[Mailbox]:
        return [mailbox for boxes in self.mailboxes.values() for mailbox in boxes]
