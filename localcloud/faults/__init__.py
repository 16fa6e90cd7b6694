"""`python -m localcloud faults`: the host killed at every boundary of one area, amid faults of everything around it."""

from __future__ import annotations

import json
import random
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from localcloud.faults.campaign import Campaign
from localcloud.killpoints import AREAS

if TYPE_CHECKING:
    import argparse

__all__ = ["Campaign", "add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command line."""
    parser.add_argument("--area", choices=sorted(AREAS), default="fetch")
    parser.add_argument("--count", type=int, default=20, metavar="N", help="how many kills (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="which boundaries are drawn (default: %(default)s)")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="leave journal and the host's log in this folder")


def run(args: argparse.Namespace) -> int:
    """Kill the host *count* times in *area*; return 0 only if nothing was lost, doubled, wrong or stuck."""
    console = Console(stderr=True, highlight=False)
    with tempfile.TemporaryDirectory() as temporary:
        folder = args.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        figures = Campaign(args.area, args.count, random.Random(args.seed), folder, console).play()
    print(json.dumps(figures), flush=True)
    return 1 if any(figures[name] for name in ("lost", "duplicates", "wrong_state", "stuck")) else 0
