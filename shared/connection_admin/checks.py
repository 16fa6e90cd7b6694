"""The test of a connection: each right that it needs apart, and the proof that another mailbox is shut."""

from collections.abc import Callable
from dataclasses import dataclass
from email.message import EmailMessage

from shared.codes import Code
from shared.connection_rows import find
from shared.connections import Action, Connection, Direction
from shared.errors import Fault, FieldFault, GrantFault, InvalidRequest, ItemFault, MailboxFault
from shared.grants import REQUIRED_ROLES, Grant, sentence
from shared.ports import GraphDirectory, GraphMailbox, GraphReading, GraphSending, Tables
from shared.registry import Registry
from shared.tokens import Tokens

_SEND = REQUIRED_ROLES[1]
_NOT_TOLD = "Exchange decides about this mailbox, and sending cannot be tested without sending. Send one mail to see."
_OPEN = (
    "The app can read this mailbox, though it must not. Limit it in Exchange (RBAC for Applications), and remove "
    "Mail.ReadWrite and Mail.Send from the app in Entra; a change takes up to 2 hours."
)
_NO_PROOF = "This proves nothing, since there is no such mailbox. Name one that exists."
_OWN = "this is the connection's own mailbox, which it must reach; name another one"
_DENIALS = frozenset({Code.MAILBOX_ACCESS_DENIED, Code.ROLES_MISSING})


@dataclass(frozen=True, slots=True)
class Check:
    """
    One step of a test; *ok* is None where nobody can tell, which *detail* explains.

    A failed one says why and under which id Microsoft knows of it.
    """

    name: str
    ok: bool | None
    code: str = ""
    detail: str = ""
    request_id: str = ""


@dataclass(frozen=True, slots=True)
class ConnectionChecks:
    """Tries what a connection needs; the only thing it writes is a draft, which it removes again."""

    tables: Tables
    tokens: Tokens
    directory: GraphDirectory
    reading: GraphReading
    sending: GraphSending

    def run(self, connection_id: str, unreachable: str = "") -> list[Check]:
        """
        Try everything that the connection needs, one after the other, and tell what worked.

        *unreachable* is a mailbox that must not be reachable. Raises `NotFound`, and `InvalidRequest` where that is the
        connection's own.
        """
        connection = find(self.tables, connection_id).connection
        if unreachable and unreachable.lower() in (connection.mailbox.lower(), connection.address.lower()):
            raise InvalidRequest(_OWN, [FieldFault("/unreachable_mailbox", "own_mailbox", _OWN)])
        grant = Registry(self.tables).grant(connection.grant_id).record
        try:
            mailbox = self.tokens.graph_mailbox(connection.grant_id, connection.mailbox)
        except Fault as fault:
            return [_failed("token", fault)]
        steps: list[tuple[str, Callable[[], object]]] = [
            ("token", lambda: mailbox.token(False)),
            ("mailbox", lambda: self.directory.person(mailbox)),
        ]
        outgoing = connection.direction is Direction.OUTGOING
        if not outgoing or mailbox.may_draft:
            steps.append(("read", lambda: self.directory.folder(mailbox, connection.folder_id or "inbox")))
        if outgoing and mailbox.may_draft:
            steps.append(("draft", lambda: self._draft(mailbox, connection)))
        elif connection.after_fetch.action is not Action.NONE:
            steps.append(("mark", lambda: self._mark(mailbox, connection)))
        checks = [_checked(name, step) for name, step in steps]
        if outgoing:
            checks.append(self._send_as(grant))
        if unreachable:
            other = self.tokens.graph_mailbox(connection.grant_id, unreachable)
            checks.append(self._shut(other, connection))
        return checks

    def _draft(self, mailbox: GraphMailbox, connection: Connection, use: Callable[[str], None] | None = None) -> None:
        """Make a draft, do with it what *use* does, and remove it whatever comes of that."""
        message = EmailMessage()
        message["From"] = connection.address
        message["Subject"] = "Mailgrant connection test"
        message.set_content("This draft was made by a test and is removed at once.")
        draft = self.sending.create_draft(mailbox, message.as_bytes())
        try:
            if use is not None:
                use(draft.id)
        finally:
            self.sending.delete_draft(mailbox, draft.id)

    def _mark(self, mailbox: GraphMailbox, connection: Connection) -> None:
        """Mark a draft of our own read, so that nobody's mail is touched, and look for the folder that mail goes to."""
        if connection.after_fetch.folder_id:
            self.directory.folder(mailbox, connection.after_fetch.folder_id)

        def mark(draft_id: str) -> None:
            fault = self.reading.apply(mailbox, "read", [draft_id]).get(draft_id)
            if fault is not None:
                raise fault

        self._draft(mailbox, connection, mark)

    def _send_as(self, grant: Grant) -> Check:
        """Look into a fresh token for the right to send; where Exchange gives it by itself, no token tells."""
        try:
            credential = Registry(self.tables).credential(grant.credential_id).record
            roles = self.tokens.fresh_for_verification(credential, grant.tenant).roles
        except Fault as fault:
            return _failed("send_as", fault)
        if roles is not None and _SEND in roles:
            return Check("send_as", ok=True)
        if roles is None or grant.scoped:
            return Check("send_as", ok=None, detail=_NOT_TOLD)
        return _failed("send_as", GrantFault(sentence(grant) or f"{_SEND} is missing.", Code.ROLES_MISSING))

    def _shut(self, other: GraphMailbox, connection: Connection) -> Check:
        """Prove that *other* exists and that Exchange keeps the app out of it."""
        name = "unreachable"
        try:
            if self.directory.person(other).id == connection.mailbox:
                return Check(name, ok=False, code=Code.MAILBOX_REACHABLE.value, detail=f"{_OWN[0].upper()}{_OWN[1:]}.")
            self.directory.folder(other, "inbox")
        except (MailboxFault, GrantFault, ItemFault) as fault:
            if fault.code in _DENIALS:
                detail = "Exchange keeps the app out of this mailbox."
                return Check(name, ok=True, detail=detail, request_id=fault.microsoft.request_id)
            if fault.code is Code.MAILBOX_NOT_FOUND:
                return Check(name, False, fault.code.value, _NO_PROOF, fault.microsoft.request_id)
            return _failed(name, fault)
        except Fault as fault:
            return _failed(name, fault)
        return Check(name, ok=False, code=Code.MAILBOX_REACHABLE.value, detail=_OPEN)


def _checked(name: str, step: Callable[[], object]) -> Check:
    try:
        step()
    except Fault as fault:
        return _failed(name, fault)
    return Check(name, ok=True)


def _failed(name: str, fault: Fault) -> Check:
    return Check(name, ok=False, code=fault.code.value, detail=fault.detail, request_id=fault.microsoft.request_id)
