"""How one child process is started, made ready, killed and restarted, and how it keeps its port."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

PROJECT = Path(__file__).resolve().parent.parent
_PR_SET_PDEATHSIG = 1
_POLL_SECONDS = 0.02
_TAIL_BYTES = 4000
READY_LINE = "# ready"


class ChildError(Exception):
    """Say which child did not start or ended early, with the end of its log."""


class ReservedPort:
    """
    Keep a free port of 127.0.0.1 from everyone but the child it is meant for.

    On Linux a bound socket that does not listen holds the number, and a child that sets SO_REUSEADDR can bind it too,
    again after each restart. Elsewhere the number is only probably free.
    """

    def __init__(self, number: int = 0) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            self._socket.bind(("127.0.0.1", number))
        except OSError as error:
            self._socket.close()
            raise ChildError(f"port {number} is taken") from error
        self.number: int = self._socket.getsockname()[1]
        if sys.platform != "linux":
            self._socket.close()

    def close(self) -> None:
        """Give the port back."""
        self._socket.close()


class Process(Protocol):
    """What is needed of a running process; `subprocess.Popen` is one."""

    pid: int
    returncode: int | None

    def poll(self) -> int | None:
        """Return the exit status if the process has ended."""

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end; raises subprocess.TimeoutExpired."""
        ...

    def terminate(self) -> None:
        """Send SIGTERM."""


Fork = Callable[[Sequence[str], Mapping[str, str], Path, Path, Path], Process]
"""Starts the words after `python -m localcloud` with environment, folder, and files for stdout and stderr."""


class Child:
    """
    One child process in a group of its own, its output in files of *folder* (by default a temporary one).

    On Linux it is killed when this process dies, however that happens. With *fork* it is forked instead of spawned.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        environment: Mapping[str, str],
        *,
        folder: Path | None = None,
        cwd: Path = PROJECT,
        fork: Fork | None = None,
    ) -> None:
        self.name = name
        self._command = list(command)
        self._environment = dict(environment)
        self._temporary = folder is None
        self._folder = folder or Path(tempfile.mkdtemp(prefix=f"localcloud-{name}-"))
        self._cwd = cwd
        self._fork = fork
        self._process: Process | None = None

    @property
    def pid(self) -> int:
        """Return the process id; raises ChildError before the start."""
        return self._started().pid

    @property
    def log(self) -> Path:
        """Return the file that gets the child's stderr, over all its starts."""
        return self._folder / f"{self.name}.log"

    @property
    def output(self) -> Path:
        """Return the file that gets the child's stdout, emptied at every start."""
        return self._folder / f"{self.name}.out"

    def start(self, ready: Callable[[], bool], timeout: float = 30.0) -> None:
        """
        Start the process and wait until *ready* says so.

        Raises:
            ChildError: it ended, or was not ready within *timeout* seconds.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        self._process = self._forked() if self._fork else spawner().submit(self._spawn).result()
        deadline = time.monotonic() + timeout
        while not ready():
            code = self._process.poll()
            if code is not None:
                raise ChildError(f"{self.name} ended with status {code}\n{self.tail()}")
            if time.monotonic() > deadline:
                self.kill()
                raise ChildError(f"{self.name} was not ready within {timeout:.0f} s\n{self.tail()}")
            time.sleep(_POLL_SECONDS)

    def change_environment(self, changes: Mapping[str, str]) -> None:
        """Set these variables for the next start."""
        self._environment.update(changes)

    def is_running(self) -> bool:
        """Tell whether the process lives."""
        return self._process is not None and self._process.poll() is None

    def wait(self, timeout: float | None = None) -> int:
        """Return the exit status once the process has ended; raises subprocess.TimeoutExpired."""
        return self._started().wait(timeout)

    def kill(self) -> None:
        """End the whole group at once with SIGKILL."""
        if self._process is not None:
            self._signal_group(signal.SIGKILL)
            self._process.wait()

    def terminate(self, timeout: float = 35.0) -> int:
        """Ask the process to end with SIGTERM, kill it after *timeout* seconds; return its exit status."""
        process = self._started()
        if process.poll() is None:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout)
        self.kill()
        return process.returncode or 0

    def close(self) -> None:
        """Terminate the process if it runs and remove its temporary files."""
        if self._process is not None:
            self.terminate()
        if self._temporary:
            shutil.rmtree(self._folder, ignore_errors=True)

    def printed_ready(self) -> bool:
        """Tell whether the process has printed the line `# ready`."""
        return READY_LINE in self.read_output().splitlines()

    def read_output(self) -> str:
        """Return what the process has printed since its last start."""
        return self.output.read_text(errors="replace") if self.output.exists() else ""

    def tail(self) -> str:
        """Return the end of what the process has logged."""
        if not self.log.exists():
            return ""
        return self.log.read_bytes()[-_TAIL_BYTES:].decode(errors="replace")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _spawn(self) -> subprocess.Popen[bytes]:
        with self.output.open("wb") as output, self.log.open("ab") as log:
            return subprocess.Popen(
                self._command,
                cwd=self._cwd,
                env=self._environment,
                preexec_fn=die_with_parent if sys.platform == "linux" else None,  # noqa: PLW1509 - set before exec
                start_new_session=True,
                stderr=log,
                stdin=subprocess.DEVNULL,
                stdout=output,
            )

    def _forked(self) -> Process:
        assert self._fork is not None  # noqa: S101 - the caller has looked
        self.output.unlink(missing_ok=True)
        return self._fork(self._command[3:], self._environment, self._cwd, self.output, self.log)

    def _signal_group(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._started().pid, number)

    def _started(self) -> Process:
        if self._process is None:
            raise ChildError(f"{self.name} was not started")
        return self._process


def answers(port: int) -> bool:
    """Tell whether something accepts connections on *port* of 127.0.0.1."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


@functools.cache
def spawner() -> ThreadPoolExecutor:
    """Return the one thread that starts children: the death signal comes when the starting *thread* ends."""
    _libc()
    return ThreadPoolExecutor(1, "spawner")


@functools.cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def die_with_parent() -> None:
    """Let the kernel kill the calling process as soon as its parent ends; Linux only."""
    _libc().prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
