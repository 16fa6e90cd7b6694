"""One target in a process of its own, which may hang or die: inputs are made, tried, and judged by time and memory."""

from __future__ import annotations

import os
import resource
import sys
import time
import traceback
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from random import Random
from types import CodeType
from typing import Any

from localcloud.fuzz.mutations import any_bytes, shrunk
from localcloud.fuzz.targets import MB, Target

MOST_ADDRESS_SPACE = 4096 * MB
SHRINKING_SECONDS = 20.0
_GREW = 12 * MB
_KEPT = 400
_OURS = ("shared", "functions", "localcloud")


@dataclass
class Report:
    """What came of one target; *failures* maps what failed, and where, to the file that holds the shrunken input."""

    name: str
    inputs: int = 0
    slowest: float = 0.0
    peak: int = 0
    lines: int = 0
    failures: dict[str, str] = field(default_factory=dict)


class Slow(Exception):
    """An input took more processor time than its target allows."""


class Large(Exception):
    """An input took more memory than its target allows."""


class Coverage:
    """Tells whether an input reached lines that none before reached; each line is reported once, so it costs little."""

    def __init__(self) -> None:
        self.lines = 0

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Watch lines; Pythons before 3.12 watch none."""
        monitoring: Any = getattr(sys, "monitoring", None)
        if monitoring is None:
            yield
            return
        tool, event = monitoring.COVERAGE_ID, monitoring.events.LINE

        def reached(code: CodeType, _line: int) -> object:
            self.lines += "fuzz" not in code.co_filename
            return monitoring.DISABLE

        monitoring.use_tool_id(tool, "mailgrant-fuzz")
        monitoring.register_callback(tool, event, reached)
        monitoring.set_events(tool, event)
        try:
            yield
        finally:
            monitoring.set_events(tool, 0)
            monitoring.free_tool_id(tool)


class Worker:
    """
    Runs *target* on inputs made from its seeds; those that reach new lines become seeds.

    *current* is where the input stands that is being tried, for whoever finds this process dead.
    """

    def __init__(self, target: Target, seed: str, folder: Path, began: Callable[[float], None]) -> None:
        self.report = Report(target.name)
        self._target = target
        self._random = Random(seed)
        self._folder = folder
        self._began = began
        self._pool: list[bytes] = []
        self._coverage = Coverage()

    def work(self, until: float) -> None:
        """Try inputs until the monotonic time *until*."""
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_AS, (MOST_ADDRESS_SPACE, MOST_ADDRESS_SPACE))
        seeds = list(self._target.seeds())
        with self._coverage.watching():
            for data in seeds:
                self.try_one(data)
            self._pool = seeds
            while time.monotonic() < until:
                before = self._coverage.lines
                data = self._made()
                self.try_one(data)
                if self._coverage.lines > before and len(self._pool) < _KEPT + len(seeds):
                    self._pool.append(data)
        self.report.lines = self._coverage.lines

    def try_one(self, data: bytes) -> None:
        """Run one input and note what failed."""
        current_of(self._folder, self._target).write_bytes(data)
        self.report.inputs += 1
        self._began(time.monotonic())
        failure = self._failure(data)
        self._began(0.0)
        if failure and failure not in self.report.failures:
            shorter = self._shorter(data, failure)
            self.report.failures[failure] = keep(self._folder, self._target, shorter)

    def _made(self) -> bytes:
        mutate = self._target.mutate or any_bytes
        # The newest seeds reached what the others did not.
        newest = self._pool[-20:] if self._random.random() < 0.3 else self._pool
        return mutate(self._random, self._random.choice(newest), self._random.choice(self._pool))[
            : self._target.most_bytes
        ]

    def _failure(self, data: bytes) -> str:
        """Return what fails with *data* and where, '' for nothing."""
        started, memory = time.process_time(), _memory()
        try:
            self._target.run(data)
            self._judge(data, time.process_time() - started, _memory() - memory)
        except Exception as error:  # noqa: BLE001 - every kind is a finding
            return _place(error)
        return ""

    def _judge(self, data: bytes, seconds: float, grown: int) -> None:
        self.report.slowest = max(self.report.slowest, seconds)
        self.report.peak = max(self.report.peak, grown)
        if seconds > self._target.seconds:
            raise Slow
        if grown > _GREW and _traced(self._target, data) > self._target.memory + self._target.per_byte * len(data):
            raise Large

    def _shorter(self, data: bytes, failure: str) -> bytes:
        until = time.monotonic() + SHRINKING_SECONDS

        def fails(less: bytes) -> bool:
            self._began(time.monotonic())
            return time.monotonic() < until and self._failure(less) == failure

        shorter = shrunk(data, fails)
        self._began(0.0)
        return shorter


def keep(folder: Path, target: Target, data: bytes) -> str:
    """Write a failing input; return its name, which tells target, hash and length."""
    name = f"{target.name}-{sha256(data).hexdigest()[:12]}-{len(data)}.bin"
    (folder / name).write_bytes(data)
    return name


def current_of(folder: Path, target: Target) -> Path:
    """Return where the input of *target* stands that is being tried."""
    return folder / f".{target.name}.current"


def processor_seconds(pid: int | None) -> float:
    """Return the processor time of another process, or the clock's where the system does not tell; in seconds."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
    except OSError:
        return time.monotonic()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _place(error: Exception) -> str:
    """Return the kind of an error and the last place in our code; never its text, which may quote the input."""
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if any(f"/{one}/" in frame.filename for one in _OURS)
    ]
    own = [frame for frame in frames if "/localcloud/fuzz/worker" not in frame.filename] or frames
    last = own[-1] if own else None
    return (
        f"{type(error).__name__} at {'/'.join(Path(last.filename).parts[-2:])}:{last.lineno}"
        if last
        else type(error).__name__
    )


def _memory() -> int:
    """Return the most memory that this process ever had, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _traced(target: Target, data: bytes) -> int:
    """Return the most memory that Python's objects took at a time while *data* was handled, in bytes."""
    tracemalloc.start()
    try:
        target.run(data)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
