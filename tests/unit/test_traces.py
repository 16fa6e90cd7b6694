"""Traces and measures: W3C's header goes on from step to step, and a line of the log tells of each."""

import json
import logging
import re
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import azure.functions as func
import pytest

from functions.woken import woken
from shared.schedule import FETCH, Wakeup
from shared.telemetry import carried, measure, span, traceparent

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture(autouse=True)
def _information(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "mailgrant")


def words(line: str) -> dict[str, str]:
    """Return the words of an event."""
    return dict(re.findall(r"(\w+)=(\S*)", line))


def test_a_step_goes_on_with_the_trace_of_its_parent(caplog: pytest.LogCaptureFixture) -> None:
    """The trace id stays, the span id is new, and the line names both and the parent."""
    with span("fetch", PARENT):
        _, trace, own, flags = traceparent().split("-")

    told = words(caplog.messages[-1])
    assert ("0af7651916cd43dd8448eb211c80319c", "01") == (trace, flags)
    assert ("fetch", trace, own, "b7ad6b7169203331", "True") == tuple(
        told[key] for key in ("name", "trace", "span", "parent", "ok")
    )


@pytest.mark.parametrize("parent", ["", None, 7, {"a": 1}, "00-x-y-01", PARENT.upper(), f"{PARENT}-more"])
def test_what_is_no_parent_begins_a_new_trace(parent: object) -> None:
    """A message may hold anything where the parent should stand."""
    with span("fetch", parent):
        found = traceparent()

    assert re.fullmatch(r"00-[0-9a-f]{32}-[0-9a-f]{16}-01", found)
    assert "0af7651916cd43dd8448eb211c80319c" not in found


def test_a_step_that_fails_is_told_of(caplog: pytest.LogCaptureFixture) -> None:
    """The error goes on, the line says that it was none of the good ones, and nothing of the error itself."""
    with pytest.raises(ZeroDivisionError, match="secret"), span("send"):
        raise ZeroDivisionError("secret")

    assert "False" == words(caplog.messages[-1])["ok"]
    assert "secret" not in caplog.text
    assert "" == traceparent()


def test_threads_belong_to_the_trace_where_it_is_carried() -> None:
    """A pool's threads know no trace of their own accord."""
    with ThreadPoolExecutor(1) as workers, span("deliver", PARENT):
        found = workers.submit(traceparent).result(), workers.submit(carried(traceparent)).result()

        assert ("", traceparent()) == found


def test_a_measure_is_one_line(caplog: pytest.LogCaptureFixture) -> None:
    """A constant name, a number without needless digits, and ids."""
    measure("turn_wait", 1.25, kind="send")
    measure("due_age", 60.0)

    assert ["measure.turn_wait value=1.25 kind=send", "measure.due_age value=60"] == caplog.messages


def test_a_queue_function_measures_how_long_the_message_waited(caplog: pytest.LogCaptureFixture) -> None:
    """The wake-up is read inside of the trace that its message names."""
    body = {**Wakeup(FETCH, "conn").to_body(), "traceparent": PARENT}
    inserted = datetime.now(UTC) - timedelta(seconds=90)
    message = Message(json.dumps(body).encode(), inserted)

    with woken(message) as wakeup:
        inside = traceparent()

    assert Wakeup(FETCH, "conn") == wakeup
    assert "0af7651916cd43dd8448eb211c80319c" in inside
    assert 89 < float(words(caplog.messages[0])["value"]) < 100


class Message(func.QueueMessage):
    """A message as the host hands it over: with the time at which it was put."""

    def __init__(self, body: bytes, inserted: datetime) -> None:
        super().__init__(body=body)
        self._inserted = inserted

    @property
    def dequeue_count(self) -> int:
        """Return that it is the first try."""
        return 1

    @property
    def insertion_time(self) -> datetime:
        """Return when it was put."""
        return self._inserted
