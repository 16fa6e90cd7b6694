"""`python -m localcloud corpus`: every mail of the corpus through the product, and what it could make of them."""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from localcloud.administrator import wait_until
from localcloud.corpus import corpus_files
from localcloud.stack import Stack
from localcloud.story import Organisation, Story

if TYPE_CHECKING:
    import argparse
    from pathlib import Path

MAILBOXES = 8
RECEIVED = "mailgrant.message.received"
# The lease of production: what is measured here is not how fast a dead host's work is taken over.
SETTINGS = {"TURN_LEASE_SECONDS": "60", "LOCAL_HOST_QUEUE_LEASE_SECONDS": "30", "TICK_SCHEDULE": "*/5 * * * * *"}
_AT_ONCE = 200
_PATIENCE_SECONDS = 60.0
_FAILED = "(failed, "
_NO_ANSWER = "StorageUnavailable"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command line."""
    parser.add_argument("--count", type=int, default=0, metavar="N", help="only N mails, spread evenly (default: all)")


def run(args: argparse.Namespace) -> int:
    """Let the corpus through; return 0 only if nothing was lost and nothing crashed."""
    console = Console(stderr=True, highlight=False)
    files = corpus_files()
    if not files:
        print("The corpus is not installed. Run `make setup`.", file=sys.stderr)
        return 1
    chosen = files[:: max(1, len(files) // args.count)][: args.count] if args.count else files
    started = time.monotonic()
    with Stack(SETTINGS, say=lambda text: console.print(f"  {text}")) as stack:
        passage = Passage(Story(stack), console, chosen)
        figures = passage.play()
        passage.show(time.monotonic() - started)
    print(json.dumps(figures), flush=True)
    return 0 if not (figures["lost"] or figures["crashes"]) else 1


@dataclass
class Passage:
    """The mails of *files* on their way from mailboxes to the receiver."""

    story: Story
    console: Console
    files: list[Path]
    addresses: list[str] = field(default_factory=list)

    def play(self) -> dict[str, Any]:
        """Fill mailboxes, fetch and deliver all of it, compare every byte, and return the figures."""
        organisation = self.story.found("corpus.example", "Corpus", people=())
        self.story.register(organisation)
        self.story.accept(organisation)
        self.story.await_status(organisation, "active")
        for number in range(min(MAILBOXES, len(self.files))):
            self._fill(organisation, f"box{number}", self.files[number::MAILBOXES])
        self.console.print(f"  {len(self.files)} mails stand in {len(self.addresses)} mailboxes")
        for address in self.addresses:
            self.story.connect_incoming(organisation, address.partition("@")[0])
        self._watch()
        self.console.print("  Every original is downloaded through its link and compared with its mailbox")
        wanted, served = self.story.mailbox_bytes(self.addresses), self.story.fetched_bytes(self.addresses)
        return {
            "mails": wanted.total(),
            "lost": (wanted - served).total(),
            "crashes": self._crashes(),
            "unparsable": sum(view["parsed"] == "unparsable" for view in self._views()),
        }

    def show(self, seconds: float) -> None:
        """Print how much of the mails was read, and why not all."""
        table = Table("read", "why not all of it", "mails", title=f"{len(self.files)} mails in {seconds:.0f} s")
        found = Counter((view["parsed"], view["parsed_reason"]) for view in self._views())
        for (parsed, reason), count in sorted(found.items(), key=lambda item: -item[1]):
            table.add_row(parsed, reason or "-", str(count))
        self.console.print(table)

    def _fill(self, organisation: Organisation, person: str, files: list[Path]) -> None:
        control, address = self.story.stack.control, organisation.address(person)
        control.add_user(organisation.domain, address, person)
        self.addresses.append(address)
        for start in range(0, len(files), _AT_ONCE):
            control.deliver_many(address, [path.read_bytes() for path in files[start : start + _AT_ONCE]])

    def _watch(self) -> None:
        """Wait until everything is delivered and marked read, as long as anything moves."""
        receiver, total = self.story.stack.receiver, len(self.files)
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*columns, console=self.console) as progress:
            task = progress.add_task("fetched, stored, signed, delivered", total=total)
            seen, since = -1, time.monotonic()
            while (done := len(receiver.of_type(RECEIVED))) < total and time.monotonic() - since < _PATIENCE_SECONDS:
                if done != seen:
                    seen, since = done, time.monotonic()
                    progress.update(task, completed=done)
                time.sleep(0.5)
            progress.update(task, completed=done)

        def all_read() -> bool:
            return not any(map(self.story.unread, self.addresses))

        wait_until("every mail is marked read", all_read, _PATIENCE_SECONDS, pause=1)

    def _views(self) -> list[dict[str, Any]]:
        """Return the parsed view that the receiver was told of each mail."""
        return [event["data"]["message"] for event in self.story.stack.receiver.of_type(RECEIVED)]

    def _crashes(self) -> int:
        """
        Count a host that died, functions that failed, and mails on which the parser itself failed.

        Storage that did not answer is no crash: the function says so, and the host calls it again.
        """
        host = self.story.stack.host
        lines = host.log.read_text(errors="replace").splitlines()
        failed = [after for line, after in pairwise([*lines, ""]) if _FAILED in line]
        parser = sum("parser_" in view["parsed_reason"] for view in self._views())
        return sum(not reason.startswith(_NO_ANSWER) for reason in failed) + parser + (not host.is_running())
