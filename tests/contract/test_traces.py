"""What leaves the process of a trace, seen by a real queue and a real receiver; and what no log line may hold."""

import json
import logging
import uuid

import pytest
from azure.storage.queue import QueueClient, TextBase64DecodePolicy

from localcloud.receiver import Receiver, Trouble
from shared.adapters.queue_storage import open_wakeups
from shared.adapters.webhooks import GuardedWebhooks
from shared.settings import Settings
from shared.telemetry import quiet_vendors, span, traceparent

pytestmark = pytest.mark.enable_socket


def put(settings: Settings, queue: str) -> tuple[dict[str, object], str]:
    """Put a message inside of a trace; return its body as it lies in the queue, and the trace's header."""
    with span("tick"):
        open_wakeups(settings, None).put(queue, {"kind": "fetch"})
        header = traceparent()
    client = QueueClient.from_connection_string(
        settings.mail_storage, queue, message_decode_policy=TextBase64DecodePolicy()
    )
    with client:
        body: dict[str, object] = json.loads(next(iter(client.receive_messages())).content)
    return body, header


def test_a_wakeup_takes_the_trace_along(storage_settings: Settings) -> None:
    """One more field beside the others, which an older version leaves alone."""
    body, header = put(storage_settings, f"mail-{uuid.uuid4().hex}")

    assert {"kind": "fetch", "traceparent": header} == body


def test_what_is_delivered_to_a_queue_stays_as_it_is(storage_settings: Settings) -> None:
    """A destination's messages have the same bytes at every attempt."""
    body, _ = put(storage_settings, f"out-{uuid.uuid4().hex}")

    assert {"kind": "fetch"} == body


def test_nothing_of_a_call_reaches_the_log(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    """A receiver gets the header of the trace; no line of any logger holds path, query, header or body of the call."""
    caplog.set_level(logging.DEBUG)
    quiet_vendors()
    receiver, heard = Receiver(), []

    def judge(path: str, headers: dict[str, str], body: bytes) -> Trouble:
        heard.append((path, headers["traceparent"], body))
        return Trouble(503)

    monkeypatch.setattr(receiver, "judge", judge)
    receiver.start()
    try:
        webhooks = GuardedWebhooks([("127.0.0.1", receiver.port)], "https://mailgrant.contoso.example")
        with span("deliver"):
            url = receiver.url("alice@contoso.example?key=hush")
            answer = webhooks.post(url, b"quiet words", {"X-Token": "whsec_hush"})
            header = traceparent()
        webhooks._client.close()
    finally:
        receiver.stop()

    assert 503 == answer.status
    assert [("alice@contoso.example?key=hush", header, b"quiet words")] == heard
    assert [] == [word for word in ("alice", "hush", "quiet words", "127.0.0.1") if word in caplog.text]
