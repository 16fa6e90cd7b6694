"""The simulated token endpoint: client credentials in every form, and every refusal of the facts' table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import httpx
import pytest

from localcloud.world import Fault
from tests.localcloud.token_requests import BEARER, GRAPH, LOGIN, SCOPE, ask, claims_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.localcloud.conftest import Scene

pytestmark = pytest.mark.enable_socket

UNKNOWN_TENANT = "00000000-0000-4000-8000-000000000009"
GARBAGE_ASSERTION = {"client_assertion": "x", "client_assertion_type": BEARER}


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
