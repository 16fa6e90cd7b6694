"""Answers: how far are the long commands of the set-up, and did they work?"""

import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from localcloud.setup.programs import ROOT, SetupError, clean_environment, say

CACHE = ROOT / ".cache"


@dataclass
class Job:
    """One long command, whose output lines that match *mark* count towards a *total*; *finish* follows its success."""

    name: str
    command: list[str | Path]
    mark: str = "Collecting "
    total: int = 1
    folder: Path = ROOT
    first_on_path: Path | None = None
    finish: Callable[[], None] = lambda: None
    count: int = 0
    process: subprocess.Popen[str] | None = None

    @property
    def log(self) -> Path:
        """Return the file that keeps the command's whole output."""
        return CACHE / f"setup-{self.name.replace(' ', '-').lower()}.log"

    def run(self) -> None:
        """Run the command to its end; its exit status is all that decides, since registries warn on stderr."""
        with (
            self.log.open("w", encoding="utf-8") as log,
            subprocess.Popen(
                [str(word) for word in self.command],
                cwd=self.folder,
                encoding="utf-8",
                env=clean_environment(self.first_on_path),
                errors="replace",
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
            ) as process,
        ):
            self.process = process
            for line in process.stdout or ():
                log.write(line)
                self.count += re.match(self.mark, line) is not None

    def __str__(self) -> str:
        """Return how far the job is, in one phrase."""
        return f"{self.name} {min(self.count, self.total)}/{self.total}"


def run_all(*jobs: Job) -> None:
    """
    Run *jobs* at once and show how far they are.

    Raises: SetupError naming the first that failed, with the end of its output.
    """
    CACHE.mkdir(exist_ok=True)
    begin, threads = time.monotonic(), [threading.Thread(target=job.run, daemon=True) for job in jobs]
    for thread in threads:
        thread.start()
    try:
        while any(thread.is_alive() for thread in threads):
            show_progress(jobs, begin)
    except BaseException:
        for job in jobs:
            if job.process:
                job.process.terminate()
        raise
    worked = [job for job in jobs if job.process and job.process.returncode == 0]
    for job in worked:
        job.finish()
    for job in jobs:
        if job not in worked:
            tail = "".join(job.log.read_text(errors="replace").splitlines(keepends=True)[-15:])
            raise SetupError(f"{job.name} could not be installed; the end of {job.log}:\n{tail}")
    say(f"  done: {', '.join(job.name for job in jobs)} ({time.monotonic() - begin:.0f} s)")


def show_progress(jobs: tuple[Job, ...], begin: float) -> None:
    """Show one line of progress: redrawn in a terminal, a new one every five seconds elsewhere."""
    line = f"  {' · '.join(map(str, jobs))} · {time.monotonic() - begin:.0f} s"
    if sys.stderr.isatty():
        print(f"\r\x1b[2K{line}\r", end="", file=sys.stderr, flush=True)
        time.sleep(0.2)
        return
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline and any(job.process is None or job.process.poll() is None for job in jobs):
        time.sleep(0.1)
    say(line)
