"""Answers: which programs of this machine can the set-up use, and what do they answer?"""

import contextlib
import os
import pwd
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
WANTED = (3, 13)
OLDEST_NODE = 20


class SetupError(Exception):
    """A step cannot be done; the message says why and where to look."""


def say(text: str) -> None:
    """Print *text* at once, on stderr: stdout belongs to the command that comes after the set-up."""
    print(text, file=sys.stderr, flush=True)


def clean_environment(first_on_path: Path | None = None, environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return *environment* without what would lead Python or pip elsewhere, and with *first_on_path* found first."""
    unwanted = {"PYTHONPATH", "PYTHONHOME", "PYTHONDONTWRITEBYTECODE", "VIRTUAL_ENV", "PIP_TARGET", "PIP_PREFIX"}
    kept = {name: value for name, value in environment.items() if name not in unwanted}
    kept |= {"PIP_USER": "0", "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_INPUT": "1"}
    # Node's own list of certificate authorities lacks those that a company's machines trust.
    kept.setdefault("NODE_USE_SYSTEM_CA", "1")
    if first_on_path:
        kept["PATH"] = os.pathsep.join([str(first_on_path), kept.get("PATH", os.defpath)])
    return kept


def output_of(*command: str | Path, timeout: float = 60) -> str | None:
    """Return what *command* prints, or None if it cannot run, fails, or takes more than *timeout* seconds."""
    words = [str(word) for word in command]
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        done = subprocess.run(
            words,
            capture_output=True,
            check=True,
            env=clean_environment(),
            stdin=subprocess.DEVNULL,
            text=True,
            timeout=timeout,
        )
        return done.stdout.strip()
    return None


def on_path(name: str) -> list[Path]:
    """Return every program called *name* on PATH: the first may be a shim that does not work here."""
    folders = [Path(folder) for folder in os.environ.get("PATH", "").split(os.pathsep) if folder]
    return [folder / name for folder in folders if os.access(folder / name, os.X_OK)]


def pyenv_pythons() -> list[Path]:
    """Return the 3.13 interpreters under every pyenv that can be guessed at, newest first."""
    homes = [Path.home() / ".pyenv", Path(pwd.getpwuid(os.getuid()).pw_dir) / ".pyenv"]
    shims = [
        folder.parent for folder in map(Path, os.environ.get("PATH", "").split(os.pathsep)) if folder.name == "shims"
    ]
    roots = [Path(root) for root in (os.environ.get("PYENV_ROOT"), *shims, *homes) if root]
    found = {python for root in roots for python in root.glob(f"versions/{WANTED[0]}.{WANTED[1]}.*/bin/python")}
    return sorted(found, key=lambda python: [int(n) for n in re.findall(r"\d+", python.parts[-3])], reverse=True)


def is_wanted(python: Path, modules: str = "venv") -> bool:
    """Tell whether *python* runs, is 3.13 and has *modules*."""
    script = f"import sys, {modules}; print(*sys.version_info[:2])"
    return output_of(python, "-I", "-c", script) == f"{WANTED[0]} {WANTED[1]}"


def installed_python() -> Path | None:
    """Return a 3.13 that is on this machine, preferably one with ensurepip (Debian packs that apart), or None."""
    candidates = (*on_path(f"python{WANTED[0]}.{WANTED[1]}"), Path(sys.executable), *pyenv_pythons())
    return next(
        (python for needs in ("venv, ensurepip", "venv") for python in candidates if is_wanted(python, needs)), None
    )


def installed_node() -> tuple[Path, list[Path]] | None:
    """Return a Node that is new enough and the npm command beside it, or None."""
    for node in on_path("node"):
        major = re.match(r"v(\d+)\.", output_of(node, "--version") or "")
        npm = next((npm for npm in (node.parent / "npm", *on_path("npm")) if os.access(npm, os.X_OK)), None)
        if major and int(major[1]) >= OLDEST_NODE and npm:
            return node, [npm]
    return None
