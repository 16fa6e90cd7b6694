"""Which tenant and which app does a request to the simulated Entra ID mean, and may the two meet."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from localcloud.entra.errors import EntraError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from localcloud.world import Registration, ServicePrincipal, Tenant, World

ANY_TENANT = frozenset({"common", "organizations"})
PERSONAL_TENANTS = frozenset({"consumers", "9188040d-6c67-4c5b-b112-36a304b66dad"})
_GUID = re.compile(r"[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}", re.IGNORECASE)


class Member(NamedTuple):
    """An app as one tenant knows it."""

    tenant: Tenant
    registration: Registration
    principal: ServicePrincipal


def required(parameters: Mapping[str, str], name: str) -> str:
    """Return a parameter that must be present and not empty, else raise AADSTS900144."""
    value = parameters.get(name, "")
    if not value:
        raise EntraError(900144, parameter=name)
    return value


def tenant_named(world: World, name: str) -> Tenant:
    """Return the tenant of a URL path, else raise AADSTS90002 or, where it cannot name any tenant, AADSTS900023."""
    tenant = world.find_tenant(name)
    if tenant is not None:
        return tenant
    if _GUID.fullmatch(name) or "." in name:
        raise EntraError(90002, tenant=name)
    raise EntraError(900023, tenant=name)


def registration_for(world: World, name: str, client_id: str) -> tuple[Registration, Tenant | None]:
    """
    Return the app and the tenant that a URL with tenant *name* asks for; None is "whichever signs in".

    Raises:
        EntraError: unknown app, unknown tenant, or a single-tenant app outside its home tenant.
    """
    registration = world.registrations.get(client_id)
    if name in ANY_TENANT:
        if registration is None:
            raise EntraError(700016, client_id=client_id, directory=name)
        if not registration.multitenant:
            raise EntraError(50194, client_id=client_id, name=registration.display_name)
        return registration, None
    if name in PERSONAL_TENANTS:
        raise EntraError(9001023)
    tenant = tenant_named(world, name)
    if registration is None or (not registration.multitenant and registration.home_tenant != tenant.id):
        raise EntraError(700016, client_id=client_id, directory=tenant.display_name)
    return registration, tenant


def client_tenant(world: World, name: str, client_id: str) -> Tenant:
    """
    Return the tenant in which a client without a user asks for a token.

    ``organizations`` means the app's home tenant; ``common`` and ``consumers`` are refused.
    """
    if name == "common" or name in PERSONAL_TENANTS:
        raise EntraError(9001023)
    if name != "organizations":
        return tenant_named(world, name)
    registration, _ = registration_for(world, name, client_id)
    return tenant_named(world, registration.home_tenant)


def membership(world: World, tenant: Tenant, client_id: str) -> Member:
    """
    Return the app in *tenant*, as far as the directory shows it already.

    Raises:
        EntraError: AADSTS700016, or AADSTS7000229 in the app's home tenant, where there is no service principal.
    """
    registration, principal = world.registrations.get(client_id), tenant.principals.get(client_id)
    if (
        principal is not None
        and world.modes.get("propagation_hides_principal")
        and world.clock() < principal.visible_at
    ):
        principal = None
    if registration is not None and principal is not None:
        return Member(tenant, registration, principal)
    if registration is not None and registration.home_tenant == tenant.id:
        raise EntraError(7000229, client_id=client_id, directory=tenant.id)
    raise EntraError(700016, client_id=client_id, directory=tenant.display_name)
