"""Mail that arrives in many mailboxes and is to be delivered to the receiver: the work of `fetch` and `deliver`."""

from __future__ import annotations

import base64
import contextlib
import hashlib
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import httpx

from localcloud.administrator import RefusedError
from localcloud.faults.records import Records, wake_delivery
from localcloud.faults.scenarios import Scene

if TYPE_CHECKING:
    from localcloud.faults.scenarios import Scenario
    from localcloud.story import Organisation, Story

LARGE_BYTES = 300 * 1024
# What each connection asks for once a mail is fetched, and where the mail then lies, and whether it is read.
FORMS: dict[str, tuple[dict[str, str], str, bool | None]] = {
    "read": ({"action": "read"}, "inbox", True),
    "move": ({"action": "move", "folder": "archive"}, "archive", None),
    "delete": ({"action": "delete"}, "deleteditems", None),
    "none": ({"action": "none"}, "inbox", False),
}
RECEIVED = "mailgrant.message.received"


@dataclass
class Mailbox:
    """One mailbox with its connection; *messages* are the immutable ids of what was put into it."""

    address: str
    form: str
    path: str
    connection_id: str
    messages: list[str] = field(default_factory=list)


@dataclass
class Intake:
    """*batch* new mails per round, in the mailbox that was disturbed longest ago, so that its dead lease has ended."""

    story: Story
    batch: int
    mailboxes: list[Mailbox] = field(default_factory=list)
    made: int = 0
    expected: int = 0
    switched: int = 0
    poisoned: list[dict[str, Any]] = field(default_factory=list)
    ill: list[tuple[str, str, str]] = field(default_factory=list)
    healed: bool = False

    @staticmethod
    def people(each: int) -> list[str]:
        """Return the people to found: *each* mailboxes per form."""
        return [f"{form}{number}" for number in range(each) for form in FORMS]

    def connect(self, organisation: Organisation, each: int) -> None:
        """Connect every mailbox."""
        for person in self.people(each):
            form = person.rstrip("0123456789")
            connection = self.story.connect_incoming(organisation, person, after_fetch=FORMS[form][0])
            path = f"{organisation.domain}-{person}"
            self.mailboxes.append(Mailbox(organisation.address(person), form, path, connection["id"]))

    def prepare(self, scenario: Scenario) -> None:
        """Put fresh mail into the next mailbox and set the scenario up; the host does not run."""
        control, receiver = self.story.stack.control, self.story.stack.receiver
        mailbox = self.mailboxes[0]
        mails = [self._mail(large=scenario.large and number == 0) for number in range(self.batch)]
        fresh = control.deliver_many(mailbox.address, mails)
        mailbox.messages += fresh
        self.expected = len(receiver.events) + len(fresh)
        scenario.script(Scene(control, receiver, mailbox.address, mailbox.path, fresh, self.poisoned, self.ill))

    def begin(self) -> None:
        """Ask for the fetch of that mailbox."""
        _past_crash(lambda: self.story.stack.admin.post(f"connections/{self.mailboxes[0].connection_id}/fetch"))

    def done(self) -> bool:
        """Tell whether the round's mail has probably arrived."""
        return len(self.story.stack.receiver.events) >= self.expected

    def end(self) -> int:
        """Take the scenario back, and return how many faults happened until now."""
        control, receiver, mailbox = self.story.stack.control, self.story.stack.receiver, self.mailboxes[0]
        happened: int = sum(control.faults()["hits"].values()) + receiver.troubled
        control.clear_faults()
        for fault in self.poisoned:
            control.add_fault("graph", **fault)
        modes = [name for name in control.modes() if name.endswith(f":{mailbox.address}")]
        if modes:
            control.set_modes(**dict.fromkeys(modes))
            self.switched += 1
        receiver.troubles.clear()
        self.mailboxes.append(self.mailboxes.pop(0))
        return happened + self.switched + len(self.ill)

    def settle(self, *, hasten: bool) -> None:
        """
        Ask for every fetch once more, of a host that is let live.

        *hasten* wakes the delivery too, instead of waiting minutes for the due rows that would.
        """
        admin, control = self.story.stack.admin, self.story.stack.control
        control.clear_faults()
        for address, message, _ in self.ill:
            control.poison_message(address, message, "")
        self.healed = True
        for mailbox in self.mailboxes:
            path = f"connections/{mailbox.connection_id}"
            if admin.get(path)["status"] == "stopped":
                admin.patch(path, {"enabled": True})
            with contextlib.suppress(RefusedError):
                admin.post(f"{path}/fetch")
            if hasten:
                wake_delivery(self.story.stack.storage, mailbox.connection_id)

    def settled(self) -> bool:
        """Tell whether nothing is left to wait for; mail that was poisoned is asked for again by hand."""
        if self.poisoned or self.ill:
            self._retry()
        return not self.unfinished() and not self.records().stuck()

    def unfinished(self) -> int:
        """Return how many mails have not arrived, or not come to lie where they should; poisoned mail aside."""
        arrived = self._announced()
        missing = 0
        for mailbox in self.mailboxes:
            for message in self._held(mailbox):
                poisoned = message["immutable_id"] in self._poisoned()
                wrong = _misplaced(mailbox, message) and not poisoned
                missing += wrong or (message["sha256"] not in arrived and not poisoned)
        return missing

    def records(self) -> Records:
        """Return the product's own records; those of poisoned mail do not count."""
        return Records(self.story.stack.storage, self._poisoned())

    def figures(self) -> dict[str, Any]:
        """Return what mailboxes, receiver and records say."""
        receiver = self.story.stack.receiver
        arrived, served = self._announced(), self._served()
        held = [(mailbox, message) for mailbox in self.mailboxes for message in self._held(mailbox)]
        poisoned = self._poisoned()
        awaited = [message for _, message in held if message["immutable_id"] not in poisoned]
        lost = sum(1 for message in awaited if message["sha256"] not in served)
        gone = sum(len(mailbox.messages) for mailbox in self.mailboxes) - len(held)
        foreign = len(set(served) - {message["sha256"] for _, message in held})
        misplaced = sum(
            1 for box, message in held if _misplaced(box, message) and message["immutable_id"] not in poisoned
        )
        changed = sum(1 for bodies in receiver.bodies.values() if len(bodies) > 1)
        stuck = self.records().stuck()
        undelivered = self.records().unfinished_receipts()
        wrong = {
            "not marked or moved as asked": misplaced,
            "bodies changed between attempts": changed,
            "contents served that no mailbox holds": foreign,
            "signatures refused": receiver.refused.total(),
        }
        return {
            "messages": self.made,
            "lost": lost + gone,
            "duplicates": sum(len(ids) - 1 for ids in arrived.values()),
            "repeats": receiver.repeats,
            "wrong_state": sum(wrong.values()) + len(undelivered),
            "stuck": len(stuck),
            "poisoned": len(poisoned),
            "details": [
                *sorted({*stuck, *undelivered})[:10],
                *(f"{count} {what}" for what, count in wrong.items() if count),
            ],
        }

    def _retry(self) -> None:
        """Ask for every message once more that could not be read."""
        admin = self.story.stack.admin
        for mailbox in self.mailboxes:
            for status in ("retrying", "quarantined"):
                for receipt in admin.get(f"connections/{mailbox.connection_id}/received", status=status)["data"]:
                    with contextlib.suppress(RefusedError):
                        admin.post(f"received/{receipt['id']}/retry")

    def _announced(self) -> dict[str, set[str]]:
        """Return the ids of the events that announced each content."""
        found = defaultdict(set)
        for event in self.story.stack.receiver.of_type(RECEIVED):
            found[event["data"]["raw"]["sha256"]].add(event["id"])
        return found

    def _served(self) -> Counter[str]:
        """Download what every event links to; return how often each SHA-256 was served, a wrong one as itself."""
        events = self.story.stack.receiver.of_type(RECEIVED)
        with httpx.Client(trust_env=False, timeout=30) as client, ThreadPoolExecutor(4) as pool:

            def digest(event: dict[str, Any]) -> str:
                answer = client.get(event["data"]["raw"]["link"])
                found = hashlib.sha256(answer.content).hexdigest() if answer.is_success else str(answer.status_code)
                return found if found == event["data"]["raw"]["sha256"] else f"differs: {event['id']}"

            return Counter(pool.map(digest, events))

    def _held(self, mailbox: Mailbox) -> list[dict[str, Any]]:
        ours = set(mailbox.messages)
        messages = self.story.stack.control.mailbox(mailbox.address)["messages"]
        return [message for message in messages if message["immutable_id"] in ours]

    def _poisoned(self) -> set[str]:
        """Return the messages that are not awaited; healed ones are, but for those whose ids could not be listed."""
        hidden = {message for _, message, kind in self.ill if kind == "hard"}
        if self.healed:
            return hidden
        return hidden | {message for _, message, _ in self.ill} | {str(fault["key"]) for fault in self.poisoned}

    def _mail(self, *, large: bool = False) -> bytes:
        """Return a mail that is like no other."""
        self.made += 1
        number = self.made
        block = base64.b64encode(hashlib.shake_256(str(number).encode()).digest(LARGE_BYTES if large else 90))
        lines = [block[start : start + 76] for start in range(0, len(block), 76)]
        head = [
            f"Message-ID: <{number}@faults.example>",
            "From: Customer <customer@outside.example>",
            "To: box@contoso.example",
            f"Subject: Mail {number}",
            "Date: Mon, 02 Mar 2026 10:00:00 +0000",
            "MIME-Version: 1.0",
            'Content-Type: multipart/mixed; boundary="part"',
            "",
            "--part",
            "Content-Type: text/plain; charset=utf-8",
            "",
            f"This is mail {number}.",
            "--part",
            "Content-Type: application/octet-stream",
            f'Content-Disposition: attachment; filename="{number}.bin"',
            "Content-Transfer-Encoding: base64",
            "",
        ]
        return b"\r\n".join([*(line.encode() for line in head), *lines, b"--part--", b""])


def _misplaced(mailbox: Mailbox, message: dict[str, Any]) -> bool:
    _, folder, is_read = FORMS[mailbox.form]
    return message["folder"] != folder or (is_read is not None and message["is_read"] is not is_read)


def _past_crash(call: Any) -> Any:
    """Return what *call* returns, or None where the host died under it."""
    try:
        return call()
    except (httpx.TransportError, RefusedError):
        return None
