"""
How does Graph run a ``$batch``: at most 20 steps, four at a time, or one after another where any step depends on one.

Outside it is always 200; each step has a status of its own (facts, section 3.8).
"""

from __future__ import annotations

import asyncio
import base64
import json
from typing import TYPE_CHECKING, Any

from localcloud.graph.message_input import decode_base64
from localcloud.graph.wire import Reply, Request
from localcloud.mail.errors import bad_request

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

MAX_STEPS = 20
AT_ONCE = 4
_METHODS = ("GET", "POST", "PATCH", "PUT", "DELETE")


async def run_batch(answer: Callable[[Request], Awaitable[Reply]], outer: Request) -> Reply:
    """
    Run the steps in *outer* through *answer* and return the collected answers, in the order in which they were done.

    Raises:
        MailError: 400 where the batch itself is malformed.
    """
    steps = _checked_steps(outer.json_object().get("requests"))
    if any(step.get("dependsOn") for step in steps):
        return Reply(200, {"responses": await _one_by_one(answer, outer, steps)})
    gate, done = asyncio.Semaphore(AT_ONCE), []

    async def run(step: dict[str, Any]) -> None:
        async with gate:
            done.append(await _step_answer(answer, outer, step))

    await asyncio.gather(*(run(step) for step in steps))
    return Reply(200, {"responses": done})


async def _one_by_one(
    answer: Callable[[Request], Awaitable[Reply]], outer: Request, steps: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    done: dict[str, dict[str, Any]] = {}
    for step in steps:
        failed = [name for name in step.get("dependsOn") or () if done.get(name, {"status": 424})["status"] >= 400]
        if failed:
            error = {"code": "FailedDependency", "message": f"Request depends on failed request '{failed[0]}'."}
            done[step["id"]] = {"id": step["id"], "status": 424, "headers": _JSON, "body": {"error": error}}
        else:
            done[step["id"]] = await _step_answer(answer, outer, step)
    return list(done.values())


_JSON = {"Content-Type": "application/json"}


def _checked_steps(value: Any) -> list[dict[str, Any]]:
    if not isinstance(value, list) or not value:
        raise bad_request("Invalid batch payload format.")
    if len(value) > MAX_STEPS:
        raise bad_request(f"Number of batch request steps exceeds the maximum value of {MAX_STEPS}.")
    seen: set[str] = set()
    for step in value:
        _check_step(step, seen)
        seen.add(step["id"])
    return value


def _check_step(step: Any, earlier: set[str]) -> None:
    if not isinstance(step, dict) or not all(isinstance(step.get(name), str) for name in ("id", "method", "url")):
        raise bad_request("Invalid batch payload format: every request needs id, method and url.")
    if step["id"] in earlier:
        raise bad_request("Invalid batch payload format: request ids must be unique.")
    headers, depends = step.get("headers", {}), step.get("dependsOn") or []
    if not isinstance(headers, dict) or not isinstance(depends, list) or not set(depends) <= earlier:
        raise bad_request("Invalid batch payload format: bad headers or dependsOn.")
    if step["method"].upper() not in _METHODS or "://" in step["url"].partition("?")[0]:
        raise bad_request("Invalid batch payload format: bad method or url.")
    if step.get("body") is not None and "content-type" not in {str(name).casefold() for name in headers}:
        raise bad_request("Invalid batch payload format: Content-Type is required where a body is given.")


async def _step_answer(
    answer: Callable[[Request], Awaitable[Reply]], outer: Request, step: dict[str, Any]
) -> dict[str, Any]:
    request = _request_of(outer, step)
    if request.segments and request.segments[-1].casefold() == "$batch":
        error = {"code": "BadRequest", "message": "Nested batches are not supported."}
        return {"id": step["id"], "status": 400, "headers": _JSON, "body": {"error": error}}
    reply = await answer(request)
    shown: dict[str, Any] = {"id": step["id"], "status": reply.status, "headers": _headers_of(reply)}
    if reply.data is not None:
        shown["body"] = reply.data
    elif reply.content is not None:
        shown["body"] = base64.b64encode(reply.content).decode()
    return shown


def _request_of(outer: Request, step: dict[str, Any]) -> Request:
    """Return the step as a request; the token and nothing else is inherited from the batch."""
    path, _, query = step["url"].partition("?")
    headers = {str(name).casefold(): str(value) for name, value in step.get("headers", {}).items()}
    headers.setdefault("authorization", outer.headers.get("authorization", ""))
    body, value = b"", step.get("body")
    if isinstance(value, str) and "json" not in headers.get("content-type", ""):
        body = decode_base64(value.replace("-", "+").replace("_", "/"), "BadRequest", "Invalid batch payload format.")
    elif value is not None:
        body = json.dumps(value).encode()
    return Request(step["method"].upper(), f"/{path.lstrip('/')}", query, headers, body, in_batch=True)


def _headers_of(reply: Reply) -> dict[str, str]:
    headers = {"Cache-Control": "private", **reply.headers}
    if reply.data is not None or reply.content is not None:
        headers["Content-Type"] = reply.content_type
    return headers
