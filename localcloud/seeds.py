"""With whom can a fresh local cloud begin: named sets of tenants, people and an app registration."""

from __future__ import annotations

from typing import TYPE_CHECKING

from localcloud.world import GLOBAL_ADMINISTRATOR

if TYPE_CHECKING:
    from collections.abc import Callable

    from localcloud.world import Tenant, World

_YEAR_SECONDS = 365 * 86_400


def demo_tenants(world: World, home: Tenant) -> dict[str, str]:
    """Add Contoso and Fabrikam and a multi-tenant app of *home*; return the app's id and secret as variables."""
    for domain, name in (("contoso.example", "Contoso"), ("fabrikam.example", "Fabrikam")):
        tenant = world.add_tenant(domain, name)
        world.add_user(tenant, f"admin@{domain}", "Ada Admin", administrator_roles=(GLOBAL_ADMINISTRATOR,))
        for first in ("Ann", "Box", "Cyd"):
            world.add_user(tenant, f"{first.lower()}@{domain}", f"{first} of {name}")
    app = world.add_registration(home, "Mailgrant", ["http://127.0.0.1:7071/api/consent/callback"])
    _, secret = app.add_secret(world.clock() + _YEAR_SECONDS)
    return {"LOCALCLOUD_CLIENT_ID": app.client_id, "LOCALCLOUD_CLIENT_SECRET": secret}


SEEDS: dict[str, Callable[[World, Tenant], dict[str, str]]] = {"demo": demo_tenants}
