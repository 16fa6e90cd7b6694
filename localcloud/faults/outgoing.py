"""What goes wrong while mail is sent: Graph's answers, what Exchange does with drafts, hosts side by side."""

from __future__ import annotations

import itertools
import time
from dataclasses import dataclass
from email.utils import formatdate
from typing import TYPE_CHECKING, Any

from localcloud.faults.scenarios import CLOCK_SECONDS, Scenario

if TYPE_CHECKING:
    from collections.abc import Callable

    from localcloud.faults.scenarios import Scene

PLAIN, DIRECT = "plain", "without Mail.ReadWrite"
_AGAIN = {"second_send_delivers_again": True}
_RENAMED = {**_AGAIN, "id_changes_on_send": True}
_KEYS = ("marker_header_lost", "marker_property_lost", "message_id_rewritten")
# How the mailboxes of each kind behave, all along: what Exchange does with a draft shows itself rounds later.
POOLS: dict[str, dict[str, Any]] = {
    PLAIN: {},
    "a second send delivers again": _AGAIN,
    "late Sent copy": {**_AGAIN, "sent_copy_delay_seconds": 5},
    "missing Sent copy": {**_AGAIN, "sent_copy_never": True},
    "id changed on send": _RENAMED,
    # Less than the quiet period: Exchange acts on a /send within it, or never.
    "draft lingers": {**_AGAIN, "draft_lingers_seconds": 1.5},
    "draft lingers, id changed on send": {**_RENAMED, "draft_lingers_seconds": 1.5},
    "marker in the header lost": {**_RENAMED, "marker_header_lost": True},
    "marker in the property lost": {**_RENAMED, "marker_property_lost": True},
    "Message-ID rewritten": {**_RENAMED, "message_id_rewritten": True},
    "every key lost": {**_RENAMED, **dict.fromkeys(_KEYS, True)},
    DIRECT: {},
}
UNKNOWABLE = frozenset({"missing Sent copy", "every key lost", DIRECT})
"""Where a mail may be gone without a trace once an answer was lost."""


@dataclass(frozen=True)
class Mailing(Scenario):
    """A scenario of sending, played in a mailbox of *pool*; the first host stands still for *frozen_for* seconds."""

    pool: str = PLAIN
    frozen_for: float = 0.0


def _status(status: int, code: str = "UnknownError", when: str = "before", **headers: str) -> dict[str, Any]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return {"kind": "status", "status": status, "headers": named, "code": code, "when": when}


def _throttled(**headers: str) -> dict[str, Any]:
    return _status(429, "ApplicationThrottled", **headers)


def _reset(when: str) -> dict[str, Any]:
    return {"kind": "reset", "when": when}


def _on(operation: str, effect: Callable[[], dict[str, Any]], times: int = 2) -> Callable[[Scene], None]:
    """Return a script that fails some of a round's calls; what does not come to pass in it waits for a later one."""
    return lambda scene: scene.graph(operation, effect(), times=times)


def _sends(effect: dict[str, Any], times: int = 2) -> Callable[[Scene], None]:
    return _on("messages.send", lambda: effect, times)


def _lost_answers(operation: str = "messages.send") -> Callable[[Scene], None]:
    """Return a script that loses an answer after the effect, and in every third round one before it."""
    answers = itertools.cycle(
        (_status(504, when="after"), _reset("after"), _status(504), _status(504, when="later") | {"after_seconds": 1})
    )
    return lambda scene: scene.graph(operation, next(answers), times=2)


def _date() -> str:
    return formatdate(time.time() + 2, usegmt=True)


SEND = (
    Mailing("nothing else", weight=6),
    Mailing("two hosts at once", hosts=2, weight=3),
    Mailing("a host that stands still beyond its lease, beside another", hosts=2, frozen_for=5.5, patience=9, weight=1),
    Mailing("host clock two minutes fast", clock=CLOCK_SECONDS),
    Mailing("host clock two minutes slow", clock=-CLOCK_SECONDS),
    Mailing("large files", large=True, patience=5.0),
    Mailing("504, accepted", _sends(_status(504, when="after"))),
    Mailing("504, not accepted", _sends(_status(504))),
    Mailing("504, accepted a second later", _sends(_status(504, when="later") | {"after_seconds": 1})),
    Mailing("503 with Retry-After", _sends(_status(503, Retry_After="1"))),
    Mailing("503 without Retry-After", _sends(_status(503))),
    Mailing("429 with seconds", _sends(_throttled(Retry_After="1"))),
    Mailing("429 with a decimal", _sends(_throttled(Retry_After="1.128"))),
    Mailing("429 with a date", _on("messages.send", lambda: _throttled(Retry_After=_date()))),
    Mailing("429 without Retry-After", _sends(_throttled()), weight=1),
    Mailing("202 with Retry-After", _sends(_status(202, when="after", Retry_After="1"))),
    Mailing("200 instead of 202, accepted", _sends(_status(200, when="after"))),
    Mailing("200 instead of 202, not accepted", _sends(_status(200))),
    Mailing("reset before the effect", _sends(_reset("before"))),
    Mailing("reset after the effect", _sends(_reset("after"))),
    Mailing("a page of HTML", _sends({"kind": "html", "status": 502})),
    Mailing("refused for good", _sends(_status(400, "ErrorInvalidRecipients"), times=1)),
    Mailing("the draft is gone", _sends(_status(404, "ErrorItemNotFound"), times=1)),
    Mailing("draft made, answer lost", _on("messages.create", lambda: _status(504, when="after"))),
    Mailing("429 while drafting", _on("messages.create", lambda: _throttled(Retry_After="1"))),
    Mailing("reset while drafting", _on("messages.create", lambda: _reset("after"))),
    Mailing("a file's answer lost", _on("attachments.create", lambda: _status(504, when="after"), 1), large=True),
    *(Mailing(pool, _lost_answers(), pool=pool) for pool in POOLS if pool not in (PLAIN, DIRECT)),
    Mailing("sendMail", pool=DIRECT),
    Mailing("sendMail, answer lost", _lost_answers("sendmail"), pool=DIRECT),
    Mailing("sendMail, 429", _on("sendmail", lambda: _throttled(Retry_After="1")), pool=DIRECT),
    Mailing("sendMail, 503", _on("sendmail", lambda: _status(503, Retry_After="1")), pool=DIRECT),
)
