"""Queues in Azure Queue storage: base64 JSON messages that never expire, and how many wait."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime
from functools import partial
from math import ceil
from typing import Any, TypeVar

from azure.core.credentials import TokenCredential
from azure.core.exceptions import HttpResponseError, ResourceExistsError, ResourceNotFoundError
from azure.storage.queue import QueueClient, TextBase64EncodePolicy

from shared.adapters.queue_rules import message_text
from shared.adapters.storage_account import TIMEOUTS, Clients, StorageAccount, call, refused, transport
from shared.settings import Settings
from shared.telemetry import TRACEPARENT, traceparent

_FOREVER = -1
_OUTWARD = "out-"  # of those that mail is delivered to: their messages stay as they were announced
# A message that a repeat doubles wakes someone twice, which is harmless.
_RETRIES = {"retry_total": 3, "initial_backoff": 1, "increment_base": 2, "random_jitter_range": 1}
Result = TypeVar("Result")


class StorageWakeups:
    """The queues, see the port; makes a queue itself where it is missing. Thread-safe."""

    def __init__(self, account: StorageAccount) -> None:
        options: dict[str, Any] = {
            "transport": transport(),
            "message_encode_policy": TextBase64EncodePolicy(),
            **TIMEOUTS,
            **_RETRIES,
        }

        def make(queue: str) -> QueueClient:
            if account.connection_string:
                return QueueClient.from_connection_string(account.connection_string, queue, **options)
            return QueueClient(account.url("queue"), queue, credential=account.credential, **options)

        self._clients = Clients(make)

    def put(self, queue: str, body: Mapping[str, Any], delay_seconds: float = 0) -> None:
        """Put a JSON message, visible after *delay_seconds* (at most 300). Raises `StorageUnavailable`."""
        parent = traceparent()
        if parent and not queue.startswith(_OUTWARD):
            body = {**body, TRACEPARENT: parent}
        text = message_text(body, delay_seconds)
        client: QueueClient = self._clients[queue]
        hidden = ceil(delay_seconds) or None
        send = partial(client.send_message, text, visibility_timeout=hidden, time_to_live=_FOREVER)
        try:
            self._prepared(client, send)
        except HttpResponseError as error:
            raise refused(error) from error

    def length(self, queue: str) -> int:
        """Return the approximate count of messages; 0 where there is no such queue. Raises `StorageUnavailable`."""
        client: QueueClient = self._clients[queue]
        try:
            return call(client.get_queue_properties).approximate_message_count or 0
        except ResourceNotFoundError:
            return 0
        except HttpResponseError as error:
            raise refused(error) from error

    def oldest(self, queue: str) -> datetime | None:
        """Return since when the first message that is visible has waited, or None. Raises `StorageUnavailable`."""
        client: QueueClient = self._clients[queue]
        try:
            found = call(client.peek_messages)
        except ResourceNotFoundError:
            return None
        except HttpResponseError as error:
            raise refused(error) from error
        return min((message.inserted_on for message in found if message.inserted_on), default=None)

    def _prepared(self, client: QueueClient, send: Callable[[], Result]) -> Result:
        """Return what *send* returns; make the queue and send again where there is none."""
        try:
            return call(send, writing=True)
        except ResourceNotFoundError:
            with suppress(ResourceExistsError):
                call(client.create_queue, writing=True)
            return call(send, writing=True)


def open_wakeups(settings: Settings, credential: TokenCredential | None) -> StorageWakeups:
    """Return the queues of the account that *settings* name; makes no call."""
    return StorageWakeups(StorageAccount.of(settings, credential))
