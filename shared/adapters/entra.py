"""Tokens from Entra ID through msal, whose every kind of failure becomes a fault of ours."""

import base64
import hashlib
import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import quote

import httpx
import msal

from shared.adapters.entra_errors import fault_of
from shared.adapters.graph_wire import retry_after_seconds
from shared.adapters.http_client import deadline_after
from shared.codes import Code
from shared.errors import Fault, Throttled, Unreachable
from shared.identifiers import is_guid
from shared.ports import AccessToken

CALL_SECONDS = 20.0
MAX_ANSWER_BYTES = 1024 * 1024
_BUSY = "Microsoft's sign-in gave no usable answer ({}). It is tried again by itself."
_SLOW = "Microsoft's sign-in asked to slow down. It is tried again by itself."


class _SignInFailed(Exception):
    """No usable answer; msal is told of this kind, so that it falls back to a token that is still good."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.detail)
        self.fault = fault


class MsalEntra:
    """
    The `Entra` port over msal: one app object per tenant and secret, made on first use, one token cache in memory.

    *client* should come from `environment_client`. An app object that met a failure is thrown away, because msal would
    replay a 400 for a minute (msal's `throttled_http_client.py`) and hide a consent given meanwhile.
    """

    def __init__(self, client: httpx.Client) -> None:
        self._http = _Http(client)
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
            result = app.acquire_token_for_client([scope], http_exceptions=(_SignInFailed,))
            token = _access_token(result)
        except _SignInFailed as error:
            self._forget(key)
            raise error.fault from None
        except Fault:
            self._forget(key)
            raise
        except (ValueError, msal.exceptions.MsalError) as error:
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
        except _SignInFailed as error:
            raise error.fault from None
        tenant = (
            str(_json(answer.text).get("issuer", "")).removeprefix(f"https://{login_host}/").partition("/")[0].lower()
        )
        if not is_guid(tenant):
            raise Unreachable(_BUSY.format("no tenant id"), Code.SIGN_IN_UNAVAILABLE)
        return tenant

    def _new_app(self, authority: str, client_id: str, secret: str, cache: Any) -> Any:
        return msal.ConfidentialClientApplication(
            client_id,
            client_credential=secret,
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


@dataclass(frozen=True, slots=True)
class _Answer:
    """What msal needs of an answer."""

    status_code: int
    text: str
    headers: Mapping[str, str]

    def raise_for_status(self) -> None:
        """Do nothing: refusals are judged by their body."""


class _Http:
    """The HTTP client that msal uses; every call ends by one deadline and reads at most 1 MiB."""

    def __init__(self, client: httpx.Client) -> None:
        self._client = client

    def get(self, url: str, params: Any = None, headers: Any = None, **_: Any) -> _Answer:
        answer = self._call("GET", url, params, headers, None)
        if answer.status_code >= 400:  # msal would make this a ValueError that no longer says what was wrong
            raise _SignInFailed(fault_of(_json(answer.text)))
        return answer

    def post(self, url: str, params: Any = None, data: Any = None, headers: Any = None, **_: Any) -> _Answer:
        return self._call("POST", url, params, headers, data)

    def close(self) -> None:
        """Leave the client open: it is shared."""

    def _call(self, method: str, url: str, params: Any, headers: Any, data: Any) -> _Answer:
        extensions = {**deadline_after(CALL_SECONDS), "timeout": self._client.timeout.as_dict()}
        request = self._client.build_request(
            method, url, params=params or None, headers=headers, data=data, extensions=extensions
        )
        try:
            answer = self._client.send(request, stream=True)
            try:
                content = _limited(answer)
            finally:
                answer.close()
        except httpx.HTTPError as error:
            fault = Unreachable(_BUSY.format(type(error).__name__), Code.SIGN_IN_UNAVAILABLE)
            raise _SignInFailed(fault) from None
        return _judged(answer, content.decode(errors="replace"))


def _limited(answer: httpx.Response) -> bytes:
    content = b""
    for part in answer.iter_bytes():
        content += part
        if len(content) > MAX_ANSWER_BYTES:
            raise _SignInFailed(Unreachable(_BUSY.format("answer too large"), Code.SIGN_IN_UNAVAILABLE))
    return content


def _judged(answer: httpx.Response, text: str) -> _Answer:
    """Return the answer if msal can do something with it: JSON that is neither a 429 nor a 5xx."""
    status, headers = answer.status_code, {name.lower(): value for name, value in answer.headers.items()}
    wait = retry_after_seconds(headers)
    body = _json(text)
    said = fault_of(body).microsoft if body.get("error") else None
    if status == 429:
        raise _SignInFailed(Throttled(_SLOW, Code.SIGN_IN_UNAVAILABLE, microsoft=said, retry_after=wait))
    if status >= 500 or not body:
        reason = f"HTTP {status}" if status >= 500 else "not JSON"
        fault = Unreachable(_BUSY.format(reason), Code.SIGN_IN_UNAVAILABLE, microsoft=said, retry_after=wait)
        raise _SignInFailed(fault)
    return _Answer(status, text, headers)


def _access_token(result: Any) -> AccessToken:
    """Return msal's result as a token, or raise the fault that it describes."""
    if not isinstance(result, dict) or "access_token" not in result:
        raise fault_of(result if isinstance(result, dict) else {})
    claims = unverified_claims(result["access_token"])
    roles = claims.get("roles", []) if claims is not None else None
    readable = isinstance(roles, list) and all(isinstance(role, str) for role in roles)
    tenant = str(claims.get("tid", "")) if claims else ""
    return AccessToken(
        result["access_token"],
        float(result.get("expires_in", 0)),
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
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except ValueError:
        return None
    return claims if isinstance(claims, dict) else None


def _folded(error: Exception) -> Fault:
    """Return the fault of what msal raised of its own: an answer that it could not use."""
    return Unreachable(_BUSY.format(type(error).__name__), Code.SIGN_IN_UNAVAILABLE)


def _json(text: str) -> dict[str, Any]:
    try:
        body = json.loads(text)
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}
