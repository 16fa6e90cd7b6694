"""Fetch writes one batch while Graph gives the next; the order of commits per mail stays what it was."""

import pytest

from shared.connections import Action, AfterFetch
from shared.errors import StorageUnavailable, Throttled
from shared.receipts import hash_of
from shared.schedule import DELIVER
from tests.fakes.intake import World

NAMES = [f"m{number}" for number in range(50)]


@pytest.fixture
def world() -> World:
    """Return a mailbox with three batches of mail."""
    world = World()
    world.graph.arrive(*NAMES)
    return world


def test_nothing_is_marked_before_its_receipt_stands(world: World) -> None:
    """Whenever Graph is asked to mark mail, everything that it has marked so far has its receipt and its blob."""
    key = world.connect(after_fetch=AfterFetch(Action.READ))
    early: list[str] = []

    def look(method: str) -> None:
        if method == "apply":
            marked = len(world.graph.read) + 20
            early.extend(name for name in NAMES[:marked] if not world.receipt(key, name).blob)

    world.graph.failures.before = look
    world.go(key)
    assert [] == early
    assert set(NAMES) == world.graph.read
    assert [] == world.rows(key, "wa")


def test_delivery_is_woken_once_per_page(world: World) -> None:
    """However many batches a page has, one message wakes whoever delivers."""
    key = world.connect()
    world.go(key)
    assert [key] == [body["id"] for body in world.woken(DELIVER)]
    assert 50 == world.run(key).taken


@pytest.mark.parametrize("place", ["blobs", "receipts"])
def test_a_batch_that_cannot_be_written_holds_the_cursor(world: World, place: str) -> None:
    """Where storage fails in the middle of a page the run fails; the next one takes what is missing, and only that."""
    key = world.connect(after_fetch=AfterFetch(Action.READ))
    if place == "blobs":
        world.blobs.received.failures.plan("put")
    else:
        world.tables.receipts.failures.plan("commit")
    with pytest.raises(StorageUnavailable):
        world.go(key)
    assert "" == world.run(key).cursor
    world.go_on(key)
    world.go_on(key)
    assert sorted(hash_of(name) for name in NAMES) == sorted(row.split("|")[-1] for row in world.rows(key, "m"))
    assert set(NAMES) == world.graph.read


def test_what_was_written_counts_where_marking_fails(world: World) -> None:
    """A 429 for the marks ends the run after everything that was fetched is stored, announced and counted."""
    key = world.connect(after_fetch=AfterFetch(Action.READ))
    world.graph.failures.plan("apply", Throttled("slow down", retry_after=60.0))
    world.go(key)
    assert (50, True) == (world.run(key).taken, world.run(key).pending)
    assert [key] == [body["id"] for body in world.woken(DELIVER)]
    world.go_on(key)
    assert set(NAMES) == world.graph.read
