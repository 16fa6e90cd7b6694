"""When timer functions of the local host fire, with one host and with two."""

from __future__ import annotations

import json
import time

import pytest
from azure.storage.blob import BlobServiceClient
from azure.storage.queue import QueueServiceClient

from localcloud.azurite import Azurite
from tests.localcloud.host.conftest import Launch

pytestmark = pytest.mark.enable_socket
MISSED = {
    "Last": "2020-01-01T04:00:00+00:00",
    "Next": "2020-01-02T04:00:00+00:00",
    "LastUpdated": "2020-01-01T04:00:00+00:00",
}


def store_status(azurite: Azurite, host_id: str, function: str, status: dict[str, str]) -> None:
    """Leave behind what a host that went away would have stored."""
    with BlobServiceClient.from_connection_string(azurite.connection_string) as blobs:
        container = blobs.get_container_client("azure-webjobs-hosts")
        if not container.exists():
            container.create_container()
        container.upload_blob(f"timers/{host_id}/Host.Functions.{function}/status", json.dumps(status))


def test_two_hosts_share_one_timer(launch: Launch, azurite: Azurite) -> None:
    """Of two hosts one fires; when it drains the other takes over; a missed time is made up for once."""
    store_status(azurite, "pair", "nightly", MISSED)
    first = launch("pair", create=False, SAMPLE_HOST="first", SAMPLE_SCHEDULE="* * * * * *")
    first.notes.wait("tick", host="first")
    shared = {"SAMPLE_NOTES": str(first.notes.path), "SAMPLE_SCHEDULE": "* * * * * *"}
    second = launch("pair", create=False, SAMPLE_HOST="second", **shared)
    first.notes.wait("tick", count=3, host="first")
    before = first.notes.all("tick", host="second")
    assert 0 == first.process.terminate()
    first.notes.wait("tick", host="second")
    second.process.kill()

    assert [] == before
    assert [(True, MISSED)] == [(note["past_due"], note["status"]) for note in first.notes.all("nightly")]


def test_killed_host_takes_its_lease_up_again(launch: Launch) -> None:
    """A host that was killed fires again soon after its restart, long before its lease has run out."""
    host = launch("lone", create=False, SAMPLE_SCHEDULE="* * * * * *", LOCAL_HOST_TIMER_LEASE_SECONDS="60")
    host.notes.wait("tick")
    host.process.kill()
    fired = len(host.notes.all("tick"))
    started = time.monotonic()
    host.process.restart()
    host.notes.wait("tick", count=fired + 1)
    host.process.kill()

    assert time.monotonic() - started < 38  # the lease is renewed every 20 s, so at least 40 s of it were left


def test_time_span_schedule_creates_no_queue(launch: Launch) -> None:
    """A timer with a time span fires again and again, and the queue of a trigger is not created for it."""
    host = launch("spans", create=False, SAMPLE_SCHEDULE="00:00:00.3")
    notes = host.notes.wait("tick", count=3)
    with QueueServiceClient.from_connection_string(host.storage) as queues:
        names = [found.name for found in queues.list_queues(name_starts_with="spans")]
    assert 0 == host.process.terminate()

    assert {False} == {note["past_due"] for note in notes}
    assert [] == names
