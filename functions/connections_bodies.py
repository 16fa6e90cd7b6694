"""What requests about connections look like, and how they become what the use cases take."""

from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from functions.requests import Body
from shared.compose import recipients
from shared.connection_admin.changes import FIXED
from shared.connection_admin.redelivery import Asked
from shared.connection_admin.rules import AskedAction, NewConnection
from shared.connection_admin.signing import OVERLAP_HOURS
from shared.connections import Action, Destination, Direction, Limits
from shared.errors import FieldFault, InvalidRequest
from shared.notices import EventType, full_type
from shared.times import from_text

Name = Annotated[str, Field(min_length=1, max_length=200)]
_OPTIONS = (
    *("interval_minutes", "automatic_mail", "retention_days", "hold_hours", "max_message_mb", "send_rate"),
    "recipient_allow_list",
)


AllowedRecipient = Annotated[str, AfterValidator(recipients.allowed)]


class AfterFetchBody(Body):
    """What to do with a fetched message."""

    action: Action
    folder: Annotated[str, Field(max_length=1000)] = ""

    def asked(self) -> AskedAction:
        """Return it as the use cases take it."""
        return AskedAction(self.action, self.folder)


class DestinationBody(Body):
    """Where fetched mail goes; *events* are the types that it gets, None for those that it has or the usual ones."""

    type: Literal["webhook", "queue"]
    url: Annotated[str, Field(max_length=2000)] = ""
    name: Annotated[str, Field(max_length=63)] = ""
    events: Annotated[list[Annotated[str, Field(max_length=100)]], Field(min_length=1, max_length=50)] | None = None

    def asked(self) -> Destination:
        """Return it as the use cases take it."""
        events = tuple(dict.fromkeys(str(full_type(name) or name) for name in self.events or ()))
        return Destination(self.type, self.url, self.name, events=events)


class StatusWebhookBody(Body):
    """Where the ends of sent mail are told."""

    url: Annotated[str, Field(min_length=1, max_length=2000)]

    def asked(self) -> Destination:
        """Return it as the use cases take it."""
        return Destination("webhook", self.url, events=(EventType.MESSAGE_STATUS.value,))


class LimitsBody(Body):
    """How much of a mailbox an incoming connection stores; null stands for the default."""

    max_message_mb: int | None = None
    max_stored_mb_per_day: int | None = None

    def asked(self) -> dict[str, int]:
        """Return what was sent, as the use cases take it."""
        default = asdict(Limits())
        return {
            name: default[name] if value is None else value
            for name, value in self.model_dump(exclude_unset=True).items()
        }


class Since(Body):
    """A start at some time."""

    since: str


class ContinueFrom(Body):
    """A start where a deleted connection stopped."""

    continue_from: Annotated[str, Field(max_length=100)]


class Options(Body):
    """What may be given at creation and changed later."""

    enabled: bool = True
    interval_minutes: int = 5
    after_fetch: AfterFetchBody | None = None
    destination: DestinationBody | None = None
    automatic_mail: Literal["deliver", "skip"] = "deliver"
    limits: LimitsBody | None = None
    retention_days: int = 30
    hold_hours: int = 72
    max_message_mb: int = 35
    send_rate: int = 30
    status_webhook: StatusWebhookBody | None = None
    recipient_allow_list: Annotated[list[AllowedRecipient], Field(default_factory=list, max_length=500)]

    def given(self) -> dict[str, Any]:
        """Return those optional fields that were sent and that a connection keeps as they are."""
        sent = self.model_dump(exclude_unset=True, include=set(_OPTIONS))
        return {name: tuple(value) if isinstance(value, list) else value for name, value in sent.items()}


class CreateConnection(Options):
    """POST connections."""

    direction: Direction
    grant_id: str
    mailbox: Annotated[str, Field(min_length=1, max_length=320)]
    name: Name
    folder: Annotated[str, Field(min_length=1, max_length=1000)] = "inbox"
    start: Literal["now", "all"] | Since | ContinueFrom = "now"

    def asked(self) -> NewConnection:
        """Return it as the use case takes it."""
        return NewConnection(
            direction=self.direction,
            grant_id=self.grant_id,
            mailbox=self.mailbox,
            name=self.name,
            enabled=self.enabled,
            folder=self.folder,
            start=_start(self.start),
            after_fetch=self.after_fetch.asked() if self.after_fetch else AskedAction(),
            destination=self._destination(),
            options=self.given() | ({"limits": Limits(**self.limits.asked())} if self.limits else {}),
            continue_from=self.start.continue_from if isinstance(self.start, ContinueFrom) else "",
        )

    def _destination(self) -> Destination | None:
        given = self.destination if self.direction is Direction.INCOMING else self.status_webhook
        return given.asked() if given else None


def _start(start: str | Since | ContinueFrom) -> str:
    if isinstance(start, Since):
        return start.since
    return "now" if isinstance(start, ContinueFrom) else start


class ChangeConnection(Options):
    """PATCH connections/{id}; what cannot change is taken here, so that the refusal can say what to do."""

    name: Name = ""
    direction: Any = None
    grant_id: Any = None
    mailbox: Any = None
    folder: Any = None
    start: Any = None

    def changes(self) -> dict[str, Any]:
        """Return what is to change, as the use case takes it."""
        sent = self.model_fields_set
        values = self.given() | {name: getattr(self, name) for name in ("name", "enabled", *FIXED) if name in sent}
        if self.after_fetch is not None:
            values["after_fetch"] = self.after_fetch.asked()
        elif "after_fetch" in sent:
            values["after_fetch"] = AskedAction()  # JSON Merge Patch: null takes a member away
        if "limits" in sent:
            values["limits"] = self.limits.asked() if self.limits else asdict(Limits())
        if "destination" in sent:
            values["destination"] = self.destination.asked() if self.destination else None
        if "status_webhook" in sent:
            values["status_webhook"] = self.status_webhook.asked() if self.status_webhook else None
        return values


class BulkOperation(Body):
    """One operation; *connection* is the body that ``POST connections`` or ``PATCH connections/{id}`` would take."""

    op: Literal["create", "patch", "delete", "enable", "disable"]
    id: Annotated[str, Field(max_length=100)] = ""
    connection: dict[str, Any] | None = None
    version: int | None = None
    discard: bool = False

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if (self.op == "create") == bool(self.id):
            raise ValueError("every operation but create needs an id, and create makes one")
        if (self.op in ("create", "patch")) != (self.connection is not None):
            raise ValueError("create and patch need connection, the others take none")
        if self.version is not None and self.op in ("create", "delete"):
            raise ValueError("version is for patch, enable and disable")
        if self.discard and self.op != "delete":
            raise ValueError("discard is for delete")
        return self


class BulkBody(Body):
    """POST connections/bulk; the operations are done one after the other, and each succeeds or fails by itself."""

    operations: Annotated[list[BulkOperation], Field(min_length=1, max_length=100)]
    dry_run: bool = False


class RedeliverBody(Body):
    """POST connections/{id}/redeliver; *since* and *until* are bounds of when mail was stored."""

    status: str
    since: str | None = None
    until: str | None = None
    dry_run: bool = False

    def asked(self) -> Asked:
        """Return it as the use case takes it. Raises `InvalidRequest`."""
        return Asked(self.status, _moment("since", self.since), _moment("until", self.until))


class TestConnection(Body):
    """POST connections/{id}/test; *unreachable_mailbox* is one that the app must not be able to read."""

    unreachable_mailbox: Annotated[str, Field(max_length=320, repr=False)] = ""


class RotateSigningSecret(Body):
    """POST connections/{id}/signing-secret/rotate."""

    overlap_hours: int = OVERLAP_HOURS


class CreateToken(Body):
    """POST connections/{id}/tokens."""

    scope: Literal["send", "receive"]


def _moment(name: str, text: str | None) -> datetime | None:
    try:
        return from_text(text) if text is not None else None
    except ValueError:
        message = f"{name} must be a time such as 2026-11-22T07:00:00Z"
        raise InvalidRequest(message, [FieldFault(f"/{name}", "not_a_time", message)]) from None
