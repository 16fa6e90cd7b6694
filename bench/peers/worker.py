"""
Does what a line of JSON on standard input asks for, with some client, and answers with one line of JSON.

First comes the account, then jobs. Each is prepared, answered ``{"ready": true}``, and begun by the next line.
"""

import base64
import hashlib
import json
import os
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

PREPARED = {"ready": True}


@dataclass(frozen=True)
class Account:
    """What the client authenticates with, and which of its *way*s is measured."""

    tenant: str
    client_id: str
    secret: str
    way: str = ""


@dataclass(frozen=True)
class Letter:
    """A mail to send, with one file."""

    to: str
    subject: str
    html: str
    name: str
    content: bytes


class Shelf:
    """A folder of originals, each named by its SHA-256."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def keep(self, mime: bytes) -> None:
        """Return when *mime* stands on the disk under its hash."""
        with (self._folder / f"{hashlib.sha256(mime).hexdigest()}.eml").open("wb") as file:
            file.write(mime)
            file.flush()
            os.fsync(file.fileno())


class Box(Protocol):
    """A mailbox, as some client is used to work on it."""

    def fetch(self, shelf: Shelf) -> None:
        """Keep every mail of the inbox, then mark it read."""

    def send(self, letters: list[Letter]) -> None:
        """Send *letters*; raises what the client raises."""


def serve(connect: Callable[[Account], Callable[[str], Box]]) -> None:
    """Do jobs until standard input ends; *connect* returns what opens a mailbox, all but the work done."""
    opens = connect(Account(**json.loads(sys.stdin.readline())))
    for line in sys.stdin:
        job = json.loads(line)
        work = _prepared(job, opens(job["mailbox"]))
        _say(PREPARED)
        sys.stdin.readline()
        _say(_timed(work))


def _prepared(job: dict[str, Any], box: Box) -> Callable[[], None]:
    if job["do"] == "fetch":
        shelf = Shelf(Path(job["folder"]))
        return lambda: box.fetch(shelf)
    letters = [Letter(**{**one, "content": base64.b64decode(one["content"])}) for one in job["letters"]]
    return lambda: box.send(letters)


def _timed(work: Callable[[], None]) -> dict[str, Any]:
    began, failed = time.perf_counter(), ""
    try:
        work()
    except Exception as error:  # noqa: BLE001 - whatever a client raises is what is measured
        failed = type(error).__name__
        traceback.print_exc()
    return {"seconds": time.perf_counter() - began, "failed": failed}


def _say(answer: dict[str, Any]) -> None:
    print(json.dumps(answer), flush=True)
