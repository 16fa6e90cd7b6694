"""What does the simulated ``/oauth2/v2.0/token`` answer: app-only tokens and the redemption of sign-in codes."""

from __future__ import annotations

import base64
import hashlib
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from localcloud.entra.clients import authenticate
from localcloud.entra.directory import client_tenant, membership, registration_for, required, tenant_named
from localcloud.entra.errors import EntraError
from localcloud.entra.tokens import (
    GRAPH_AUDIENCE,
    GRAPH_RESOURCE_ID,
    TOKEN_EXCHANGE_AUDIENCE,
    VAULT_AUDIENCE,
    TokenIssuer,
    client_information,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from localcloud.world import Tenant, User

RESOURCES = frozenset(
    {
        GRAPH_AUDIENCE,
        GRAPH_RESOURCE_ID,
        VAULT_AUDIENCE,
        TOKEN_EXCHANGE_AUDIENCE,
        "https://storage.azure.com",
        "https://management.azure.com",
    }
)
_CODE_SECONDS = 600


@dataclass(frozen=True)
class SignIn:
    """What an authorization code stands for."""

    tenant: Tenant
    user: User
    client_id: str
    redirect_uri: str
    scope: str
    nonce: str | None
    challenge: str | None
    challenge_method: str
    expires_at: float


class TokenGrants:
    """The token endpoint; it remembers the codes that the sign-in page gave out."""

    def __init__(self, issuer: TokenIssuer) -> None:
        self.issuer = issuer
        self.world = issuer.world
        self._codes: dict[str, SignIn] = {}
        self._redeemed: set[str] = set()

    def code_for(self, sign_in: SignIn) -> str:
        """Return a new authorization code."""
        code = f"1.{secrets.token_urlsafe(60)}"
        self._codes[code] = sign_in
        return code

    def code_expiry(self) -> float:
        """Return until when a code given out now can be redeemed (epoch seconds)."""
        return self.world.clock() + _CODE_SECONDS

    def grant(self, tenant_name: str, form: Mapping[str, str]) -> dict[str, Any]:
        """
        Return the token response to a request for *tenant_name*.

        Raises:
            EntraError: as Entra refuses it.
        """
        grant_type = required(form, "grant_type")
        if grant_type == "client_credentials":
            return self._client_credentials(tenant_name, form)
        if grant_type == "authorization_code":
            return self._authorization_code(tenant_name, form)
        raise EntraError(70003, grant_type=grant_type)

    def _client_credentials(self, tenant_name: str, form: Mapping[str, str]) -> dict[str, Any]:
        client_id = required(form, "client_id")
        tenant = client_tenant(self.world, tenant_name, client_id)
        member = membership(self.world, tenant, client_id)
        audience = _resource(required(form, "scope"), tenant)
        by_secret = authenticate(self.issuer, tenant, member.registration, form)
        if not member.principal.enabled:
            raise EntraError(7000112, client_id=client_id, name=member.registration.display_name)
        token = self.issuer.issue_app_token(tenant, member.registration, audience, by_secret=by_secret)
        seconds = int(self.world.modes["token_seconds"])
        answer = {"token_type": "Bearer", "expires_in": seconds, "ext_expires_in": seconds, "access_token": token}
        if (refresh_in := self.world.modes.get("refresh_in")) is not None:
            answer["refresh_in"] = int(refresh_in)
        return answer

    def _authorization_code(self, tenant_name: str, form: Mapping[str, str]) -> dict[str, Any]:
        client_id, code = required(form, "client_id"), required(form, "code")
        app, tenant = registration_for(self.world, tenant_name, client_id)
        authenticate(self.issuer, tenant or tenant_named(self.world, app.home_tenant), app, form)
        sign_in = self._redeem(code, client_id)
        if (redirect_uri := required(form, "redirect_uri")) != sign_in.redirect_uri:
            raise EntraError(500112, redirect_uri=redirect_uri, expected=sign_in.redirect_uri)
        if tenant is not None and tenant.id != sign_in.tenant.id:
            raise EntraError(70008)
        _check_verifier(sign_in, form.get("code_verifier", ""))
        return self._signed_in(sign_in)

    def _redeem(self, code: str, client_id: str) -> SignIn:
        if code in self._redeemed:
            raise EntraError(54005)
        sign_in = self._codes.pop(code, None)
        if sign_in is None or sign_in.client_id != client_id or self.world.clock() >= sign_in.expires_at:
            raise EntraError(70008)
        self._redeemed.add(code)
        return sign_in

    def _signed_in(self, sign_in: SignIn) -> dict[str, Any]:
        seconds = int(self.world.modes["token_seconds"])
        access_token = self.issuer.issue_user_token(sign_in.tenant, sign_in.user, sign_in.client_id, sign_in.scope)
        return {
            "token_type": "Bearer", "scope": sign_in.scope, "expires_in": seconds, "ext_expires_in": seconds,
            "access_token": access_token, "client_info": client_information(sign_in.tenant, sign_in.user),
            "id_token": self.issuer.issue_id_token(sign_in.tenant, sign_in.user, sign_in.client_id, sign_in.nonce),
        }  # fmt: skip


def _resource(scope: str, tenant: Tenant) -> str:
    """Return the audience that a client-credentials *scope* names (exactly one ``…/.default``)."""
    if " " in scope.strip() or not scope.strip():
        raise EntraError(70011, scope=scope)
    resource, separator, name = scope.strip().rpartition("/")
    if not separator or name != ".default":
        raise EntraError(1002012, scope=scope)
    # A resource that ends in a slash is asked for with two of them.
    resource = resource.rstrip("/")
    if resource not in RESOURCES:
        raise EntraError(500011, resource=resource, directory=tenant.display_name)
    return resource


def _check_verifier(sign_in: SignIn, verifier: str) -> None:
    if sign_in.challenge is None:
        return
    digest = hashlib.sha256(verifier.encode()).digest()
    computed = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
    if (computed if sign_in.challenge_method == "S256" else verifier) != sign_in.challenge:
        raise EntraError(501481)
