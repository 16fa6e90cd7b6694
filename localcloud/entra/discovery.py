"""How does a client find the endpoints and keys of the simulated Entra ID."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from localcloud.entra.directory import ANY_TENANT, tenant_named
from localcloud.entra.tokens import LOGIN

if TYPE_CHECKING:
    from localcloud.world import World

LOGIN_ALIASES = ("login.microsoftonline.com", "login.windows.net", "login.microsoft.com", "sts.windows.net")


def openid_configuration(world: World, name: str) -> dict[str, Any]:
    """
    Return the OpenID Connect discovery document of tenant *name*, whose domain becomes its id in every URL.

    Raises:
        EntraError: no such tenant.
    """
    generic = name in ANY_TENANT
    segment = name if generic else tenant_named(world, name).id
    root = f"{LOGIN}/{segment}"
    return {
        "issuer": f"{LOGIN}/{{tenantid}}/v2.0" if generic else f"{root}/v2.0",
        "authorization_endpoint": f"{root}/oauth2/v2.0/authorize",
        "token_endpoint": f"{root}/oauth2/v2.0/token",
        "jwks_uri": f"{root}/discovery/v2.0/keys",
        "token_endpoint_auth_methods_supported": ["client_secret_post", "private_key_jwt", "client_secret_basic"],
        "response_modes_supported": ["query"],
        "response_types_supported": ["code"],
        "subject_types_supported": ["pairwise"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "scopes_supported": ["openid", "profile", "email", "offline_access"],
        "claims_supported": ["sub", "iss", "aud", "exp", "iat", "nonce", "preferred_username", "name", "tid", "oid"],
        "tenant_region_scope": None if generic else "EU",
        "cloud_instance_name": "microsoftonline.com",
        "cloud_graph_host_name": "graph.windows.net",
        "msgraph_host": "graph.microsoft.com",
    }


def instance_discovery() -> dict[str, Any]:
    """Return which login hosts are one cloud, as under ``/common/discovery/instance``."""
    metadata = {
        "preferred_network": LOGIN_ALIASES[0],
        "preferred_cache": "login.windows.net",
        "aliases": list(LOGIN_ALIASES),
    }
    endpoint = f"{LOGIN}/common/.well-known/openid-configuration"
    return {"tenant_discovery_endpoint": endpoint, "api-version": "1.1", "metadata": [metadata]}
