"""A host that dies anywhere on the way around a poison item, in a sweep or in a listing loses and doubles nothing."""

from collections import Counter

import pytest

from shared.connections import Action, AfterFetch
from shared.fetch.run import FetchLimits
from shared.receipts import hash_of
from tests.fakes.intake import World
from tests.unit.test_fetch_poison import settle, statuses


class Killed(Exception):
    """The host is gone."""


class Killer:
    """Kills before the *n*-th call outward."""

    def __init__(self, n: int) -> None:
        self.left = n

    def arm(self, world: World) -> None:
        """Put the killer before every call of the fakes."""
        for fake in (world.tables.receipts, world.tables.connections, world.graph):
            fake.failures.before = self._call

    def _call(self, method: str) -> None:
        self.left -= 1
        if self.left == 0:
            raise Killed

    def disarm(self, world: World) -> None:
        """Let the next host live."""
        for fake in (world.tables.receipts, world.tables.connections, world.graph):
            fake.failures.before = None


def prepared(way: str) -> tuple[World, str]:
    """Return a mailbox and its connection before the run that is to die."""
    world = World(limits=FetchLimits(page_size=3, sweep_seconds=3600))
    world.access.has_delta = way != "listing"
    key = world.connect(after_fetch=AfterFetch(Action.READ))
    for number in range(7):
        world.graph.arrive(f"m{number}", received_at=f"2026-03-02T0{number}:00:00Z")
    if way == "poison":
        world.graph.poison["m3"] = "full"
        world.go(key)  # the first failure is waited out
        world.clock.advance(60)
    if way == "sweep":
        world.graph.lost.update({"m2", "m3", "m4", "m5"})
        world.go(key)
        world.clock.advance(3 * 3600)
    return world, key


@pytest.mark.parametrize("way", ["poison", "sweep", "listing"])
@pytest.mark.parametrize("boundary", range(1, 31, 2))
def test_a_death_at_any_call_loses_and_doubles_nothing(way: str, boundary: int) -> None:
    """Whoever comes after goes on where the record stands, and receipts decide what is known."""
    world, key = prepared(way)
    killer = Killer(boundary)
    killer.arm(world)
    try:
        world.go(key)
    except Killed:
        pass
    finally:
        killer.disarm(world)
    for _ in range(4):
        world.clock.advance(2 * 3600)
        settle(world, key)
    expected = {hash_of(f"m{number}"): "stored" for number in range(7)}
    if way == "poison":
        expected[hash_of("m3")] = "retrying"
    assert expected == statuses(world, key)
    assert {1} == set(Counter(row.rpartition("|")[2] for row in world.rows(key, "wd")).values())
    assert {f"m{n}" for n in range(7)} - {"m3"} <= world.graph.read | {"m3"}
    assert "" == world.run(key).claim
