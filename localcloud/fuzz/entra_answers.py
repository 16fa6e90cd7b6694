"""Every reader of Entra's answers, against answers that are wrong."""

from __future__ import annotations

import base64
import json
import logging
from functools import cache
from typing import Any

import httpx
from hypothesis import strategies as st

from localcloud.fuzz.garbling import NONSENSE, SECRET, Answer, answers, bodies, damaged, mutated, right
from localcloud.fuzz.graph_answers import Heard
from shared.adapters.entra import MsalEntra
from shared.adapters.entra_sign_in import MsalSignIn, nonce_claim
from shared.errors import Fault
from shared.ports import AccessToken, SignedIn

HOST = "login.microsoftonline.com"
TENANT = "11111111-2222-4333-8444-555555555555"
CLIENT = "0b1c2d3e-0000-4000-8000-00000000000f"
NOW = 1_800_000_000.0
NONCE = "n" * 20
MOST_REQUESTS = 20
ISSUER = f"https://{HOST}/{TENANT}/v2.0"
DISCOVERY = {
    "issuer": ISSUER,
    "authorization_endpoint": f"https://{HOST}/{TENANT}/oauth2/v2.0/authorize",
    "token_endpoint": f"https://{HOST}/{TENANT}/oauth2/v2.0/token",
    "device_authorization_endpoint": f"https://{HOST}/{TENANT}/oauth2/v2.0/devicecode",
}
REFUSAL = {
    "error": "invalid_client",
    "error_description": f"AADSTS7000215: Invalid client secret provided. {SECRET}",
    "error_codes": [7000215],
    "trace_id": "t",
    "correlation_id": "c",
}
CLAIMS: dict[str, Any] = {
    "aud": CLIENT, "iss": ISSUER, "tid": TENANT, "oid": TENANT, "nonce": nonce_claim(NONCE), "roles": ["Mail.Send"],
    "wids": ["62e90394-69f5-4237-9190-012177145e10"], "exp": NOW + 3600, "nbf": NOW - 5, "iat": NOW,
    "preferred_username": "ann@contoso.example",
}  # fmt: skip


def jwt(claims: Any) -> str:
    """Return a token that bears *claims* and a signature that nobody checks."""
    parts = ({"alg": "RS256", "typ": "JWT"}, claims)
    encoded = [base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts]
    return ".".join([*encoded, SECRET])


@st.composite
def _tokens(draw: st.DrawFn) -> Any:
    kind = draw(st.sampled_from(["claims", "claims", "cut", "nonsense"]))
    if kind == "claims":
        return jwt(draw(mutated(CLAIMS)))
    if kind == "cut":
        inner = base64.urlsafe_b64encode(draw(damaged(json.dumps(CLAIMS).encode()))).decode()
        return f"e30.{inner}.{SECRET}"
    return draw(NONSENSE)


@st.composite
def _answers(draw: st.DrawFn) -> Answer:
    token = {"token_type": "Bearer", "expires_in": 3599, "ext_expires_in": 3599, "access_token": jwt(CLAIMS)}
    whole = {**token, "id_token": jwt(CLAIMS)}
    good = draw(
        st.sampled_from([right(DISCOVERY), right(whole), right(whole), right(REFUSAL, 400), right(REFUSAL, 401)])
    )
    if "access_token" in json.loads(good.content) and draw(st.booleans()):
        name = draw(st.sampled_from(["access_token", "id_token"]))
        odd = json.dumps({**whole, name: draw(_tokens())}).encode()
        return Answer(200, odd, good.headers)
    if draw(st.booleans()):
        return Answer(good.status, draw(bodies(good.content)), good.headers)
    return draw(answers(good))


@st.composite
def cases(draw: st.DrawFn) -> tuple[str, Answer, Answer]:
    """Draw a call and two answers: to discovery, and to the token request."""
    discovery = draw(st.just(right(DISCOVERY)) | answers(right(DISCOVERY)))
    return draw(st.sampled_from(["token", "fresh", "redeem", "tenant_of"])), discovery, draw(_answers())


@cache
def _client_of() -> None:
    logging.getLogger("msal").setLevel(logging.WARNING)


def check(case: tuple[str, Answer, Answer]) -> None:
    """Let Entra answer a call; raises whatever is not a `Fault`, and AssertionError where something does not hold."""
    kind, discovery, answer = case
    asked: list[httpx.Request] = []

    def handle(request: httpx.Request) -> httpx.Response:
        assert len(asked) < MOST_REQUESTS, "a reader asks without end"
        asked.append(request)
        chosen = discovery if "openid-configuration" in request.url.path else answer
        headers = [(name.encode(), value.encode("utf-8")) for name, value in chosen.headers.items()]
        return httpx.Response(chosen.status, headers=headers, stream=httpx.ByteStream(chosen.content))

    heard, logger = Heard(), logging.getLogger()
    logger.addHandler(heard)
    try:
        with httpx.Client(transport=httpx.MockTransport(handle)) as client:
            found = _call(kind, client)
    except Fault as fault:
        assert SECRET not in f"{fault!r} {fault.detail} {fault.recorded('')!r}", "an error shows a secret"  # noqa: PT017 - a target is no test
    else:
        _holds(found)
    finally:
        logger.removeHandler(heard)
    assert SECRET not in heard.text, "a log line shows a secret"
    for request in asked:
        assert request.url.host == HOST or b"client_secret" not in request.content, "the secret went to another host"


def _call(kind: str, client: httpx.Client) -> Any:
    if kind == "tenant_of":
        return MsalEntra(client).tenant_of(login_host=HOST, name="contoso.example")
    if kind == "redeem":
        sign_in = MsalSignIn(client, lambda: NOW)
        return sign_in.redeem(
            login_host=HOST, client_id=CLIENT, secret="s", redirect_uri="https://x.example/", code="c", verifier="v",
            nonce=NONCE,
        )  # fmt: skip
    return MsalEntra(client).token(
        login_host=HOST, tenant=TENANT, client_id=CLIENT, secret="s", scope="https://graph.microsoft.com/.default",
        fresh=kind == "fresh",
    )  # fmt: skip


def _holds(found: Any) -> None:
    if isinstance(found, AccessToken):
        assert isinstance(found.value, str), "a token that is no text"
        assert found.value, "an empty token"
        assert 0 <= found.expires_in <= 7 * 86400, "a token that never ends, or has ended before it began"
        assert found.roles is None or all(isinstance(role, str) for role in found.roles), "roles that are no texts"
        assert isinstance(found.tenant, str), "a tenant that is no text"
    elif isinstance(found, SignedIn):
        assert all(isinstance(text, str) for text in (found.tenant, found.person, found.address)), "who signed in?"
    else:
        assert isinstance(found, str), "a tenant that is no text"
