"""
Where a crash may fall: counts the outward calls of one area of the product, and kills the process at the chosen one.

The boundaries are found by watching the HTTP libraries, not by a list kept by hand: whatever the product calls outward
while code of the area is on the stack is a boundary, before it and after it.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from typing import TYPE_CHECKING, Any

import httpcore
import requests.adapters

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path
    from types import FrameType

AREA = "LOCALCLOUD_KILL_AREA"
AT = "LOCALCLOUD_KILL_AT"
JOURNAL = "LOCALCLOUD_KILL_JOURNAL"

AREAS = {
    "fetch": ("shared/fetch",),
    "deliver": ("shared/deliver",),
    "send": ("shared/send",),
}


class Killpoints:
    """
    Counts boundaries: two per outward call of the area, one before it and one after.

    At boundary number *at* (from 1; 0 never) the process is killed by SIGKILL. Each boundary is named in *journal*, one
    line each, so that a counting run tells how many there are.
    """

    def __init__(self, prefixes: tuple[str, ...], at: int, journal: Path | None) -> None:
        self._prefixes = prefixes
        self._at = at
        self._journal = os.open(journal, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600) if journal else None
        self._count = 0
        self._lock = threading.Lock()

    def around(self, label: str, call: Callable[[], Any]) -> Any:
        """Make *call* with a boundary before and after it, if code of the area asked for it."""
        if not self._in_area(sys._getframe(1)):  # noqa: SLF001 - the stack has no public way in
            return call()
        self._pass(f"before {label}")
        try:
            return call()
        finally:
            self._pass(f"after {label}")

    def _in_area(self, frame: FrameType | None) -> bool:
        while frame is not None:
            path = frame.f_code.co_filename.replace(os.sep, "/")
            if any(f"/{prefix}" in path for prefix in self._prefixes):
                return True
            frame = frame.f_back
        return False

    def _pass(self, label: str) -> None:
        with self._lock:
            self._count += 1
            if self._journal is not None:
                os.write(self._journal, f"{label}\n".encode())
            if self._count == self._at:
                os.kill(os.getpid(), signal.SIGKILL)


def install(environment: Mapping[str, str]) -> None:
    """Watch the HTTP libraries as the environment asks; does nothing where it does not ask."""
    from pathlib import Path  # noqa: PLC0415 - nothing of this runs in a host that is not to be killed

    area = environment.get(AREA)
    if not area:
        return
    journal = environment.get(JOURNAL)
    points = Killpoints(AREAS[area], int(environment.get(AT, "0")), Path(journal) if journal else None)
    _watch_httpcore(points)
    _watch_requests(points)


def _watch_httpcore(points: Killpoints) -> None:
    original = httpcore.ConnectionPool.handle_request

    def watched(self: httpcore.ConnectionPool, request: httpcore.Request) -> httpcore.Response:
        label = f"{request.method.decode()} {request.url.host.decode()}"
        return points.around(label, lambda: original(self, request))  # type: ignore[no-any-return]

    httpcore.ConnectionPool.handle_request = watched  # type: ignore[method-assign]


def _watch_requests(points: Killpoints) -> None:
    original = requests.adapters.HTTPAdapter.send

    def watched(self: Any, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        # The first part of an Azurite path is the account, the second the table, queue or container.
        place = [*request.path_url.partition("?")[0].split("/"), "", ""][2].partition("(")[0]
        label = f"{request.method} storage {place}"
        return points.around(label, lambda: original(self, request, *args, **kwargs))  # type: ignore[no-any-return]

    requests.adapters.HTTPAdapter.send = watched  # type: ignore[method-assign]
