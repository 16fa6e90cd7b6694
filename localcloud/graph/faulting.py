"""What does a scripted fault do to one request: it comes before or after the effect, late, or only slows the answer."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from localcloud.graph.errors import envelope
from localcloud.graph.wire import Reply
from localcloud.mail.errors import MailError

if TYPE_CHECKING:
    from collections.abc import Callable

    from localcloud.world import Fault

_background: set[asyncio.Task[None]] = set()
_PAGE = b"<html><head><title>Unavailable</title></head><body><h2>Our services aren't available</h2></body></html>"


async def perform(fault: Fault | None, handler: Callable[[], Reply], moment: float) -> Reply:
    """
    Run *handler* under *fault*; *moment* (epoch seconds) dates the error body.

    ``when`` is ``before`` (the default: nothing happens), ``after`` (it happens, the caller is told otherwise) or
    ``later`` (it happens ``after_seconds`` later). The kinds ``delay`` and ``drip`` only slow the answer down.

    Raises:
        MailError: what the handler refused.
    """
    if fault is None:
        return handler()
    effect = fault.effect
    kind = effect.get("kind", "status")
    if kind == "delay":
        await asyncio.sleep(float(effect.get("seconds", 1)))
        return handler()
    if kind == "drip":
        reply = handler()
        reply.drip = float(effect.get("seconds_per_byte", 0.01))
        return reply
    when = effect.get("when", "before")
    if when == "after":
        _ignoring_refusal(handler)
    elif when == "later":
        _do_later(handler, float(effect.get("after_seconds", 1)))
    return _told(fault, kind, moment)


def _told(fault: Fault, kind: str, moment: float) -> Reply:
    """Return what the caller is told."""
    effect = fault.effect
    headers = {str(name): str(value) for name, value in effect.get("headers", {}).items()}
    if kind == "reset":
        return Reply(504, envelope("UnknownError", "", moment, fault.id, fault.id), reset=True)
    if kind == "html":
        return Reply(int(effect.get("status", 502)), content=_PAGE, content_type="text/html", headers=headers)
    status, body = int(effect.get("status", 503)), effect.get("body")
    if isinstance(body, str):
        kind_of_body = headers.pop("Content-Type", "text/plain")
        return Reply(status, content=body.encode(), content_type=kind_of_body, headers=headers)
    if body is None and status >= 400:
        body = envelope(effect.get("code", "UnknownError"), effect.get("message", ""), moment, fault.id, fault.id)
    return Reply(status, body, headers=headers)


def _ignoring_refusal(handler: Callable[[], Reply]) -> None:
    try:
        handler()
    except MailError:
        return


def _do_later(handler: Callable[[], Reply], seconds: float) -> None:
    async def run() -> None:
        await asyncio.sleep(seconds)
        _ignoring_refusal(handler)

    task = asyncio.get_running_loop().create_task(run())
    _background.add(task)
    task.add_done_callback(_background.discard)
