"""
A campaign: rounds of fresh work, each with a scenario of faults and a kill, until so many kills have happened.

A long campaign first visits every boundary in order: each host dies at the first boundary at which none has died yet.
Once a scenario runs through to its end its turn is over; when all had theirs, scenarios and boundaries are drawn at
random, and a boundary that shows itself for the first time is still died at.
"""

from __future__ import annotations

import os
import shutil
import signal
import threading
import time
from collections import Counter, defaultdict
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from localcloud import killpoints, newer
from localcloud.administrator import wait_until
from localcloud.faults.intake import Intake
from localcloud.faults.outgoing import DIRECT, SEND, Mailing
from localcloud.faults.scenarios import DELIVER, FETCH, Scenario, nothing
from localcloud.faults.sending import PLAIN_MAILBOXES, WITHOUT_DRAFTS, Sending
from localcloud.faults.upgrade import UPGRADE, Upgrading
from localcloud.host.clock import OFFSET
from localcloud.killpoints import Plan
from localcloud.stack import Stack
from localcloud.story import Story

if TYPE_CHECKING:
    import random
    from pathlib import Path

    from rich.console import Console

    from localcloud.processes import HostProcess
    from localcloud.story import Organisation

SETTLE_SECONDS = 420.0
GRACE_SECONDS = 0.25
LONG_CAMPAIGN = 200
TRIES = 5
# Dead work starts again within two leases; the protocol is the same at any length.
LEASES = {"TURN_LEASE_SECONDS": "3", "LOCAL_HOST_QUEUE_LEASE_SECONDS": "3", "LOCAL_HOST_QUEUE_POLL_SECONDS": "0.3"}
# Ten failures in a row are to be probed again within seconds.
RETRIES = {"DELIVERY_RETRY_SECONDS": "0.02"}
# A grant without every right is to be taken for final within seconds.
CHECKS = {"CONSENT_RECHECK_SECONDS": "0.05"}

SCENARIOS: dict[str, tuple[Scenario, ...]] = {"fetch": FETCH, "deliver": DELIVER, "send": SEND, "upgrade": UPGRADE}
Work = Intake | Sending | Upgrading


@dataclass
class Campaign:
    """*count* kills in *area*, drawn by *chance*; *folder* gets the journal of boundaries."""

    area: str
    count: int
    chance: random.Random
    folder: Path
    console: Console
    kills: int = 0
    visited: set[str] = field(default_factory=set)
    passed: Counter[str] = field(default_factory=Counter)
    met: Counter[str] = field(default_factory=Counter)
    _most: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    _happened: int = 0
    _upgraded: bool = False

    def play(self) -> dict[str, Any]:
        """Run the campaign and return its figures."""
        began = time.monotonic()
        with Stack(
            {**LEASES, **RETRIES, **CHECKS}, say=lambda text: self.console.print(f"  {text}"), forked=True
        ) as stack:
            work = self._work(Story(stack))
            second = stack.second_host()
            try:
                self._rounds(stack.host, second, work)
            finally:
                second.close()
            seconds = time.monotonic() - began
            self._settle(stack.host, work)
            figures = work.figures()
            shutil.copy(stack.host.log, self.folder / "host.log")
        known = self.passed.keys() | self.visited
        never = [item.name for item in SCENARIOS[self.area] if not self.met[item.name]]
        return {
            "area": self.area,
            "boundaries": len(known),
            "visited": len(self.visited),
            "kills": self.kills,
            **figures,
            "faults": self._happened,
            "scenarios": len(self.met),
            "never_met": never if self.count >= LONG_CAMPAIGN else [],
            "seconds": round(time.monotonic() - began),
            "seconds_per_kill": round(seconds / max(1, self.kills), 2),
        }

    def _work(self, story: Story) -> Work:
        each = 3 if self.count >= LONG_CAMPAIGN else 1
        intake = Intake(story, 2)
        if self.area in ("send", "upgrade"):
            receiving = Intake.people(each) if self.area == "upgrade" else []
            sending, organisation = self._sending(story, receiving)
            if not receiving:
                return sending
            intake.connect(organisation, each)
            return Upgrading(intake, sending)
        organisation = story.found("contoso.example", "Contoso", Intake.people(each))
        story.register(organisation)
        story.accept(organisation)
        story.await_status(organisation, "active")
        intake.connect(organisation, each)
        return intake

    def _sending(self, story: Story, others: list[str]) -> tuple[Sending, Organisation]:
        """
        Connect mailboxes of two organisations, the second of which grants no right to make drafts.

        The first, which is returned, has the people *others* too.
        """
        each = PLAIN_MAILBOXES if self.count >= LONG_CAMPAIGN else 2
        people = Sending.people(each)
        plain = [person for pool, those in people.items() if pool != DIRECT for person in those]
        organisation = story.found("contoso.example", "Contoso", [*others, *plain])
        other = story.found("fabrikam.example", "Fabrikam", people[DIRECT])
        for one in (organisation, other):
            story.register(one)
            if one is other:
                story.stack.control.change_registration(one.client_id, required_roles=WITHOUT_DRAFTS)
            story.accept(one)
        story.await_status(organisation, "active")
        story.await_status(other, "partial")
        sending = Sending(story)
        sending.connect(organisation, other, each)
        return sending, organisation

    def _rounds(self, host: HostProcess, second: HostProcess, work: Work) -> None:
        scenarios = SCENARIOS[self.area]
        ordered = self.count >= LONG_CAMPAIGN
        drawn = [item for item in scenarios if ordered or item.weight > 1]
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*columns, console=self.console) as progress:
            task = progress.add_task(f"kills in {self.area}", total=self.count)
            waiting = list(scenarios) if ordered else []
            unharmed = 0
            if not ordered:
                self._round(host, second, work, scenarios[0], Plan())
                self.kills = 0
            while self.kills < self.count:
                if waiting:
                    scenario, plan = waiting[0], Plan(visited=sorted(self.visited))
                else:
                    scenario = self.chance.choices(drawn, [item.weight for item in drawn])[0]
                    plan = self._drawn(scenario, ordered=ordered)
                lived = self._round(host, second, work, scenario, plan)
                unharmed = unharmed + 1 if lived else 0
                if waiting and lived and (self.met[scenario.name] or unharmed == TRIES):
                    waiting.pop(0)
                    unharmed = 0
                self._tell(scenario)
                progress.update(
                    task, completed=self.kills, description=f"kills in {self.area}, {len(self.visited)} places"
                )

    def _tell(self, scenario: Scenario) -> None:
        """Say now and then how far it is, where no bar can be drawn."""
        if not self.console.is_terminal and self.kills % 50 == 0:
            self.console.print(f"  {self.kills} kills, {len(self.visited)} boundaries visited; now: {scenario.name}")

    def _drawn(self, scenario: Scenario, *, ordered: bool) -> Plan:
        """Return a boundary that *scenario* has shown, or any, at one of the times that it was passed."""
        seen = self._most[scenario.name] or self._most[SCENARIOS[self.area][0].name]
        label = self.chance.choice(sorted(seen))
        number = self.chance.randint(1, seen[label])
        return Plan(label, number, sorted(self.visited) if ordered else None)

    def _round(self, host: HostProcess, second: HostProcess, work: Work, scenario: Scenario, plan: Plan) -> bool:
        """Play one round; return whether the host was still alive at its end, to be killed in whatever it did then."""
        journal, stored = self.folder / "boundaries", self.folder / "plan"
        frozen = scenario.frozen_for if isinstance(scenario, Mailing) else 0.0
        if frozen:
            plan = replace(self._drawn(scenario, ordered=False), stops=True)
        host.kill()
        journal.unlink(missing_ok=True)
        plan.write(stored)
        work.prepare(scenario)
        host.change_environment(
            {
                killpoints.AREA: self.area,
                killpoints.PLAN: str(stored),
                killpoints.JOURNAL: str(journal),
                OFFSET: str(scenario.clock),
                newer.SWITCH: self._version(newer=self._upgraded),
            }
        )
        host.start()
        if scenario.hosts > 1:
            second.change_environment({newer.SWITCH: self._version(newer=not self._upgraded)})
            second.start()
        self._upgraded = not self._upgraded
        thaw = _thawing(host.pid, frozen)
        work.begin()
        lived = self._watch(host, work, scenario.patience, thaw)
        thaw.cancel()
        host.kill()
        self.kills += 1
        if scenario.hosts > 1:
            time.sleep(GRACE_SECONDS)
            second.kill()
            self.kills += 1
        self._learn(journal, scenario, work, lived=lived)
        return lived

    def _version(self, *, newer: bool) -> str:
        """Return the switch of the version that a host runs; only an upgrade has two."""
        return "1" if newer and self.area == "upgrade" else ""

    @staticmethod
    def _watch(host: HostProcess, work: Work, patience: float, thaw: threading.Timer) -> bool:
        """Tell whether the host still lives at the end, which is not before *thaw* is over."""
        ends = time.monotonic() + patience
        while time.monotonic() < ends:
            if host.has_ended(0.05):
                return False
            if not thaw.is_alive() and work.done():
                return not host.has_ended(GRACE_SECONDS)
        return host.is_running()

    def _learn(self, journal: Path, scenario: Scenario, work: Work, *, lived: bool) -> None:
        lines = journal.read_text().splitlines() if journal.exists() else []
        counted = Counter(lines)
        self.passed += counted
        self._most[scenario.name] |= counted
        if lines and not lived:
            self.visited.add(lines[-1])
        happened = work.end()
        if happened > self._happened or scenario.script is nothing:
            self.met[scenario.name] += 1
        self._happened = max(self._happened, happened)

    def _settle(self, host: HostProcess, work: Work) -> None:
        """Let one host live until all is quiet; what is not by then is for the figures to say."""
        host.kill()
        journal = self.folder / "boundaries"
        journal.unlink(missing_ok=True)
        (self.folder / "plan").unlink(missing_ok=True)
        Plan().write(self.folder / "plan")
        host.change_environment({OFFSET: "0", newer.SWITCH: ""})
        host.start()
        work.settle(hasten=self.count < LONG_CAMPAIGN)
        try:
            wait_until("all is quiet", work.settled, SETTLE_SECONDS, pause=0.5)
        except TimeoutError as error:
            self.console.print(str(error))
        self.passed += Counter(journal.read_text().splitlines() if journal.exists() else [])


def _thawing(pid: int, frozen: float) -> threading.Timer:
    """Let a process that may stand still go on after *frozen* seconds; 0 does nothing."""

    def go_on() -> None:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)

    timer = threading.Timer(frozen, go_on)
    timer.daemon = True
    if frozen:
        timer.start()
    return timer
