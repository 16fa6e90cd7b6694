"""How does a scripted fault of `localcloud.world.Faults` show to the client of a simulated service."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from starlette.responses import HTMLResponse, JSONResponse, Response, StreamingResponse

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from starlette.requests import Request

    from localcloud.world import World

    Endpoint = Callable[[Request], Awaitable[Response]]

# The gateway's TLS server puts a function under this name into the scope that drops the connection at once.
ABORT_EXTENSION = "localcloud.abort"
_OUTAGE_PAGE = (
    "<html><head><title>Service Unavailable</title></head><body><h2>Our services aren't available</h2></body></html>"
)


async def answer(world: World, service: str, operation: str, keys: tuple[str, ...], call: Answering) -> Response:
    """
    Count one request, charge the ``latency_ms`` mode, and answer it through the next fault scripted for it, if any.

    *keys* are what a fault may be bound to, a tenant id for example.
    """
    world.counters[f"{service}.{operation}"] += 1
    if latency := float(world.modes.get("latency_ms", 0.0)):
        await asyncio.sleep(latency / 1000)
    fault = world.faults.take(service, operation, *keys)
    if fault is None:
        return await call.endpoint(call.request)
    return await _misbehave(fault.effect, call)


class Answering:
    """A request together with the endpoint that would answer it were there no fault."""

    def __init__(self, request: Request, endpoint: Endpoint) -> None:
        self.request = request
        self.endpoint = endpoint


async def _misbehave(effect: dict[str, Any], call: Answering) -> Response:
    kind = effect["kind"]
    if kind == "delay":
        await asyncio.sleep(float(effect["seconds"]))
        return await call.endpoint(call.request)
    if kind == "drip":
        return _dripped(await call.endpoint(call.request), float(effect.get("seconds_per_byte", 0.05)))
    if effect.get("when") == "after":
        await call.endpoint(call.request)
    if kind == "status":
        return faulty_status(effect)
    if kind == "html":
        return HTMLResponse(effect.get("body", _OUTAGE_PAGE), int(effect.get("status", 502)), effect.get("headers"))
    if kind == "reset":
        drop_connection(call.request)
        return Response(status_code=500)
    raise ValueError(f"no such effect here: {kind}")


def faulty_status(effect: dict[str, Any]) -> Response:
    """Return the answer of a ``status`` effect; its body is text, JSON data or nothing."""
    body, status, headers = effect.get("body"), int(effect["status"]), effect.get("headers")
    if body is None or isinstance(body, str):
        return Response(body, status, headers)
    return JSONResponse(body, status, headers)


def drop_connection(request: Request) -> None:
    """
    Close the connection of *request* without an answer.

    Raises:
        ConnectionResetError: where no real connection carries the request, as under an in-process transport.
    """
    abort = request.scope.get("extensions", {}).get(ABORT_EXTENSION)
    if abort is None:
        raise ConnectionResetError("the simulated service dropped the connection")
    abort()


def _dripped(response: Response, seconds_per_byte: float) -> Response:
    async def drops() -> AsyncIterator[bytes]:
        for value in bytes(response.body):
            await asyncio.sleep(seconds_per_byte)
            yield bytes((value,))

    headers = {name: value for name, value in response.headers.items() if name != "content-length"}
    return StreamingResponse(drops(), response.status_code, headers)
