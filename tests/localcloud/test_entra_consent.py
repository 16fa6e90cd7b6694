"""The simulated admin consent page: what it shows, who may accept, and how the browser comes back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import httpx
import pytest

from localcloud.world import Fault
from tests.localcloud.conftest import CALLBACK

if TYPE_CHECKING:
    from tests.localcloud.conftest import Scene

pytestmark = pytest.mark.enable_socket

LOGIN = "https://login.microsoftonline.com"
DEFAULT = "https://graph.microsoft.com/.default openid profile"
APPLICATION_ADMINISTRATOR = "9b895d92-2cd3-44c7-9d02-a6ac2d5ea5c3"


def page_url(scene: Scene, tenant: str = "organizations", *, version: int = 2, **changes: Any) -> str:
    """Return the URL of the consent page, with *changes* to its query; an empty value leaves one out."""
    query = {"client_id": scene.app.client_id, "redirect_uri": CALLBACK, "state": "s1"}
    if version == 2:
        query["scope"] = DEFAULT
    given = {name: value for name, value in {**query, **changes}.items() if value}
    prefix = "v2.0/" if version == 2 else ""
    return f"{LOGIN}/{tenant}/{prefix}adminconsent?{urlencode(given)}"


def came_back(response: httpx.Response) -> dict[str, str]:
    """Return the parameters of the redirect to our callback."""
    location = response.headers["location"]
    assert (302, CALLBACK) == (response.status_code, location.partition("?")[0])
    return dict(parse_qsl(urlsplit(location).query))


def accept(http: httpx.Client, url: str, user: str = "admin@contoso.example") -> httpx.Response:
    """Press Accept as *user*."""
    return http.post(url, data={"user": user, "action": "accept"})


def test_page(http: httpx.Client, scene: Scene) -> None:
    """The page names app and rights, offers the people of every tenant, and is not kept by the browser."""
    scene.world.add_user(scene.fabrikam, "<bob>@fabrikam.example", "Bob & Co")
    response = http.get(page_url(scene))

    assert (200, "no-store, no-cache") == (response.status_code, response.headers["cache-control"])
    for text in ("Mailgrant", "Mail.ReadWrite", "User.Read.All", "admin@contoso.example", "Bob &amp; Co"):
        assert text in response.text
    assert "<bob>" not in response.text


def test_page_of_one_tenant(http: httpx.Client, scene: Scene) -> None:
    """Under a tenant's id, only its people are offered."""
    scene.world.add_user(scene.fabrikam, "bob@fabrikam.example", "Bob")

    assert "fabrikam" not in http.get(page_url(scene, scene.contoso.id)).text


def test_accept_v2(http: httpx.Client, scene: Scene) -> None:
    """Accepting under ``organizations`` consents in the administrator's tenant and says which one that is."""
    scene.world.revoke(scene.contoso, scene.app.client_id)
    parameters = came_back(accept(http, page_url(scene)))

    assert {"admin_consent": "True", "tenant": scene.contoso.id, "state": "s1", "scope": DEFAULT} == parameters
    assert set(scene.app.required_roles) == scene.contoso.principals[scene.app.client_id].roles


def test_accept_v1(http: httpx.Client, scene: Scene) -> None:
    """The older endpoint asks for no scope, consents to the registration's rights and returns no scope."""
    scene.world.revoke(scene.contoso, scene.app.client_id)
    parameters = came_back(accept(http, page_url(scene, "contoso.example", version=1)))

    assert {"admin_consent": "True", "tenant": scene.contoso.id, "state": "s1"} == parameters
    assert scene.app.client_id in scene.contoso.principals


def test_named_scopes_grant_no_role(http: httpx.Client, scene: Scene) -> None:
    """Named scopes are delegated rights: the app appears in the tenant without any application permission."""
    scene.world.revoke(scene.contoso, scene.app.client_id)
    came_back(accept(http, page_url(scene, scope="https://graph.microsoft.com/Mail.Send")))

    assert set() == scene.contoso.principals[scene.app.client_id].roles


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ("access_denied", {"error": "access_denied", "error_subcode": "cancel", "state": "s1"}),
        ("permission_denied", {"error": "permission_denied", "error_description": "The admin canceled the request"}),
        ("consent_required", {"admin_consent": "True", "error": "consent_required", "state": "s1"}),
    ],
)
@pytest.mark.parametrize("by", ["form", "mode"])
def test_cancel(http: httpx.Client, scene: Scene, shape: str, expected: dict[str, str], by: str) -> None:
    """Cancel comes back in each of the three shapes seen in life, chosen on the page or by a mode."""
    form = {"action": "cancel"}
    if by == "form":
        form["cancel_as"] = shape
    else:
        scene.world.modes["consent_cancel_shape"] = shape
    scene.world.revoke(scene.contoso, scene.app.client_id)
    parameters = came_back(http.post(page_url(scene), data=form))
    if shape == "consent_required":
        assert parameters.pop("error_description").startswith("AADSTS65004: ")

    assert expected == parameters
    assert {} == scene.contoso.principals


@pytest.mark.parametrize("roles", [(), (APPLICATION_ADMINISTRATOR,)])
def test_not_enough_rights(http: httpx.Client, scene: Scene, roles: tuple[str, ...]) -> None:
    """A member, and an Application Administrator too, meets "Need admin approval", and nothing is granted."""
    scene.world.revoke(scene.contoso, scene.app.client_id)
    scene.member.administrator_roles = roles
    response = accept(http, page_url(scene), scene.member.address)

    assert 403 == response.status_code
    assert "Need admin approval" in response.text
    assert "AADSTS90093" in response.text
    assert "error=access_denied" in response.text
    assert {} == scene.contoso.principals


def test_stranger(http: httpx.Client, scene: Scene) -> None:
    """Somebody of another tenant cannot consent in this one."""
    response = accept(http, page_url(scene, scene.fabrikam.id))

    assert 400 == response.status_code
    assert "AADSTS50020" in response.text


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(
    ("tenant", "changes", "code"),
    [
        ("organizations", {"client_id": "unknown"}, 700016),
        ("organizations", {"redirect_uri": f"{CALLBACK}/more"}, 50011),
        ("organizations", {"redirect_uri": ""}, 900144),
        ("organizations", {"scope": ""}, 900144),
        ("nobody.example", {}, 90002),
        ("consumers", {}, 9001023),
    ],
)
def test_error_pages(
    http: httpx.Client, scene: Scene, method: str, tenant: str, changes: dict[str, Any], code: int
) -> None:
    """A request that is wrong ends on a page of Entra's; the browser is not sent anywhere."""
    response = http.request(method, page_url(scene, tenant, **changes), data={"action": "cancel"})

    assert (400, None) == (response.status_code, response.headers.get("location"))
    assert f"AADSTS{code}: " in response.text


def test_single_tenant_app(http: httpx.Client, scene: Scene) -> None:
    """A single-tenant app fails under ``organizations``, is unknown to others, and works at home."""
    scene.app.multitenant = False
    texts = [http.get(page_url(scene, tenant)).text for tenant in ("organizations", scene.contoso.id)]

    assert "AADSTS50194" in texts[0]
    assert "AADSTS700016" in texts[1]
    assert 200 == http.get(page_url(scene, scene.cloud.home.id)).status_code


def test_no_state(http: httpx.Client, scene: Scene) -> None:
    """Without a state, none comes back."""
    assert "state" not in came_back(accept(http, page_url(scene, state="")))


def test_query_of_callback_stays(http: httpx.Client, scene: Scene) -> None:
    """A registered callback with a query of its own keeps it."""
    scene.app.redirect_uris.append(f"{CALLBACK}?leg=1")
    parameters = came_back(accept(http, page_url(scene, redirect_uri=f"{CALLBACK}?leg=1")))

    assert ("1", "True") == (parameters["leg"], parameters["admin_consent"])


def test_fault_after(http: httpx.Client, scene: Scene) -> None:
    """A fault with ``when: after`` loses the answer of a consent that took effect."""
    scene.world.revoke(scene.contoso, scene.app.client_id)
    effect = {"kind": "status", "status": 502, "when": "after"}
    scene.world.faults.add(Fault("entra", "adminconsent", effect, key=scene.contoso.id))
    response = accept(http, page_url(scene, scene.contoso.id))

    assert (502, True) == (response.status_code, scene.app.client_id in scene.contoso.principals)
