"""Fetch, deliver, tick and changes under any order of deaths, stalls, lost answers and repeated messages."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.audit import Audit
from shared.connection_admin.changes import ConnectionChanges
from shared.connections import Action, AfterFetch, Destination
from shared.errors import StorageUnavailable
from shared.identifiers import receipt_id
from shared.schedule import DELIVER, FETCH, QUEUES, Wakeup
from shared.tick import Tick
from tests.fakes import MemoryWakeups
from tests.fakes.intake import BOX
from tests.scenes.delivering import URL, Post


class Killed(BaseException):
    """The process is gone."""


class Intake:
    """One connection of one mailbox, its workers, and whatever befalls them."""

    def __init__(self) -> None:
        self.post = Post(after_fetch=AfterFetch(Action.MOVE, "archive"))
        self.world = self.post.world
        self.world.wakeups = MemoryWakeups(self.world.clock)
        self.world.limits = type(self.world.limits)(page_size=3, pages=2)
        self.key = self.post.key
        self.tick = Tick(self.world.tables, self.world.wakeups, self.world.clock)
        nothing: Any = None
        audit = Audit(self.world.tables.audit, self.world.clock)
        self.changes = ConnectionChanges(
            self.world.tables,
            nothing,
            nothing,
            self.post.receiver,
            self.world.wakeups,
            audit,
            self.world.clock,
            nothing,
        )
        self.arrived: list[str] = []
        self.last: dict[str, Any] = {}
        self.happened = False

    def arrive(self, number: int) -> None:
        """Let mail arrive."""
        names = [f"m{len(self.arrived) + n}" for n in range(number)]
        self.arrived += names
        self.world.graph.arrive(*names)

    def handle(self, body: dict[str, Any]) -> None:
        """Run the worker that a message wakes."""
        wakeup = Wakeup.from_body(body)
        self.last = body
        if wakeup.kind == FETCH:
            self.world.fetch().run(wakeup)
        elif wakeup.kind == DELIVER:
            self.post.deliver().run(wakeup)

    def work(self, *, survives: bool = True) -> None:
        """Run every worker that is woken; one that dies takes its message with it, and all else that the host holds."""
        for kind in (FETCH, DELIVER):
            for body in self.world.wakeups.take(QUEUES[kind]):
                try:
                    self.handle(body)
                except Killed:
                    return
                except StorageUnavailable:
                    if survives:
                        raise

    def pass_time(self, seconds: float) -> None:
        """Let time pass, then one tick."""
        self.world.clock.advance(seconds)
        self.tick.run()

    def seconds_to_next(self) -> float:
        """Return how long it is until anything is due."""
        times = [row.at for row in self.world.due_rows()]
        return max((min(times) - self.world.clock()).total_seconds(), 0) + 1 if times else 1.0

    def enable(self, enabled: bool) -> None:
        """Enable or disable the connection."""
        self.changes.change(self.key, {"enabled": enabled})

    @contextmanager
    def befallen(self, at: int, what: Callable[[Any], None]) -> Iterator[None]:
        """Let *what* happen at the *at*-th call outward."""
        tables, calls = self.world.tables, 0
        self.happened = False
        parts: list[Any] = [
            tables.connections,
            tables.receipts,
            self.world.blobs.received,
            self.world.graph,
            self.world.wakeups,
        ]

        def hook(part: Any) -> Callable[[str], None]:
            def before(_: str) -> None:
                nonlocal calls
                calls += 1
                if calls == at:
                    self.happened = True
                    what(part)

            return before

        for part in parts:
            part.failures.before = hook(part)
        try:
            yield
        finally:
            for part in parts:
                part.failures.before = None
                part.failures._planned.clear()

    def die(self, _: Any) -> None:
        """End the process before a call; before the next call is after the last one."""
        raise Killed

    def lose_answer(self, part: Any) -> None:
        """Let the call at hand have its effect, and its answer be lost."""
        for method in ("commit", "read", "get", "put"):
            part.failures.plan(method, after_effect=True)

    def stall(self, _: Any) -> None:
        """Stop for so long that everyone else thinks the process dead, and let them work meanwhile."""
        for _n in range(3):
            self.pass_time(61)
            self.work()

    def beside(self, _: Any) -> None:
        """Let a second instance work on what is woken."""
        if self.last:
            self.handle(self.last)
        self.work()

    def check(self) -> None:
        """No due row of an enabled connection may be missing, whatever happened."""
        connection, run = self.world.turns.look(BOX).connections[self.key], self.world.run(self.key)
        fetches = [row for row in self.world.due_rows() if row.kind == FETCH and row.id == self.key]
        assert fetches or not connection.enabled or run.stopped

    def check_healed(self) -> None:
        """Once nothing befalls anyone any more, all mail is stored, moved once and delivered, and one row is due."""
        self.enable(True)
        for _ in range(40):
            self.pass_time(31)
            self.work()
        world, key = self.world, self.key
        assert {receipt_id(key, name) for name in self.arrived} == set(self.post.ids())
        assert (world.rows(key, "wd"), world.rows(key, "wa"), world.rows(key, "wf")) == ([], [], [])
        assert sorted(self.arrived) == sorted(world.graph.moved)
        kinds = [row.kind for row in world.due_rows() if row.id == key]
        assert kinds == [FETCH]
        view = world.turns.look(BOX)
        assert (view.box.holder, view.runs[key].claim, view.deliveries[key].claim) == ("", "", "")


STEPS = st.one_of(
    st.tuples(st.just("arrive"), st.integers(1, 7)),
    st.tuples(st.just("pass"), st.sampled_from([0.7, 5.0, 31.0, 61.0, 95.0, 301.0])),
    st.tuples(st.just("work"), st.just(0)),
    st.tuples(st.sampled_from(["die", "lose_answer", "stall", "beside"]), st.integers(1, 40)),
    st.tuples(st.sampled_from(["enable", "disable", "again", "destination", "fetch"]), st.just(0)),
)


def step(intake: Intake, name: str, number: float) -> None:
    """Do one step of a story."""
    match name:
        case "arrive":
            intake.arrive(int(number))
        case "pass":
            intake.pass_time(number)
        case "work":
            intake.work()
        case "enable" | "disable":
            intake.enable(name == "enable")
        case "again":
            if intake.last:
                intake.handle(intake.last)
        case "destination":
            intake.changes.change(intake.key, {"destination": Destination("webhook", URL)})
        case "fetch":
            if intake.world.turns.look(BOX).connections[intake.key].enabled:
                intake.changes.fetch(intake.key)
        case _:
            intake.pass_time(intake.seconds_to_next())
            with intake.befallen(int(number), getattr(intake, name)):
                intake.work(survives=False)


TROUBLES = ["die", "lose_answer", "stall", "beside"]


@pytest.mark.parametrize("trouble", TROUBLES)
def test_no_single_trouble_at_any_call_loses_anything(trouble: str) -> None:
    """The whole way of three mails, once with each of its calls outward befallen."""
    reached = True
    for at in count(1):
        intake = Intake()
        intake.arrive(3)
        step(intake, trouble, at)
        intake.check()
        reached = intake.happened
        intake.check_healed()
        if not reached:
            break
    assert at > 20


@settings(max_examples=30, deadline=None)
@given(st.lists(STEPS, min_size=1, max_size=25))
def test_no_sequence_of_trouble_loses_mail_or_the_last_due_row(steps: list[tuple[str, float]]) -> None:
    """Every mail is delivered and moved in the end, and at every moment something is due for the connection."""
    intake = Intake()
    intake.arrive(4)
    for name, number in steps:
        step(intake, name, number)
        intake.check()
    intake.check_healed()
