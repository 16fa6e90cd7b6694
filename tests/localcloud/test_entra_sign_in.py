"""The simulated sign-in: discovery, the page, the code and its redemption (OpenID Connect, PKCE)."""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import httpx
import jwt
import pytest

from localcloud.world import GLOBAL_ADMINISTRATOR
from tests.localcloud.conftest import CALLBACK

if TYPE_CHECKING:
    from tests.localcloud.conftest import Scene

pytestmark = pytest.mark.enable_socket

LOGIN = "https://login.microsoftonline.com"
VERIFIER = "v" * 43
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()


def authorize_url(scene: Scene, tenant: str = "organizations", **changes: str) -> str:
    """Return the URL of the sign-in page, with *changes* to its query."""
    query = {"client_id": scene.app.client_id, "redirect_uri": CALLBACK, "response_type": "code", "state": "s2"}
    query |= {"scope": "openid profile", "nonce": "n1", "code_challenge": CHALLENGE, "code_challenge_method": "S256"}
    return f"{LOGIN}/{tenant}/oauth2/v2.0/authorize?{urlencode({**query, **changes})}"


def came_back(response: httpx.Response) -> dict[str, str]:
    """Return the parameters of the redirect to our callback."""
    location = response.headers["location"]
    assert (302, CALLBACK) == (response.status_code, location.partition("?")[0])
    return dict(parse_qsl(urlsplit(location).query))


def sign_in(http: httpx.Client, scene: Scene, **changes: str) -> str:
    """Sign in as Contoso's administrator and return the code."""
    form = {"user": scene.admin.address, "action": "accept"}
    return came_back(http.post(authorize_url(scene, **changes), data=form))["code"]


def redeem(
    http: httpx.Client, scene: Scene, code: str, tenant: str = "organizations", **changes: str
) -> httpx.Response:
    """Redeem *code*, with *changes* to the form."""
    form = {"grant_type": "authorization_code", "client_id": scene.app.client_id, "client_secret": scene.secret}
    form |= {"code": code, "redirect_uri": CALLBACK, "code_verifier": VERIFIER}
    return http.post(f"{LOGIN}/{tenant}/oauth2/v2.0/token", data={**form, **changes})


@pytest.mark.parametrize("tenant", ["contoso.example", "organizations"])
def test_discovery(http: httpx.Client, scene: Scene, tenant: str) -> None:
    """Discovery of a domain speaks of the tenant's id; that of ``organizations`` leaves the issuer open."""
    document = http.get(f"{LOGIN}/{tenant}/v2.0/.well-known/openid-configuration").json()
    segment, issuer = (scene.contoso.id,) * 2 if "." in tenant else ("organizations", "{tenantid}")

    assert (f"{LOGIN}/{issuer}/v2.0", f"{LOGIN}/{segment}/oauth2/v2.0/token") == (
        document["issuer"],
        document["token_endpoint"],
    )
    assert f"{LOGIN}/{segment}/discovery/v2.0/keys" == document["jwks_uri"]


def test_discovery_of_nobody(http: httpx.Client, scene: Scene) -> None:
    """Discovery calls an unknown tenant ``invalid_tenant``."""
    response = http.get(f"{LOGIN}/nobody.example/v2.0/.well-known/openid-configuration")

    assert (400, "invalid_tenant", [90002]) == (
        response.status_code,
        response.json()["error"],
        response.json()["error_codes"],
    )
    assert scene.contoso.id not in response.text


def test_instance_discovery(http: httpx.Client) -> None:
    """The list of login hosts names the production host and its aliases."""
    document = http.get(f"{LOGIN}/common/discovery/instance", params={"api-version": "1.1"}).json()

    assert "login.windows.net" in document["metadata"][0]["aliases"]


def _id_token(http: httpx.Client, scene: Scene, response: httpx.Response) -> dict[str, Any]:
    token = response.json()["id_token"]
    keys = jwt.PyJWKSet.from_dict(http.get(f"{LOGIN}/{scene.contoso.id}/discovery/v2.0/keys").json())
    key = keys[jwt.get_unverified_header(token)["kid"]]
    options: jwt.types.Options = {"verify_exp": False, "verify_nbf": False, "verify_iat": False}
    claims: dict[str, Any] = jwt.decode(token, key, algorithms=["RS256"], audience=scene.app.client_id, options=options)
    return claims


def test_id_token(http: httpx.Client, scene: Scene) -> None:
    """The id token says who signed in, in which tenant, with which administrator roles, for which nonce."""
    assert "Sign in as" in http.get(authorize_url(scene)).text
    claims = _id_token(http, scene, redeem(http, scene, sign_in(http, scene)))

    expected = {"iss": f"{LOGIN}/{scene.contoso.id}/v2.0", "tid": scene.contoso.id, "oid": scene.admin.id}
    expected |= {"nonce": "n1", "ver": "2.0", "preferred_username": scene.admin.address}
    assert expected == {name: claims[name] for name in expected}
    assert GLOBAL_ADMINISTRATOR in claims["wids"]


def test_wids_can_be_missing(http: httpx.Client, scene: Scene) -> None:
    """A mode leaves ``wids`` out, as an app does that is not set up for it."""
    scene.world.modes["id_token_without_wids"] = True

    assert "wids" not in _id_token(http, scene, redeem(http, scene, sign_in(http, scene)))


def test_code_serves_once(http: httpx.Client, scene: Scene) -> None:
    """A code that was redeemed is refused the second time."""
    code = sign_in(http, scene)
    codes = [redeem(http, scene, code).status_code, redeem(http, scene, code).json()["error_codes"]]

    assert [200, [54005]] == codes


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"code_verifier": "w" * 43}, 501481),
        ({"redirect_uri": f"{CALLBACK}/"}, 500112),
        ({"code": "made-up"}, 70008),
        ({"tenant": "fabrikam.example"}, 70008),
        ({"client_secret": "wrong"}, 7000215),
    ],
)
def test_redemption_refused(http: httpx.Client, scene: Scene, changes: dict[str, str], code: int) -> None:
    """Another verifier, callback, code, tenant or secret redeems nothing."""
    given = {"code": sign_in(http, scene), **changes}

    assert [code] == redeem(http, scene, **given).json()["error_codes"]


def test_code_expires(http: httpx.Client, scene: Scene) -> None:
    """A code is good for ten minutes."""
    code = sign_in(http, scene)
    scene.clock.now += 600

    assert [70008] == redeem(http, scene, code).json()["error_codes"]


def test_cancel(http: httpx.Client, scene: Scene) -> None:
    """Cancelling comes back as ``access_denied`` with the state."""
    parameters = came_back(http.post(authorize_url(scene), data={"action": "cancel"}))

    assert ("access_denied", "cancel", "s2") == (
        parameters["error"],
        parameters["error_subcode"],
        parameters["state"],
    )


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"scope": "profile"}, "invalid_request"),
        ({"prompt": "none"}, "login_required"),
    ],
)
def test_refused_at_once(http: httpx.Client, scene: Scene, changes: dict[str, str], error: str) -> None:
    """What Entra cannot serve goes back to the app without a page."""
    assert error == came_back(http.get(authorize_url(scene, **changes)))["error"]


def test_wrong_callback(http: httpx.Client, scene: Scene) -> None:
    """An unregistered callback ends on a page: the browser is not sent there."""
    response = http.get(authorize_url(scene, redirect_uri="https://evil.example/"))

    assert (400, None) == (response.status_code, response.headers.get("location"))
    assert "AADSTS50011" in response.text
