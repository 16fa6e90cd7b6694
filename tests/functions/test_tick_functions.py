"""What the host sees of tick and poison: names, triggers, and that each hands its work to the use case."""

import json
from typing import Any

import azure.functions as func
import pytest
from azure.functions.timer import TimerRequest

from functions import poison_queue, tick_timer
from shared.connections import Run, run_key
from shared.errors import StorageUnavailable
from shared.identifiers import box_hash, new_connection_id, shard_of
from shared.poison import Poison
from shared.ports import Insert
from shared.rows import encode
from shared.schedule import FETCH, QUEUES, DueRow, Wakeup
from shared.tick import Tick
from tests.fakes import MemoryTables, MemoryWakeups, MovableClock

CONNECTION = new_connection_id(box_hash("client", "contoso", "mailbox"))


class Scene:
    """The functions of tick and poison on memory."""

    def __init__(self) -> None:
        self.clock = MovableClock()
        self.tables, self.wakeups = MemoryTables(self.clock), MemoryWakeups(self.clock)
        app = func.FunctionApp()
        app.register_functions(tick_timer.blueprint(Tick(self.tables, self.wakeups, self.clock), "*/5 * * * * *"))
        app.register_functions(poison_queue.blueprint(Poison(self.tables, self.clock)))
        self.functions = {str(function.get_function_name()): function for function in app.get_functions()}

    def trigger(self, name: str) -> dict[str, Any]:
        """Return the trigger's binding as the host reads it."""
        trigger = self.functions[name].get_trigger()
        assert trigger is not None
        found: dict[str, Any] = trigger.get_dict_repr()
        return {key: value for key, value in found.items() if key not in ("direction", "dataType", "name")}

    def call(self, name: str, argument: object) -> None:
        """Call a function as the worker does."""
        self.functions[name].get_user_function()(argument)


@pytest.fixture
def scene() -> Scene:
    """Return an empty product."""
    return Scene()


def test_the_surface_is_as_documented(scene: Scene) -> None:
    """One timer on TICK_SCHEDULE, and one function for the poison queue of each work queue."""
    poison = {
        f"poison_{queue.replace('-', '_')}": {
            "type": "queueTrigger",
            "queueName": f"{queue}-poison",
            "connection": "MAIL_STORAGE",
        }
        for queue in QUEUES.values()
    }
    timer = {"type": "timerTrigger", "schedule": "*/5 * * * * *", "runOnStartup": False, "useMonitor": False}

    assert {"tick": timer, **poison} == {name: scene.trigger(name) for name in scene.functions}


def test_the_timer_ticks(scene: Scene) -> None:
    """A due row is woken when the host calls."""
    shard = shard_of(CONNECTION)
    scene.tables.connections.commit(shard, [DueRow(scene.clock(), FETCH, CONNECTION).insert()])

    scene.call("tick", TimerRequest(past_due=False))

    assert [CONNECTION] == [body["id"] for body in scene.wakeups.take("mail-fetch")]


def test_a_poisoned_message_is_followed(scene: Scene) -> None:
    """The record that the message names is marked."""
    scene.tables.connections.commit(shard_of(CONNECTION), [Insert(run_key(CONNECTION), encode(Run(CONNECTION)))])
    body = json.dumps(Wakeup(FETCH, CONNECTION).to_body()).encode()

    scene.call("poison_mail_fetch", func.QueueMessage(body=body))

    row = scene.tables.connections.get(shard_of(CONNECTION), run_key(CONNECTION))
    assert row is not None
    assert row.values["poisoned_at"]


def test_trouble_of_storage_is_for_the_host(scene: Scene) -> None:
    """A message whose record cannot be read now comes again."""
    scene.tables.connections.failures.plan("get")
    body = json.dumps(Wakeup(FETCH, CONNECTION).to_body()).encode()

    with pytest.raises(StorageUnavailable):
        scene.call("poison_mail_fetch", func.QueueMessage(body=body))
