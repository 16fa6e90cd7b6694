"""
`python -m localcloud package`: what `func azure functionapp publish` would send; is it small, does it start fast?

Sizes are of the files that are sent and installed; what Python compiles of them is counted apart, since that depends on
the build. Times are of the processor, with compiled files, and the best of several processes: what else a machine does
then matters little. The ratio compares with a bare import of every name of other packages that the app's files import.
"""

from __future__ import annotations

import ast
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import pathspec

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Mapping

PROJECT = Path(__file__).resolve().parents[1]
MAX_MB = 60.0
MAX_SECONDS = 1.0
MAX_RATIO = 1.6
# Made-up, and enough: building the app reaches nothing.
SETTINGS = {
    "AzureWebJobsStorage": "UseDevelopmentStorage=true",
    "MAIL_STORAGE": "UseDevelopmentStorage=true",
    "KEY_VAULT_URL": "https://contoso.vault.azure.net",
    "PUBLIC_BASE_URL": "https://mailgrant.contoso.example",
}
_EARLIEST = (1980, 1, 1, 0, 0, 0)
_TIMED = "import time\nbegan = time.process_time()\n{}\nprint(time.process_time() - began)"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command line."""
    parser.add_argument("--output", type=Path, default=PROJECT / "dist" / "mailgrant.zip", metavar="FILE")
    parser.add_argument("--times", type=int, default=5, help="processes per import, best counts (default: %(default)s)")


def run(args: argparse.Namespace) -> int:
    """Make the zip, unpack and install it, and print its figures; return 0 only if every goal is met."""
    files = write(args.output)
    python = clean_python()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        unpack(args.output, folder)
        seconds, bare = import_seconds(python, folder, args.times)
        figures = {
            "files": files,
            "installed_mb": megabytes(folder, site_packages(python)),
            "compiled_mb": megabytes(folder, site_packages(python), compiled=True),
            "import_seconds": round(seconds, 3),
            "import_ratio": round(seconds / bare, 2),
        }
    print(json.dumps(figures), flush=True)
    missed = [
        name
        for name, most in (("installed_mb", MAX_MB), ("import_seconds", MAX_SECONDS), ("import_ratio", MAX_RATIO))
        if figures[name] > most
    ]
    if missed:
        print(f"Too much: {', '.join(missed)}.", file=sys.stderr)
    return 1 if missed else 0


def taken(root: Path = PROJECT) -> Iterator[str]:
    """Yield every file that `.funcignore` lets through, as a path under *root*."""
    ignored = pathspec.GitIgnoreSpec.from_lines((root / ".funcignore").read_text(encoding="utf-8").splitlines())
    for folder, subfolders, names in os.walk(root):
        inside = Path(folder).relative_to(root)
        subfolders[:] = sorted(name for name in subfolders if not ignored.match_file(f"{(inside / name).as_posix()}/"))
        yield from (path for name in sorted(names) if not ignored.match_file(path := (inside / name).as_posix()))


def write(output: Path, root: Path = PROJECT) -> int:
    """Write the zip, the same bytes for the same files; return how many files are in it."""
    files = list(taken(root))
    output.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(output, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in files:
            entry = zipfile.ZipInfo(path, _EARLIEST)
            entry.compress_type, entry.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
            archive.writestr(entry, (root / path).read_bytes())
    return len(files)


def unpack(package: Path, folder: Path) -> None:
    """Unpack a zip that `write` made."""
    with zipfile.ZipFile(package) as archive:
        archive.extractall(folder)


def clean_python(environment: Mapping[str, str] | None = None) -> Path:
    """Return the Python of a virtual environment with requirements.txt only, kept until that file changes."""
    requirements = PROJECT / "requirements.txt"
    key = hashlib.sha256(f"{sys.version}|{PROJECT}|".encode() + requirements.read_bytes()).hexdigest()[:16]
    folder = PROJECT / ".cache" / f"deployed-{key}"
    python, finished = folder / "bin" / "python", folder / "finished"
    if not finished.exists():
        for old in folder.parent.glob("deployed-*"):
            shutil.rmtree(old)
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
        pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-input"]
        subprocess.run(
            [*pip, "-r", str(requirements)], check=True, env=None if environment is None else dict(environment)
        )
        finished.touch()
    return python


def site_packages(python: Path) -> Path:
    """Return where the packages of the virtual environment of *python* are."""
    asked = [str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
    return Path(subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip())


def import_seconds(python: Path, folder: Path, times: int) -> tuple[float, float]:
    """Return what importing the app in *folder* costs, and what importing the packages costs that it imports so."""
    ours, bare = "import function_app", "\n".join(outside_imports(folder))
    _timed(python, folder, ours)  # the first run compiles
    rounds = [(_timed(python, folder, ours), _timed(python, folder, bare)) for _ in range(times)]
    return min(first for first, _ in rounds), min(second for _, second in rounds)


def outside_imports(folder: Path) -> list[str]:
    """Return a statement for all that the app's modules import, at any depth, that is neither theirs nor Python's."""
    ours = {"__future__", "function_app", "functions", "shared", *sys.stdlib_module_names}
    found: set[str] = set()
    for file in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {f"import {alias.name}" for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                found |= {f"from {node.module} import {alias.name}" for alias in node.names}
    return sorted(statement for statement in found if statement.split()[1].partition(".")[0] not in ours)


def _timed(python: Path, folder: Path, statement: str) -> float:
    environment = {"PATH": os.defpath, **SETTINGS}
    done = subprocess.run(
        [python, "-c", _TIMED.format(statement)],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"The package cannot be imported:\n{done.stderr}")
    return float(done.stdout)


def megabytes(*folders: Path, compiled: bool = False) -> float:
    """Return how much is in *folders*: what was installed, or what was *compiled* from it."""
    files = [file for folder in folders for file in folder.rglob("*") if file.is_file()]
    return round(sum(file.stat().st_size for file in files if (file.suffix == ".pyc") is compiled) / 1e6, 1)
