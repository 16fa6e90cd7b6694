"""What the host answers under /admin: its state, its functions, and running one of them by hand."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterable
from importlib.metadata import version
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from localcloud.host.functions import Function
from localcloud.host.invocations import Invoker
from localcloud.host.keys import ADMIN, Keys
from localcloud.host.messages import TypedData
from localcloud.host.timers import timer_value


class AdminApi:
    """Serve the built-in routes; all but the ping need the master key."""

    def __init__(self, functions: Iterable[Function], keys: Keys, invoker: Invoker, host_id: str) -> None:
        self._functions = {function.name.lower(): function for function in functions}
        self._keys = keys
        self._invoker = invoker
        self._host_id = host_id
        self._started = time.monotonic()
        self._runs: set[asyncio.Task[Any]] = set()

    async def answer(self, request: Request, path: str) -> Response:
        """Answer a request whose path begins with /admin."""
        words = [word for word in path.lower().split("/") if word][1:]
        if words == ["host", "ping"] and request.method in ("GET", "POST"):
            return Response(status_code=200)
        if not self._keys.allow(ADMIN, given_key(request)):
            return Response(status_code=401)
        function = self._functions.get(words[1]) if len(words) == 2 and words[0] == "functions" else None
        if function and request.method == "POST":
            return self._run(function, await request.body())
        shown = self._show(words, function) if request.method == "GET" else None
        return Response(status_code=404) if shown is None else JSONResponse(shown)

    def _show(self, words: list[str], function: Function | None) -> Any:
        if function:
            return _describe(function)
        if words == ["functions"]:
            return [_describe(each) for each in self._functions.values()]
        return self._status() if words == ["host", "status"] else None

    def _status(self) -> dict[str, Any]:
        return {
            "id": self._host_id,
            "state": "Running",
            "version": f"local {version('azure-functions-runtime')}",
            "processUptime": round((time.monotonic() - self._started) * 1000),
            "functions": {name: dict(counts) for name, counts in self._invoker.counts.items()},
        }

    def _run(self, function: Function, body: bytes) -> Response:
        """Start *function* on the `input` of a JSON body and answer before it ends, as the real host does."""
        try:
            given = json.loads(body or b"{}")
            text = given.get("input") if isinstance(given, dict) else None
        except ValueError:
            return Response('the body must be JSON like {"input": ""}', status_code=400)
        kind = function.trigger["type"]
        if kind == "httpTrigger":
            return Response("call an HTTP function on its route", status_code=400)
        value = timer_value(None, past_due=False) if kind == "timerTrigger" else TypedData(string=str(text or ""))
        metadata = {"Id": TypedData(string="by-hand"), "DequeueCount": TypedData(json="1")}
        task = asyncio.create_task(self._invoker.run(function, value, metadata))
        self._runs.add(task)
        task.add_done_callback(self._runs.discard)
        return Response(status_code=202)


def given_key(request: Request) -> str | None:
    """Return the key of a request: the header first, then `?code=`."""
    return request.headers.get("x-functions-key") or request.query_params.get("code")


def _describe(function: Function) -> dict[str, Any]:
    return {
        "name": function.name,
        "language": "python",
        "config": {"bindings": [dict(each) for each in function.bindings]},
    }
