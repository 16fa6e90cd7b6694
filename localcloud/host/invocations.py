"""How one function is run: the call itself, its outputs, and the two log lines about it."""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections import Counter
from collections.abc import Mapping
from typing import Any

from azure.storage.queue import QueueClient

from localcloud.host.functions import Function
from localcloud.host.logs import invocation
from localcloud.host.messages import TypedData
from localcloud.host.outputs import QueueOutputs, fill_placeholders
from localcloud.host.worker import Call, Result, Worker

log = logging.getLogger("localcloud.host")


class Invoker:
    """Run functions and keep count; *queue_for* finds the queue of an output, its name still with placeholders."""

    def __init__(self, worker: Worker, outputs: QueueOutputs, queue_for: Mapping[tuple[str, str], Any]) -> None:
        self._worker = worker
        self._outputs = outputs
        self._queue_for = queue_for
        self._running = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self.counts: dict[str, Counter[str]] = {}

    async def run(
        self,
        function: Function,
        value: TypedData,
        metadata: Mapping[str, TypedData] | None = None,
        fields: Mapping[str, Any] | None = None,
        trace_parent: str = "",
    ) -> Result:
        """
        Run *function* on *value*; a failed output fails the invocation.

        *metadata* describes the trigger, *fields* fill placeholders in the names of output queues.
        """
        call = Call(str(uuid.uuid4()), value, metadata or {}, trace_parent)
        token = invocation.set(call.invocation_id)
        self._enter()
        started = time.perf_counter()
        try:
            result = await self._invoke(function, call, fields or {})
        finally:
            self._leave()
        self._report(function, result, time.perf_counter() - started)
        invocation.reset(token)
        return result

    async def wait_idle(self) -> None:
        """Return once nothing runs."""
        await self._idle.wait()

    async def _invoke(self, function: Function, call: Call, fields: Mapping[str, Any]) -> Result:
        try:
            result = await self._worker.invoke(function, call)
            if result.succeeded:
                await self._send_outputs(function, result, fields)
        except Exception as error:
            log.exception("the host failed to run %s", function.name)
            return Result(succeeded=False, error=f"{type(error).__name__}: {error}")
        return result

    async def _send_outputs(self, function: Function, result: Result, fields: Mapping[str, Any]) -> None:
        for name in function.outputs:
            value = result.return_value if name == "$return" else result.outputs.get(name)
            if value is not None and value.content is not None:
                await self._outputs.send(self._queue(function, name, fields), value)

    def _queue(self, function: Function, output: str, fields: Mapping[str, Any]) -> QueueClient:
        service, name = self._queue_for[function.name, output]
        client: QueueClient = service.get_queue_client(fill_placeholders(name, fields))
        return client

    def _enter(self) -> None:
        self._running += 1
        self._idle.clear()

    def _leave(self) -> None:
        self._running -= 1
        if not self._running:
            self._idle.set()

    def _report(self, function: Function, result: Result, seconds: float) -> None:
        self.counts.setdefault(function.name, Counter())["succeeded" if result.succeeded else "failed"] += 1
        if result.succeeded:
            log.info("executed %s (succeeded, %.0f ms)", function.name, seconds * 1000)
        else:
            log.error("executed %s (failed, %.0f ms)\n%s", function.name, seconds * 1000, result.error.rstrip())
