"""`python -m localcloud faults`: SIGKILL at boundaries of one area, and what the receiving ends say of it."""

from __future__ import annotations

import json
import random
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from localcloud import killpoints
from localcloud.administrator import RefusedError, wait_until
from localcloud.stack import Stack
from localcloud.story import Organisation, Story, letter, small_file

if TYPE_CHECKING:
    import argparse

WORKED_AREAS = ("fetch", "deliver", "send")
SETTLE_SECONDS = 120.0
# Dead work starts again within two leases; the protocol is the same at any length.
LEASES = {"TURN_LEASE_SECONDS": "3", "LOCAL_HOST_QUEUE_LEASE_SECONDS": "3"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command line."""
    parser.add_argument("--area", choices=WORKED_AREAS, default="fetch")
    parser.add_argument("--count", type=int, default=20, metavar="N", help="how many kills (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="which boundaries are drawn (default: %(default)s)")


def run(args: argparse.Namespace) -> int:
    """Kill the host *count* times in *area*; return 0 only if nothing was lost or doubled."""
    console = Console(stderr=True, highlight=False)
    with tempfile.TemporaryDirectory() as folder:
        journal = Path(folder) / "boundaries"
        campaign = Campaign(args.area, args.count, random.Random(args.seed), journal, console)
        figures = campaign.play()
    print(json.dumps(figures), flush=True)
    return 0 if not (figures["lost"] or figures["duplicates"] or figures["wrong_state"]) else 1


@dataclass
class Campaign:
    """Kills of one area until *count* have happened, with fresh work before each."""

    area: str
    count: int
    chance: random.Random
    journal: Path
    console: Console
    batch: int = 6
    kills: int = 0
    posted: int = 0
    boundaries: Counter[str] = field(default_factory=Counter)

    def play(self) -> dict[str, Any]:
        """Run the campaign and return its figures."""
        with Stack(LEASES, say=lambda text: self.console.print(f"  {text}")) as stack:
            story = Story(stack)
            organisation = story.found("contoso.example", "Contoso")
            story.register(organisation)
            story.accept(organisation)
            story.await_status(organisation, "active")
            work = self._work(story, organisation)
            self._kill_in(stack, work)
            stack.host.terminate()
            stack.host.start()
            work.settle()
            return {
                "area": self.area,
                "boundaries": len(self.boundaries),
                "kills": self.kills,
                **work.figures(),
            }

    def _work(self, story: Story, organisation: Organisation) -> Work:
        box = organisation.address("box")
        if self.area == "send":
            _, token = story.connect_outgoing(organisation, "ann", send_rate=0)
            return Sending(story, token, box)
        return Intake(story, box, story.connect_incoming(organisation, "box")["id"])

    def _kill_in(self, stack: Stack, work: Work) -> None:
        usual = self._observe(stack, work)
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*columns, console=self.console) as progress:
            task = progress.add_task(f"kills in {self.area}", total=self.count)
            while self.kills < self.count:
                self._start(stack, at=self.chance.randint(1, max(2, usual)))
                work.add(self.batch)
                deadline = time.monotonic() + 20
                while stack.host.is_running() and time.monotonic() < deadline and not work.done():
                    time.sleep(0.05)
                # A host whose boundary was not reached is killed in whatever it does now.
                stack.host.kill()
                self.kills += 1
                progress.update(task, completed=self.kills)
        stack.host.kill()
        self._forget(stack)
        stack.host.start()

    def _observe(self, stack: Stack, work: Work) -> int:
        """Let one batch through unharmed and return how many boundaries it crossed."""
        self._start(stack, at=0)
        work.add(self.batch)
        wait_until("the first batch is through", work.done, SETTLE_SECONDS)
        lines = self.journal.read_text().splitlines()
        self.boundaries = Counter(lines)
        return len(lines)

    def _start(self, stack: Stack, at: int) -> None:
        stack.host.kill()
        changes = {killpoints.AREA: self.area, killpoints.AT: str(at), killpoints.JOURNAL: str(self.journal)}
        stack.host.change_environment(changes)
        stack.host.start()

    @staticmethod
    def _forget(stack: Stack) -> None:
        stack.host.change_environment({killpoints.AREA: "", killpoints.AT: "", killpoints.JOURNAL: ""})


@dataclass
class Intake:
    """Mail arriving in one mailbox, to be delivered to the receiver."""

    story: Story
    address: str
    connection_id: str
    added: int = 0

    def add(self, count: int) -> None:
        """Put mail into the mailbox and ask for a fetch."""
        self.story.fill(self.address, count, start=self.added)
        self.added += count
        _ignoring_crash(lambda: self.story.stack.admin.post(f"connections/{self.connection_id}/fetch"))

    def done(self) -> bool:
        """Tell whether every mail was delivered and marked read."""
        events = self.story.stack.receiver.events
        return len(events) >= self.added and not self.story.unread(self.address)

    def settle(self) -> None:
        """Wait until the backlog is through; what is not by then counts as lost."""
        _ignoring_crash(lambda: self.story.stack.admin.post(f"connections/{self.connection_id}/fetch"))
        _in_time("the backlog is delivered", self.done)

    def figures(self) -> dict[str, Any]:
        """Return what mailbox and receiver say."""
        wanted, served = self.story.mailbox_bytes([self.address]), self.story.fetched_bytes()
        receiver = self.story.stack.receiver
        changed = sum(1 for bodies in receiver.bodies.values() if len(bodies) > 1)
        return {
            "messages": self.added,
            "lost": (wanted - served).total(),
            "duplicates": (served - wanted).total(),
            "repeats": receiver.repeats,
            "wrong_state": self.story.unread(self.address) + changed,
        }


@dataclass
class Sending:
    """Messages posted by a webhook that repeats itself until it is answered, to stand in one inbox."""

    story: Story
    token: str
    address: str
    added: int = 0
    accepted: dict[str, str] = field(default_factory=dict)

    def add(self, count: int) -> None:
        """Post messages; those whose answer is lost stay to be posted again."""
        self.added += count
        self._post_missing()

    def done(self) -> bool:
        """Tell whether every accepted message arrived."""
        self._post_missing()
        return len(self.story.copies("Order")) >= self.added

    def settle(self) -> None:
        """Wait until the backlog is through; what is not by then counts as lost."""
        _in_time("the backlog is sent", self.done)
        _in_time("every entry says so", lambda: not self._wrong())

    def figures(self) -> dict[str, Any]:
        """Return what the recipients and the entries say."""
        copies = self.story.copies("Order")
        return {
            "messages": self.added,
            "lost": self.added - len(copies),
            "duplicates": sum(count - 1 for count in copies.values()),
            "repeats": 0,
            "wrong_state": self._wrong(),
        }

    def _post_missing(self) -> None:
        for number in range(self.added):
            key = f"order-{number}"
            if key in self.accepted:
                continue
            message = letter(number, self.address, attachments=[small_file(number)])
            answer = _ignoring_crash(lambda message=message, key=key: self.story.post_message(self.token, message, key))
            if answer is None:
                return
            if answer.status_code == 202:
                self.accepted[key] = answer.json()["id"]

    def _wrong(self) -> int:
        admin = self.story.stack.admin
        states = [admin.get(f"outbox/{identifier}")["status"] for identifier in self.accepted.values()]
        return sum(1 for state in states if state not in ("accepted", "sent"))


Work = Intake | Sending


def _ignoring_crash(call: Any) -> Any:
    """Return what *call* returns, or None where the host died under it."""
    import httpx  # noqa: PLC0415

    try:
        return call()
    except (httpx.TransportError, RefusedError):
        return None


def _in_time(what: str, happened: Any) -> None:
    try:
        wait_until(what, happened, SETTLE_SECONDS, pause=0.3)
    except TimeoutError:
        return
