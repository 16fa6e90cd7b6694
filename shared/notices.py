"""
A notice: word of something that happened, written in the same transaction as the change that it tells of.

It is a row beside the changed one, so it is there exactly if the change is; a worker hands it to whoever wants to
know, at least once, always with the same id and the same bytes, and then removes it.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from shared.identifiers import box_of, new_ulid, short_hash, split_grant_id
from shared.ports import Operation, Upsert
from shared.rows import encode
from shared.schedule import NOTICE, DueRow, minute_bucket
from shared.times import from_text, to_key, to_text

PREFIX = "mailgrant."
SCHEMA_VERSION = 1
MAX_TEXT = 2000
IN_RECEIPTS = "we|"
IN_RECORDS = "e|"
SYSTEM = "system"
"""Both the id of what belongs to no record, such as the tick, and its partition in the table `credentials`."""


class EventType(StrEnum):
    """Every type of event; the value is what CloudEvents calls its type."""

    MESSAGE_RECEIVED = "mailgrant.message.received"
    MESSAGE_STATUS = "mailgrant.message.status"
    MESSAGE_QUARANTINED = "mailgrant.message.quarantined"
    CONNECTION_CHANGED = "mailgrant.connection.changed"
    CONNECTION_FAILED = "mailgrant.connection.failed"
    CONNECTION_RECOVERED = "mailgrant.connection.recovered"
    DESTINATION_PAUSED = "mailgrant.destination.paused"
    DESTINATION_DISABLED = "mailgrant.destination.disabled"
    GRANT_CHANGED = "mailgrant.grant.changed"
    CREDENTIAL_EXPIRING = "mailgrant.credential.expiring"
    CREDENTIAL_FAILED = "mailgrant.credential.failed"
    POISON_FOUND = "mailgrant.poison.found"
    TICK_MISSED = "mailgrant.tick.missed"
    EASYAUTH_UNPROVEN = "mailgrant.easyauth.unproven"
    TEST = "mailgrant.test"

    @property
    def short(self) -> str:
        """The type without its prefix."""
        return self.value.removeprefix(PREFIX)


ALARMS = frozenset(
    {
        EventType.MESSAGE_QUARANTINED,
        EventType.CONNECTION_FAILED,
        EventType.CONNECTION_RECOVERED,
        EventType.DESTINATION_PAUSED,
        EventType.DESTINATION_DISABLED,
        EventType.GRANT_CHANGED,
        EventType.CREDENTIAL_EXPIRING,
        EventType.CREDENTIAL_FAILED,
        EventType.POISON_FOUND,
        EventType.TICK_MISSED,
        EventType.EASYAUTH_UNPROVEN,
    }
)
"""Types that go to the operator's ALERT_WEBHOOK."""

SUBSCRIBABLE = (
    EventType.MESSAGE_RECEIVED,
    EventType.MESSAGE_STATUS,
    EventType.MESSAGE_QUARANTINED,
    EventType.CONNECTION_CHANGED,
    EventType.CONNECTION_FAILED,
    EventType.CONNECTION_RECOVERED,
    EventType.DESTINATION_PAUSED,
    EventType.DESTINATION_DISABLED,
    EventType.POISON_FOUND,
)
"""Types that tell of one connection, so that its destination may ask for them."""

DEFAULT_EVENTS = (EventType.MESSAGE_RECEIVED, EventType.MESSAGE_QUARANTINED)
"""What a destination gets that asked for nothing: each mail, and word of each that could not be had."""


@dataclass(frozen=True, slots=True)
class Notice:
    """
    Word of one change: *subject* is the id of what changed, *at* storage's time of it.

    *data* holds ids, codes, counts and sentences that say what to do; never an address, a subject or a text of mail.
    """

    type: EventType
    subject: str
    data: Mapping[str, Any]
    at: datetime
    id: str = field(default_factory=lambda: f"evt_{new_ulid()}")

    def in_receipts(self, connection_id: str) -> Operation:
        """Return the row in table `receipts`, partition *connection_id*; wake `deliver` for it afterwards."""
        return Upsert(f"{IN_RECEIPTS}{to_key(self.at)}|{self.id}", self._values(connection_id))

    def in_outbox(self, connection_id: str) -> Operation:
        """Return the row in table `outbox`, partition *connection_id*; wake `NOTICE` for it afterwards."""
        return self.in_receipts(connection_id)

    def in_box(self, connection_id: str) -> Operation:
        """Return the row in table `connections`, the connection's shard; wake `deliver` for it afterwards."""
        return Upsert(f"{box_prefix(connection_id)}{self.id}", self._values(connection_id))

    def in_grants(self, grant_id: str) -> Operation:
        """Return the row in table `grants`, the partition of the grant's credential."""
        return Upsert(f"{grant_prefix(grant_id)}{self.id}", self._values(grant_id))

    def in_credentials(self, credential_id: str) -> Operation:
        """Return the row in table `credentials`, the partition of credentials, or of the system for `SYSTEM`."""
        return Upsert(f"{IN_RECORDS}{credential_id}|{self.id}", self._values(credential_id))

    def _values(self, owner: str) -> dict[str, Any]:
        data = {name: value[:MAX_TEXT] if isinstance(value, str) else value for name, value in self.data.items()}
        pending = Pending(self.id, self.type.value, self.subject, to_text(self.at), owner, data)
        values: dict[str, Any] = encode(pending)
        # What the worker notes is left out: a repeated write must not undo it.
        return {name: values[name] for name in ("id", "type", "subject", "at", "owner", "data")}


@dataclass(frozen=True, slots=True)
class Handed:
    """How one target fares: when it was *done* with (handed over or given up), *tries* so far, and when is the next."""

    done: str = ""
    tries: int = 0
    next_at: str = ""


@dataclass(frozen=True, slots=True)
class Pending:
    """
    A notice as its row holds it until every target is done with.

    *owner* is the id of the connection, grant or credential whose row it stands beside. *event* is what is sent, fixed
    before the first attempt so that every one sends the same bytes; *busy_until* keeps others from sending it at once.
    """

    id: str
    type: str
    subject: str
    at: str
    owner: str
    data: dict[str, Any]
    event: str = ""
    busy_until: str = ""
    destination: Handed = field(default_factory=Handed)
    alert: Handed = field(default_factory=Handed)

    def moment(self) -> datetime:
        """Return when it happened."""
        return from_text(self.at)

    def rendered(self, base_url: str) -> str:
        """Return the CloudEvents 1.0 JSON of it; *base_url* is our public root."""
        short = self.type.removeprefix(PREFIX)
        event = {
            "specversion": "1.0",
            "type": self.type,
            "id": self.id,
            "source": f"{base_url}/api/{_place_of(self.owner)}",
            "subject": self.subject,
            "time": self.at,
            "dataschema": f"urn:mailgrant:schema:{short}:{SCHEMA_VERSION}",
            "datacontenttype": "application/json",
            "data": self.data,
        }
        return json.dumps(event, ensure_ascii=False, separators=(",", ":"))


def marked_id(*mark: str) -> str:
    """Return an event id that the same *mark* gives again: for a notice whose write may be repeated."""
    return f"evt_{short_hash('|'.join(mark))}"


def full_type(text: str) -> EventType | None:
    """Return the type that *text* names, with or without its prefix, or None."""
    name = text if text.startswith(PREFIX) else f"{PREFIX}{text}"
    return EventType(name) if name in EventType._value2member_map_ else None


def wanted(events: Sequence[str]) -> tuple[str, ...]:
    """Return the types that a destination gets whose list is *events*; an empty list stands for the default."""
    return tuple(events) or tuple(item.value for item in DEFAULT_EVENTS)


def box_prefix(connection_id: str) -> str:
    """Return how the keys of a connection's notices begin in table `connections`."""
    return f"b|{box_of(connection_id)}|evt|{connection_id}|"


def grant_prefix(grant_id: str) -> str:
    """Return how the keys of a grant's notices begin in table `grants`. Raises ValueError where it is no grant's id."""
    parts = split_grant_id(grant_id)
    if parts is None:
        message = "not a grant id"
        raise ValueError(message)
    return f"{IN_RECORDS}{parts[1]}|"


def soon(connection_id: str, now: datetime) -> Operation:
    """
    Return the due row that goes into the transaction of `Notice.in_box`, so that a lost wake-up costs minutes only.

    All notices of one minute share it. Wake `NOTICE` afterwards without naming it: it fires by itself in any case.
    """
    due = DueRow(minute_bucket(now), NOTICE, connection_id)
    return Upsert(due.key, due.values)


def due_first(owner: str, now: datetime) -> DueRow:
    """Return the due row that is written before a change in another table, and finds its notice seconds later."""
    return DueRow(now + timedelta(seconds=2), NOTICE, owner)


def _place_of(owner: str) -> str:
    for prefix, collection in (("conn_", "connections"), ("grant_", "grants"), ("cred_", "credentials")):
        if owner.startswith(prefix):
            return f"{collection}/{owner}"
    return owner
