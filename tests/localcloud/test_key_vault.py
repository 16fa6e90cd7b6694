"""The simulated Key Vault: versions, soft delete, paging, the bearer challenge and who is let in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx
import pytest

from localcloud.entra.tokens import GRAPH_AUDIENCE, VAULT_AUDIENCE
from localcloud.world import Fault

if TYPE_CHECKING:
    from tests.localcloud.conftest import Scene

pytestmark = pytest.mark.enable_socket

VAULT = "https://mailgrant-local.vault.azure.net"


class Caller:
    """Calls the vault with the managed identity's token."""

    def __init__(self, http: httpx.Client, scene: Scene) -> None:
        self._http = http
        token = scene.cloud.issuer.issue_identity_token(scene.cloud.identity, VAULT_AUDIENCE)
        self._headers = {"Authorization": f"Bearer {token}"}

    def __call__(self, method: str, path: str, body: dict[str, Any] | None = None) -> httpx.Response:
        """Return the answer to one request."""
        url = path if path.startswith("https:") else f"{VAULT}{path}"
        return self._http.request(method, url, json=body, headers=self._headers)


@pytest.fixture
def vault(http: httpx.Client, scene: Scene) -> Caller:
    """Return a caller who may do everything."""
    return Caller(http, scene)


def test_challenge(http: httpx.Client, scene: Scene) -> None:
    """Without a token, the vault answers 401 and names the authority and the resource to ask for."""
    response = http.get(f"{VAULT}/secrets/any/", params={"api-version": "7.6"})
    authority = f"https://login.microsoftonline.com/{scene.cloud.home.id}"

    assert 401 == response.status_code
    assert (
        f'Bearer authorization="{authority}", resource="https://vault.azure.net"'
        == response.headers["www-authenticate"]
    )


def test_wrong_audience(http: httpx.Client, scene: Scene) -> None:
    """A Graph token does not open the vault."""
    token = scene.cloud.issuer.issue_identity_token(scene.cloud.identity, GRAPH_AUDIENCE)
    response = http.get(f"{VAULT}/secrets/any/", headers={"Authorization": f"Bearer {token}"})

    assert (401, True) == (response.status_code, "AKV10022" in response.json()["error"]["message"])


def test_foreign_tenant(http: httpx.Client, scene: Scene) -> None:
    """A vault token of another tenant does not open it either."""
    token = scene.cloud.issuer.issue_app_token(scene.contoso, scene.app, VAULT_AUDIENCE)
    response = http.get(f"{VAULT}/secrets/any/", headers={"Authorization": f"Bearer {token}"})

    assert (401, True) == (response.status_code, "AKV10032" in response.json()["error"]["message"])


def test_versions(vault: Caller) -> None:
    """Each set makes a version; readers get the newest, or the one they name."""
    first, second = (vault("PUT", "/secrets/versions", {"value": value}).json() for value in ("one", "two"))
    version = first["id"].rpartition("/")[2]

    assert "two" == vault("GET", "/secrets/versions/").json()["value"]
    assert "two" == vault("GET", "/secrets/versions").json()["value"]
    assert "one" == vault("GET", f"/secrets/versions/{version}").json()["value"]
    listed = vault("GET", "/secrets/versions/versions").json()["value"]
    assert [first["id"], second["id"]] == [item["id"] for item in listed]
    assert all("value" not in item for item in listed)


def test_disabled_version(vault: Caller) -> None:
    """A version that was disabled is refused with 403, and its properties can still be changed back."""
    vault("PUT", "/secrets/disabled", {"value": "x", "tags": {"a": "b"}, "contentType": "text/plain"})
    changed = vault("PATCH", "/secrets/disabled/", {"attributes": {"enabled": False}}).json()
    refused = vault("GET", "/secrets/disabled/")
    vault("PATCH", "/secrets/disabled/", {"attributes": {"enabled": True}})

    assert ({"a": "b"}, "text/plain") == (changed["tags"], changed["contentType"])
    assert (403, "SecretDisabled") == (refused.status_code, refused.json()["error"]["innererror"]["code"])
    assert "x" == vault("GET", "/secrets/disabled/").json()["value"]


def test_soft_delete(vault: Caller) -> None:
    """A deleted name is gone for readers, answers 409 to writers, and comes back by recovery."""
    vault("PUT", "/secrets/mourned", {"value": "x"})
    deleted = vault("DELETE", "/secrets/mourned").json()
    read, written = vault("GET", "/secrets/mourned/"), vault("PUT", "/secrets/mourned", {"value": "y"})

    assert f"{VAULT}/deletedsecrets/mourned" == deleted["recoveryId"]
    assert 90 * 86_400 == deleted["scheduledPurgeDate"] - deleted["deletedDate"]
    assert (404, 409) == (read.status_code, written.status_code)
    assert "ObjectIsDeletedButRecoverable" == written.json()["error"]["innererror"]["code"]
    assert [deleted["id"]] == [item["id"] for item in vault("GET", "/deletedsecrets").json()["value"]]
    vault("POST", "/deletedsecrets/mourned/recover")
    assert "x" == vault("GET", "/secrets/mourned/").json()["value"]


def test_purge(vault: Caller) -> None:
    """A purged name is free again."""
    vault("PUT", "/secrets/purged", {"value": "x"})
    vault("DELETE", "/secrets/purged")
    purged = vault("DELETE", "/deletedsecrets/purged")

    assert (204, b"") == (purged.status_code, purged.content)
    assert 404 == vault("GET", "/deletedsecrets/purged").status_code
    assert 200 == vault("PUT", "/secrets/purged", {"value": "y"}).status_code


def test_paging(vault: Caller) -> None:
    """Lists come in pages of at most 25, each with a link to the next."""
    for number in range(30):
        vault("PUT", f"/secrets/page-{number:02}", {"value": "x"})
    names, link = [], f"{VAULT}/secrets?maxresults=25"
    sizes = []
    while link:
        page = vault("GET", link).json()
        names += [item["id"].rpartition("/")[2] for item in page["value"]]
        sizes.append(len(page["value"]))
        link = page["nextLink"]

    assert [f"page-{number:02}" for number in range(30)] == [name for name in names if name.startswith("page-")]
    assert 25 == sizes[0]


def test_vaults_are_separate(vault: Caller) -> None:
    """What one vault holds, another does not."""
    vault("PUT", "/secrets/separate", {"value": "x"})

    assert 404 == vault("GET", "https://other.vault.azure.net/secrets/separate/").status_code


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PUT", "/secrets/under_score", {"value": "x"}),
        ("PUT", "/secrets/valueless", {}),
        ("GET", "/secrets?maxresults=26", None),
        ("GET", "/secrets?maxresults=many", None),
    ],
)
def test_bad_input(vault: Caller, method: str, path: str, body: dict[str, Any] | None) -> None:
    """A bad name, a missing value and a bad page size are refused as BadParameter."""
    response = vault(method, path, body)

    assert (400, "BadParameter") == (response.status_code, response.json()["error"]["code"])


def test_forbidden(vault: Caller, scene: Scene) -> None:
    """A principal without a role assignment gets 403, by mode; a scripted fault hits one secret."""
    vault("PUT", "/secrets/guarded", {"value": "x"})
    scene.world.modes["vault_denied_principals"] = [scene.cloud.identity.principal_id]
    denied = vault("GET", "/secrets/guarded/")
    scene.world.reset_mode("vault_denied_principals")
    effect = {"kind": "status", "status": 503, "headers": {"Retry-After": "1"}}
    scene.world.faults.add(Fault("vault", "get", effect, key="guarded"))

    assert (403, "ForbiddenByRbac") == (denied.status_code, denied.json()["error"]["innererror"]["code"])
    assert [404, 503, 200] == [
        vault("GET", f"/secrets/{name}/").status_code for name in ("other", "guarded", "guarded")
    ]
