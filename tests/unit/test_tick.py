"""What the tick does to due rows and queues, and what it costs."""

import logging
from datetime import datetime, timedelta

import pytest

from shared.errors import RowMissing, StorageUnavailable
from shared.identifiers import box_hash, new_connection_id, shard_of
from shared.ports import Delete, Insert
from shared.schedule import FETCH, GRANT, QUEUES, SEND, SHARDS, TICK_KEY, TICK_PARTITION, DueRow, Wakeup
from shared.tick import Tick, TickResult
from shared.times import to_text
from tests.fakes import MemoryTables, MemoryWakeups, MovableClock

MINUTE = timedelta(minutes=1)


class Scene:
    """Tables, queues and a tick under one clock."""

    def __init__(self) -> None:
        self.clock = MovableClock()
        self.tables = MemoryTables(self.clock)
        self.wakeups = MemoryWakeups(self.clock)
        self.tick = Tick(self.tables, self.wakeups, self.clock)

    def add(self, due: DueRow, shard: str = "a") -> str:
        """Store a due row and return its key."""
        self.tables.connections.commit(shard, [due.insert()])
        return due.key

    def due_keys(self) -> list[str]:
        """Return the keys of all due rows."""
        return sorted(key for _, key in self.tables.connections.everything() if key.startswith("due|"))

    def woken(self) -> list[Wakeup]:
        """Return every wake-up ever put."""
        return [Wakeup.from_body(sent.body) for sent in self.wakeups.sent]


@pytest.fixture
def scene() -> Scene:
    """Return an empty product at 09:30:15."""
    return Scene()


def connection(number: int) -> str:
    """Return a connection id of a mailbox of its own."""
    return new_connection_id(box_hash("client", "contoso", f"mailbox-{number}"))


def moved(now: datetime, kind: str, identifier: str) -> str:
    """Return the key of the row that a tick at *now* leaves."""
    return DueRow(now, kind, identifier).refired(now).key


def test_due_work_is_woken_and_fires_again(scene: Scene) -> None:
    """A due row is moved five minutes on, and its wake-up names the moved row."""
    identifier = connection(1)
    scene.add(DueRow(scene.clock() - MINUTE, FETCH, identifier, seq=7), shard_of(identifier))

    result = scene.tick.run()

    key = moved(scene.clock(), FETCH, identifier)
    assert TickResult(due=1, woken=1) == result
    assert [Wakeup(FETCH, identifier, 7, key)] == scene.woken()
    assert [key] == scene.due_keys()
    assert {"seq": 7} == scene.tables.connections.everything()[shard_of(identifier), key]


def test_work_that_is_not_due_stays(scene: Scene) -> None:
    """What is due a second from now is not touched; what is due now is."""
    later = scene.add(DueRow(scene.clock() + timedelta(seconds=1), FETCH, "later"))
    scene.add(DueRow(scene.clock(), FETCH, "now"))

    scene.tick.run()

    assert ["now"] == [wakeup.id for wakeup in scene.woken()]
    assert later in scene.due_keys()


def test_every_kind_goes_to_its_queue(scene: Scene) -> None:
    """Kinds find their queues, from any shard."""
    for shard, kind in zip(SHARDS, QUEUES, strict=False):
        scene.add(DueRow(scene.clock(), kind, "id"), shard)

    scene.tick.run()

    assert sorted(QUEUES.items()) == sorted((sent.body["kind"], sent.queue) for sent in scene.wakeups.sent)


def test_a_second_tick_finds_nothing(scene: Scene) -> None:
    """Run twice, a tick wakes once; five minutes later the work that nobody took fires again."""
    scene.add(DueRow(scene.clock(), GRANT, "grant"))
    scene.tick.run()

    assert TickResult() == scene.tick.run()
    scene.clock.advance(301)
    assert TickResult(due=1, woken=1) == scene.tick.run()
    assert [moved(scene.clock(), GRANT, "grant")] == [key for key in scene.due_keys() if GRANT in key]


def test_storage_decides_what_time_it_is() -> None:
    """A host whose clock runs ahead wakes nobody early."""
    storage, host = MovableClock(), MovableClock()
    host.advance(120)
    tables, wakeups = MemoryTables(storage), MemoryWakeups()
    tables.connections.commit("a", [DueRow(storage() + MINUTE, FETCH, "early").insert()])

    assert TickResult() == Tick(tables, wakeups, host).run()


def test_two_ticks_at_once_wake_once(scene: Scene) -> None:
    """While one tick has read the rows, another moves some of them: each is woken by one of the two."""
    for number in range(5):
        scene.add(DueRow(scene.clock(), FETCH, f"id{number}"))
    failures = scene.tables.connections.failures
    rival = Tick(scene.tables, scene.wakeups, scene.clock)

    def interleave(method: str) -> None:
        if method == "commit":
            failures.before = None
            scene.tables.connections.commit("a", [Delete(DueRow(scene.clock(), FETCH, "id4").key)])
            assert TickResult(due=4, woken=4) == rival.run()

    failures.before = interleave
    result = scene.tick.run()

    assert TickResult(due=5, woken=0, lost=5) == result
    assert [f"id{number}" for number in range(4)] == sorted(wakeup.id for wakeup in scene.woken())


def test_a_row_taken_meanwhile_spares_the_others(scene: Scene) -> None:
    """A worker that claims between read and move takes only its own row out of the group."""
    keys = [scene.add(DueRow(scene.clock(), FETCH, f"id{number}")) for number in range(3)]
    failures = scene.tables.connections.failures

    def claim(method: str) -> None:
        if method == "commit":
            failures.before = None
            scene.tables.connections.commit("a", [Delete(keys[1])])

    failures.before = claim

    assert TickResult(due=3, woken=2, lost=1) == scene.tick.run()
    assert ["id0", "id2"] == sorted(wakeup.id for wakeup in scene.woken())


def test_two_rows_of_one_work_become_one(scene: Scene) -> None:
    """A stray due row and the right one are merged, with the newer number."""
    scene.add(DueRow(scene.clock() - MINUTE, SEND, "id", seq=3))
    scene.add(DueRow(scene.clock() - 2 * MINUTE, SEND, "id", seq=4))

    result = scene.tick.run()

    key = moved(scene.clock(), SEND, "id")
    assert TickResult(due=2, woken=1) == result
    assert ([Wakeup(SEND, "id", 4, key)], [key]) == (scene.woken(), scene.due_keys())


def test_rows_of_a_newer_version_stay(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    """Kinds that this version does not know, and keys it cannot read, are left alone and counted in the log."""
    unknown = ["due|20260302T093000000Z|harvest|x", "due|yesterday|fetch|x", "due|20260302T093000000Z|fetch"]
    scene.tables.connections.commit("a", [Insert(key, {}) for key in unknown])

    with caplog.at_level(logging.WARNING):
        result = scene.tick.run()

    assert TickResult(unknown=2) == result
    assert sorted(unknown) == scene.due_keys()
    assert ["tick.unknown_rows shard=a count=2"] == [record.getMessage() for record in caplog.records]


def test_a_lost_wakeup_fires_again(scene: Scene) -> None:
    """A queue that does not take the message costs five minutes, not the work."""
    scene.add(DueRow(scene.clock(), FETCH, "id"))
    scene.wakeups.failures.plan("put")

    assert TickResult(due=1, failed=1) == scene.tick.run()
    scene.clock.advance(301)
    assert TickResult(due=1, woken=1) == scene.tick.run()


@pytest.mark.parametrize("after_effect", [False, True])
def test_an_unknown_move_is_made_up_for(scene: Scene, after_effect: bool) -> None:
    """Whether the lost answer to a move meant yes or no, a later tick wakes the work."""
    scene.add(DueRow(scene.clock(), FETCH, "id"))
    scene.tables.connections.failures.plan("commit", after_effect=after_effect)

    assert TickResult(due=1, failed=1) == scene.tick.run()
    scene.clock.advance(301)
    assert TickResult(due=1, woken=1) == scene.tick.run()


def test_one_silent_shard_holds_up_nobody(scene: Scene) -> None:
    """Shards are independent of each other."""
    scene.add(DueRow(scene.clock(), FETCH, "id"), "f")
    scene.tables.connections.failures.plan("read")

    assert TickResult(due=1, woken=1, failed=1) == scene.tick.run()


def test_silent_storage_fails_the_tick(scene: Scene) -> None:
    """Where nothing can be read, the host sees the tick fail."""
    scene.tables.credentials.failures.plan("commit")
    for _ in SHARDS:
        scene.tables.connections.failures.plan("read")

    with pytest.raises(StorageUnavailable):
        scene.tick.run()


def test_a_tick_leaves_word_for_health(scene: Scene) -> None:
    """When the tick last ran stands in one row, whether anything was due or not."""
    scene.tick.run()
    scene.clock.advance(60)
    scene.tick.run()

    row = scene.tables.credentials.get(TICK_PARTITION, TICK_KEY)
    assert row is not None
    assert {"at": to_text(scene.clock()), "missed_at": "", "kept": True} == dict(row.values)


@pytest.mark.parametrize("due", [0, 1, 16, 160, 1600])
def test_a_tick_costs_what_is_due(scene: Scene, due: int) -> None:
    """At most 16 calls and 1.1 per due row, messages and health included, else 16 moves more; rows at rest are free."""
    for number in range(500):
        scene.add(DueRow(scene.clock() + MINUTE, FETCH, f"rest{number}"), SHARDS[number % 16])
    scene.tick.watchdog.beat()  # once in its life, a process reads the heartbeat first
    scene.clock.advance(59)
    for number in range(due):
        scene.add(DueRow(scene.clock(), FETCH, f"id{number:04d}"), SHARDS[number % 16])
    before = scene.tables.calls()

    result = scene.tick.run()

    assert TickResult(due=due, woken=due) == result
    assert 16 + 1 == scene.tables.calls() - before
    assert due == len(scene.wakeups.sent)


def test_ten_thousand_connections_at_rest_cost_nothing(scene: Scene) -> None:
    """Of 10,000 connections 100 are due: 16 reads, the heartbeat, a message for each; moves where nobody took them."""
    for shard in SHARDS:
        rows = [DueRow(scene.clock() + MINUTE, FETCH, f"rest{shard}{number}").insert() for number in range(620)]
        for start in range(0, len(rows), 100):
            scene.tables.connections.commit(shard, rows[start : start + 100])
    scene.tick.watchdog.beat()
    scene.clock.advance(30)
    for number in range(100):
        scene.add(DueRow(scene.clock(), FETCH, f"id{number:03d}"), SHARDS[number % 16])
    costs: list[int] = []
    for _ in range(3):
        before = scene.tables.calls() + len(scene.wakeups.sent)
        assert 100 == scene.tick.run().woken or costs[1:]
        costs.append(scene.tables.calls() + len(scene.wakeups.sent) - before)

    assert [16 + 1 + 100, 16 + 1 + 16 + 100, 16 + 1] == costs
    assert costs[0] <= 16 + 110


def test_a_fetch_that_comes_due_is_woken_where_it_stands_and_moved_if_nobody_takes_it(scene: Scene) -> None:
    """Its first wake-up names its own row; from the next tick on, it is like any other that nobody took."""
    scene.tick.run()
    scene.clock.advance(60)
    fetch, deliver = connection(1), connection(2)
    key = scene.add(DueRow(scene.clock() - MINUTE / 2, FETCH, fetch, seq=7), shard_of(fetch))
    scene.add(DueRow(scene.clock() - MINUTE / 2, SEND, deliver), shard_of(deliver))

    assert TickResult(due=2, woken=2) == scene.tick.run()
    other = Wakeup(SEND, deliver, 0, moved(scene.clock(), SEND, deliver))
    assert {Wakeup(FETCH, fetch, 7, key), other} == set(scene.woken())
    assert [key, other.due] == scene.due_keys()

    scene.clock.advance(60)
    assert TickResult(due=1, woken=1) == scene.tick.run()
    assert Wakeup(FETCH, fetch, 7, moved(scene.clock(), FETCH, fetch)) == scene.woken()[-1]
    scene.clock.advance(60)
    assert TickResult() == scene.tick.run()


def test_a_fetch_whose_wakeup_is_lost_waits_for_the_next_tick_only(scene: Scene) -> None:
    """A tick that dies halfway, or a queue that does not answer, costs a minute."""
    scene.tick.run()
    scene.clock.advance(60)
    scene.add(DueRow(scene.clock(), FETCH, "id"))
    scene.wakeups.failures.plan("put")

    assert TickResult(due=1, failed=1) == scene.tick.run()
    scene.clock.advance(60)
    assert TickResult(due=1, woken=1) == scene.tick.run()


@pytest.mark.parametrize("step", [-120, 120])
def test_a_clock_that_jumps_forgets_no_fetch(step: float) -> None:
    """Whatever the host takes the time for, what is due is woken by the next tick and moved by one of the next."""
    storage, host = MovableClock(), MovableClock()
    host.advance(300)
    tables, wakeups = MemoryTables(storage), MemoryWakeups()
    tick = Tick(tables, wakeups, host)
    tick.run()
    for clock in (storage, host):
        clock.advance(60)
    host.advance(step)
    tables.connections.commit("a", [DueRow(storage(), FETCH, "id").insert()])

    woken = []
    for _ in range(6):
        woken.append(tick.run().woken)
        for clock in (storage, host):
            clock.advance(60)
    assert 1 == woken[0]
    assert 2 <= sum(woken) <= 4


def test_a_deleted_row_is_not_moved(scene: Scene) -> None:
    """What finished between read and move is neither woken nor made anew."""
    key = scene.add(DueRow(scene.clock(), FETCH, "id"))
    failures = scene.tables.connections.failures

    def finish(method: str) -> None:
        if method == "commit":
            failures.before = None
            scene.tables.connections.commit("a", [Delete(key)])

    failures.before = finish

    assert TickResult(due=1, lost=1) == scene.tick.run()
    assert ([], []) == (scene.woken(), scene.due_keys())
    with pytest.raises(RowMissing):
        scene.tables.connections.commit("a", [Delete(key)])
