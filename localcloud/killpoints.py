"""
Where a crash may fall: names the outward calls of one area of the product, and kills the process at a chosen one.

The boundaries are found by watching the HTTP libraries, not by a list kept by hand: whatever the product calls outward
while code of the area is on the stack is a boundary, before it and after it. A boundary is named by what was called,
how it answered, and the function of the area that asked for it.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from collections import Counter
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import httpcore
import requests.adapters

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path
    from types import FrameType

AREA = "LOCALCLOUD_KILL_AREA"
PLAN = "LOCALCLOUD_KILL_PLAN"
JOURNAL = "LOCALCLOUD_KILL_JOURNAL"

AREAS = {
    "fetch": ("shared/fetch",),
    "deliver": ("shared/deliver",),
    "send": ("shared/send",),
    "upgrade": ("shared/fetch", "shared/send"),
}
_LOOPBACK = ("127.0.0.1", "localhost")
_GRAPH_TAILS = ("$batch", "$value", "delta", "move", "send", "attachments", "createUploadSession")


@dataclass(frozen=True, slots=True)
class Plan:
    """
    Where to die: at the *number*-th passing of *label*, or before at the first boundary that is not in *visited*.

    *visited* None lets every other boundary pass; no *label* dies at no particular one. *stops* has the process stand
    still (SIGSTOP) instead, until somebody lets it go on.
    """

    label: str = ""
    number: int = 1
    visited: Sequence[str] | None = None
    stops: bool = False

    def write(self, path: Path) -> None:
        """Store the plan for the process that it is meant for."""
        path.write_text(json.dumps(asdict(self)))

    @classmethod
    def read(cls, path: Path) -> Plan:
        """Read a stored plan."""
        return cls(**json.loads(path.read_text()))


class Killpoints:
    """
    Names boundaries: two per outward call of the area, one before it and one after.

    The process is killed by SIGKILL where *plan* says so. Each boundary that was passed is a line of *journal*, the one
    at which the process died is its last.
    """

    def __init__(self, prefixes: tuple[str, ...], plan: Plan, journal: Path | None) -> None:
        self._prefixes = prefixes
        self._plan = plan
        self._visited = None if plan.visited is None else frozenset(plan.visited)
        self._journal = os.open(journal, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600) if journal else None
        self._passed: Counter[str] = Counter()
        self._lock = threading.Lock()

    def around(self, label: str, call: Callable[[], Any], status: Callable[[Any], int]) -> Any:
        """Make *call* with a boundary before and after it, if code of the area asked for it."""
        site = self._site(sys._getframe(1))  # noqa: SLF001 - the stack has no public way in
        if not site:
            return call()
        self._pass(f"before {label} in {site}")
        try:
            answer = call()
        except BaseException:
            self._pass(f"after {label} without an answer in {site}")
            raise
        self._pass(f"after {label} {status(answer)} in {site}")
        return answer

    def _site(self, frame: FrameType | None) -> str:
        """Return the innermost function of the area on the stack, '' where there is none."""
        while frame is not None:
            path = frame.f_code.co_filename.replace(os.sep, "/")
            for prefix in self._prefixes:
                if f"/{prefix}" in path:
                    module = path.rpartition(f"/{prefix.partition('/')[0]}/")[2].removesuffix(".py").replace("/", ".")
                    return f"{module}.{frame.f_code.co_name}"
            frame = frame.f_back
        return ""

    def _pass(self, label: str) -> None:
        with self._lock:
            self._passed[label] += 1
            if self._journal is not None:
                os.write(self._journal, f"{label}\n".encode())
            chosen = label == self._plan.label and self._passed[label] == self._plan.number
            if chosen or (self._visited is not None and label not in self._visited):
                os.kill(os.getpid(), signal.SIGSTOP if self._plan.stops else signal.SIGKILL)


def install(environment: Mapping[str, str]) -> None:
    """Watch the HTTP libraries as the environment asks; does nothing where it does not ask."""
    from pathlib import Path  # noqa: PLC0415 - nothing of this runs in a host that is not to be killed

    area = environment.get(AREA)
    if not area:
        return
    plan, journal = environment.get(PLAN), environment.get(JOURNAL)
    points = Killpoints(AREAS[area], Plan.read(Path(plan)) if plan else Plan(), Path(journal) if journal else None)
    _watch_httpcore(points)
    _watch_requests(points)


def _watch_httpcore(points: Killpoints) -> None:
    original = httpcore.ConnectionPool.handle_request

    def watched(self: httpcore.ConnectionPool, request: httpcore.Request) -> httpcore.Response:
        place = _place(request.url.host.decode(), request.url.target.decode())
        label = f"{request.method.decode()} {place}"
        return points.around(label, lambda: original(self, request), _status)  # type: ignore[no-any-return]

    httpcore.ConnectionPool.handle_request = watched  # type: ignore[method-assign]


def _watch_requests(points: Killpoints) -> None:
    original = requests.adapters.HTTPAdapter.send

    def watched(self: Any, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        label = f"{request.method} {_azure_place(request.url or '', request.path_url)}"
        return points.around(label, lambda: original(self, request, *args, **kwargs), _status_code)  # type: ignore[no-any-return]

    requests.adapters.HTTPAdapter.send = watched  # type: ignore[method-assign]


def _place(host: str, target: str) -> str:
    """Return what is called, without anything that differs from run to run."""
    if host in _LOOPBACK:
        return "receiver"
    if host.startswith("graph."):
        segments = target.partition("?")[0].split("/")
        return f"graph {next((tail for tail in _GRAPH_TAILS if tail in segments), '')}".strip()
    return host


def _azure_place(url: str, path: str) -> str:
    if ".vault." in url:
        return "vault"
    if path.startswith("/msi/"):
        return "managed identity"
    # The first part of an Azurite path is the account, the second the table, queue or container.
    return f"storage {[*path.partition('?')[0].split('/'), '', ''][2].partition('(')[0]}"


def _status(answer: httpcore.Response) -> int:
    return answer.status


def _status_code(answer: requests.Response) -> int:
    return answer.status_code
