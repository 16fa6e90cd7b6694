"""What requests about connections look like, and how they become what the use cases take."""

from typing import Annotated, Any, Literal

from pydantic import Field

from functions.requests import Body
from shared.connection_admin.changes import FIXED
from shared.connection_admin.rules import AskedAction, NewConnection
from shared.connections import Action, Destination, Direction

Name = Annotated[str, Field(min_length=1, max_length=200)]
_OPTIONS = ("interval_minutes", "automatic_mail", "retention_days", "hold_hours", "max_message_mb", "send_rate")


class AfterFetchBody(Body):
    """What to do with a fetched message."""

    action: Action
    folder: Annotated[str, Field(max_length=1000)] = ""

    def asked(self) -> AskedAction:
        """Return it as the use cases take it."""
        return AskedAction(self.action, self.folder)


class DestinationBody(Body):
    """Where fetched mail goes."""

    type: Literal["webhook", "queue"]
    url: Annotated[str, Field(max_length=2000)] = ""
    name: Annotated[str, Field(max_length=63)] = ""

    def asked(self) -> Destination:
        """Return it as the use cases take it."""
        return Destination(self.type, self.url, self.name)


class Since(Body):
    """A start at some time."""

    since: str


class Options(Body):
    """What may be given at creation and changed later."""

    enabled: bool = True
    interval_minutes: int = 5
    after_fetch: AfterFetchBody | None = None
    destination: DestinationBody | None = None
    automatic_mail: Literal["deliver", "skip"] = "deliver"
    retention_days: int = 30
    hold_hours: int = 72
    max_message_mb: int = 35
    send_rate: int = 30

    def given(self) -> dict[str, Any]:
        """Return those optional fields that were sent and that a connection keeps as they are."""
        return self.model_dump(exclude_unset=True, include=set(_OPTIONS))


class CreateConnection(Options):
    """POST connections."""

    direction: Direction
    grant_id: str
    mailbox: Annotated[str, Field(min_length=1, max_length=320)]
    name: Name
    folder: Annotated[str, Field(min_length=1, max_length=1000)] = "inbox"
    start: Literal["now", "all"] | Since = "now"

    def asked(self) -> NewConnection:
        """Return it as the use case takes it."""
        return NewConnection(
            direction=self.direction,
            grant_id=self.grant_id,
            mailbox=self.mailbox,
            name=self.name,
            enabled=self.enabled,
            folder=self.folder,
            start=self.start.since if isinstance(self.start, Since) else self.start,
            after_fetch=self.after_fetch.asked() if self.after_fetch else AskedAction(),
            destination=self.destination.asked() if self.destination else None,
            options=self.given(),
        )


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
        if "destination" in sent:
            values["destination"] = self.destination.asked() if self.destination else None
        return values


class CreateToken(Body):
    """POST connections/{id}/tokens."""

    scope: Literal["send", "receive"]
