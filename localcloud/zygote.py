"""
A process that has imported the app's packages and forks a host for each start: a start costs no imports any more.

It forks before there is any thread or socket; what runs in the fork is `python -m localcloud host` from its first line.
Linux only: elsewhere hosts are started as usual.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib
import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

from localcloud.children import PROJECT, die_with_parent, spawner

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

_PRELOADED = (
    "localcloud.host.main",
    "azure_functions_runtime",
    "azure.functions",
    "shared.composition",
    "functions.app",
    "uvicorn.protocols.http.auto",
    "uvicorn.loops.auto",
    "localcloud.calls",
)


class ForkedProcess:
    """A process that is no child of this one, awaited through its pidfd; how it ended is not known: its status is 0."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        try:
            self._pidfd = os.pidfd_open(pid)
        except ProcessLookupError:
            self._pidfd, self.returncode = -1, 0

    def poll(self) -> int | None:
        """Return the status if the process has ended."""
        return self._ended(0)

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end; raises subprocess.TimeoutExpired."""
        if self._ended(timeout) is None:
            raise subprocess.TimeoutExpired("forked host", timeout or 0.0)
        return 0

    def terminate(self) -> None:
        """Send SIGTERM."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGTERM)

    def _ended(self, timeout: float | None) -> int | None:
        if self.returncode is None:
            poll = select.poll()
            poll.register(self._pidfd, select.POLLIN)
            if poll.poll(None if timeout is None else timeout * 1000):
                os.close(self._pidfd)
                self.returncode = 0
        return self.returncode


class Zygote:
    """The forking process, started with *environment*; each fork gets an environment of its own."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._lock = threading.Lock()
        self._process = spawner().submit(self._start, dict(environment)).result()

    @staticmethod
    def supported() -> bool:
        """Tell whether this system has what a zygote needs."""
        return sys.platform == "linux" and hasattr(os, "pidfd_open")

    def fork(
        self, words: Sequence[str], environment: Mapping[str, str], cwd: Path, output: Path, log: Path
    ) -> ForkedProcess:
        """Run `python -m localcloud` with *words* in a fork; its stdout goes to *output*, its stderr after *log*."""
        request = {
            "words": list(words),
            "environment": dict(environment),
            "cwd": str(cwd),
            "output": str(output),
            "log": str(log),
        }
        with self._lock:
            assert self._process.stdin is not None  # noqa: S101 - both are pipes
            assert self._process.stdout is not None  # noqa: S101
            self._process.stdin.write(json.dumps(request).encode() + b"\n")
            self._process.stdin.flush()
            answer = self._process.stdout.readline()
        return ForkedProcess(int(answer))

    def close(self) -> None:
        """End the zygote, and with it what it forked."""
        self._process.kill()
        self._process.communicate()

    @staticmethod
    def _start(environment: dict[str, str]) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-m", "localcloud.zygote"],
            cwd=PROJECT,
            env=environment,
            preexec_fn=die_with_parent,  # noqa: PLW1509 - set before exec
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )


def main() -> int:
    """Import, then fork a host for every line on stdin; returns in the forks only, with a host's status."""
    libc = ctypes.CDLL(None)
    for name in _PRELOADED:
        importlib.import_module(name)
    from localcloud.__main__ import main as run  # noqa: PLC0415 - after the packages

    gc.collect()
    gc.freeze()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # forks that ended are not waited for
    while line := sys.stdin.buffer.readline():
        if threading.active_count() != 1:
            raise RuntimeError("a package starts a thread when it is imported: forking is no longer safe")
        request = json.loads(line)
        pid = os.fork()
        if pid == 0:
            _become(request, libc)
            return run(request["words"])
        os.write(1, f"{pid}\n".encode())
    return 0


def _become(request: dict[str, Any], libc: ctypes.CDLL) -> None:
    """Be what a fresh process would be: its own group, its own environment and files, signals as they were."""
    os.setsid()
    libc.prctl(1, signal.SIGKILL)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.environ.clear()
    os.environ.update(request["environment"])
    os.chdir(request["cwd"])
    files = (
        (os.devnull, os.O_RDONLY),
        (request["output"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC),
        (request["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND),
    )
    for number, (path, flags) in enumerate(files):
        opened = os.open(path, flags, 0o600)
        os.dup2(opened, number)
        os.close(opened)
    time.tzset()


if __name__ == "__main__":
    sys.exit(main())
