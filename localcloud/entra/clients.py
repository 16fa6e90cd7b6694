"""Is the caller of the simulated token endpoint the app it claims to be: secret, certificate or federated identity."""

from __future__ import annotations

import base64
import binascii
import hashlib
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import jwt
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding

from localcloud.entra.errors import EntraError
from localcloud.entra.tokens import LOGIN, TokenIssuer, TokenRejected

if TYPE_CHECKING:
    from collections.abc import Mapping

    from localcloud.world import Registration, Tenant

JWT_BEARER = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_CLOCK_SKEW_SECONDS = 300


def basic_credentials(authorization: str) -> dict[str, str]:
    """Return client id and secret of an HTTP Basic header (RFC 6749 section 2.3.1), or nothing."""
    scheme, _, encoded = authorization.partition(" ")
    if scheme.casefold() != "basic":
        return {}
    try:
        client_id, _, secret = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return {}
    return {"client_id": unquote(client_id), "client_secret": unquote(secret)}


def authenticate(issuer: TokenIssuer, tenant: Tenant, app: Registration, form: Mapping[str, str]) -> bool:
    """
    Check the client's credential; return whether it was a secret.

    Raises:
        EntraError: the credential is missing, wrong, expired or not registered.
    """
    assertion = form.get("client_assertion")
    if assertion is None:
        _check_secret(app, form.get("client_secret"), issuer.world.clock())
        return True
    if form.get("client_assertion_type") != JWT_BEARER:
        raise EntraError(900144, parameter="client_assertion_type")
    try:
        header = jwt.get_unverified_header(assertion)
        claims: dict[str, Any] = jwt.decode(assertion, options={"verify_signature": False})
    except jwt.InvalidTokenError as error:
        raise EntraError(50027) from error
    if claims.get("iss") == app.client_id:
        _check_certificate(app, assertion, header)
        _check_claims(app, tenant, claims)
    else:
        _check_federation(issuer, app, assertion, claims)
    _check_time(claims, issuer.world.clock())
    return False


def _check_secret(app: Registration, secret: str | None, now: float) -> None:
    if not secret:
        raise EntraError(7000216)
    expiry = app.secrets.get(secret)
    if expiry is None:
        raise EntraError(7000215, client_id=app.client_id)
    if now >= expiry:
        raise EntraError(7000222, client_id=app.client_id)


def certificate_thumbprint(pem: str) -> str:
    """Return the unpadded base64url SHA-256 of a certificate, the ``x5t#S256`` of its assertions."""
    return _thumbprints(pem)[0]


def _thumbprints(pem: str) -> tuple[str, str]:
    der = x509.load_pem_x509_certificate(pem.encode()).public_bytes(Encoding.DER)
    return _base64url(hashlib.sha256(der).digest()), _base64url(hashlib.sha1(der, usedforsecurity=False).digest())


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _check_certificate(app: Registration, assertion: str, header: Mapping[str, Any]) -> None:
    wanted = {str(header.get(name, "")).rstrip("=") for name in ("x5t#S256", "x5t")} - {""}
    pem = next((text for text in app.certificates.values() if wanted & set(_thumbprints(text))), None)
    if pem is None:
        raise EntraError(700027, reason="The key was not found.")
    key = x509.load_pem_x509_certificate(pem.encode()).public_key()
    if not isinstance(key, rsa.RSAPublicKey):
        raise EntraError(700027, reason="The key is of an unsupported type.")
    options: Any = {"verify_exp": False, "verify_aud": False, "verify_iat": False, "verify_nbf": False}
    try:
        jwt.decode(assertion, key, algorithms=["PS256", "RS256"], options=options)
    except jwt.InvalidTokenError as error:
        reason = "The provided signature value did not match the expected signature value."
        raise EntraError(700027, reason=reason) from error


def _check_claims(app: Registration, tenant: Tenant, claims: Mapping[str, Any]) -> None:
    if claims.get("sub") != app.client_id:
        raise EntraError(700021)
    names = (tenant.id, tenant.domain, "organizations")
    paths = ("/oauth2/v2.0/token", "/oauth2/token", "/v2.0")
    if claims.get("aud") not in {f"{LOGIN}/{name}{path}" for name in names for path in paths}:
        raise EntraError(700023)


def _check_federation(issuer: TokenIssuer, app: Registration, assertion: str, claims: Mapping[str, Any]) -> None:
    said = {
        name: str(claims.get(claim, "")) for name, claim in (("issuer", "iss"), ("audience", "aud"), ("subject", "sub"))
    }
    candidates = app.federated_subjects
    for name, code in (("issuer", 700211), ("audience", 700212), ("subject", 700213)):
        candidates = [entry for entry in candidates if entry[name] == said[name]]
        if not candidates:
            raise EntraError(code, **{name: said[name]})
    try:
        issuer.check_signature(assertion)
    except TokenRejected as error:
        raise EntraError(700027, reason="The key was not found.") from error


def _check_time(claims: Mapping[str, Any], now: float) -> None:
    try:
        begins, ends = float(claims.get("nbf", claims.get("iat", 0))), float(claims["exp"])
    except (KeyError, TypeError, ValueError) as error:
        raise EntraError(50027) from error
    if not begins - _CLOCK_SKEW_SECONDS <= now < ends + _CLOCK_SKEW_SECONDS:
        raise EntraError(700024)
