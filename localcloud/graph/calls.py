"""What does a handler know: who calls, which mailbox is meant, what was asked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from localcloud.mail.errors import bad_request, item_not_found

if TYPE_CHECKING:
    from collections.abc import Callable

    from localcloud.graph.delta_states import DeltaStates
    from localcloud.graph.wire import Reply, Request
    from localcloud.mail.mailboxes import Mailboxes
    from localcloud.mail.message import Message
    from localcloud.mail.store import Folder, Mailbox
    from localcloud.world import Tenant


@dataclass(frozen=True)
class Caller:
    """The app that a verified token speaks for, and the tenant it speaks to."""

    app_id: str
    tenant: Tenant
    roles: frozenset[str]


@dataclass
class Call:
    """One request that has passed the checks of access."""

    request: Request
    variables: dict[str, str]
    caller: Caller
    mailboxes: Mailboxes
    deltas: DeltaStates
    addressed: Mailbox | None

    @property
    def mailbox(self) -> Mailbox:
        """Return the mailbox of a mail operation."""
        if self.addressed is None:
            raise LookupError("this operation has no mailbox")
        return self.addressed

    def folder(self) -> Folder:
        """Return the folder in the path."""
        return self.mailbox.folder(self.variables["folder"])

    def message(self) -> Message:
        """Return the message in the path; with a folder before it, only one that lies there."""
        message = self.mailbox.message(self.variables["message"])
        if "folder" in self.variables and self.folder().id != message.folder_id:
            raise item_not_found()
        return message

    def destination(self) -> Folder:
        """
        Return the folder that the body of ``move`` or ``copy`` names.

        Raises:
            MailError: 400 where it names none, 404 where there is no such folder.
        """
        key = self.request.parameters().get("destinationId")
        if not isinstance(key, str) or not key:
            raise bad_request("The property 'destinationId' is required.", "ErrorInvalidRequest")
        return self.mailbox.folder(key)

    def mode(self, name: str, default: Any = None) -> Any:
        """Return a switch of the world for the addressed mailbox."""
        return self.mailboxes.mode(name, default, self.addressed.user.address if self.addressed else "")


@dataclass(frozen=True)
class Operation:
    """
    One thing that Graph can do.

    *access* is ``directory`` (User.Read.All), ``mail`` (Mail.ReadWrite), ``send`` (Mail.Send) or ``any``.
    """

    name: str
    handler: Callable[[Call], Reply]
    access: str = "mail"
