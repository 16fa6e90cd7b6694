"""What is wrong with a connection that a person asks for, each fault named; nothing here calls anyone."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from shared.codes import Code
from shared.connections import Action, Destination, Direction
from shared.errors import FieldFault
from shared.notices import SUBSCRIBABLE, EventType
from shared.ports import Webhooks
from shared.times import from_text

QUEUE_NAME = re.compile(r"out-(?!-)(?!.*--)[a-z0-9-]{0,58}[a-z0-9]")
START_NOW, START_ALL = "now", "all"
INCOMING_ONLY = (
    "folder",
    "interval_minutes",
    "start",
    "after_fetch",
    "destination",
    "retention_days",
    "automatic_mail",
    "limits",
)
OUTGOING_ONLY = ("hold_hours", "max_message_mb", "send_rate", "recipient_allow_list", "status_webhook")
_RANGES = {
    "interval_minutes": (1, 60),
    "retention_days": (1, 3650),
    "hold_hours": (1, 720),
    "max_message_mb": (1, 150),
    "send_rate": (0, 10_000),
}
_LIMITS = {"max_message_mb": (1, 1024), "max_stored_mb_per_day": (1, 10_485_760)}


@dataclass(frozen=True, slots=True)
class AskedAction:
    """What to do with a fetched message; *folder* is an id, well-known name or path."""

    action: Action = Action.NONE
    folder: str = ""


@dataclass(frozen=True, slots=True)
class NewConnection:
    """
    What a person asks for. *mailbox* is an address or object id; *folder* an id, well-known name or path.

    *continue_from* is the id of a deleted connection to go on for; *start* counts only without it.
    *options* are those optional fields of `Connection` that were given, such as ``retention_days``.
    """

    direction: Direction
    grant_id: str
    mailbox: str
    name: str
    enabled: bool = True
    folder: str = "inbox"
    start: str = START_NOW
    after_fetch: AskedAction = AskedAction()
    destination: Destination | None = None
    options: Mapping[str, Any] = MappingProxyType({})
    continue_from: str = ""


def faults_of(asked: NewConnection, fields: Mapping[str, Any], webhooks: Webhooks) -> list[FieldFault]:
    """Return every fault of *asked*, whose fields as sent are *fields*."""
    faults = list(wrong_direction(asked.direction, fields))
    faults += list(out_of_range(fields))
    if asked.direction is Direction.INCOMING:
        faults += list(_start_faults(asked.start))
        faults += list(action_faults(asked.after_fetch))
        if asked.destination is None:
            message = "an incoming connection needs a destination: a webhook with url, or a queue with name"
            faults.append(FieldFault("/destination", "missing", message))
    if asked.destination is not None and asked.direction is Direction.INCOMING:
        faults += list(destination_faults(asked.destination, webhooks))
    elif asked.destination is not None:
        faults += list(status_webhook_faults(asked.destination, webhooks))
    return faults


def not_previewed(asked: NewConnection) -> Iterator[FieldFault]:
    """Yield why it cannot be said beforehand how much mail a connection would take."""
    if asked.direction is not Direction.INCOMING:
        message = "an outgoing connection takes no mail; create it without dry_run"
        yield FieldFault("/direction", "not_previewed", message)
    if asked.continue_from:
        message = "what the deleted connection left is not known beforehand; create the connection without dry_run"
        yield FieldFault("/start/continue_from", "not_previewed", message)


def wrong_direction(direction: Direction, fields: Mapping[str, Any]) -> Iterator[FieldFault]:
    """Yield a fault for each field that connections of the other direction have."""
    foreign = OUTGOING_ONLY if direction is Direction.INCOMING else INCOMING_ONLY
    for name in foreign:
        if name in fields:
            yield FieldFault(f"/{name}", "wrong_direction", f"{name} does not belong to {direction.value} connections")


def out_of_range(fields: Mapping[str, Any]) -> Iterator[FieldFault]:
    """Yield a fault for each number beyond its limits."""
    for name, (least, most) in _RANGES.items():
        if name in fields and not least <= fields[name] <= most:
            yield FieldFault(f"/{name}", "out_of_range", f"{name} must be from {least} to {most}")
    limits = fields.get("limits") or {}
    for name, (least, most) in _LIMITS.items():
        if limits.get(name) is not None and not least <= limits[name] <= most:
            yield FieldFault(f"/limits/{name}", "out_of_range", f"{name} must be from {least} to {most}")


def action_faults(asked: AskedAction) -> Iterator[FieldFault]:
    """Yield what is wrong with what is to become of a fetched message."""
    if asked.action is Action.MOVE and not asked.folder:
        yield FieldFault("/after_fetch/folder", "missing", "move needs a folder: an id, a well-known name or a path")
    if asked.action is not Action.MOVE and asked.folder:
        yield FieldFault("/after_fetch/folder", "not_used", f"{asked.action.value} takes no folder")


def destination_faults(destination: Destination, webhooks: Webhooks) -> Iterator[FieldFault]:
    """Yield what is wrong with a destination; makes no call."""
    yield from _event_faults(destination.events)
    if destination.type == "webhook":
        if destination.name:
            yield FieldFault("/destination/name", "not_used", "a webhook takes url, not name")
        refusal = webhooks.check(destination.url)
        if refusal:
            yield FieldFault("/destination/url", Code.DESTINATION_FORBIDDEN.value, refusal)
    else:
        if destination.url:
            yield FieldFault("/destination/url", "not_used", "a queue takes name, not url")
        if not QUEUE_NAME.fullmatch(destination.name):
            message = (
                "a queue's name begins with out- and holds lower-case letters, digits and single hyphens, at most 63"
            )
            yield FieldFault("/destination/name", "not_a_queue_name", message)


def status_webhook_faults(webhook: Destination, webhooks: Webhooks) -> Iterator[FieldFault]:
    """Yield what is wrong with where the ends of sent mail are told; makes no call."""
    refusal = webhooks.check(webhook.url)
    if refusal:
        yield FieldFault("/status_webhook/url", Code.DESTINATION_FORBIDDEN.value, refusal)


def _event_faults(events: Sequence[str]) -> Iterator[FieldFault]:
    for number, name in enumerate(events):
        if name not in SUBSCRIBABLE:
            known = ", ".join(item.value for item in SUBSCRIBABLE)
            message = f"a destination can get {known}; what concerns no single connection goes to ALERT_WEBHOOK"
            yield FieldFault(f"/destination/events/{number}", "not_an_event", message)
    if events and EventType.MESSAGE_RECEIVED not in events:
        message = f"events must hold {EventType.MESSAGE_RECEIVED.value}: a destination gets the mail in any case"
        yield FieldFault("/destination/events", "missing", message)


def _start_faults(start: str) -> Iterator[FieldFault]:
    if start in (START_NOW, START_ALL):
        return
    try:
        from_text(start)
    except ValueError:
        message = 'start must be "now", "all", {"since": a time such as 2026-01-31T00:00:00Z}'
        yield FieldFault("/start", "not_a_start", message)
