"""How the host talks to azure-functions-runtime: index the app once, then one call per invocation."""

from __future__ import annotations

import importlib
import json
import secrets
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from localcloud.host.errors import RuntimeMissingError, StartError
from localcloud.host.functions import Function
from localcloud.host.messages import ParameterBinding, TypedData, protos


@dataclass(frozen=True)
class Result:
    """What one invocation gave: its values, or the *error* text with the stack of the app."""

    succeeded: bool
    return_value: TypedData | None = None
    outputs: Mapping[str, TypedData] = field(default_factory=dict)
    error: str = ""


@dataclass(frozen=True)
class Call:
    """One invocation to be made; *trace_parent* is the W3C trace context of its caller, if any."""

    invocation_id: str
    value: TypedData
    metadata: Mapping[str, TypedData] = field(default_factory=dict)
    trace_parent: str = ""


class Worker:
    """Drive the runtime library as Microsoft's proxy worker does, with plain objects for protobuf messages."""

    def __init__(self) -> None:
        self._protos = protos()
        self._runtime = _import_runtime()

    async def start(self, app_dir: Path) -> list[Function]:
        """
        Import the app in *app_dir* and return its functions.

        Raises:
            StartError: with the app's own stack, when it cannot be indexed or has no functions.
        """
        sys.path.insert(0, str(app_dir))
        self._runtime.start_threadpool_executor()
        init = SimpleNamespace(capabilities={}, function_app_directory=str(app_dir))
        answer = await self._runtime.worker_init_request(
            _request("worker_init_request", init, {"protos": self._protos, "host": "127.0.0.1"})
        )
        _raise_failure(answer.result, "the app cannot be indexed")
        metadata = (await self._runtime.functions_metadata_request(None)).function_metadata_results
        if not metadata:
            raise StartError(f"no functions found in {app_dir}: is there a function_app.py with a FunctionApp?")
        return [await self._load(each) for each in metadata]

    async def invoke(self, function: Function, call: Call) -> Result:
        """Run *function* once; failures of the app come back as a result, never as an exception."""
        invocation = SimpleNamespace(
            invocation_id=call.invocation_id,
            function_id=function.id,
            trace_context=SimpleNamespace(
                trace_parent=call.trace_parent or new_trace_parent(), trace_state="", attributes={}
            ),
            retry_context=SimpleNamespace(retry_count=0, max_retry_count=0, exception=None),
            input_data=[ParameterBinding(function.trigger["name"], call.value)],
            trigger_metadata=call.metadata,
        )
        answer = await self._runtime.invocation_request(_request("invocation_request", invocation))
        if answer.result.status != self._protos.StatusResult.Success:
            problem = answer.result.exception
            return Result(succeeded=False, error=f"{problem.message}\n{problem.stack_trace}")
        outputs = {each.name: each.data for each in answer.output_data if each.data is not None}
        return Result(succeeded=True, return_value=answer.return_value, outputs=outputs)

    def stop(self) -> None:
        """End the thread pool; waits for functions that still run."""
        self._runtime.stop_threadpool_executor()

    async def _load(self, metadata: Any) -> Function:
        load = SimpleNamespace(function_id=metadata.function_id)
        answer = await self._runtime.function_load_request(_request("function_load_request", load))
        _raise_failure(answer.result, f"function '{metadata.name}' cannot be loaded")
        bindings = tuple(json.loads(raw) for raw in metadata.raw_bindings)
        return Function(metadata.function_id, metadata.name, bindings, metadata.retry_options is not None)


def new_trace_parent() -> str:
    """Return a fresh W3C trace context, as the real host gives every invocation one."""
    return f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-00"


def _import_runtime() -> Any:
    try:
        return importlib.import_module("azure_functions_runtime")
    except ImportError as error:
        version = ".".join(map(str, sys.version_info[:2]))
        raise RuntimeMissingError(
            "the local Functions host needs Python 3.13 or newer with azure-functions-runtime installed; "
            f"this is Python {version} without it"
        ) from error


def _request(kind: str, message: object, properties: Mapping[str, Any] | None = None) -> SimpleNamespace:
    return SimpleNamespace(request=SimpleNamespace(**{kind: message}), properties=properties or {})


def _raise_failure(result: Any, sentence: str) -> None:
    if result.status != 1:
        raise StartError(f"{sentence}: {result.exception.message}\n{result.exception.stack_trace}")
