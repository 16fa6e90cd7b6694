"""The simulated token endpoint: client credentials in every form, and every refusal of the facts' table."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import httpx
import jwt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from localcloud.entra_clients import certificate_thumbprint
from localcloud.world import Fault

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.localcloud.conftest import Scene

pytestmark = pytest.mark.enable_socket

LOGIN = "https://login.microsoftonline.com"
GRAPH = "https://graph.microsoft.com"
SCOPE = f"{GRAPH}/.default"
BEARER = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
UNKNOWN_TENANT = "00000000-0000-4000-8000-000000000009"
GARBAGE_ASSERTION = {"client_assertion": "x", "client_assertion_type": BEARER}


def ask(http: httpx.Client, scene: Scene, tenant: str | None = None, **changes: str | None) -> httpx.Response:
    """Ask for a Graph token as the scene's app in Contoso, with *changes* to the form (None leaves a field out)."""
    form = {"grant_type": "client_credentials", "client_id": scene.app.client_id, "scope": SCOPE}
    form["client_secret"] = scene.secret
    fields = {name: value for name, value in {**form, **changes}.items() if value is not None}
    return http.post(f"{LOGIN}/{tenant or scene.contoso.id}/oauth2/v2.0/token", data=fields)


def claims_of(response: httpx.Response) -> dict[str, Any]:
    """Return the claims of the access token in *response*, unchecked."""
    claims: dict[str, Any] = jwt.decode(response.json()["access_token"], options={"verify_signature": False})
    return claims


def test_token(http: httpx.Client, scene: Scene) -> None:
    """The right secret gets a bearer token with the tenant's roles."""
    response = ask(http, scene)
    body = response.json()

    assert (200, "Bearer", 3599) == (response.status_code, body["token_type"], body["expires_in"])
    assert ["Mail.ReadWrite", "Mail.Send", "User.Read.All"] == claims_of(response)["roles"]


def test_domain_and_basic(http: httpx.Client, scene: Scene) -> None:
    """The tenant may be named by its domain, and the secret may come as HTTP Basic."""
    form = {"grant_type": "client_credentials", "scope": SCOPE}
    url = f"{LOGIN}/contoso.example/oauth2/v2.0/token"
    response = http.post(url, data=form, auth=(scene.app.client_id, scene.secret))

    assert scene.contoso.id == claims_of(response)["tid"]


def _wrong_secret(scene: Scene) -> dict[str, str | None]:
    return {"client_secret": f"{scene.secret}x"}


def _secret_id(scene: Scene) -> dict[str, str | None]:
    return {"client_secret": scene.secret_id}


def _expired(scene: Scene) -> dict[str, str | None]:
    scene.clock.now += 3600
    return {}


def _removed(scene: Scene) -> dict[str, str | None]:
    scene.app.remove_secret(scene.secret_id)
    return {}


def _revoked(scene: Scene) -> dict[str, str | None]:
    scene.world.revoke(scene.contoso, scene.app.client_id)
    return {}


def _disabled(scene: Scene) -> dict[str, str | None]:
    scene.contoso.principals[scene.app.client_id].enabled = False
    return {}


def _hidden(scene: Scene) -> dict[str, str | None]:
    scene.world.modes |= {"propagation_hides_principal": True, "propagation_seconds": 30}
    scene.world.consent(scene.contoso, scene.app)
    return {}


def _no_home_principal(scene: Scene) -> dict[str, str | None]:
    scene.world.revoke(scene.cloud.home, scene.app.client_id)
    return {"tenant": scene.cloud.home.id}


def _single_tenant(scene: Scene) -> dict[str, str | None]:
    scene.app.multitenant = False
    return {"tenant": "organizations"}


Refusal = tuple["Callable[[Scene], dict[str, Any]]", int, str, int]
REFUSALS: dict[str, Refusal] = {
    "wrong secret": (_wrong_secret, 401, "invalid_client", 7000215),
    "secret id instead of value": (_secret_id, 401, "invalid_client", 7000215),
    "removed secret": (_removed, 401, "invalid_client", 7000215),
    "expired secret": (_expired, 401, "invalid_client", 7000222),
    "no credential": (lambda _: {"client_secret": None}, 401, "invalid_client", 7000216),
    "unknown app": (lambda _: {"client_id": "unknown"}, 400, "unauthorized_client", 700016),
    "revoked": (_revoked, 400, "unauthorized_client", 700016),
    "principal not visible yet": (_hidden, 400, "unauthorized_client", 700016),
    "never consented": (lambda scene: {"tenant": scene.fabrikam.id}, 400, "unauthorized_client", 700016),
    "no principal at home": (_no_home_principal, 401, "invalid_client", 7000229),
    "disabled in the tenant": (_disabled, 400, "unauthorized_client", 7000112),
    "unknown tenant id": (lambda _: {"tenant": UNKNOWN_TENANT}, 400, "invalid_request", 90002),
    "unknown domain": (lambda _: {"tenant": "nobody.example"}, 400, "invalid_request", 90002),
    "no tenant name": (lambda _: {"tenant": "nope"}, 400, "invalid_request", 900023),
    "common": (lambda _: {"tenant": "common"}, 400, "invalid_request", 9001023),
    "consumers": (lambda _: {"tenant": "consumers"}, 400, "invalid_request", 9001023),
    "single-tenant under organizations": (_single_tenant, 400, "invalid_request", 50194),
    "no scope": (lambda _: {"scope": None}, 400, "invalid_request", 900144),
    "named scope": (lambda _: {"scope": f"{GRAPH}/Mail.Read"}, 400, "invalid_scope", 1002012),
    "scope encoded twice": (lambda _: {"scope": quote(SCOPE, safe="")}, 400, "invalid_scope", 1002012),
    "two scopes": (lambda _: {"scope": f"{SCOPE} openid"}, 400, "invalid_scope", 70011),
    "unknown resource": (lambda _: {"scope": "https://x.example/.default"}, 400, "invalid_resource", 500011),
    "other grant type": (lambda _: {"grant_type": "password"}, 400, "unsupported_grant_type", 70003),
    "garbage assertion": (lambda _: GARBAGE_ASSERTION, 400, "invalid_request", 50027),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_refusals(http: httpx.Client, scene: Scene, case: str) -> None:
    """Each refusal has its status, its OAuth error and its AADSTS code, in Entra's envelope."""
    prepare, status, error, code = REFUSALS[case]
    response = ask(http, scene, **prepare(scene))
    body = response.json()

    assert (status, error, [code]) == (response.status_code, body["error"], body["error_codes"])
    assert body["error_description"].startswith(f"AADSTS{code}: ")
    assert f"Trace ID: {body['trace_id']}\r\n" in body["error_description"]
    assert {"timestamp", "correlation_id", "error_uri"} <= body.keys()


def test_organizations_is_home(http: httpx.Client, scene: Scene) -> None:
    """A multi-tenant app under ``organizations`` gets its home tenant's token, in which nobody consented: no roles."""
    claims = claims_of(ask(http, scene, "organizations"))

    assert (scene.cloud.home.id, False) == (claims["tid"], "roles" in claims)


def test_propagation(http: httpx.Client, scene: Scene) -> None:
    """After consent, tokens lack the roles until the tenant's propagation delay is over."""
    scene.world.modes[f"propagation_seconds:{scene.fabrikam.id}"] = 30
    scene.world.consent(scene.fabrikam, scene.app)
    early = claims_of(ask(http, scene, scene.fabrikam.id))
    scene.clock.now += 30
    late = claims_of(ask(http, scene, scene.fabrikam.id))

    assert (None, 3) == (early.get("roles"), len(late["roles"]))


def test_lifetime_modes(http: httpx.Client, scene: Scene) -> None:
    """Lifetime and ``refresh_in`` of tokens are modes."""
    scene.world.modes |= {"token_seconds": 120, "refresh_in": 60}
    body = ask(http, scene).json()

    assert (120, 60) == (body["expires_in"], body["refresh_in"])


def _certificate(days: int = 30) -> tuple[rsa.RSAPrivateKey, str]:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "mailgrant")])
    begin = datetime(2027, 1, 1, tzinfo=UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, begin, begin + timedelta(days=days))
    return key, builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()


def _assert(scene: Scene, key: rsa.RSAPrivateKey, pem: str, algorithm: str = "PS256", **claims: Any) -> dict[str, str]:
    body = {"aud": f"{LOGIN}/{scene.contoso.id}/oauth2/v2.0/token", "iss": scene.app.client_id}
    body |= {"sub": scene.app.client_id, "iat": scene.clock.now, "exp": scene.clock.now + 600, **claims}
    der = x509.load_pem_x509_certificate(pem.encode()).fingerprint(hashes.SHA1())  # noqa: S303 - the legacy x5t
    legacy = base64.urlsafe_b64encode(der).decode()
    header = {"x5t#S256": certificate_thumbprint(pem)} if algorithm == "PS256" else {"x5t": legacy}
    assertion = jwt.encode(body, key, algorithm=algorithm, headers=header)
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


def test_fault_by_tenant(http: httpx.Client, scene: Scene) -> None:
    """A scripted 429 hits the tenant it names, as often as asked, and carries its headers."""
    effect = {"kind": "status", "status": 429, "headers": {"Retry-After": "7"}, "body": "slow down"}
    scene.world.faults.add(Fault("entra", "token", effect, key=scene.contoso.id))
    other = ask(http, scene, scene.cloud.home.id)
    first, second = ask(http, scene), ask(http, scene)

    assert [200, 429, 200] == [other.status_code, first.status_code, second.status_code]
    assert ("7", "slow down") == (first.headers["Retry-After"], first.text)


def test_fault_kinds(http: httpx.Client, scene: Scene) -> None:
    """An outage page, a dropped connection and a dripping answer look as they do in life."""
    for effect in ({"kind": "html", "status": 503}, {"kind": "reset"}, {"kind": "drip", "seconds_per_byte": 0.0}):
        scene.world.faults.add(Fault("entra", "token", effect))
    page = ask(http, scene)
    with pytest.raises(httpx.TransportError):
        ask(http, scene)
    dripped = ask(http, scene)

    assert (503, "text/html; charset=utf-8") == (page.status_code, page.headers["content-type"])
    assert scene.contoso.id == claims_of(dripped)["tid"]
    assert 3 == scene.world.faults.hits["entra.token"]
    assert 3 == scene.world.counters["entra.token"]
