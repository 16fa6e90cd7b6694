"""How a queue function begins: the wake-up is read, its trace goes on, and how long it waited is measured."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import azure.functions as func

from shared.schedule import Wakeup
from shared.telemetry import TRACEPARENT, measure, span


@contextmanager
def woken(msg: func.QueueMessage) -> Iterator[Wakeup]:
    """Hand over the wake-up that *msg* holds, inside of its trace. Raises ValueError where it is none."""
    try:
        body: Any = json.loads(msg.get_body())
    except RecursionError:
        body = None
    if not isinstance(body, dict):
        message = "not a wake-up message"
        raise ValueError(message)  # noqa: TRY004 - as for any other body that is none
    wakeup = Wakeup.from_body(body)
    with span(wakeup.kind, body.get(TRACEPARENT)):
        inserted = msg.insertion_time
        if inserted is not None and msg.dequeue_count == 1:
            measure("queue_age", _seconds_since(inserted), kind=wakeup.kind)
        yield wakeup


def _seconds_since(moment: datetime) -> float:
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(0.0, (datetime.now(UTC) - aware).total_seconds())
