"""How queue messages reach functions: polling, the hidden time, retries and the poison queue."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from dataclasses import dataclass
from typing import Any

from azure.core.exceptions import AzureError, ResourceNotFoundError
from azure.storage.queue import QueueClient, QueueMessage

from localcloud.host.config import QueueOptions
from localcloud.host.functions import Function
from localcloud.host.invocations import Invoker
from localcloud.host.outputs import QueueOutputs
from localcloud.host.queue_messages import as_typed, decode, describe, message_fields

log = logging.getLogger("localcloud.host.queues")
SHORTEST_POLL_SECONDS = 0.1


@dataclass(frozen=True)
class Trigger:
    """One queue function with its queue and, unless the queue is itself a poison queue, where hopeless messages go."""

    function: Function
    queue: QueueClient
    poison: QueueClient | None


class QueueListener:
    """Poll one queue and run its function on every message, at most batch_size + new_batch_threshold at a time."""

    def __init__(self, trigger: Trigger, options: QueueOptions, invoker: Invoker, outputs: QueueOutputs) -> None:
        self._trigger = trigger
        self._options = options
        self._invoker = invoker
        self._outputs = outputs
        self._running: set[asyncio.Task[None]] = set()
        self._wake = asyncio.Event()
        outputs.on_message(trigger.queue.url, self._wake.set)

    async def run(self, stopping: asyncio.Event) -> None:
        """Poll until *stopping* is set, then finish the messages already taken."""
        pause = SHORTEST_POLL_SECONDS
        while not stopping.is_set():
            self._wake.clear()
            batch = await self._receive()
            for message in batch:
                task = asyncio.create_task(self._process(message))
                self._running.add(task)
                task.add_done_callback(self._running.discard)
            if batch:
                pause = SHORTEST_POLL_SECONDS
                await self._wait_for_room(stopping)
            else:
                await self._rest(pause, stopping)
                pause = min(self._options.max_polling_interval, pause * random.uniform(1.6, 2.4))
        await asyncio.gather(*self._running, return_exceptions=True)

    async def _receive(self) -> list[QueueMessage]:
        """Take up to one batch; a trigger's queue is not created, and storage trouble only delays the next poll."""
        try:
            return await asyncio.to_thread(self._receive_now)
        except ResourceNotFoundError:
            log.debug("queue %s does not exist", self._trigger.queue.queue_name)
        except AzureError as error:
            log.warning("polling %s failed: %s", self._trigger.queue.queue_name, type(error).__name__)
        except RuntimeError as error:
            # The SDK completes its models at their first use, and two queues that are read first at once disturb it.
            log.warning("polling %s failed: %s", self._trigger.queue.queue_name, error)
        return []

    def _receive_now(self) -> list[QueueMessage]:
        size = self._options.batch_size
        pages = self._trigger.queue.receive_messages(messages_per_page=size, visibility_timeout=self._options.lease)
        return list(next(iter(pages.by_page()), ()))

    async def _wait_for_room(self, stopping: asyncio.Event) -> None:
        while len(self._running) > self._options.new_batch_threshold and not stopping.is_set():
            await _first_of(*self._running, stopping=stopping)

    async def _rest(self, seconds: float, stopping: asyncio.Event) -> None:
        woken = asyncio.ensure_future(self._wake.wait())
        await _first_of(woken, stopping=stopping, timeout=seconds)
        woken.cancel()

    async def _process(self, message: QueueMessage) -> None:
        try:
            await self._handle(message)
        except AzureError as error:
            # The message becomes visible again by itself; someone else may have it by now.
            log.warning("message %s could not be settled: %s", message.id, type(error).__name__)

    async def _handle(self, message: QueueMessage) -> None:
        body = decode(message.content, base64_encoding=self._options.base64)
        if body is None:
            log.error("message %s cannot be decoded", message.id)
            await self._bury(message, message.content)
        elif (message.dequeue_count or 0) > self._options.max_dequeue_count and self._trigger.poison:
            await self._bury(message, body)
        else:
            await self._run(message, body)

    async def _run(self, message: QueueMessage, body: bytes) -> None:
        value = as_typed(body)
        renewal = asyncio.create_task(self._renew(message))
        try:
            result = await self._invoker.run(
                self._trigger.function, value, describe(message, value), message_fields(message.id, value)
            )
        finally:
            renewal.cancel()
            # A renewal under way may be about to change the pop receipt.
            await asyncio.wait([renewal])
        if result.succeeded:
            await self._delete(message)
        elif self._trigger.poison and (message.dequeue_count or 0) >= self._options.max_dequeue_count:
            await self._bury(message, body)
        elif self._trigger.poison:
            await self._release(message)

    async def _renew(self, message: QueueMessage) -> None:
        """Keep the message hidden while its function runs."""
        while True:
            await asyncio.sleep(self._options.lease / 2)
            with contextlib.suppress(AzureError):
                await _uninterrupted(self._hide(message, self._options.lease))

    async def _hide(self, message: QueueMessage, seconds: int) -> None:
        hidden = await asyncio.to_thread(self._trigger.queue.update_message, message, visibility_timeout=seconds)
        message.pop_receipt = hidden.pop_receipt

    async def _delete(self, message: QueueMessage) -> None:
        with contextlib.suppress(ResourceNotFoundError):
            await asyncio.to_thread(self._trigger.queue.delete_message, message)

    async def _release(self, message: QueueMessage) -> None:
        with contextlib.suppress(ResourceNotFoundError):
            await self._hide(message, self._options.visibility_timeout)
        if not self._options.visibility_timeout:
            self._wake.set()

    async def _bury(self, message: QueueMessage, body: bytes | str) -> None:
        """Move a message to the poison queue; copied first, so that a crash in between leaves it twice, never lost."""
        if self._trigger.poison is None:
            return
        await self._outputs.put(self._trigger.poison, body)
        await self._delete(message)
        log.warning("message %s went to %s", message.id, self._trigger.poison.queue_name)


async def _first_of(*tasks: asyncio.Future[Any], stopping: asyncio.Event, timeout: float | None = None) -> None:  # noqa: ASYNC109
    """Return when one of *tasks* is done, *stopping* is set, or *timeout* seconds have passed."""
    stop = asyncio.ensure_future(stopping.wait())
    await asyncio.wait([*tasks, stop], timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
    stop.cancel()


async def _uninterrupted(coroutine: Any) -> None:
    """Finish *coroutine* even if this task is cancelled meanwhile."""
    inner = asyncio.ensure_future(coroutine)
    try:
        await asyncio.shield(inner)
    except asyncio.CancelledError:
        await asyncio.wait([inner])
        raise
