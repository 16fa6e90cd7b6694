"""How values that a function returns become queue messages."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError
from azure.storage.queue import QueueClient

from localcloud.host.messages import TypedData

_JSON = re.compile(r"\s*(?:\{.*\}|\[.*\])\s*", re.DOTALL)


class QueueOutputs:
    """Put messages on queues, encoded as host.json says; a local listener of the queue is woken at once."""

    def __init__(self, *, base64_encoding: bool) -> None:
        self._base64 = base64_encoding
        self._wakers: dict[str, Callable[[], None]] = {}

    def on_message(self, url: str, wake: Callable[[], None]) -> None:
        """Call *wake* whenever a message is put on the queue at *url*."""
        self._wakers[url] = wake

    async def send(self, queue: QueueClient, value: TypedData) -> None:
        """Put what a function gave to a queue output: a JSON array becomes one message per element."""
        for body in split(value):
            await self.put(queue, body)

    async def put(self, queue: QueueClient, body: bytes | str) -> None:
        """Put one message; the queue is created if it is missing."""
        raw = body.encode() if isinstance(body, str) else body
        text = base64.b64encode(raw).decode() if self._base64 else raw.decode()
        try:
            await asyncio.to_thread(queue.send_message, text)
        except ResourceNotFoundError:
            with contextlib.suppress(ResourceExistsError):
                await asyncio.to_thread(queue.create_queue)
            await asyncio.to_thread(queue.send_message, text)
        if wake := self._wakers.get(queue.url):
            wake()


def split(value: TypedData) -> list[bytes | str]:
    """
    Return the messages that *value* stands for.

    Text that looks like JSON is parsed: an array fans out, an object is written back indented, as the real host does.
    """
    content: Any = value.content
    if not isinstance(content, str):
        return [content]
    if not _JSON.fullmatch(content):
        return [content]
    try:
        document = json.loads(content)
    except ValueError:
        return [content]
    elements = document if isinstance(document, list) else [document]
    return [each if isinstance(each, str) else json.dumps(each, indent=2, ensure_ascii=False) for each in elements]


def fill_placeholders(name: str, values: Mapping[str, Any]) -> str:
    """Replace `{field}` in a queue name by what the trigger's message or route said."""
    return re.sub(r"\{(\w+)\}", lambda match: str(values[match[1]]), name).lower()
