"""
Which tokens does the simulated Entra ID hand out, and which ones does a simulated service accept.

They are real RS256 JSON web tokens, checkable against the key set that Entra publishes.
"""

from __future__ import annotations

import base64
import hashlib
import json
import uuid
from typing import TYPE_CHECKING, Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

if TYPE_CHECKING:
    from collections.abc import Mapping

    from localcloud.world import ManagedIdentity, Registration, ServicePrincipal, Tenant, User, World

LOGIN = "https://login.microsoftonline.com"
GRAPH_AUDIENCE = "https://graph.microsoft.com"
GRAPH_RESOURCE_ID = "00000003-0000-0000-c000-000000000000"
GRAPH_AUDIENCES = (GRAPH_AUDIENCE, GRAPH_RESOURCE_ID)
VAULT_AUDIENCE = "https://vault.azure.net"
TOKEN_EXCHANGE_AUDIENCE = "api://AzureADTokenExchange"
_REMEMBERED_TOKENS = 4096


class TokenRejected(Exception):
    """A bearer token is not acceptable; *message* is what the service answers with its 401."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _number(value: int) -> str:
    return _base64url(value.to_bytes((value.bit_length() + 7) // 8, "big"))


class TokenIssuer:
    """Signs and checks every token of *world* with one key that lives as long as this object."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        public = self._key.public_key()
        spki = public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        self.key_id = _base64url(hashlib.sha256(spki).digest()[:20])
        self._public = public
        self._accepted: dict[str, dict[str, Any]] = {}

    def key_set(self) -> dict[str, Any]:
        """Return the JSON web key set, as under ``/{tenant}/discovery/v2.0/keys``."""
        numbers = self._public.public_numbers()
        key = {"kty": "RSA", "use": "sig", "kid": self.key_id, "x5t": self.key_id, "alg": "RS256"}
        return {"keys": [{**key, "n": _number(numbers.n), "e": _number(numbers.e)}]}

    def issue_app_token(
        self,
        tenant: Tenant,
        registration: Registration,
        audience: str = GRAPH_AUDIENCE,
        *,
        roles: set[str] | None = None,
        seconds: float | None = None,
        by_secret: bool = True,
    ) -> str:
        """
        Return an app-only access token in the v1.0 format of Graph tokens.

        *roles* are those visible in the tenant unless given; without any, the claim is absent, as in Entra.
        *seconds* is the lifetime, by default the ``token_seconds`` mode.
        """
        principal = tenant.principals.get(registration.client_id)
        granted = self.visible_roles(principal, audience) if roles is None else roles
        claims = self._v1_claims(tenant.id, principal.object_id if principal else str(uuid.uuid4()), audience, seconds)
        claims |= {
            "app_displayname": registration.display_name,
            "appid": registration.client_id,
            "appidacr": "1" if by_secret else "2",
        }
        if granted:
            claims["roles"] = sorted(granted)
        return self._sign(claims)

    def visible_roles(self, principal: ServicePrincipal | None, audience: str) -> set[str]:
        """Return the Graph application roles that a token for *audience* carries now."""
        if principal is None or audience not in GRAPH_AUDIENCES or self.world.clock() < principal.visible_at:
            return set()
        return principal.roles

    def issue_identity_token(self, identity: ManagedIdentity, audience: str) -> str:
        """Return a managed identity's token; for the token exchange audience it serves as a client assertion."""
        claims = self._v1_claims(identity.tenant_id, identity.principal_id, audience, seconds=86_400)
        claims |= {"appid": identity.client_id, "appidacr": "2", "xms_mirid": identity.resource_id}
        if audience == TOKEN_EXCHANGE_AUDIENCE:
            claims |= {"iss": f"{LOGIN}/{identity.tenant_id}/v2.0", "ver": "2.0"}
        return self._sign(claims)

    def issue_id_token(self, tenant: Tenant, user: User, client_id: str, nonce: str | None) -> str:
        """Return the OpenID Connect id token of *user*; ``wids`` are the administrator roles held in the tenant."""
        now = int(self.world.clock())
        claims: dict[str, Any] = {
            "aud": client_id, "iss": f"{LOGIN}/{tenant.id}/v2.0", "iat": now, "nbf": now, "exp": now + 3600,
            "name": user.display_name, "oid": user.id, "preferred_username": user.address,
            "sub": _base64url(hashlib.sha256(f"{client_id}{user.id}".encode()).digest()),
            "tid": tenant.id, "uti": uuid.uuid4().hex[:22], "ver": "2.0",
        }  # fmt: skip
        if nonce is not None:
            claims["nonce"] = nonce
        if not self.world.modes.get("id_token_without_wids"):
            # Members without any administrator role carry the template of "User" itself.
            claims["wids"] = [*user.administrator_roles, "b79fbf4d-3ef9-4689-8143-76b194e85509"]
        return self._sign(claims)

    def issue_user_token(self, tenant: Tenant, user: User, client_id: str, scope: str) -> str:
        """Return the delegated Graph token that goes with an id token."""
        claims = self._v1_claims(tenant.id, user.id, GRAPH_AUDIENCE, None)
        claims |= {"appid": client_id, "appidacr": "1", "idtyp": "user", "scp": scope, "upn": user.address}
        return self._sign(claims)

    def verify(self, token: str, audiences: tuple[str, ...]) -> dict[str, Any]:
        """
        Return the claims of *token* if this issuer signed it for one of *audiences* and it has not expired.

        Raises:
            TokenRejected: with the message that Microsoft Graph shows.
        """
        claims = self.check_signature(token)
        if claims.get("aud") not in audiences:
            raise TokenRejected("Access token validation failure. Invalid audience.")
        if self.world.clock() >= float(claims.get("exp", 0)):
            raise TokenRejected("Lifetime validation failed, the token is expired.")
        return claims

    def check_signature(self, token: str) -> dict[str, Any]:
        """Return the claims of a token that this issuer signed, whatever its audience and age; else TokenRejected."""
        if not token:
            raise TokenRejected("Access token is empty.")
        remembered = self._accepted.get(token)
        if remembered is not None:
            return remembered
        try:
            options: Any = {"verify_exp": False, "verify_nbf": False, "verify_iat": False, "verify_aud": False}
            claims: dict[str, Any] = jwt.decode(token, self._public, algorithms=["RS256"], options=options)
        except jwt.InvalidSignatureError as error:
            raise TokenRejected("Access token validation failure. Signature is invalid.") from error
        except jwt.InvalidTokenError as error:
            raise TokenRejected("CompactToken parsing failed with error code: 80049217") from error
        if len(self._accepted) >= _REMEMBERED_TOKENS:
            self._accepted.clear()
        self._accepted[token] = claims
        return claims

    def _v1_claims(self, tenant_id: str, object_id: str, audience: str, seconds: float | None) -> dict[str, Any]:
        now = int(self.world.clock())
        lifetime = float(self.world.modes["token_seconds"]) if seconds is None else seconds
        issuer = f"https://sts.windows.net/{tenant_id}/"
        return {
            "aud": audience, "iss": issuer, "iat": now, "nbf": now, "exp": int(now + lifetime), "aio": uuid.uuid4().hex,
            "idp": issuer, "idtyp": "app", "oid": object_id, "sub": object_id, "tid": tenant_id,
            "uti": uuid.uuid4().hex[:22], "ver": "1.0",
        }  # fmt: skip

    def _sign(self, claims: Mapping[str, Any]) -> str:
        headers = {"kid": self.key_id, "x5t": self.key_id}
        return jwt.encode(dict(claims), self._key, algorithm="RS256", headers=headers)


def client_information(tenant: Tenant, user: User) -> str:
    """Return the ``client_info`` value by which msal names an account."""
    return _base64url(json.dumps({"uid": user.id, "utid": tenant.id}).encode())
