"""May this token do this to this mailbox, and in which words is it refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

from localcloud.entra.tokens import TokenIssuer, TokenRejected
from localcloud.graph.calls import Caller
from localcloud.mail.errors import MailError

if TYPE_CHECKING:
    from localcloud.graph.calls import Operation
    from localcloud.graph.wire import Request
    from localcloud.mail.mailboxes import Mailboxes
    from localcloud.mail.store import Mailbox
    from localcloud.world import User, World

AUDIENCES = ("https://graph.microsoft.com", "00000003-0000-0000-c000-000000000000")
_NEEDED = {"mail": "Mail.ReadWrite", "send": "Mail.Send", "directory": "User.Read.All"}


def identify(world: World, issuer: TokenIssuer, request: Request) -> Caller:
    """
    Return who calls, from the bearer token.

    Raises:
        MailError: 401 InvalidAuthenticationToken.
    """
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    try:
        claims = issuer.verify(token.strip() if scheme.casefold() == "bearer" else "", AUDIENCES)
    except TokenRejected as error:
        raise MailError(401, "InvalidAuthenticationToken", str(error)) from error
    tenant = world.find_tenant(str(claims.get("tid", "")))
    if tenant is None:
        raise MailError(401, "InvalidAuthenticationToken", "Access token validation failure. Invalid tenant.")
    return Caller(str(claims.get("appid", "")), tenant, frozenset(claims.get("roles", ())))


def open_mailbox(mailboxes: Mailboxes, caller: Caller, operation: Operation, user_key: str | None) -> Mailbox | None:
    """
    Return the mailbox that *operation* is about, None for those about the directory or nothing.

    Raises:
        MailError: the token's rights do not suffice, or there is no such mailbox in the token's tenant.
    """
    if operation.access == "any":
        return None
    if operation.access == "directory":
        if "User.Read.All" not in caller.roles:
            raise MailError(403, "Authorization_RequestDenied", "Insufficient privileges to complete the operation.")
        return None
    user = caller.tenant.find_user(user_key or "")
    _check_role(mailboxes, caller, operation, user)
    if user is None:
        raise MailError(404, "ErrorInvalidUser", f"The requested user '{user_key}' is invalid.")
    _check_state(user)
    return mailboxes.of(caller.tenant, user)


def _check_role(mailboxes: Mailboxes, caller: Caller, operation: Operation, user: User | None) -> None:
    """Check the role; mailboxes opened by Exchange's own role-based access (RBAC for Applications) need none."""
    reachable = mailboxes.world.modes.get(f"rbac_mailboxes:{caller.app_id}", ())
    if user is not None and user.address.casefold() in {str(address).casefold() for address in reachable}:
        return
    if not caller.roles:
        raise MailError(401, "NoPermissionsInAccessToken",
                        "The token contains no permissions, or permissions can not be understood.")  # fmt: skip
    if _NEEDED[operation.access] not in caller.roles:
        raise MailError(403, "ErrorAccessDenied", "Access is denied. Check credentials and try again.")


def _check_state(user: User) -> None:
    if user.mailbox_state == "access_denied":
        raise MailError(403, "ErrorAccessDenied", "Access is denied. Check credentials and try again.")
    if user.mailbox_state != "enabled":
        raise MailError(404, "MailboxNotEnabledForRESTAPI",
                        "The mailbox is either inactive, soft-deleted, or is hosted on-premise.")  # fmt: skip
