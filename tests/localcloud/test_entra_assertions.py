"""The simulated token endpoint with credentials that are no secrets: certificates and a managed identity's tokens."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import httpx
import jwt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from localcloud.entra.clients import certificate_thumbprint
from tests.localcloud.token_requests import BEARER, LOGIN, ask, claims_of

if TYPE_CHECKING:
    from tests.localcloud.conftest import Scene

pytestmark = pytest.mark.enable_socket


def _certificate(days: int = 30) -> tuple[rsa.RSAPrivateKey, str]:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "mailgrant")])
    begin = datetime(2027, 1, 1, tzinfo=UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, begin, begin + timedelta(days=days))
    return key, builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()


def _assert(scene: Scene, key: rsa.RSAPrivateKey, pem: str, algorithm: str = "PS256", **claims: Any) -> dict[str, str]:
    body = {"aud": f"{LOGIN}/{scene.contoso.id}/oauth2/v2.0/token", "iss": scene.app.client_id}
    body |= {"sub": scene.app.client_id}
    times = {"iat": scene.clock.now, "exp": scene.clock.now + 600}
    der = x509.load_pem_x509_certificate(pem.encode()).fingerprint(hashes.SHA1())  # noqa: S303 - the legacy x5t
    legacy = base64.urlsafe_b64encode(der).decode()
    header = {"x5t#S256": certificate_thumbprint(pem)} if algorithm == "PS256" else {"x5t": legacy}
    assertion = jwt.encode({**body, **times, **claims}, key, algorithm=algorithm, headers=header)
    return {"client_assertion": assertion, "client_assertion_type": BEARER}


@pytest.mark.parametrize("algorithm", ["PS256", "RS256"])
def test_certificate(http: httpx.Client, scene: Scene, algorithm: str) -> None:
    """A registered certificate's assertion is taken in today's form and in the legacy one; ``appidacr`` says so."""
    key, pem = _certificate()
    scene.app.certificates[certificate_thumbprint(pem)] = pem
    response = ask(http, scene, client_secret=None, **_assert(scene, key, pem, algorithm))

    assert "2" == claims_of(response)["appidacr"]


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"aud": "https://example.com"}, 700023),
        ({"sub": "somebody else"}, 700021),
        ({"exp": 1_799_000_000}, 700024),
        ({"nbf": 1_801_000_000}, 700024),
    ],
)
def test_certificate_claims(http: httpx.Client, scene: Scene, changes: dict[str, Any], code: int) -> None:
    """An assertion for another audience, about another app or out of its time is refused."""
    key, pem = _certificate()
    scene.app.certificates[certificate_thumbprint(pem)] = pem
    response = ask(http, scene, client_secret=None, **_assert(scene, key, pem, **changes))

    assert (401, [code]) == (response.status_code, response.json()["error_codes"])


def test_certificate_key(http: httpx.Client, scene: Scene) -> None:
    """An unregistered certificate and a signature by another key are both AADSTS700027."""
    (_, pem), (other, _) = _certificate(), _certificate()
    assertion = _assert(scene, other, pem)
    unknown = ask(http, scene, client_secret=None, **assertion).json()
    scene.app.certificates[certificate_thumbprint(pem)] = pem
    forged = ask(http, scene, client_secret=None, **assertion).json()

    assert [[700027], [700027]] == [unknown["error_codes"], forged["error_codes"]]
    assert ("key was not found" in unknown["error_description"], "did not match" in forged["error_description"]) == (
        True,
        True,
    )


def _exchange_assertion(http: httpx.Client, scene: Scene, client_id: str) -> str:
    environment = scene.cloud.environment()
    query = {"resource": "api://AzureADTokenExchange", "api-version": "2019-08-01", "client_id": client_id}
    headers = {"X-IDENTITY-HEADER": environment["IDENTITY_HEADER"]}
    with httpx.Client(trust_env=False) as plain:
        response = plain.get(environment["IDENTITY_ENDPOINT"], params=query, headers=headers)
    return str(response.json()["access_token"])


def test_federated(http: httpx.Client, scene: Scene) -> None:
    """A managed identity that the app trusts stands in for its secret, in a customer's tenant."""
    identity, home = scene.cloud.user_identity, scene.cloud.home.id
    entry = {"issuer": f"{LOGIN}/{home}/v2.0", "subject": identity.principal_id}
    scene.app.federated_subjects.append({**entry, "audience": "api://AzureADTokenExchange"})
    assertion = _exchange_assertion(http, scene, identity.client_id)
    response = ask(http, scene, client_secret=None, client_assertion=assertion, client_assertion_type=BEARER)

    assert scene.contoso.id == claims_of(response)["tid"]


@pytest.mark.parametrize(("field", "code"), [("issuer", 700211), ("audience", 700212), ("subject", 700213)])
def test_federated_mismatch(http: httpx.Client, scene: Scene, field: str, code: int) -> None:
    """A federated credential that differs in one field from what is presented names that field's error."""
    identity, home = scene.cloud.user_identity, scene.cloud.home.id
    entry = {"issuer": f"{LOGIN}/{home}/v2.0", "subject": identity.principal_id}
    entry |= {"audience": "api://AzureADTokenExchange", field: "other"}
    scene.app.federated_subjects.append(entry)
    assertion = _exchange_assertion(http, scene, identity.client_id)
    response = ask(http, scene, client_secret=None, client_assertion=assertion, client_assertion_type=BEARER)

    assert [code] == response.json()["error_codes"]


def test_federated_forgery(http: httpx.Client, scene: Scene) -> None:
    """An assertion with the right words and a foreign signature is refused."""
    identity, home = scene.cloud.user_identity, scene.cloud.home.id
    words = {"issuer": f"{LOGIN}/{home}/v2.0", "subject": identity.principal_id}
    words |= {"audience": "api://AzureADTokenExchange"}
    scene.app.federated_subjects.append(words)
    key, _ = _certificate()
    claims = {"iss": words["issuer"], "sub": words["subject"], "aud": words["audience"], "exp": scene.clock.now + 60}
    forged = jwt.encode(claims, key, algorithm="RS256")
    response = ask(http, scene, client_secret=None, client_assertion=forged, client_assertion_type=BEARER)

    assert [700027] == response.json()["error_codes"]
