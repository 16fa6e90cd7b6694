"""Whoever takes a message from a work queue looks whether the timer still runs, before the work that may fail."""

import json
from typing import Any

import azure.functions as func
import pytest

from functions import consent_queue, deliver_queue, fetch_queue, send_queue
from shared.schedule import CREDENTIAL, DELIVER, FETCH, GRANT, KEEP, NOTICE, PURGE, SEND, STATE, Wakeup


class Worker:
    """Stands for any use case of a queue; what it is called with is noted, and then it fails."""

    def __init__(self, told: list[str]) -> None:
        self.told = told

    def __getattr__(self, name: str) -> Any:
        """Return a method that fails."""

        def work(*_: object) -> None:
            self.told.append(name)
            raise RuntimeError

        return work


@pytest.mark.parametrize("kind", [FETCH, DELIVER, NOTICE, SEND, GRANT, STATE, PURGE, CREDENTIAL, KEEP])
def test_every_worker_looks_first(kind: str) -> None:
    """Also where its own work fails, and for each kind of work."""
    told: list[str] = []
    worker: Any = Worker(told)

    def watch() -> None:
        told.append("watch")

    blueprints = {
        FETCH: lambda: fetch_queue.blueprint(worker, watch),
        DELIVER: lambda: deliver_queue.blueprint(worker, worker, watch),
        NOTICE: lambda: deliver_queue.blueprint(worker, worker, watch),
        SEND: lambda: send_queue.blueprint(worker, watch),
    }
    others = lambda: consent_queue.blueprint(worker, worker, worker, worker, worker, watch)  # noqa: E731 - as above
    app = func.FunctionApp()
    app.register_functions(blueprints.get(kind, others)())
    message = func.QueueMessage(body=json.dumps(Wakeup(kind, "x").to_body()).encode())

    with pytest.raises(RuntimeError):
        app.get_functions()[0].get_user_function()(message)

    assert ("watch", 2) == (told[0], len(told))
