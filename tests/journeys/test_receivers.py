"""The example receivers take real deliveries: signed ones once each, stored as they came, and no others."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from localcloud.administrator import wait_until
from localcloud.azurite import find_node
from localcloud.story import Organisation, Story

pytestmark = pytest.mark.enable_socket

EXAMPLES = Path(__file__).parents[2] / "examples" / "receiver"
MAILS = 3


@dataclass(frozen=True)
class Started:
    """A receiver that runs: its *url*, the *folder* of what it stores, and the file of what it has *said*."""

    url: str
    folder: Path
    said: Path

    def stored(self) -> dict[str, bytes]:
        """Return what stands in the folder, whole or in parts, by its name."""
        return {path.name: path.read_bytes() for path in self.folder.iterdir()} if self.folder.is_dir() else {}

    def words(self) -> list[list[str]]:
        """Return what it has said: `stored` or `repeat`, with the event's id."""
        return [line.split() for line in self.said.read_text(encoding="utf-8").splitlines()]


@contextmanager
def running(language: str, secret: str, port: int, place: Path) -> Iterator[Started]:
    """Run a receiver as its head says, and end it."""
    commands = {
        "python": [sys.executable, str(EXAMPLES / "receiver.py")],
        "node": [str(find_node()), str(EXAMPLES / "receiver.mjs")],
    }
    folder, said = place / "events", place / "said"
    environment = {"PATH": os.environ["PATH"], "WEBHOOK_SECRET": secret, "FOLDER": str(folder), "PORT": str(port)}
    with said.open("wb") as output:
        process = subprocess.Popen(
            commands[language], env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
        )
        try:
            yield Started(f"http://127.0.0.1:{port}", folder, said)
        finally:
            process.kill()
            process.wait()


@pytest.mark.parametrize("language", ["python", "node"])
def test_an_event_is_stored_once(
    language: str, story: Story, consented: Organisation, receiver_port: int, tmp_path: Path
) -> None:
    """Each mail's event is a file; a second delivery changes nothing; a forged one is answered with 401."""
    admin = story.stack.admin
    target = {"type": "webhook", "url": f"http://127.0.0.1:{receiver_port}/mail"}
    made = story.connect_incoming(consented, "box", enabled=False, destination=target)
    place = f"connections/{made['id']}"
    with running(language, made["signing_secret"], receiver_port, tmp_path) as receiver:
        story.fill(consented.address("box"), MAILS)
        wait_until("it listens", lambda: answer_to(f"{receiver.url}/mail", {}) == 401)
        admin.patch(place, {"enabled": True})
        admin.post(f"{place}/fetch")
        wait_until("all is delivered", lambda: len(delivered(story, place)) == MAILS)
        first = receiver.stored()
        again = delivered(story, place)[0]
        admin.post(f"received/{again}/redeliver")
        wait_until("it comes again", lambda: len(receiver.words()) > MAILS)
        forged = {"webhook-id": "evt_forged", "webhook-timestamp": "1", "webhook-signature": "v1,AAAA"}
        refused = answer_to(f"{receiver.url}/mail", forged)
        admin.delete(f"{place}?discard=true")

        words = receiver.words()
        assert (MAILS, 401) == (len(first), refused)
        assert first == receiver.stored()
        assert {f"{event}.json" for _, event in words} == set(first)
        assert ["stored"] * MAILS + ["repeat"] == [word for word, _ in words]


def answer_to(url: str, headers: dict[str, str]) -> int:
    """Post something that nobody has signed; return the status, 0 for none."""
    try:
        return httpx.post(url, content=b"{}", headers=headers, trust_env=False, timeout=10).status_code
    except httpx.TransportError:
        return 0


def delivered(story: Story, place: str) -> list[str]:
    """Return the ids of a connection's mails that the receiver has taken."""
    return [item["id"] for item in story.stack.admin.get(f"{place}/received", status="delivered")["data"]]
