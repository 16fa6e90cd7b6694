"""How a host comes up, serves, and goes down: index, check, listen, poll, drain."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import uvicorn

from localcloud.host.admin import AdminApi
from localcloud.host.assembly import Assembly, assemble
from localcloud.host.config import HostConfig
from localcloud.host.connections import Connections
from localcloud.host.functions import Function
from localcloud.host.http import HttpApp
from localcloud.host.invocations import Invoker
from localcloud.host.keys import Keys
from localcloud.host.outputs import QueueOutputs
from localcloud.host.routes import RouteTable
from localcloud.host.worker import Worker

log = logging.getLogger("localcloud.host")
_STORAGE_THREADS = 32
DRAINED, CUT_OFF = 0, 1


class _Server(uvicorn.Server):
    """Tell *on_ready* when requests are answered, and leave signals to the host."""

    def __init__(self, config: uvicorn.Config, on_ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_ready = on_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to listen."""
        await super().startup(sockets)
        self._on_ready()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Install no handlers: uvicorn would raise the signal again before queue messages are finished."""
        yield


@dataclass(frozen=True)
class Plan:
    """What to serve, on which bound *listener*, and whom to tell when requests are answered."""

    config: HostConfig
    keys: Keys
    listener: socket.socket
    environ: Mapping[str, str]
    on_ready: Callable[[], None]


async def serve(plan: Plan) -> int:
    """
    Run the host until SIGTERM or SIGINT, then drain it.

    Returns 0, or 1 when functions still ran at the end of the drain time. Raises StartError before anything is served.
    """
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(_STORAGE_THREADS, "storage"))
    stopping = asyncio.Event()
    _stop_on_signals(stopping)
    connections = Connections(plan.environ)
    worker = Worker()
    outputs = QueueOutputs(base64_encoding=plan.config.queues.base64)
    functions = await worker.start(plan.config.app_dir)
    assembly = assemble(functions, plan.config, connections, plan.environ)
    invoker = Invoker(worker, outputs, assembly.output_queues)
    server = _Server(_uvicorn_config(plan, assembly.functions, invoker), plan.on_ready)
    listeners = assembly.listeners(invoker, outputs)
    _announce(assembly)
    polling = [asyncio.create_task(listener.run(stopping)) for listener in listeners]
    serving = asyncio.create_task(server.serve([plan.listener]))
    await _until(stopping, serving, *polling)
    stopping.set()
    server.should_exit = True
    finished = await _drain([serving, *polling], invoker, plan.config.drain_seconds)
    if not finished:
        log.error("functions still ran after %.0f s and were cut off", plan.config.drain_seconds)
        return CUT_OFF
    worker.stop()
    connections.close()
    log.info("stopped")
    return DRAINED


def _uvicorn_config(plan: Plan, functions: list[Function], invoker: Invoker) -> uvicorn.Config:
    http = [function for function in functions if function.trigger["type"] == "httpTrigger"]
    admin = AdminApi(functions, plan.keys, invoker, plan.config.host_id)
    app = HttpApp(RouteTable(plan.config.route_prefix, http), plan.keys, invoker, admin)
    return uvicorn.Config(
        app,
        access_log=False,
        lifespan="off",
        log_config=None,
        # X-Forwarded-* are the app's to read, and must not change the URL it sees.
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=round(plan.config.drain_seconds),
        ws="none",
    )


def _announce(assembly: Assembly) -> None:
    for function in assembly.functions:
        log.info("%s: %s", function.name, function.trigger["type"])
    log.info("%d functions", len(assembly.functions))


def _stop_on_signals(stopping: asyncio.Event) -> None:
    def stop(number: signal.Signals) -> None:
        if stopping.is_set():
            if number == signal.SIGINT:
                # Ctrl-C a second time: the person at the keyboard does not want to wait.
                os._exit(CUT_OFF)
            return
        log.info("stopping: no new work, running functions finish")
        stopping.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop, number)


async def _until(stopping: asyncio.Event, *tasks: asyncio.Task[None]) -> None:
    """Wait for *stopping*; a task that ends before has failed, and its error ends the host."""
    stop = asyncio.create_task(stopping.wait())
    done, _ = await asyncio.wait([stop, *tasks], return_when=asyncio.FIRST_COMPLETED)
    stop.cancel()
    for task in done - {stop}:
        task.result()


async def _drain(tasks: list[asyncio.Task[None]], invoker: Invoker, seconds: float) -> bool:
    """Wait for everything under way; return whether all of it ended in time."""
    try:
        async with asyncio.timeout(seconds + 1):
            await asyncio.gather(*tasks, return_exceptions=True)
            await invoker.wait_idle()
    except TimeoutError:
        return False
    return True
