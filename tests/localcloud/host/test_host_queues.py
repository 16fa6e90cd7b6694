"""How queue messages reach functions of the local host, fail, and end in the poison queue."""

from __future__ import annotations

import base64

import httpx
import pytest

from localcloud.processes import HostProcess
from tests.localcloud.host.conftest import LEASE_SECONDS, Launch, Sample, wait_until

pytestmark = pytest.mark.enable_socket


def depth(sample: Sample, queue: str) -> int:
    """Return how many messages a queue holds, hidden ones included."""
    with sample.queue(queue) as client:
        return client.get_queue_properties().approximate_message_count or 0


def test_message_is_run_once_and_deleted(sample: Sample) -> None:
    """A message is handed over with its description, then deleted."""
    sample.send("hello ä")
    notes = sample.notes.wait("taken", body="hello ä")
    wait_until(lambda: depth(sample, "sample-work") == 0)

    assert [(1, True)] == [(note["count"], note["has_times"]) for note in notes]


def test_failing_message_ends_in_poison(sample: Sample) -> None:
    """A message that always fails is tried maxDequeueCount times, then moved to a poison queue made for it."""
    sample.send("fail for ever")
    sample.notes.wait("poison", body="fail for ever")

    assert [1, 2, 3] == [note["count"] for note in sample.notes.all("taken", body="fail for ever")]
    wait_until(lambda: depth(sample, "sample-work") == 0)


def test_undecodable_message_ends_in_poison(sample: Sample) -> None:
    """A message that is not base64 goes to the poison queue without a run."""
    with sample.queue("sample-work") as queue:
        queue.send_message("not base64!")
    sample.notes.wait("poison", body="not base64!")

    assert [] == sample.notes.all("taken", body="not base64!")


def test_bytes_that_are_no_text(sample: Sample) -> None:
    """A body that is not UTF-8 reaches the function as bytes."""
    with sample.queue("sample-work") as queue:
        queue.send_message(base64.b64encode(b"\xff\xfe raw").decode())

    assert 1 == len(sample.notes.wait("taken", body="\ufffd\ufffd raw"))


def test_array_fans_out(client: httpx.Client, sample: Sample) -> None:
    """A JSON array on a queue output becomes one message per element, on a queue made for them."""
    assert 202 == client.post("/api/put", content='["one", {"b": 1}]').status_code
    assert 202 == client.post("/api/put", content="plain [text").status_code
    with sample.queue("fanned-out") as queue:
        bodies = sorted(base64.b64decode(message.content) for message in queue.receive_messages())

    assert [b"one", b"plain [text", b'{\n  "b": 1\n}'] == bodies


def test_hidden_while_it_runs(sample: Sample) -> None:
    """A message stays hidden for as long as its function runs, also beyond the lease."""
    text = f"sleep {LEASE_SECONDS + 1.5}"
    sample.send(text)
    sample.notes.wait("slept", body=text)

    assert [1] == [note["count"] for note in sample.notes.all("taken", body=text)]


def test_killed_host_takes_the_message_again(launch: Launch) -> None:
    """What a killed host was working on comes back once its lease has run out, to the same host started anew."""
    killed = launch("killed-work")
    killed.send("sleep 60", "killed-work")
    killed.notes.wait("taken")
    process: HostProcess = killed.process
    process.kill()
    assert not process.is_running()
    process.restart()
    notes = killed.notes.wait("taken", count=2)
    process.kill()

    assert [1, 2] == [note["count"] for note in notes]
