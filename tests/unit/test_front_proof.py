"""Easy Auth is believed while it is proven, for ten minutes at a time; else nobody is, and the operator hears once."""

import threading
import time
from datetime import timedelta
from typing import Any

import pytest

from shared.errors import Fault
from shared.front_proof import PROVEN_SECONDS, REFUSED_SECONDS, WAITING, FrontProof
from shared.schedule import DUE_FIRST, NOTICE, DueRow, due_upto, shard_for
from tests.fakes import MemoryTables, MemoryWakeups, MovableClock
from tests.fakes.front import MemoryFront

TENANT = "8a7c0c3e-0000-4000-8000-000000000001"


class Scene:
    """One process before a front."""

    def __init__(self) -> None:
        self.clock, self.front, self.now = MovableClock(), MemoryFront(), 0.0
        self.tables = MemoryTables(self.clock)
        self.wakeups = MemoryWakeups(self.clock)
        self.proof = self.process()

    def process(self) -> FrontProof:
        """Return another process on the same storage."""
        return FrontProof(self.front, TENANT, self.tables, self.wakeups, self.clock, lambda: self.now)

    def demanded(self, proof: FrontProof | None = None) -> str:
        """Return 'in', or the code of the refusal."""
        try:
            (proof or self.proof).demand()
        except Fault as fault:
            return fault.code.value if 0 < (fault.retry_after or 0) <= REFUSED_SECONDS else "never"
        return "in"

    def alarms(self) -> list[Any]:
        """Return the notices that wait to be told."""
        rows = self.tables.credentials.read("system", "e|", "e~").rows
        return [row.values for row in rows]


@pytest.fixture
def scene() -> Scene:
    """Return a fresh process."""
    return Scene()


def test_a_proof_holds_for_ten_minutes(scene: Scene) -> None:
    """Requests in between cost no probe; the first after them does."""
    verdicts = [scene.demanded(), scene.demanded()]
    scene.now = PROVEN_SECONDS - 1
    verdicts.append(scene.demanded())
    calls = scene.front.calls
    scene.now = PROVEN_SECONDS
    verdicts.append(scene.demanded())

    assert (["in"] * 4, 1, 2) == (verdicts, calls, scene.front.calls)
    assert [] == scene.alarms()


def test_what_was_proven_once_is_tried_again(scene: Scene) -> None:
    """A front that is switched off later is noticed at the next trial, and closes everything."""
    before = scene.demanded()
    scene.front.arrives, scene.now = True, PROVEN_SECONDS

    assert ("in", "easy_auth_not_proven") == (before, scene.demanded())
    assert ["mailgrant.easyauth.unproven"] == [alarm["type"] for alarm in scene.alarms()]


def test_one_lost_answer_is_no_alarm(scene: Scene) -> None:
    """It is tried twice; a front that stays silent proves nothing."""
    scene.front.silent = 1
    first = scene.demanded()
    scene.now, scene.front.silent = PROVEN_SECONDS, 2

    assert ("in", "easy_auth_not_proven", 1) == (first, scene.demanded(), len(scene.alarms()))


def test_failures_are_remembered_for_a_moment_and_told_once(scene: Scene) -> None:
    """No request of an impostor makes more than a probe every twenty seconds, whatever the instance."""
    scene.front.arrives = True
    verdicts = [scene.demanded() for _ in range(5)]
    calls = scene.front.calls
    scene.now = REFUSED_SECONDS
    verdicts += [scene.demanded(), scene.demanded(scene.process())]

    assert (["easy_auth_not_proven"] * 7, 1) == (verdicts, calls)
    assert (1, {"system"}) == (len(scene.alarms()), {sent.body["id"] for sent in scene.wakeups.sent})


def test_it_heals_and_a_later_failure_is_told_anew(scene: Scene) -> None:
    """One alarm for each time that it was lost."""
    counts = []
    for arrives in (True, False, True):
        scene.front.arrives = arrives
        scene.demanded()
        counts.append(len(scene.alarms()))
        scene.now += PROVEN_SECONDS

    assert [1, 1, 2] == counts


@pytest.mark.parametrize("after_effect", [False, True])
@pytest.mark.parametrize("table", ["connections", "credentials"])
def test_storage_that_fails_lets_nobody_in(scene: Scene, table: str, *, after_effect: bool) -> None:
    """The refusal stands, and the next trial tells what this one could not."""
    scene.front.arrives = True
    getattr(scene.tables, table).failures.plan("commit", after_effect=after_effect)
    first = scene.demanded()
    scene.now = REFUSED_SECONDS
    second = scene.demanded()

    assert (["easy_auth_not_proven"] * 2, 1) == ([first, second], len(scene.alarms()))


def test_probes_do_not_take_every_thread(scene: Scene) -> None:
    """While one request tries, a few wait for it and all others are asked to come again: the probe needs a thread."""
    entered, go = threading.Event(), threading.Event()

    class Slow(MemoryFront):
        def lets_through(self, header: str, value: str, nonce: str) -> bool:
            entered.set()
            go.wait(10)
            return super().lets_through(header, value, nonce)

    scene.front = Slow()
    scene.proof = scene.process()
    verdicts: list[str] = []
    threads = [threading.Thread(target=lambda: verdicts.append(scene.demanded())) for _ in range(WAITING + 3)]
    for thread in threads:
        thread.start()
    entered.wait(10)
    deadline = time.monotonic() + 10
    while len(verdicts) < 3 and time.monotonic() < deadline:
        time.sleep(0.001)
    go.set()
    for thread in threads:
        thread.join(10)

    assert (WAITING, 3, 1) == (verdicts.count("in"), verdicts.count("easy_auth_not_proven"), scene.front.calls)


def test_the_alarm_finds_its_worker(scene: Scene) -> None:
    """A due row for the notices of the system is written before the alarm."""
    scene.front.arrives = True
    scene.demanded()

    rows = scene.tables.connections.read(
        shard_for("system"), DUE_FIRST, due_upto(scene.clock() + timedelta(minutes=1))
    ).rows
    assert [("system", NOTICE)] == [
        (due.id, due.kind) for due in (DueRow.from_row(row.key, row.values) for row in rows)
    ]
