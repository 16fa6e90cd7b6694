"""Who signed in: the redemption of an OpenID Connect code through msal, and the checks of the id token it yields."""

import hashlib
import time
from collections.abc import Callable, Mapping
from typing import Any

import httpx
import msal

from shared.adapters.entra import unverified_claims
from shared.adapters.entra_errors import fault_of
from shared.adapters.entra_http import BUSY, STUMBLES, MsalHttp, SignInFailed
from shared.adapters.entra_proofs import IDENTITIES, Assertions, client_credential
from shared.codes import Code
from shared.errors import CredentialFault, Fault, GrantFault, Throttled, Unreachable
from shared.identifiers import is_guid
from shared.ports import SignedIn

AUTHORITY = "organizations"
SKEW_SECONDS = 300.0
_REFUSED = "Microsoft did not accept the sign-in's code. Codes are good once and for ten minutes."
_PROVES_NOTHING = "Microsoft's answer does not prove who signed in ({})."


class MsalSignIn:
    """
    The `SignIn` port over msal.

    msal checks state and nonce and no other claim (msal 1.39, `oauth2cli/oidc.py`), so issuer, audience and time are
    checked here. The signature is not: the token comes straight from the token endpoint over verified TLS, which OpenID
    Connect Core 3.1.3.7 (6) allows in its place.
    """

    def __init__(
        self, client: httpx.Client, now: Callable[[], float] = time.time, assertions: Assertions = IDENTITIES
    ) -> None:
        self._http = MsalHttp(client)
        self._assertions = assertions
        self._now = now

    def redeem(
        self, *, login_host: str, client_id: str, secret: str, redirect_uri: str, code: str, verifier: str, nonce: str
    ) -> SignedIn:
        """Return who signed in; a *code* is good once."""
        flow = {
            "state": "s",  # the state was checked against its row, before
            "redirect_uri": redirect_uri,
            "scope": ["openid", "profile"],
            "code_verifier": verifier,
            "nonce": nonce,
        }
        try:
            app = msal.ConfidentialClientApplication(
                client_id,
                client_credential=client_credential(secret),
                authority=f"https://{login_host}/{AUTHORITY}",
                http_client=self._http,
                instance_discovery=False,
                token_cache=msal.TokenCache(),
            )
            result = app.acquire_token_by_auth_code_flow(flow, {"code": code, "state": "s"})
        except SignInFailed as error:
            raise error.fault from None
        except RuntimeError as error:  # msal's word for a nonce that differs; its text holds the token's claims
            if "nonce" in str(error):
                raise _nothing_proven("nonce") from None
            raise Unreachable(BUSY.format(type(error).__name__), Code.SIGN_IN_UNAVAILABLE) from None
        except (*STUMBLES, msal.exceptions.MsalError) as error:
            raise Unreachable(BUSY.format(type(error).__name__), Code.SIGN_IN_UNAVAILABLE) from None
        if not isinstance(result, dict) or "id_token" not in result:
            raise _refusal(result if isinstance(result, dict) else {})
        return self._person(str(result["id_token"]), login_host, client_id, nonce)

    def _person(self, id_token: str, login_host: str, client_id: str, nonce: str) -> SignedIn:
        """Return the person of *id_token*; raises `GrantFault` where a claim is not as OpenID Connect wants it."""
        claims = unverified_claims(id_token) or {}
        tenant = str(claims.get("tid", "")).lower()
        now = self._now()
        checks = {
            "tid": is_guid(tenant),
            "iss": claims.get("iss") == f"https://{login_host}/{tenant}/v2.0",
            "aud": str(claims.get("aud", "")).lower() == client_id.lower(),
            "nonce": claims.get("nonce") == nonce_claim(nonce),
            "exp": _number(claims, "exp", 0.0) > now - SKEW_SECONDS,
            "nbf": _number(claims, "nbf", now) < now + SKEW_SECONDS,
            "oid": is_guid(str(claims.get("oid", ""))),
        }
        wrong = [name for name, holds in checks.items() if not holds]
        if wrong:
            raise _nothing_proven(", ".join(wrong))
        roles = claims.get("wids")
        held = tuple(str(role).lower() for role in roles) if isinstance(roles, list) else ()
        return SignedIn(tenant, str(claims["oid"]).lower(), str(claims.get("preferred_username", ""))[:254], held)


def nonce_claim(nonce: str) -> str:
    """Return what the way out must name for msal to accept *nonce*: its SHA-256 (msal `oauth2cli/oidc.py`)."""
    return hashlib.sha256(nonce.encode("ascii")).hexdigest()


def _number(claims: Mapping[str, Any], name: str, default: float) -> float:
    value = claims.get(name, default)
    if isinstance(value, int | float) and abs(value) < 2**53:  # not so where it is no number at all
        return float(value)
    return 0.0 if name == "exp" else float("inf")


def _refusal(body: Mapping[str, Any]) -> Fault:
    """Return the fault that an error answer stands for; what is no fault of the app or of the moment is the code's."""
    fault = fault_of(body)
    if isinstance(fault, CredentialFault | Throttled | Unreachable):
        return fault
    return GrantFault(_REFUSED, Code.SIGN_IN_REFUSED, microsoft=fault.microsoft)


def _nothing_proven(what: str) -> GrantFault:
    return GrantFault(_PROVES_NOTHING.format(what), Code.SIGN_IN_REFUSED)
