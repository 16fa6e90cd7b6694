"""
Answers: where is a Python that has a foreign mail client, at the versions pinned here, and nothing of ours?

Each client has a virtual environment of its own: what it depends on shall neither bind what we depend on, nor be bound
by it. `make lock` makes `<name>.txt` from `<name>.in`; the environment is made when it is first asked for.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from localcloud.setup.programs import ROOT, clean_environment

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

LOCKS = Path(__file__).resolve().parent
# Two packages are published as sources only; what builds them is held to its hashes as well.
BUILDERS = LOCKS / "builders.txt"
ENVIRONMENTS = ROOT / ".cache" / "foreign"
# What uv has downloaded: not under HOME, which a service account may lack.
UV_CACHE = ROOT / ".cache" / "uv"


class ForeignEnvironmentError(Exception):
    """An environment cannot be made; the message says which, and ends with what uv said."""


def python_of(name: str, environment: Mapping[str, str] = os.environ) -> Path:
    """
    Return the Python of the environment that `<name>.txt` pins, made now if need be (PyPI is asked then only).

    Several processes may ask at once: one makes it, the others wait. *environment* may lead to a proxy or an index of
    one's own. Raises: ForeignEnvironmentError.
    """
    lock_file = LOCKS / f"{name}.txt"
    if not lock_file.is_file():
        known = ", ".join(sorted(file.stem for file in LOCKS.glob("*.txt") if file != BUILDERS))
        raise ForeignEnvironmentError(f"There is no {lock_file.name} in {LOCKS}; known clients are: {known}")
    key = f"{platform.python_implementation()}|{platform.python_version()}|{sys.platform}|".encode()
    digest = hashlib.sha256(key + BUILDERS.read_bytes() + lock_file.read_bytes()).hexdigest()[:16]
    folder = ENVIRONMENTS / f"{name}-{digest}"
    python = folder / "bin" / "python"
    if not python.exists():
        with _one_at_a_time(name):
            # Another process may have made it while this one waited.
            if not python.exists():
                _make(name, lock_file, folder, environment)
    return python


@contextlib.contextmanager
def _one_at_a_time(name: str) -> Iterator[None]:
    """Hold the lock of one client's environments, which ends with its process."""
    ENVIRONMENTS.mkdir(parents=True, exist_ok=True)
    with (ENVIRONMENTS / f"{name}.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _make(name: str, lock_file: Path, folder: Path, environment: Mapping[str, str]) -> None:
    """Make *folder* aside and rename it, in place of this client's older ones and of what a killed process left."""
    aside = ENVIRONMENTS / f"{name}-partial"
    for old in (aside, folder, *ENVIRONMENTS.glob(f"{name}-{'?' * 16}")):
        shutil.rmtree(old, ignore_errors=True)
    _uv(name, environment, "venv", "--relocatable", "--python", sys.executable, str(aside))
    _uv(
        name, environment, "pip", "install", "--python", str(aside / "bin" / "python"), "--require-hashes",
        "--build-constraints", str(BUILDERS), "--requirements", str(lock_file),
    )  # fmt: skip
    aside.rename(folder)


def _uv(name: str, environment: Mapping[str, str], *arguments: str) -> None:
    """Run the project's uv; raises ForeignEnvironmentError with the end of what it said."""
    options = ["--quiet", "--no-python-downloads", "--system-certs", "--cache-dir", str(UV_CACHE)]
    done = subprocess.run(
        [sys.executable, "-m", "uv", *arguments, *options],
        cwd=ROOT,
        env=clean_environment(environment=environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        raise ForeignEnvironmentError(f"The environment of {name} cannot be made:\n{done.stdout[-2000:]}")
