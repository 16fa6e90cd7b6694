"""Who an administrator is where Easy Auth signs people in: what its header says, and what each role may do."""

import base64
import binascii
import json
import secrets
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from shared.codes import Code
from shared.errors import Refused

HEADER = "X-MS-CLIENT-PRINCIPAL"
"""Base64 of JSON that the platform writes; Microsoft describes it under "Work with user identities in App Service"."""
MAX_HEADER = 64 * 1024
_TENANT = ("tid", "http://schemas.microsoft.com/identity/claims/tenantid")
_OBJECT = ("oid", "http://schemas.microsoft.com/identity/claims/objectidentifier")
_ROLES = ("roles", "http://schemas.microsoft.com/ws/2008/06/identity/claims/role")


class Role(StrEnum):
    """The app roles of the sign-in's registration; the value is what stands in the claim."""

    ADMIN = "Mailgrant.Admin"
    VIEWER = "Mailgrant.Viewer"


@dataclass(frozen=True, slots=True)
class Principal:
    """A person or an application that Entra has signed in."""

    object_id: str
    tenant: str
    roles: frozenset[str]


def principal_of(claimed: str) -> Principal | None:
    """Return whom the header *claimed* names, None where it is absent or says nothing of use; it may be forged."""
    if not claimed or len(claimed) > MAX_HEADER:
        return None
    try:
        body = json.loads(base64.b64decode(claimed, validate=True))
        if body["auth_typ"] != "aad":
            return None
        claims = [(str(claim["typ"]), str(claim["val"])) for claim in body["claims"]]
        role_type = body.get("role_typ")
    except (binascii.Error, ValueError, KeyError, TypeError, RecursionError, AttributeError):
        return None
    tenant, object_id = _first(claims, _TENANT), _first(claims, _OBJECT)
    roles = frozenset(value for kind, value in claims if kind in (*_ROLES, role_type))
    return Principal(object_id, tenant, roles) if tenant and object_id else None


def admit(principal: Principal | None, tenant: str, *, writes: bool, content: bool) -> Principal:
    """
    Return the *principal* if it may do what it asks for: change something (*writes*), or open mail (*content*).

    Raises `Refused`: nobody signed in, of another tenant than *tenant*, or without the role.
    """
    if principal is None:
        detail = "Nobody is signed in. Sign in at /.auth/login/aad, then repeat the request."
        raise Refused(detail, Code.SIGN_IN_REQUIRED)
    if principal.tenant.lower() != tenant.lower():
        detail = "This account belongs to another tenant than ADMIN_TENANT. Sign in with an account of that one."
        raise Refused(detail, Code.NOT_ADMITTED, known=True)
    if Role.ADMIN in principal.roles:
        return principal
    if Role.VIEWER not in principal.roles:
        detail = (
            f"This account has neither the app role {Role.ADMIN} nor {Role.VIEWER}. "
            "Let it be assigned one in Entra (Enterprise applications, Users and groups), then sign in again."
        )
        raise Refused(detail, Code.NOT_ADMITTED, known=True)
    if writes or content:
        what = "change anything" if writes else "open mail"
        raise Refused(
            f"{Role.VIEWER} may not {what}. It takes the app role {Role.ADMIN}.", Code.NOT_ADMITTED, known=True
        )
    return principal


def forged(tenant: str) -> str:
    """Return a header as an impostor would write it, which names an administrator of *tenant* who never is."""
    claims = {"tid": tenant, "oid": f"impostor-{secrets.token_hex(8)}", "roles": Role.ADMIN.value}
    return header_of([{"typ": kind, "val": value} for kind, value in claims.items()])


def header_of(claims: list[dict[str, str]]) -> str:
    """Return the header that says *claims* (``typ`` and ``val`` each)."""
    body: dict[str, Any] = {"auth_typ": "aad", "claims": claims, "name_typ": "name", "role_typ": "roles"}
    return base64.b64encode(json.dumps(body).encode()).decode()


def _first(claims: list[tuple[str, str]], kinds: tuple[str, ...]) -> str:
    return next((value for kind, value in claims if kind in kinds), "")
