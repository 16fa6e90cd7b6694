"""Answers: what did a foreign client see and do, started as its users start it, against the local cloud?"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

CLIENTS = Path(__file__).resolve().parent / "clients"
_SECONDS = 90


def run_client(
    name: str, python: Path, asked: Mapping[str, str], cloud: Mapping[str, str], scratch: Path
) -> dict[str, Any]:
    """
    Run `clients/with_<name>.py` with the *python* that has the client, *cloud*'s variables and nothing of ours.

    *scratch* is an empty folder, its HOME and its place for files. Return what it ``saw`` by step. Raises: RuntimeError
    with the end of its stderr where it ended early, and with its own words for a step that failed.
    """
    done = subprocess.run(
        [str(python), "-I", str(CLIENTS / f"with_{name}.py")],
        input=json.dumps({**asked, "scratch": str(scratch)}),
        capture_output=True,
        text=True,
        encoding="utf-8",
        cwd=scratch,
        env={"PATH": os.defpath, "HOME": str(scratch), "LANG": "C.UTF-8", **cloud},
        timeout=_SECONDS,
        check=False,
    )
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    failed = [f"{line['step']}: {line['failed']}" for line in lines if "failed" in line]
    if failed or done.returncode:
        raise RuntimeError("\n".join([f"{name} could not do this:", *failed, done.stderr[-3000:]]))
    return {line["step"]: line["saw"] for line in lines}
