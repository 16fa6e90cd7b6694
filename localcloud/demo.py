"""`python -m localcloud demo`: the whole story on real mail, and one last line of figures."""

from __future__ import annotations

import hashlib
import json
import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from localcloud.administrator import wait_until
from localcloud.stack import Stack
from localcloud.story import Organisation, Story, large_content, letter, small_file

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

MAILS = 100
LETTERS = 20
PROPAGATION_SECONDS = 3
PREFIX = "Order"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command line."""
    parser.add_argument("--kill", action="store_true", help="kill the host in the middle of fetch and of sending")


def run(args: argparse.Namespace) -> int:
    """Play the demo; return 0 only if every figure is what it must be."""
    console = Console(stderr=True, highlight=False)
    started = time.monotonic()

    def say(text: str) -> None:
        console.print(f"[dim]{time.monotonic() - started:6.1f} s[/dim]  {text}")

    with Stack(say=say) as stack:
        demo = Demo(Story(stack), console, say, kill=args.kill)
        figures = demo.play()
    figures["seconds"] = round(time.monotonic() - started, 1)
    print(json.dumps(figures))
    sys.stdout.flush()
    expected = {
        "consented": 2,
        "fetched": 2 * MAILS,
        "delivered": 2 * MAILS,
        "signatures_valid": 2 * MAILS,
        "sent": LETTERS,
        "duplicates": 0,
        "lost": 0,
    }
    return 0 if expected.items() <= figures.items() else 1


@dataclass
class Demo:
    """One performance of the story; with *kill* the host is killed in the middle of fetch and of sending."""

    story: Story
    console: Console
    say: Callable[[str], None]
    kill: bool = False
    organisations: list[Organisation] = field(default_factory=list)
    large_sha256: str = ""

    def play(self) -> dict[str, Any]:
        """Play all acts and return the figures, counted at the receiving ends."""
        consented = self.consent()
        self.fetch()
        connection = self.send()
        fetched, delivered, doubled = self._count_intake()
        copies = self.story.copies(PREFIX)
        sent = self._sent(copies)
        self.revoke()
        self.say(f"Outgoing connection {connection['id']} and all the others stand in GET /api/connections")
        return {
            "consented": consented,
            "fetched": fetched,
            "delivered": delivered,
            "signatures_valid": delivered if not self.story.stack.receiver.refused else 0,
            "sent": sent,
            "duplicates": doubled + sum(count - 1 for count in copies.values()),
            "lost": 2 * MAILS - fetched + LETTERS - sent,
        }

    def consent(self) -> int:
        """Found two tenants, register, consent; return how many grants became active."""
        for domain, name in (("contoso.example", "Contoso"), ("fabrikam.example", "Fabrikam")):
            organisation = self.story.found(domain, name)
            self.organisations.append(organisation)
            self.story.register(organisation)
            self.say(f"{name}: credential created, its secret is in Key Vault")
        slow = self.organisations[1]
        self.story.stack.control.set_modes(**{f"propagation_seconds:{slow.tenant}": PROPAGATION_SECONDS})
        for organisation in self.organisations:
            self.story.accept(organisation)
            self.say(f"{organisation.name}: the administrator followed the link and accepted at Microsoft's page")
        for organisation in self.organisations:
            grant = self.story.await_status(organisation, "active")
            self.say(f"{organisation.name}: [green]active[/green], roles {', '.join(grant['roles']['granted'])}")
        return sum(1 for organisation in self.organisations if organisation.grant["status"] == "active")

    def fetch(self) -> None:
        """Fill two mailboxes, connect them, and wait until everything is delivered and marked read."""
        addresses = [organisation.address("box") for organisation in self.organisations]
        for index, address in enumerate(addresses):
            self.story.fill(address, MAILS, start=index * MAILS)
        self.say(f"{MAILS} real mails stand in each of 2 mailboxes")
        for organisation in self.organisations:
            self.story.connect_incoming(organisation, "box")
        receiver = self.story.stack.receiver
        self._watch("fetched, stored, signed, delivered", 2 * MAILS, lambda: len(receiver.events))

        def all_read() -> bool:
            return not any(map(self.story.unread, addresses))

        wait_until("every mail is marked read", all_read, 60)
        self.say("Every mail is marked read in its mailbox")

    def send(self) -> dict[str, Any]:
        """Post twenty messages, one with 5 MB, and wait until they stand in the recipients' inboxes."""
        sender, other = self.organisations
        connection, token = self.story.connect_outgoing(sender, "ann", send_rate=0)
        recipients = [sender.address("bob"), other.address("bob"), "customer@elsewhere.example"]
        content = large_content()
        self.large_sha256 = hashlib.sha256(content).hexdigest()
        for number in range(LETTERS):
            files = [small_file(number)]
            if number == LETTERS // 2:
                files.append({"upload_id": self.story.upload(token, "large.bin", content)})
                self.say("5 MB attachment uploaded straight into storage")
            message = letter(number, recipients[number % len(recipients)], PREFIX, attachments=files)
            answer = self.story.post_message(token, message, key=f"order-{number}")
            if answer.status_code != 202:
                text = f"message {number} was refused: {answer.text}"
                raise RuntimeError(text)
        self.say(f"{LETTERS} messages accepted with 202")
        self._watch("sent, standing in inboxes", LETTERS, lambda: len(self.story.copies(PREFIX)))
        return connection

    def revoke(self) -> None:
        """Let one tenant revoke, verify, and show that its connections wait with a sentence."""
        organisation = self.organisations[1]
        self.story.stack.control.revoke(organisation.tenant, organisation.client_id)
        grant = self.story.stack.admin.post(f"grants/{organisation.grant['id']}/verify")
        connections = self.story.stack.admin.get("connections")["data"]
        waiting = [item for item in connections if item["grant_id"] == organisation.grant["id"]]
        if grant["status"] != "revoked" or any(item["status"] != "waiting" for item in waiting):
            text = f"the revocation went unnoticed: {grant['status']}, {[item['status'] for item in waiting]}"
            raise RuntimeError(text)
        sentence = waiting[0]["fault"]["detail"]
        self.say(f"{organisation.name} revoked the app. Its connection waits: [yellow]{sentence}[/yellow]")
        self.say("Note: a token issued before stays good at Microsoft for up to 90 minutes; Mailgrant stops at once")

    def _watch(self, what: str, total: int, count: Callable[[], int]) -> None:
        killed = not self.kill
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*columns, console=self.console) as progress:
            task = progress.add_task(what, total=total)

            def step() -> bool:
                nonlocal killed
                done = count()
                progress.update(task, completed=done)
                if not killed and done > total // 4:
                    killed = True
                    self.say("[red]The host is killed in the middle of this[/red] and started again")
                    self.story.stack.host.restart()
                return done >= total

            wait_until(what, step, 240, pause=0.2)

    def _count_intake(self) -> tuple[int, int, int]:
        addresses = [organisation.address("box") for organisation in self.organisations]
        in_mailboxes, served = self.story.mailbox_bytes(addresses), self.story.fetched_bytes(addresses)
        self.say("Every original downloaded again through its link and compared with the mailbox by hash")
        fetched = (in_mailboxes & served).total()
        return fetched, len(self.story.stack.receiver.events), (served - in_mailboxes).total()

    def _sent(self, copies: dict[str, int]) -> int:
        hashes = {
            file["sha256"] for copy in self.story.stack.control.all_received() for file in copy.get("attachments", [])
        }
        if self.large_sha256 not in hashes:
            text = "the large attachment did not arrive with the bytes that were uploaded"
            raise RuntimeError(text)
        return len(copies)
