"""Alarms by the thousand: the operator gets ten of a kind in an hour and the number of the others, lost is none."""

import json
from datetime import timedelta
from typing import Any

import pytest

from shared.connections import Destination
from shared.deliver.alarms import MOST
from shared.notices import EventType, Notice
from tests.scenes.delivering import URL
from tests.unit.test_notices import ALERTS, CONNECTION, Scene

MANY = MOST + 15


def told(scene: Scene) -> list[dict[str, Any]]:
    """Return what the operator got."""
    return [json.loads(body) for _, body in scene.got(ALERTS.url)]


def befall(scene: Scene, number: int, kind: EventType = EventType.MESSAGE_QUARANTINED) -> None:
    """Let as many messages of one connection be given up."""
    for at in range(number):
        notice = Notice(kind, f"rcv_{at}", {"connection_id": CONNECTION}, scene.clock() + timedelta(milliseconds=at))
        scene.write(notice, "receipts")


@pytest.fixture
def scene() -> Scene:
    """Return a connection whose destination asks for nothing."""
    scene = Scene()
    scene.destination = Destination("webhook", URL)
    scene.configure()
    return scene


def test_the_operator_gets_ten_alarms_and_then_their_number(scene: Scene) -> None:
    """The destination gets each; an hour later one more alarm counts those that the operator was spared."""
    befall(scene, MANY)
    scene.go()
    assert (MOST, MANY) == (len(told(scene)), len({identifier for identifier, _ in scene.got(URL)}))
    assert [] == scene.left()

    scene.settle(7200)
    assert (MOST + 1, MANY - MOST) == (len(told(scene)), told(scene)[-1]["data"]["count"])
    assert (CONNECTION, EventType.MESSAGE_QUARANTINED) == (told(scene)[-1]["subject"], told(scene)[-1]["type"])
    assert (MANY, [], []) == (len(scene.got(URL)), scene.left(), scene.dues())


def test_ten_an_hour_are_ten_in_all_and_of_each_type(scene: Scene) -> None:
    """They are counted over many runs, and one type takes nothing from another."""
    for _ in range(4):
        befall(scene, 4)
        scene.go()
        scene.clock.advance(60)
    befall(scene, 1, EventType.CONNECTION_FAILED)
    scene.go()
    assert (MOST + 1, EventType.CONNECTION_FAILED) == (len(told(scene)), told(scene)[-1]["type"])

    scene.clock.advance(3600)
    befall(scene, 1)
    scene.go()
    assert {6} == {event["data"]["count"] for event in told(scene) if "count" in event["data"]}
    assert MOST + 3 == len(told(scene))


@pytest.mark.parametrize("after_effect", [False, True])
@pytest.mark.parametrize("at", range(1, 40, 3))
def test_no_death_loses_an_alarm(scene: Scene, at: int, after_effect: bool) -> None:
    """Whichever call dies: each is told, or counted once."""
    befall(scene, MANY)
    calls = 0

    def die(method: str) -> None:
        nonlocal calls
        calls += 1
        if calls == at:
            scene.tables.receipts.failures.plan(method, after_effect=after_effect)

    scene.tables.receipts.failures.before = die
    scene.settle(4 * 3600)
    scene.tables.receipts.failures.before = None
    counted = sum(event["data"]["count"] for event in told(scene) if "count" in event["data"])
    singly = {event["id"] for event in told(scene) if "count" not in event["data"]}
    assert MANY == len(singly) + counted
    assert MANY == len({identifier for identifier, _ in scene.got(URL)})
    assert ([], []) == (scene.left(), scene.dues())
