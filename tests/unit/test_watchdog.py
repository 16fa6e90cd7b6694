"""Who notices that the tick has stopped, how often it is told, and what that costs."""

import logging

import pytest

from shared.errors import StorageUnavailable
from shared.notices import SYSTEM, EventType
from shared.ports import Row
from shared.schedule import NOTICE, QUEUES, TICK_KEY, TICK_PARTITION, Wakeup, shard_for
from shared.times import from_text, to_text
from shared.watchdog import Watchdog, heartbeat_of
from tests.fakes import MemoryTables, MemoryWakeups, MovableClock

LOOK = 60.0


class Scene:
    """Storage and the watchdogs of several processes under one clock."""

    def __init__(self) -> None:
        self.clock = MovableClock()
        self.tables = MemoryTables(self.clock)
        self.wakeups = MemoryWakeups(self.clock)

    def process(self, *, ahead: float = 0) -> Watchdog:
        """Start a process, whose clock may run *ahead* of storage's."""
        host = MovableClock()
        host.advance((self.clock() - host()).total_seconds() + ahead)
        return Watchdog(self.tables, self.wakeups, host if ahead else self.clock, self.clock.monotonic)

    def heartbeat(self) -> Row | None:
        """Return the row of the heartbeat."""
        return self.tables.credentials.get(TICK_PARTITION, TICK_KEY)

    def told(self) -> list[dict[str, object]]:
        """Return what the notices that wait say."""
        rows = self.tables.credentials.everything().items()
        return [dict(values) for (part, key), values in rows if part == SYSTEM and key.startswith("e|")]


@pytest.fixture
def scene() -> Scene:
    """Return storage in which no tick was ever seen."""
    return Scene()


def test_a_steady_tick_costs_one_call_and_tells_nothing(scene: Scene) -> None:
    """After its first, each beat is one conditional write."""
    process = scene.process()
    process.beat()
    before = scene.tables.calls()
    for _ in range(10):
        scene.clock.advance(299)
        process.beat()

    assert 10 == scene.tables.calls() - before
    assert [] == scene.told()
    assert to_text(scene.clock()) == heartbeat_of(scene.heartbeat()).at


def test_the_first_tick_ever_is_not_late(scene: Scene) -> None:
    """A fresh deployment has missed nothing."""
    scene.clock.advance(3600)
    scene.process().beat()

    assert [] == scene.told()


@pytest.mark.parametrize("restarted", [False, True])
def test_a_late_tick_tells_of_the_silence_once(scene: Scene, restarted: bool) -> None:
    """The notice stands with the beat that ended the silence, its due row and a wake-up beside it."""
    process = scene.process()
    process.beat()
    last = to_text(scene.clock())
    scene.clock.advance(900)
    process = scene.process() if restarted else process
    process.beat()
    process.beat()

    [told] = scene.told()
    assert EventType.TICK_MISSED == told["type"]
    assert f'"last_tick_at":"{last}","silent_seconds":900' in str(told["data"])
    assert "POST tick" in str(told["data"])
    assert [Wakeup(NOTICE, SYSTEM)] == [Wakeup.from_body(body) for body in scene.wakeups.take(QUEUES[NOTICE])]
    due = scene.tables.connections.read(shard_for(SYSTEM), "due|", "due~").rows
    assert [f"{NOTICE}|{SYSTEM}"] == [row.key.split("|", 2)[2] for row in due]


def test_a_worker_notices_and_the_tick_that_comes_back_does_not_tell_again(scene: Scene) -> None:
    """Any of many processes that work may notice; the outage is told of once, and the next one anew."""
    ticking = scene.process()
    ticking.beat()
    workers = [scene.process() for _ in range(3)]
    scene.clock.advance(301)
    for worker in workers:
        worker.look()
    assert 1 == len(scene.told())
    assert heartbeat_of(scene.heartbeat()).missed_at

    scene.clock.advance(600)
    workers[0].look()
    ticking.beat()
    assert (1, "") == (len(scene.told()), heartbeat_of(scene.heartbeat()).missed_at)

    scene.clock.advance(301)
    workers[1].look()
    assert 2 == len(scene.told())


def test_a_deployment_whose_timer_never_runs_is_noticed(scene: Scene) -> None:
    """Five minutes after the start, not before; the first tick does not tell again."""
    worker = scene.process()
    scene.clock.advance(299)
    worker.look()
    assert [] == scene.told()

    scene.clock.advance(LOOK)
    worker.look()
    [told] = scene.told()
    assert '"silent_seconds":null' in str(told["data"])

    scene.process().beat()
    assert 1 == len(scene.told())


def test_a_process_that_has_only_started_gives_the_tick_its_time(scene: Scene) -> None:
    """An app that was stopped for a week is not told of by its first worker, a minute before its first tick."""
    scene.process().beat()
    scene.clock.advance(7 * 86_400)
    worker = scene.process()
    scene.clock.advance(LOOK)
    worker.look()

    assert [] == scene.told()


def test_looking_costs_a_call_a_minute_at_most(scene: Scene) -> None:
    """However many messages a process takes from its queues."""
    process, worker = scene.process(), scene.process()
    scene.clock.advance(301)
    process.beat()
    before = scene.tables.calls()
    for _ in range(100):
        worker.look()
        scene.clock.advance(1)

    assert 2 == scene.tables.calls() - before


@pytest.mark.parametrize("ahead", [120, -120])
def test_a_wrong_host_clock_neither_hides_nor_invents_a_silence(scene: Scene, ahead: float) -> None:
    """The heartbeat is written and judged in storage's time."""
    ticking = scene.process(ahead=ahead)
    ticking.beat()
    worker = scene.process(ahead=-ahead)
    assert abs((from_text(heartbeat_of(scene.heartbeat()).at) - scene.clock()).total_seconds()) < 1.5
    scene.clock.advance(299)
    worker.look()
    assert [] == scene.told()

    scene.clock.advance(LOOK + 2)
    worker.look()
    assert 1 == len(scene.told())


def test_two_processes_tick_in_turn(scene: Scene) -> None:
    """Whoever did not tick last reads again before it writes; nothing is told."""
    first, second = scene.process(), scene.process()
    for _ in range(3):
        for process in (first, second):
            scene.clock.advance(250)
            process.beat()

    assert [] == scene.told()
    assert to_text(scene.clock()) == heartbeat_of(scene.heartbeat()).at


def test_of_two_who_notice_at_once_one_tells(scene: Scene) -> None:
    """The other finds the heartbeat changed, and leaves it at that."""
    scene.process().beat()
    one, other = scene.process(), scene.process()
    scene.clock.advance(301)
    failures = scene.tables.credentials.failures

    def interleave(method: str) -> None:
        if method == "commit":
            failures.before = None
            other.look()

    failures.before = interleave
    one.look()

    assert 1 == len(scene.told())


def test_silent_storage_disturbs_no_worker(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    """Looking never raises, and says in the log why it saw nothing."""
    worker = scene.process()
    scene.clock.advance(301)
    scene.tables.credentials.failures.plan("read")
    with caplog.at_level(logging.WARNING):
        worker.look()

    assert ["tick.look_failed code=storage_unavailable"] == [record.getMessage() for record in caplog.records]


@pytest.mark.parametrize("after_effect", [False, True])
def test_a_beat_without_an_answer_is_made_up_for(scene: Scene, after_effect: bool) -> None:
    """Whether it was written or not, the next one reads first, and the silence is told of once."""
    process = scene.process()
    process.beat()
    scene.clock.advance(301)
    scene.tables.credentials.failures.plan("commit", after_effect=after_effect)
    with pytest.raises(StorageUnavailable):
        process.beat()
    process.beat()

    assert 1 == len(scene.told())
    assert to_text(scene.clock()) == heartbeat_of(scene.heartbeat()).at


def test_a_process_that_ticks_does_not_look_too(scene: Scene) -> None:
    """Its workers know that the tick runs without asking, so that an idle fetch costs no call more."""
    process = scene.process()
    scene.clock.advance(600)
    for _ in range(5):
        process.beat()
        before = scene.tables.calls()
        scene.clock.advance(61)
        process.look()
        assert before == scene.tables.calls()
    scene.clock.advance(300)
    process.look()
    assert 1 == len(scene.told())
