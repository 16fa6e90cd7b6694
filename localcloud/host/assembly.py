"""What an indexed app consists of once every name, setting and connection in it has been resolved."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from azure.storage.queue import QueueServiceClient

from localcloud.host.config import HostConfig, expand, is_disabled
from localcloud.host.connections import Connections
from localcloud.host.errors import StartError
from localcloud.host.functions import Function, check, check_queue_name
from localcloud.host.invocations import Invoker
from localcloud.host.leases import BlobLease
from localcloud.host.outputs import QueueOutputs
from localcloud.host.queues import QueueListener, Trigger
from localcloud.host.routes import compile_template
from localcloud.host.schedules import parse_schedule
from localcloud.host.timers import Timer, TimerListener

_HOSTS_CONTAINER = "azure-webjobs-hosts"
# The settings of a binding in which `%NAME%` stands for the setting NAME.
_EXPANDED = ("queueName", "route", "schedule")


class Listener(Protocol):
    """Something that starts functions by itself."""

    async def run(self, stopping: asyncio.Event) -> None:
        """Work until *stopping* is set."""
        ...


@dataclass
class Assembly:
    """The enabled functions, what starts them, and the queues their outputs go to."""

    config: HostConfig
    functions: list[Function] = field(default_factory=list)
    queue_triggers: list[Trigger] = field(default_factory=list)
    timers: list[Timer] = field(default_factory=list)
    output_queues: dict[tuple[str, str], tuple[QueueServiceClient, str]] = field(default_factory=dict)

    def listeners(self, invoker: Invoker, outputs: QueueOutputs) -> list[Listener]:
        """Return one listener per queue and timer function."""
        queues = [QueueListener(each, self.config.queues, invoker, outputs) for each in self.queue_triggers]
        return [*queues, *(TimerListener(timer, invoker) for timer in self.timers)]


def assemble(
    indexed: Iterable[Function], config: HostConfig, connections: Connections, environ: Mapping[str, str]
) -> Assembly:
    """
    Resolve all that *indexed* functions name.

    Raises:
        StartError: naming every function that cannot be served; one is enough to keep the host from starting.
    """
    enabled = [function for function in indexed if not is_disabled(function.name, environ)]
    check(enabled)
    assembly = Assembly(config)
    problems = []
    for function in enabled:
        try:
            expanded = _expand_bindings(function, environ)
            _add(assembly, expanded, connections)
            assembly.functions.append(expanded)
        except StartError as error:
            problems.append(f"{function.name}: {error}")
    if problems:
        raise StartError("\n".join(problems))
    return assembly


def _expand_bindings(function: Function, environ: Mapping[str, str]) -> Function:
    def expanded(name: str, value: Any) -> Any:
        return expand(value, environ) if name in _EXPANDED and isinstance(value, str) else value

    bindings = tuple({name: expanded(name, value) for name, value in each.items()} for each in function.bindings)
    return dataclasses.replace(function, bindings=bindings)


def _add(assembly: Assembly, function: Function, connections: Connections) -> None:
    trigger = function.trigger
    if trigger["type"] == "httpTrigger":
        compile_template(function.route())
    elif trigger["type"] == "queueTrigger":
        assembly.queue_triggers.append(_queue_trigger(function, connections))
    else:
        assembly.timers.append(_timer(function, assembly.config, connections))
    for name, binding in function.outputs.items():
        queue = binding["queueName"].lower()
        if "{" not in queue:
            check_queue_name(queue)
        assembly.output_queues[function.name, name] = (connections.queues(binding.get("connection")), queue)


def _queue_trigger(function: Function, connections: Connections) -> Trigger:
    name = check_queue_name(function.trigger["queueName"].lower())
    service = connections.queues(function.trigger.get("connection"))
    # A poison queue has no poison queue: what fails there stays hidden until its lease ends, and is tried again.
    poison = None if name.endswith("-poison") else service.get_queue_client(f"{name}-poison")
    return Trigger(function, service.get_queue_client(name), poison)


def _timer(function: Function, config: HostConfig, connections: Connections) -> Timer:
    container = connections.blobs().get_container_client(_HOSTS_CONTAINER)
    name = f"Host.Functions.{function.name}"
    lock = f"locks/{config.host_id}/{name}.Listener"
    return Timer(
        function,
        parse_schedule(function.trigger["schedule"]),
        BlobLease(container, lock, config.instance_id, config.timer_lease),
        container.get_blob_client(f"timers/{config.host_id}/{name}/status"),
    )
