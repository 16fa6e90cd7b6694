"""One copy, whatever Exchange does with a draft that it sends, and whatever becomes of its answer."""

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import product
from typing import Any

import pytest

from localcloud.administrator import wait_until
from localcloud.stack import Stack
from localcloud.story import Organisation, Story, letter

pytestmark = [pytest.mark.enable_socket, pytest.mark.timeout(300)]

# Each of them on top of a second /send that delivers again, the harshest of all, so that no repeat can hide.
MODES: dict[str, Any] = {
    "second_send_delivers_again": True,
    "id_changes_on_send": True,
    "sent_copy_delay_seconds": 6,
    "sent_copy_never": True,
    "draft_lingers_seconds": 2,  # less than the quiet period: Exchange acts on a /send within it, or never
    "marker_property_lost": True,
    "marker_header_lost": True,
    "message_id_rewritten": True,
}
ANSWERS: dict[str, dict[str, Any]] = {
    "504 after": {"kind": "status", "status": 504, "when": "after"},
    "504 before": {"kind": "status", "status": 504, "when": "before"},
    "reset after": {"kind": "reset", "when": "after"},
    "reset before": {"kind": "reset", "when": "before"},
    "429": {"kind": "status", "status": 429, "code": "ApplicationThrottled", "headers": {"Retry-After": "1"}},
    "503": {"kind": "status", "status": 503, "code": "ErrorServerBusy", "headers": {"Retry-After": "1"}},
    "202 with Retry-After": {"kind": "status", "status": 202, "headers": {"Retry-After": "1"}, "when": "after"},
    "400": {"kind": "status", "status": 400, "code": "ErrorInvalidRecipients"},
}
LOST_AFTER = ("504 after", "reset after")
SUBJECT = "Mode"


@dataclass(frozen=True)
class Outcome:
    """What became of one mail: its entry as an administrator sees it, and how many copies arrived."""

    entry: dict[str, Any]
    copies: int


@dataclass(frozen=True)
class _Case:
    number: int
    mode: str
    answer: str

    @property
    def person(self) -> str:
        return f"sender{self.number}"

    @property
    def subject(self) -> str:
        return f"{SUBJECT} {self.number}"

    @property
    def never_known(self) -> bool:
        """Whether the mail is gone without a trace, so that it is looked for until 24 hours are over."""
        return self.mode == "sent_copy_never" and self.answer in LOST_AFTER


CASES = [_Case(number, mode, answer) for number, (mode, answer) in enumerate(product(MODES, ANSWERS))]


@pytest.fixture(scope="module")
def outcomes(_stack: Stack) -> Iterator[dict[tuple[str, str], Outcome]]:
    """Send one mail from a mailbox of its own for each mode and answer, all at once; return what became of each."""
    story = Story(_stack)
    organisation = story.found("modes.example", "Modes", ["bob", *(case.person for case in CASES)])
    story.register(organisation)
    story.accept(organisation)
    story.await_status(organisation, "active")
    switches = _switches(organisation)
    _stack.control.set_modes(**switches)
    with ThreadPoolExecutor(4) as pool:
        entries = list(pool.map(lambda case: _sent(story, organisation, case), CASES))
    ends = [entry for case, entry in zip(CASES, entries, strict=True) if not case.never_known]
    wait_until("every mail has its end", lambda: _finished(story, ends), 200, pause=1)
    lost = [entry for case, entry in zip(CASES, entries, strict=True) if case.never_known]
    wait_until("what left no trace was looked for", lambda: all(_looked_for(story, entry) for entry in lost), pause=1)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda entry: _stack.admin.get(f"outbox/{entry}"), entries))
    copies = Counter(str(copy["subject"]) for copy in _stack.control.received(organisation.address("bob")))
    yield {
        (case.mode, case.answer): Outcome(entry, copies[case.subject]) for case, entry in zip(CASES, found, strict=True)
    }
    _stack.control.set_modes(**dict.fromkeys(switches))


def _switches(organisation: Organisation) -> dict[str, Any]:
    addresses = [(case.mode, organisation.address(case.person)) for case in CASES]
    harshest = {f"second_send_delivers_again:{address}": True for _, address in addresses}
    return harshest | {f"{mode}:{address}": MODES[mode] for mode, address in addresses}


def _sent(story: Story, organisation: Organisation, case: _Case) -> str:
    """Script the answer, accept the mail, and return its entry's id."""
    address = organisation.address(case.person)
    _, token = story.connect_outgoing(organisation, case.person, send_rate=0)
    story.stack.control.add_fault("graph", "messages.send", ANSWERS[case.answer], key=address)
    message = letter(case.number, organisation.address("bob"), SUBJECT)
    return str(story.post_message(token, message).raise_for_status().json()["id"])


def _finished(story: Story, entries: list[str]) -> bool:
    """Tell whether all of *entries* are finished, asking only as far as the first that is not."""
    while entries:
        if story.stack.admin.get(f"outbox/{entries[-1]}")["status"] in ("queued", "sending"):
            return False
        entries.pop()
    return True


def _looked_for(story: Story, entry: str) -> bool:
    return "saw_nothing" in [move["name"] for move in story.stack.admin.get(f"outbox/{entry}")["moves"]]


@pytest.mark.parametrize("answer", ANSWERS)
@pytest.mark.parametrize("mode", MODES)
def test_a_mail_is_sent_once_or_not_at_all(outcomes: dict[tuple[str, str], Outcome], mode: str, answer: str) -> None:
    """Accepted and sent mean one copy, failed means none, and only a mail without any trace is still looked for."""
    outcome = outcomes[mode, answer]
    status, moves = outcome.entry["status"], [move["name"] for move in outcome.entry["moves"]]

    if mode == "sent_copy_never" and answer in LOST_AFTER:
        assert ("sending", 1, 1) == (status, outcome.copies, outcome.entry["attempts"])
        assert "saw_nothing" in moves
    elif answer == "400":
        assert ("failed", 0, "message_refused") == (status, outcome.copies, outcome.entry["fault"]["code"])
    else:
        repeated = answer in ("504 before", "reset before", "429", "503")
        assert (True, 1) == (status in ("accepted", "sent"), outcome.copies)
        assert (2 if repeated else 1) == outcome.entry["attempts"]
