"""Messages posted by a webhook that repeats itself until it is answered: the work of `send`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import httpx

from localcloud.administrator import RefusedError
from localcloud.story import letter, small_file

if TYPE_CHECKING:
    from localcloud.faults.scenarios import Scenario
    from localcloud.story import Story


@dataclass
class Sending:
    """*batch* messages per round, all to stand in the one inbox of *address*."""

    story: Story
    batch: int
    token: str
    address: str
    added: int = 0
    accepted: dict[str, str] = field(default_factory=dict)

    def prepare(self, scenario: Scenario) -> None:  # noqa: ARG002 - one signature for all work
        """Have more messages to post."""
        self.added += self.batch

    def begin(self) -> None:
        """Post them; those whose answer is lost stay to be posted again."""
        self._post_missing()

    def done(self) -> bool:
        """Tell whether every message arrived."""
        self._post_missing()
        return len(self.story.copies("Order")) >= self.added

    def end(self) -> int:
        """Return how many faults happened: kills alone."""
        return 0

    def settle(self, *, hasten: bool) -> None:  # noqa: ARG002 - one signature for all work
        """Post what was never answered."""
        self._post_missing()

    def settled(self) -> bool:
        """Tell whether every message arrived and every entry says so."""
        return self.done() and not self._wrong()

    def figures(self) -> dict[str, Any]:
        """Return what the recipients and the entries say."""
        copies = self.story.copies("Order")
        return {
            "messages": self.added,
            "lost": self.added - len(copies),
            "duplicates": sum(count - 1 for count in copies.values()),
            "repeats": 0,
            "wrong_state": self._wrong(),
            "stuck": 0,
        }

    def _post_missing(self) -> None:
        for number in range(self.added):
            key = f"order-{number}"
            if key in self.accepted:
                continue
            message = letter(number, self.address, attachments=[small_file(number)])
            try:
                answer = self.story.post_message(self.token, message, key)
            except (httpx.TransportError, RefusedError):
                return
            if answer.status_code == 202:
                self.accepted[key] = answer.json()["id"]

    def _wrong(self) -> int:
        admin = self.story.stack.admin
        states = [admin.get(f"outbox/{identifier}")["status"] for identifier in self.accepted.values()]
        return sum(1 for state in states if state not in ("accepted", "sent"))
