"""
What the product calls outward: every call of its HTTP libraries, written down in the host's process, a line each.

Only calls with the product's code on the stack are ours; what the host does for itself (polling queues, deleting the
messages that were worked off, timers' leases) has none of it there and is written down with an empty area.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import httpcore
import requests.adapters

from localcloud.children import PROJECT

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path
    from types import FrameType

JOURNAL = "LOCALCLOUD_CALLS"
_PRODUCT = f"{PROJECT / 'shared'}{os.sep}"


@dataclass(frozen=True, slots=True)
class CallMade:
    """
    One outward call: begun and ended (monotonic seconds, the same clock in every process of this machine).

    *area* is the use case that made it (``fetch``), '' for the host's own. *place* is what was called: ``graph``,
    ``table connections``, ``blob received``, ``queue mail-deliver`` or a host's name. *status* is 0 without an answer.
    """

    began: float
    ended: float
    area: str
    method: str
    place: str
    status: int

    @property
    def is_storage(self) -> bool:
        """Whether it went to the storage account."""
        return self.place.partition(" ")[0] in ("table", "blob", "queue")


def read_calls(journal: Path) -> list[CallMade]:
    """Return what was written down so far; a line that is being written is left out."""
    if not journal.exists():
        return []
    return [CallMade(**json.loads(line)) for line in journal.read_text().splitlines(keepends=True) if line[-1] == "\n"]


def install(environment: Mapping[str, str]) -> None:
    """Watch the HTTP libraries of this process where the environment names a journal."""
    if journal := environment.get(JOURNAL):
        watch = _Watch(os.open(journal, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), _ports(environment))
        _watch_httpcore(watch)
        _watch_requests(watch)


class _Watch:
    def __init__(self, journal: int, ports: Mapping[str, str]) -> None:
        self._journal = journal
        self._ports = ports
        self._lock = threading.Lock()

    def around(self, method: str, url: tuple[str, str], call: Callable[[], Any], status: Callable[[Any], int]) -> Any:
        area, began, answered = _area(sys._getframe(1)), time.monotonic(), 0  # noqa: SLF001 - no public way in
        try:
            answer = call()
            answered = status(answer)
            return answer
        finally:
            made = CallMade(began, time.monotonic(), area, method, self._place(*url), answered)
            with self._lock:
                os.write(self._journal, f"{json.dumps(asdict(made))}\n".encode())

    def _place(self, host: str, path: str) -> str:
        """Name what stands behind an address; an emulator's path begins with the account."""
        service = self._ports.get(host)
        if service:
            return f"{service} {[*path.split('/'), '', ''][2].partition('(')[0].partition('?')[0]}"
        return "graph" if host.startswith("graph.") else host.partition(":")[0]


def _ports(environment: Mapping[str, str]) -> dict[str, str]:
    """Return which service of storage listens at which host and port."""
    pairs = dict(part.partition("=")[::2] for part in environment.get("MAIL_STORAGE", "").split(";"))
    found = {}
    for service in ("table", "blob", "queue"):
        endpoint = pairs.get(f"{service.capitalize()}Endpoint", "")
        if endpoint:
            found[endpoint.partition("//")[2].partition("/")[0]] = service
    return found


def _area(frame: FrameType | None) -> str:
    """Return the outermost part of the product on the stack: it asked for the call, whatever stands between."""
    area = ""
    while frame is not None:
        path = frame.f_code.co_filename
        if path.startswith(_PRODUCT):
            area = path.removeprefix(_PRODUCT).partition(os.sep)[0].removesuffix(".py")
        frame = frame.f_back
    return area


def _watch_httpcore(watch: _Watch) -> None:
    original = httpcore.ConnectionPool.handle_request

    def watched(self: httpcore.ConnectionPool, request: httpcore.Request) -> httpcore.Response:
        url = (request.url.host.decode(), request.url.target.decode())
        call = partial(original, self, request)
        return watch.around(request.method.decode(), url, call, lambda it: it.status)  # type: ignore[no-any-return]

    httpcore.ConnectionPool.handle_request = watched  # type: ignore[method-assign]


def _watch_requests(watch: _Watch) -> None:
    original = requests.adapters.HTTPAdapter.send

    def watched(self: Any, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        host = (request.url or "").partition("//")[2].partition("/")[0]
        url, call = (host, request.path_url), partial(original, self, request, *args, **kwargs)
        return watch.around(request.method or "", url, call, lambda it: it.status_code)  # type: ignore[no-any-return]

    requests.adapters.HTTPAdapter.send = watched  # type: ignore[method-assign]
