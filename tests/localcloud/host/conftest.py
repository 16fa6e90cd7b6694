"""One Azurite and one host running the sample app for all tests here, and a way to start further ones."""

from __future__ import annotations

import base64
import importlib.util
import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from azure.storage.queue import QueueClient

from localcloud.azurite import Azurite
from localcloud.environment import stripped_environment
from localcloud.host.keys import Keys
from localcloud.processes import HostProcess, start_azurite, start_host

SAMPLE_APP = Path(__file__).parents[1] / "sample_app"
KEYS = Keys(master="the-master-key", host=("the-host-key",), functions={"keyed": ("the-function-key",)})
LEASE_SECONDS = 4  # renewed every 2 s, which a busy machine may delay
Note = dict[str, Any]


@dataclass(frozen=True)
class Notes:
    """What the sample app has written down."""

    path: Path

    def all(self, kind: str, **fields: object) -> list[Note]:
        """Return the notes of *kind* that have these *fields*."""
        lines = self.path.read_text().splitlines() if self.path.exists() else []
        notes = [json.loads(line) for line in lines]
        return [note for note in notes if note["kind"] == kind and fields.items() <= note.items()]

    def wait(self, kind: str, count: int = 1, seconds: float = 60, **fields: object) -> list[Note]:
        """Return the notes once there are *count* of them; fails after *seconds*."""
        wait_until(lambda: len(self.all(kind, **fields)) >= count, seconds)
        return self.all(kind, **fields)


def wait_until(happened: Callable[[], bool], seconds: float = 60) -> None:
    """Return once *happened* is true; fails after *seconds*."""
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline, f"it did not happen within {seconds:g} s"
        time.sleep(0.03)


@dataclass(frozen=True)
class Sample:
    """A running host with what its app has noted."""

    process: HostProcess
    notes: Notes
    storage: str

    def queue(self, name: str) -> QueueClient:
        """Return the client of a queue."""
        return QueueClient.from_connection_string(self.storage, name)

    def send(self, body: str, queue: str = "sample-work") -> None:
        """Put *body* on the queue of the sample app, encoded as the host expects it."""
        with self.queue(queue) as client:
            client.send_message(base64.b64encode(body.encode()).decode())


Launch = Callable[..., Sample]


@pytest.fixture(scope="session")
def azurite() -> Iterator[Azurite]:
    """Return a running Azurite."""
    running = start_azurite()
    yield running
    running.close()


@pytest.fixture(scope="session")
def launch(azurite: Azurite, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Launch]:
    """Return a function that starts the sample app with further settings, on a queue *queue* made for it."""
    if importlib.util.find_spec("azure_functions_runtime") is None:
        pytest.skip("the functions host needs Python 3.13")
    with ExitStack() as stack:

        def launch(queue: str, *, create: bool = True, **settings: str) -> Sample:
            folder = tmp_path_factory.mktemp("host")
            notes = Path(settings.get("SAMPLE_NOTES", folder / "notes"))
            storage = azurite.connection_string
            if create:
                with QueueClient.from_connection_string(storage, queue) as client:
                    client.create_queue()
            environment = {
                **stripped_environment(),
                "AzureWebJobsStorage": storage,
                "SAMPLE_STORAGE": storage,
                "SAMPLE_QUEUE": queue,
                "SAMPLE_SCHEDULE": "0 0 5 * * *",
                "SAMPLE_NOTES": str(notes),
                "AzureFunctionsWebHost__hostid": queue,
                "LOCAL_HOST_QUEUE_LEASE_SECONDS": str(LEASE_SECONDS),
                **settings,
            }
            process = start_host(environment, app_dir=SAMPLE_APP, keys=KEYS, folder=folder)
            stack.callback(process.close)
            return Sample(process, Notes(notes), storage)

        yield launch


@pytest.fixture(scope="session")
def sample(launch: Launch) -> Sample:
    """Return the host that most tests share."""
    return launch("sample-work", PYTHON_THREADPOOL_THREAD_COUNT="3")


@pytest.fixture
def client(sample: Sample) -> Iterator[httpx.Client]:
    """Return an HTTP client of the shared host."""
    with httpx.Client(base_url=sample.process.url, trust_env=False, timeout=30) as http:
        yield http
