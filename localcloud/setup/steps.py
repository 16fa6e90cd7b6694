"""Answers: do `.venv` and `localcloud/node_modules` hold what the pinned files ask for, and what makes it so?"""

import contextlib
import hashlib
import json
import sys
import time
from pathlib import Path

from localcloud.setup.downloads import make_venv, node_from_wheel, python_from_uv, warn_about
from localcloud.setup.jobs import Job, run_all
from localcloud.setup.programs import ROOT, WANTED, SetupError, installed_node, installed_python, output_of, say

VENV = ROOT / ".venv"
NODE_MODULES = ROOT / "localcloud" / "node_modules"
PYTHON_INPUTS = ("requirements.txt", "requirements-dev.txt")
NODE_INPUTS = ("localcloud/package.json", "localcloud/package-lock.json")
STAMP = "setup-stamp.json"
RECIPE = 1  # raise it when these steps make something else out of the same inputs


def digest(inputs: tuple[str, ...]) -> str:
    """Return a hash of the *inputs*, of this program's recipe and of where the checkout lies (scripts name it)."""
    content = b"".join((ROOT / name).read_bytes() for name in inputs)
    return hashlib.sha256(f"{RECIPE}|{ROOT}|{len(inputs)}|".encode() + content).hexdigest()


def stamped(folder: Path) -> dict[str, str]:
    """Return what the finished step in *folder* wrote about itself, or nothing if it never finished."""
    with contextlib.suppress(OSError, ValueError):
        stamp: dict[str, str] = json.loads((folder / STAMP).read_text())
        return stamp
    return {}


def stamp(folder: Path, inputs: tuple[str, ...], program: str) -> None:
    """Mark *folder* as finished with *program*. It is a step's last act: whatever has no stamp is built anew."""
    partial = folder / f"{STAMP}.partial"
    partial.write_text(json.dumps({"inputs": digest(inputs), "program": program}))
    partial.replace(folder / STAMP)


def finish_python() -> None:
    """Stamp `.venv` if its interpreter runs."""
    version = output_of(VENV / "bin/python", "-c", "import platform; print(platform.python_version())")
    if not version:
        raise SetupError(f"{VENV / 'bin/python'} does not run; delete .venv and try again")
    stamp(VENV, PYTHON_INPUTS, version)


def python_is_current() -> bool:
    """Tell whether `.venv` is finished, made from the present inputs, and by the best Python to be had."""
    known = stamped(VENV)
    current = known.get("inputs") == digest(PYTHON_INPUTS) and (VENV / "bin/python").exists()
    if current and not known.get("program", "").startswith(f"{WANTED[0]}.{WANTED[1]}."):
        return installed_python() is None
    return current


def set_up_python() -> Job | None:
    """Make an empty `.venv` unless it is current; return the job that fills it."""
    if python_is_current():
        return None
    python = installed_python() or python_from_uv()
    if python is None:
        python = Path(sys.executable)
        warn_about(sys.version_info[:3])
    say(f"Python: {python}")
    make_venv(python, VENV)
    texts = [(ROOT / name).read_text() for name in PYTHON_INPUTS]
    pins = {line.split("==")[0] for text in texts for line in text.splitlines() if "==" in line}
    command: list[str | Path] = [VENV / "bin/python", "-m", "pip", "install"]
    for name in PYTHON_INPUTS:
        command += ["-r", ROOT / name]
    return Job("Python packages", command, total=len(pins), finish=finish_python)


def node_is_current() -> bool:
    """Tell whether the Node packages are finished, made from the present inputs, and their Node is still there."""
    known = stamped(NODE_MODULES)
    return known.get("inputs") == digest(NODE_INPUTS) and Path(known.get("program", "absent")).exists()


def set_up_node() -> Job | None:
    """Find or install Node unless all is current; return the job that installs Node's packages."""
    if node_is_current():
        return None
    node, npm = installed_node() or node_from_wheel(VENV / "bin/python")
    say(f"Node: {node}")
    (NODE_MODULES / STAMP).unlink(missing_ok=True)
    total = len(json.loads((ROOT / NODE_INPUTS[1]).read_text())["packages"]) - 1
    return Job(
        "Node packages",
        [*npm, "ci", "--ignore-scripts", "--prefer-offline", "--no-audit", "--no-fund", "--loglevel", "http"],
        r"npm http (fetch|cache).*\.tgz",
        total,
        folder=NODE_MODULES.parent,
        first_on_path=node.parent,
        finish=lambda: stamp(NODE_MODULES, NODE_INPUTS, str(node)),
    )


def set_up() -> None:
    """Do what is not yet done, both halves at once; what ends early leaves no stamp and is done anew next time."""
    begin = time.monotonic()
    jobs = [job for job in (set_up_python(), set_up_node()) if job]
    run_all(*jobs)
    say(f"Set up in {time.monotonic() - begin:.0f} s, with Python {stamped(VENV)['program']}.")
