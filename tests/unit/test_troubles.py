"""Which records are in trouble, found by their marks and not by reading everything."""

import json
from dataclasses import replace

import pytest

from shared.connections import Run, run_key
from shared.errors import MailboxFault, StorageUnavailable
from shared.grants import Grant
from shared.identifiers import box_hash, grant_id, new_connection_id, new_ulid, shard_of
from shared.poison import Poison
from shared.ports import ANY, Delete, Insert, Update
from shared.registry import grant_key
from shared.rows import encode
from shared.schedule import FETCH, GRANT, STATE, Wakeup
from shared.tickets import new_dated_id, partition_of, state_key
from shared.times import to_text
from shared.troubles import SHOWN, Trouble, Troubles, poisoned, stopped, stopped_mark
from tests.fakes import MemoryTables, MovableClock
from tests.fakes.intake import World


class Scene:
    """Tables and poison handling under one clock."""

    def __init__(self) -> None:
        self.clock = MovableClock()
        self.tables = MemoryTables(self.clock)
        self.poison = Poison(self.tables, self.clock)

    def connection(self, number: int = 0, **changes: object) -> str:
        """Store the run of a connection of a mailbox of its own."""
        key = new_connection_id(box_hash("client", "contoso", f"mailbox {number}"))
        run = replace(Run(key, seq=4), **changes)  # type: ignore[arg-type]
        self.tables.connections.commit(shard_of(key), [Insert(run_key(key), encode(run))])
        return key

    def find(self, kind: str, identifier: str) -> None:
        """Hand over a poisoned wake-up."""
        assert self.poison.found("mail-work", json.dumps(Wakeup(kind, identifier).to_body()).encode())

    def work_on(self, key: str) -> None:
        """Claim a connection, as a worker that comes later does."""
        self.tables.connections.commit(shard_of(key), [Update(run_key(key), {"seq": 5}, ANY)])

    def marks(self) -> list[str]:
        """Return the keys of all marks."""
        every = [*self.tables.connections.everything(), *self.tables.credentials.everything()]
        return [key for _, key in every if key.startswith(("stop|", "poison|"))]


@pytest.fixture
def scene() -> Scene:
    """Return an empty product."""
    return Scene()


def test_a_stopped_connection_is_named_until_it_goes_on() -> None:
    """Its mark stands with the commit that stops it, and goes when somebody looks after it was mended."""
    world = World()
    key = world.connect()
    while not world.run(key).stopped:
        assert Troubles() == stopped(world.tables)
        world.graph.failures.plan("page", MailboxFault("no mailbox"))
        world.go_on(key)
    [found] = stopped(world.tables).found
    assert (FETCH, key) == (found.kind, found.id)

    world.go_on(key)
    assert not world.run(key).stopped
    assert [Troubles(), Troubles()] == [stopped(world.tables), stopped(world.tables)]


def test_a_deleted_connection_leaves_no_mark(scene: Scene) -> None:
    """A mark that leads nowhere is removed by whoever follows it."""
    key = scene.connection(stopped=True)
    scene.tables.connections.commit(shard_of(key), [stopped_mark(key, scene.clock()), Delete(run_key(key))])

    assert (Troubles(), []) == (stopped(scene.tables), scene.marks())


def test_many_in_trouble_are_not_all_looked_up(scene: Scene) -> None:
    """Some are named, and it is said that there are more; the cost is bounded."""
    for number in range(200):
        key = scene.connection(number, stopped=True)
        scene.tables.connections.commit(shard_of(key), [stopped_mark(key, scene.clock())])
        scene.find(FETCH, key)
    before = scene.tables.calls()
    some, ill = stopped(scene.tables), poisoned(scene.tables)

    assert (SHOWN, True, SHOWN, True) == (len(some.found), some.more, len(ill.found), ill.more)
    assert scene.tables.calls() - before <= 16 + 1 + 2 * (SHOWN + 1)


def test_a_poisoned_record_is_named_until_it_is_worked_on(scene: Scene) -> None:
    """The next claim, whatever comes of it, is a new attempt, which may become poison again."""
    key = scene.connection()
    scene.find(FETCH, key)
    scene.find(FETCH, key)
    assert Troubles((Trouble(FETCH, key, to_text(scene.clock())),)) == poisoned(scene.tables)

    scene.work_on(key)
    assert (Troubles(), []) == (poisoned(scene.tables), scene.marks())
    scene.find(FETCH, key)
    assert 1 == len(poisoned(scene.tables).found)


def test_every_table_has_poison(scene: Scene) -> None:
    """Grants and consents are named too; a consent is no trouble any more once it is finished."""
    tenant, credential = "8a7c0c3e-0000-4000-8000-000000000001", f"cred_{new_ulid()}"
    grant = Grant(grant_id(credential, tenant), credential, tenant, "", "")
    scene.tables.grants.commit(credential, [Insert(grant_key(tenant), encode(grant))])
    consent = new_dated_id(scene.clock())
    used = Insert(state_key(consent), {"used_at": to_text(scene.clock())})
    scene.tables.tickets.commit(partition_of(consent), [used])
    scene.find(GRANT, grant.id)
    scene.find(STATE, consent)
    assert [GRANT, STATE] == [one.kind for one in poisoned(scene.tables).found]

    scene.tables.tickets.commit(partition_of(consent), [Update(used.key, {"finished_at": "x"}, ANY)])
    assert [GRANT] == [one.kind for one in poisoned(scene.tables).found]


def test_a_mark_that_was_not_written_is_written_by_the_repeat(scene: Scene) -> None:
    """The host hands the message over again; the record is marked by then, and so is the way to it."""
    key = scene.connection()
    scene.tables.credentials.failures.plan("commit")
    with pytest.raises(StorageUnavailable):
        scene.find(FETCH, key)
    assert Troubles() == poisoned(scene.tables)

    scene.find(FETCH, key)
    assert 1 == len(poisoned(scene.tables).found)


def test_a_mark_made_anew_meanwhile_is_kept(scene: Scene) -> None:
    """Whoever found the record mended does not remove the mark of its next trouble."""
    key = scene.connection()
    scene.find(FETCH, key)
    scene.work_on(key)
    failures = scene.tables.credentials.failures

    def again(method: str) -> None:
        if method == "commit":
            failures.before = None
            scene.find(FETCH, key)

    failures.before = again
    assert Troubles() == poisoned(scene.tables)
    assert 1 == len(poisoned(scene.tables).found)
