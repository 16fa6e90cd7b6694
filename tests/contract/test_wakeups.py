"""What every form of the `Wakeups` port promises: the in-memory one that unit tests use, and Azure Queue storage."""

import json
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from azure.storage.queue import QueueClient, TextBase64DecodePolicy

from shared.adapters.queue_storage import StorageWakeups, open_wakeups
from shared.settings import Settings
from tests.fakes import MemoryWakeups, MovableClock

pytestmark = pytest.mark.enable_socket

Take = Callable[[str], list[dict[str, Any]]]


@pytest.fixture(params=["memory", "storage"])
def queues(request: pytest.FixtureRequest) -> tuple[MemoryWakeups | StorageWakeups, Take]:
    """Return queues of each kind, with a way to take what is visible."""
    if request.param == "memory":
        memory = MemoryWakeups(MovableClock())
        return memory, memory.take
    settings: Settings = request.getfixturevalue("storage_settings")

    def take(queue: str) -> list[dict[str, Any]]:
        client = QueueClient.from_connection_string(
            settings.mail_storage, queue, message_decode_policy=TextBase64DecodePolicy()
        )
        with client:
            found = [message.content for message in client.receive_messages(visibility_timeout=30)]
        return [json.loads(content) for content in found]

    return open_wakeups(settings, None), take


@pytest.fixture
def queue() -> str:
    """Return a queue of the test's own."""
    return f"mail-{uuid.uuid4().hex}"


def test_a_message_comes_back_as_it_was_put(queues: tuple[MemoryWakeups, Take], queue: str) -> None:
    """A body of any script arrives, base64 on the wire, in a queue that was not there before."""
    wakeups, take = queues
    body = {"kind": "fetch", "id": "conn_ä\U0001f4e7", "seq": 2**40, "due": ""}

    wakeups.put(queue, body)

    assert [body] == take(queue)


def test_a_delayed_message_is_hidden(queues: tuple[MemoryWakeups, Take], queue: str) -> None:
    """A message with a delay waits unseen, and counts."""
    wakeups, take = queues
    wakeups.put(queue, {"n": 1}, delay_seconds=299.5)

    assert ([], 1) == (take(queue), wakeups.length(queue))


def test_a_queue_has_a_length(queues: tuple[MemoryWakeups, Take], queue: str) -> None:
    """A missing queue is empty, every message counts."""
    wakeups, _ = queues
    before = wakeups.length(queue)
    for number in range(3):
        wakeups.put(queue, {"n": number})

    assert (0, 3) == (before, wakeups.length(queue))


def test_a_queue_tells_how_long_its_first_message_has_waited(
    queues: tuple[MemoryWakeups | StorageWakeups, Take], queue: str
) -> None:
    """None in a queue that is missing or whose messages are all hidden; looking hides no message from its worker."""
    wakeups, take = queues
    assert wakeups.oldest(queue) is None
    wakeups.put(queue, {"n": 1}, delay_seconds=299)
    assert wakeups.oldest(queue) is None
    wakeups.put(queue, {"n": 2})
    first = wakeups.oldest(queue)
    wakeups.put(queue, {"n": 3})

    assert first is not None
    assert first == wakeups.oldest(queue)
    assert first.utcoffset() is not None
    assert [{"n": 2}, {"n": 3}] == [*take(queue), *take(queue)]


def test_a_message_may_be_48_kib(queues: tuple[MemoryWakeups, Take], queue: str) -> None:
    """The largest message arrives; one byte more is a fault of the program."""
    wakeups, take = queues
    text = "x" * (48 * 1024 - len('{"t":""}'))

    wakeups.put(queue, {"t": text})
    with pytest.raises(ValueError, match="48 KiB"):
        wakeups.put(queue, {"t": text + "x"})

    assert [{"t": text}] == take(queue)


@pytest.mark.parametrize("delay", [-1, 301])
def test_a_long_wait_is_no_message(queues: tuple[MemoryWakeups, Take], queue: str, delay: float) -> None:
    """Whoever must wait longer than five minutes stands in a due row."""
    wakeups, _ = queues

    with pytest.raises(ValueError, match="due rows"):
        wakeups.put(queue, {}, delay)
