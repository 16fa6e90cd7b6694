"""
What the product tells of itself: traces and measures as lines of the log, and what the logs leave out.

No package stands behind it: the host sends the lines on, to Application Insights in OpenTelemetry mode, as
docs/telemetry.md says. A trace is W3C's (https://www.w3.org/TR/trace-context/): its `traceparent` goes along in
wake-ups and to webhooks, and holds nothing but chance.
"""

import logging
import re
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from functools import partial
from typing import Any, TypeVar

TRACEPARENT = "traceparent"
_WRITTEN = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}")
_current: ContextVar[tuple[str, str] | None] = ContextVar("trace", default=None)
_traces = logging.getLogger("mailgrant.trace")
_measures = logging.getLogger("mailgrant.measure")
Result = TypeVar("Result")

# Below WARNING these write whole addresses of requests: keys, mailboxes, links that are secrets by themselves.
TALKATIVE = (
    "azure.core.pipeline.policies.http_logging_policy",
    "azure.data",
    "azure.identity",
    "azure.storage",
    "httpcore",
    "httpx",
    "msal",
    "urllib3",
)


def quiet_vendors() -> None:
    """Let the vendors' packages log warnings and errors only."""
    for name in TALKATIVE:
        logging.getLogger(name).setLevel(logging.WARNING)


@contextmanager
def span(name: str, parent: object = "") -> Iterator[None]:
    """
    Be one step *name* of a trace: of that of *parent* (a `traceparent`), else of the present one, else of a new one.

    Its end is a line of the log, with milliseconds. A *parent* that is none begins a new trace, as W3C has it.
    """
    written = _WRITTEN.fullmatch(parent) if isinstance(parent, str) else None
    above = (written[1], written[2]) if written else _current.get()
    trace, own = above[0] if above else secrets.token_hex(16), secrets.token_hex(8)
    before, began, ok = _current.set((trace, own)), time.monotonic(), False
    try:
        yield
        ok = True
    finally:
        _current.reset(before)
        ms = round((time.monotonic() - began) * 1000)
        words = (name, trace, own, above[1] if above else "", ms, ok)
        _traces.info("trace.span name=%s trace=%s span=%s parent=%s ms=%d ok=%s", *words)


def traceparent() -> str:
    """Return the `traceparent` of what is called from here, '' outside of any trace."""
    current = _current.get()
    return f"00-{current[0]}-{current[1]}-01" if current else ""


def carried(function: Callable[..., Result]) -> Callable[..., Result]:
    """Return *function* so that it belongs to the present trace in whatever thread it is called, once."""
    return partial(copy_context().run, function)


def measure(name: str, value: float, **about: Any) -> None:
    """Write a measure down: *name* is constant, *about* are ids and codes, and never what a person wrote."""
    words = "".join(f" {key}={word}" for key, word in about.items())
    _measures.info("measure.%s value=%s%s", name, f"{value:.3f}".rstrip("0").rstrip("."), words)
