"""`python -m localcloud soak`: two hosts amid everything at once, and a model that knows what must be true."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from localcloud.soak.run import Soak
from localcloud.soak.schedule import plan

if TYPE_CHECKING:
    import argparse

__all__ = ["Soak", "add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command line."""
    parser.add_argument("--seconds", type=float, default=60, help="how long things happen (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="what happens when (default: %(default)s)")
    parser.add_argument("--plan", action="store_true", help="print what would happen, a line of JSON each, and end")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="write schedule, journal and logs to this folder")


def run(args: argparse.Namespace) -> int:
    """Soak; return 0 only if everything that must be true is true at the end."""
    if args.plan:
        for action in plan(args.seconds, args.seed):
            print(action.line())
        return 0
    console = Console(stderr=True, highlight=False)
    folder = args.keep or Path(tempfile.mkdtemp(prefix="mailgrant-soak-"))
    folder.mkdir(parents=True, exist_ok=True)
    figures = Soak(args.seconds, args.seed, folder, console).play()
    holds = figures.pop("holds")
    if not holds:
        for name, lines in json.loads((folder / "findings.json").read_text()).items():
            for line in lines[:10]:
                console.print(f"  {name}: {line}")
        console.print(f"Schedule, journal, logs, storage and all findings are in {folder}")
    elif not args.keep:
        shutil.rmtree(folder)
    print(json.dumps(figures), flush=True)
    return 0 if holds else 1
