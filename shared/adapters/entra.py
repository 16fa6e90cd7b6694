"""Tokens from Entra ID through msal, whose every kind of failure becomes a fault of ours."""

import base64
import hashlib
import threading
from typing import Any, cast
from urllib.parse import quote

import httpx
import msal

from shared.adapters.entra_errors import fault_of
from shared.adapters.entra_http import BUSY, STUMBLES, MsalHttp, SignInFailed, as_json
from shared.adapters.entra_proofs import IDENTITIES, Assertions, client_credential
from shared.adapters.graph_wire import json_of
from shared.codes import Code
from shared.errors import Fault, Unreachable
from shared.identifiers import is_guid
from shared.ports import AccessToken

LONGEST_SECONDS = 86400.0
"""Beyond what any token of an app lasts: what claims to be good for longer is asked for anew."""


class MsalEntra:
    """
    The `Entra` port over msal: one app object per tenant and secret, made on first use, one token cache in memory.

    *client* should come from `environment_client`. An app object that met a failure is thrown away, because msal would
    replay a 400 for a minute (msal's `throttled_http_client.py`) and hide a consent given meanwhile.
    """

    def __init__(self, client: httpx.Client, assertions: Assertions = IDENTITIES) -> None:
        self._http = MsalHttp(client)
        self._assertions = assertions
        self._cache = msal.TokenCache()
        self._apps: dict[tuple[str, str, str, str], Any] = {}
        self._lock = threading.Lock()

    def token(
        self, *, login_host: str, tenant: str, client_id: str, secret: str, scope: str, fresh: bool
    ) -> AccessToken:
        """Return a token; *fresh* never takes one from a cache."""
        key = (login_host, tenant, client_id, hashlib.sha256(secret.encode()).hexdigest())
        authority = f"https://{login_host}/{tenant}"
        try:
            app = self._new_app(authority, client_id, secret, msal.TokenCache()) if fresh else self._apps.get(key)
            if app is None:
                app = self._remember(key, self._new_app(authority, client_id, secret, self._cache))
            result = app.acquire_token_for_client([scope], http_exceptions=(SignInFailed,))
            token = _access_token(result)
        except SignInFailed as error:
            self._forget(key)
            raise error.fault from None
        except Fault:
            self._forget(key)
            raise
        except (*STUMBLES, msal.exceptions.MsalError) as error:
            self._forget(key)
            raise _folded(error) from None
        if fresh:
            self._replace(key, app)
        return token

    def tenant_of(self, *, login_host: str, name: str) -> str:
        """Return the id of the tenant that *name* stands for, as OpenID Connect discovery tells it."""
        url = f"https://{login_host}/{quote(name, safe='')}/v2.0/.well-known/openid-configuration"
        try:
            answer = self._http.get(url)
        except SignInFailed as error:
            raise error.fault from None
        tenant = (
            str(as_json(answer.text).get("issuer", "")).removeprefix(f"https://{login_host}/").partition("/")[0].lower()
        )
        if not is_guid(tenant):
            raise Unreachable(BUSY.format("no tenant id"), Code.SIGN_IN_UNAVAILABLE)
        return tenant

    def _new_app(self, authority: str, client_id: str, secret: str, cache: Any) -> Any:
        return msal.ConfidentialClientApplication(
            client_id,
            client_credential=client_credential(secret, self._assertions),
            authority=authority,
            http_client=self._http,
            instance_discovery=False,  # otherwise msal asks another host on every error, and raises where that fails
            token_cache=cache,
        )

    def _remember(self, key: tuple[str, str, str, str], app: Any) -> Any:
        with self._lock:
            return self._apps.setdefault(key, app)

    def _forget(self, key: tuple[str, str, str, str]) -> None:
        with self._lock:
            self._apps.pop(key, None)

    def _replace(self, key: tuple[str, str, str, str], app: Any) -> None:
        """Let later calls use what a fresh call found, and drop what the shared cache still holds for this tenant."""
        with self._lock:
            self._apps[key] = app
            query = {"client_id": app.client_id, "environment": app.authority.instance, "realm": app.authority.tenant}
            for held in list(self._cache.search(msal.TokenCache.CredentialType.ACCESS_TOKEN, query=query)):
                self._cache.remove_at(held)


def _access_token(result: Any) -> AccessToken:
    """Return msal's result as a token, or raise the fault that it describes."""
    if not isinstance(result, dict) or "access_token" not in result:
        raise fault_of(result if isinstance(result, dict) else {})
    value, seconds = result["access_token"], result.get("expires_in", 0)
    if not isinstance(value, str) or not value.isascii() or not value.isprintable() or not value:
        raise Unreachable(BUSY.format("no token"), Code.SIGN_IN_UNAVAILABLE)
    claims = unverified_claims(value)
    roles = claims.get("roles", []) if claims is not None else None
    readable = isinstance(roles, list) and all(isinstance(role, str) for role in roles)
    tenant = str(claims.get("tid", "")) if claims else ""
    return AccessToken(
        value,
        min(max(float(seconds), 0.0), LONGEST_SECONDS),
        tuple(cast("list[str]", roles)) if readable else None,
        tenant,
    )


def unverified_claims(token: str) -> dict[str, Any] | None:
    """
    Return what a token seems to say, or None where it cannot be read; proves nothing.

    Microsoft calls Graph's tokens opaque (entra-docs `access-tokens.md`): their signature cannot be checked here.
    """
    parts = token.split(".")
    if len(parts) != 3:
        return None
    try:
        claims = json_of(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except ValueError:
        return None
    return claims if isinstance(claims, dict) else None


def _folded(error: Exception) -> Fault:
    """Return the fault of what msal raised of its own: an answer that it could not use."""
    return Unreachable(BUSY.format(type(error).__name__), Code.SIGN_IN_UNAVAILABLE)
