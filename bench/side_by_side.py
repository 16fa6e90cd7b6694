"""What other clients need for the same work, on the same simulated Graph under the same conditions."""

from __future__ import annotations

import base64
import hashlib
import json
import random
import subprocess
import tempfile
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Self

from bench.intake import CONDITIONS, Intake, Usage
from bench.peers.worker import Account
from localcloud.administrator import wait_until
from localcloud.children import PROJECT
from localcloud.environment import stripped_environment
from localcloud.foreign.environments import python_of

if TYPE_CHECKING:
    from collections.abc import Callable

Job = dict[str, Any]
OURS = "Mailgrant"
ANSWERS_WITHIN = 300.0
WARM_MAILS = 4  # so that each of four connections is there
LETTERS = 50
ROUNDS = 3
FILE_BYTES = 7 * 1024  # 10 KB as it is encoded, with the rest of the mail
# Bytes above 127 in a header and a body, in a charset that they are not valid in: as they stand in many an old mail.
EIGHT_BIT = (
    b"From: Customer <customer@elsewhere.example>\r\nTo: Orders <orders@bench.example>\r\n"
    b"Subject: Gr\xfc\xdfe aus K\xf6ln\r\nMessage-ID: <eight-bit@elsewhere.example>\r\nMIME-Version: 1.0\r\n"
    b"Content-Type: text/plain; charset=us-ascii\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
    b"Zwei gr\xfcne, bitte. \xa4\x80\xff\r\n"
)
ACCEPTED_504 = {"kind": "status", "status": 504, "when": "after"}


@dataclass(frozen=True, slots=True)
class Peer:
    """One way of using a client: the environment it lives in, its script in `bench/peers`, how often it is measured."""

    name: str
    environment: str
    way: str = ""
    rounds: int = ROUNDS


FETCHING = (
    Peer("python-o365", "o365", "200", rounds=1),
    Peer("python-o365, no delay", "o365", "0"),
    Peer("mailsuite", "mailsuite"),
    Peer("msgraph-sdk, naive", "msgraph", "naive"),
    Peer("msgraph-sdk, tuned", "msgraph", "same"),
    Peer("msgraph-sdk, JSON only", "msgraph", "tuned"),
)
SENDING = (
    Peer("python-o365", "o365", "200"),
    Peer("python-o365, no delay", "o365", "0"),
    Peer("mailsuite", "mailsuite"),
    Peer("msgraph-sdk", "msgraph", "naive"),
    Peer("msgraph-sdk, all at once", "msgraph", "gather"),
)


@dataclass(frozen=True, slots=True)
class Line:
    """What one client took; *less* says what it left undone of the work, *told* what its caller heard after a 504."""

    name: str
    seconds: float
    graph_requests: int
    sub_requests: int
    throttled: int
    cpu_seconds: float
    peak_mb: float
    less: str = ""
    bytes_kept: bool | None = None
    copies: int | None = None
    told: str = ""

    def figures(self) -> dict[str, Any]:
        """Return it as JSON, without what does not apply and without its name."""
        return {key: value for key, value in asdict(self).items() if key != "name" and value not in (None, "")}


class Worker:
    """A peer's process, which does one job at a time; use as a context manager."""

    def __init__(self, peer: Peer, cloud: dict[str, str], account: Account) -> None:
        self._peer, self._open = peer, ExitStack()
        gateway = {name: cloud[name] for name in ("HTTPS_PROXY", "NO_PROXY", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")}
        self._environment = {**stripped_environment(), **gateway}
        self._account = {**asdict(account), "way": peer.way}

    def __enter__(self) -> Self:
        """Start it and say who we are."""
        self._errors: IO[bytes] = self._open.enter_context(tempfile.TemporaryFile())
        command = [str(python_of(self._peer.environment)), "-m", f"bench.peers.with_{self._peer.environment}"]
        self._process = subprocess.Popen(
            command, cwd=PROJECT, env=self._environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=self._errors, text=True,
        )  # fmt: skip
        self._open.callback(self._end)
        self._tell(self._account)
        return self

    def __exit__(self, *_: object) -> None:
        """End it."""
        self._open.close()

    def do(self, job: Job, ready: Callable[[], None]) -> tuple[dict[str, Any], Usage]:
        """Let *job* be done after *ready*, once all is prepared; return what was said, and what it used."""
        self._tell(job)
        self._heard()
        ready()
        before = Usage.of(self._process.pid)
        self._tell({"go": True})
        answer, after = self._heard(), Usage.of(self._process.pid)
        return answer, Usage(after.cpu_seconds - before.cpu_seconds, after.peak_mb)

    def _tell(self, what: dict[str, Any]) -> None:
        if self._process.stdin:
            self._process.stdin.write(f"{json.dumps(what)}\n")
            self._process.stdin.flush()

    def _heard(self) -> dict[str, Any]:
        line = self._process.stdout.readline() if self._process.stdout else ""
        if not line:
            self._errors.seek(0)
            end = self._errors.read().decode(errors="replace")[-2000:]
            raise RuntimeError(f"{self._peer.name} ended before it answered:\n{end}")
        return read_answer(line)

    def _end(self) -> None:
        self._process.terminate()
        self._process.communicate()


def read_answer(line: str) -> dict[str, Any]:
    """Return what a worker says; raises ValueError with the line where that is no JSON object."""
    try:
        return dict(json.loads(line))
    except (ValueError, TypeError) as problem:
        raise ValueError(f"a line of JSON was expected, and this came: {line[:200]!r}") from problem


class Match:
    """
    Lets peers work for one tenant, each in mailboxes of its own.

    Mailgrant's host ends before: it would look for the copies of what it has sent, and be counted with the others.
    """

    def __init__(self, intake: Intake) -> None:
        self._intake, self._control, organisation = intake, intake.stack.control, intake.organisation
        secret = self._control.add_secret(organisation.client_id)["value"]
        self._account = Account(organisation.tenant, organisation.client_id, secret)
        self._boxes = 0
        intake.stack.host.terminate()

    def fetch(self, peer: Peer, mails: list[bytes]) -> Line:
        """Let *peer* keep and mark *mails*, a mailbox of them each round, and then one mail of 8-bit bytes."""
        with self._worker(peer) as worker:
            self._fetched(worker, mails[:WARM_MAILS])
            rounds = sorted((self._fetched(worker, mails) for _ in range(peer.rounds)), key=lambda it: it[0].seconds)
            line, _ = rounds[len(rounds) // 2]
            _, eight_bit = self._fetched(worker, [EIGHT_BIT])
        less = "" if all(kept == len(mails) for _, kept in rounds) else "keeps no originals"
        return _with(line, name=peer.name, less=less, bytes_kept=None if less else eight_bit == 1)

    def send(self, peer: Peer) -> Line:
        """Let *peer* send letters from a mailbox, and then one whose acceptance it is not told of."""
        with self._worker(peer) as worker:
            self._sent(worker, WARM_MAILS)
            rounds = sorted((self._sent(worker, LETTERS) for _ in range(peer.rounds)), key=lambda it: it[0].seconds)
            line, _ = rounds[len(rounds) // 2]
            doubtful, copies = self._sent(worker, 1, fault=True)
        arrived = min(arrived for _, arrived in rounds)
        less = "" if arrived == LETTERS else f"{LETTERS - arrived} mails did not arrive whole, or not once"
        told = f"raises {doubtful.told}" if doubtful.told else "is told it was sent"
        return _with(line, name=peer.name, less=less, copies=copies, told=told)

    def _worker(self, peer: Peer) -> Worker:
        return Worker(peer, self._intake.stack.cloud, self._account)

    def _fetched(self, worker: Worker, mails: list[bytes]) -> tuple[Line, int]:
        """Return what a round took, and how many mails were marked and kept byte for byte."""
        address = self._box()
        self._control.deliver_many(address, mails)
        served = {message["sha256"] for message in self._intake.story.inbox(address)}
        with tempfile.TemporaryDirectory() as folder:
            line = self._done(worker, {"do": "fetch", "mailbox": address, "folder": folder})
            kept = {hashlib.sha256(file.read_bytes()).hexdigest() for file in Path(folder).glob("*.eml")}
        if line.told or self._intake.story.unread(address):
            raise RuntimeError(f"the mails were not all marked read; the client raised: {line.told or 'nothing'}")
        return line, len(kept & served)

    def _sent(self, worker: Worker, count: int, *, fault: bool = False) -> tuple[Line, int]:
        """Return what a round took, and how many copies arrived whole: without a fault, of different letters."""
        address = self._box()
        to = f"buyer-of-{address.partition('@')[0]}@elsewhere.example"
        letters = [letter(number, to) for number in range(count)]
        if fault:
            self._control.add_fault("graph", "sendmail", ACCEPTED_504, key=address)
        line = self._done(worker, {"do": "send", "mailbox": address, "letters": letters})
        copies = self._control.received(to)
        if fault:
            return line, len(copies)
        files = {hashlib.sha256(base64.b64decode(one["content"])).hexdigest() for one in letters}
        arrived = [copy["attachments"][0]["sha256"] for copy in copies]
        return line, len(files & set(arrived)) - (len(arrived) - len(set(arrived)))

    def _box(self) -> str:
        self._boxes += 1
        address = self._intake.organisation.address(f"peer{self._boxes}")
        self._control.add_user(self._intake.organisation.domain, address, f"Peer {self._boxes}")
        return address

    def _done(self, worker: Worker, job: Job) -> Line:
        self._control.set_modes(**CONDITIONS)
        answer, used = worker.do(job, self._control.reset_counters)
        counters = self._control.counters()
        return Line(
            name="",
            seconds=round(answer["seconds"], 3),
            graph_requests=counters["graph_requests"],
            sub_requests=counters.get("graph_sub_requests", 0),
            throttled=counters.get("graph_throttled", 0),
            cpu_seconds=round(used.cpu_seconds, 2),
            peak_mb=round(used.peak_mb),
            told=answer["failed"],
        )


def ours(figures: dict[str, Any], **details: Any) -> Line:
    """Return Mailgrant's line from its own *figures* and the *details* that only a comparison has."""
    taken = ("seconds", "graph_requests", "sub_requests", "throttled", "cpu_seconds", "peak_mb")
    return Line(name=OURS, **{name: figures[name] for name in taken}, **details)


def ours_keeps_bytes(intake: Intake) -> bool:
    """Whether Mailgrant serves an 8-bit mail as its mailbox does."""
    address = intake.organisation.address("eightbit")
    connection = intake.connect("eightbit")
    intake.stack.control.deliver_many(address, [EIGHT_BIT])
    intake.stack.admin.post(f"connections/{connection}/fetch")
    found = wait_until("the 8-bit mail is delivered", lambda: intake.story.fetched_bytes([address]), 60)
    return bool(found == intake.story.mailbox_bytes([address]))


def ours_copies(intake: Intake) -> tuple[int, str]:
    """Return how many copies of a mail arrive whose acceptance Mailgrant is not told of, and what it says of it."""
    person, to = "doubtful", "buyer-of-doubtful@elsewhere.example"
    address = intake.organisation.address(person)
    intake.stack.control.add_user(intake.organisation.domain, address, person)
    connection, token = intake.story.connect_outgoing(intake.organisation, person, send_rate=0)
    intake.stack.control.add_fault("graph", "messages.send", ACCEPTED_504, key=address)
    message = {"to": [to], "subject": "Order", "text": "Your order is on its way."}
    intake.story.post_message(token, message).raise_for_status()

    def settled() -> str:
        (entry,) = intake.stack.admin.get(f"connections/{connection['id']}/outbox")["data"]
        return str(entry["status"]) if entry["status"] in ("accepted", "sent", "failed", "outcome_unknown") else ""

    status = wait_until("what became of the mail is known", settled, 120)
    return len(intake.stack.control.received(to)), f"says {status}"


def letter(number: int, to: str) -> dict[str, Any]:
    """Return a mail of 10 KB, the same at every run, for a worker's job."""
    content = random.Random(number).randbytes(FILE_BYTES)  # noqa: S311 - the same bytes at every run
    return {
        "to": to,
        "subject": f"Order {number}",
        "html": f"<p>Your order <b>{number}</b> is on its way.</p>",
        "name": "order.pdf",
        "content": base64.b64encode(content).decode(),
    }


def _with(line: Line, **changes: Any) -> Line:
    return Line(**{**asdict(line), "told": "", **changes})
