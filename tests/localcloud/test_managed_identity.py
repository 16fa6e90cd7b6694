"""The managed identity endpoint: the App Service protocol, as the platform offers it to a Function."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
import pytest

from localcloud.entra.tokens import GRAPH_AUDIENCE, TOKEN_EXCHANGE_AUDIENCE

if TYPE_CHECKING:
    from localcloud.cloud import LocalCloud
    from tests.localcloud.conftest import Scene

pytestmark = pytest.mark.enable_socket


def ask(cloud: LocalCloud, *, header: str | None = None, **changes: str) -> httpx.Response:
    """Ask for a Graph token as the platform's client does, with *changes* to the query."""
    environment = cloud.environment()
    query = {"api-version": "2019-08-01", "resource": GRAPH_AUDIENCE, **changes}
    headers = {"X-IDENTITY-HEADER": environment["IDENTITY_HEADER"] if header is None else header}
    with httpx.Client(trust_env=False) as client:
        return client.get(environment["IDENTITY_ENDPOINT"], params=query, headers=headers)


def test_system_assigned(scene: Scene) -> None:
    """Without a selector, the system-assigned identity's token comes back."""
    body = ask(scene.cloud).json()
    claims = scene.cloud.issuer.verify(body["access_token"], (GRAPH_AUDIENCE,))

    assert (scene.cloud.identity.principal_id, scene.cloud.home.id) == (claims["oid"], claims["tid"])
    assert (str(int(claims["exp"])), "Bearer", GRAPH_AUDIENCE) == (
        body["expires_on"],
        body["token_type"],
        body["resource"],
    )


@pytest.mark.parametrize("selector", ["client_id", "principal_id", "object_id", "mi_res_id"])
def test_user_assigned(scene: Scene, selector: str) -> None:
    """A user-assigned identity is found by each of its names."""
    identity = scene.cloud.user_identity
    names = {"client_id": identity.client_id, "mi_res_id": identity.resource_id}
    body = ask(scene.cloud, **{selector: names.get(selector, identity.principal_id)}).json()

    assert identity.client_id == body["client_id"]


def test_exchange_token(scene: Scene) -> None:
    """The token for the exchange audience is an assertion: issued by the tenant's v2.0 issuer, about the identity."""
    body = ask(scene.cloud, resource=TOKEN_EXCHANGE_AUDIENCE, client_id=scene.cloud.user_identity.client_id).json()
    claims = scene.cloud.issuer.verify(body["access_token"], (TOKEN_EXCHANGE_AUDIENCE,))

    assert f"https://login.microsoftonline.com/{scene.cloud.home.id}/v2.0" == claims["iss"]
    assert scene.cloud.user_identity.principal_id == claims["sub"]


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"header": "guess"}, 401),
        ({"header": ""}, 401),
        ({"api-version": "2018-02-01"}, 400),
        ({"resource": "https://example.com"}, 400),
        ({"client_id": "unknown"}, 400),
    ],
)
def test_refusals(scene: Scene, changes: dict[str, str], status: int) -> None:
    """A wrong header, version, resource or identity gets no token and a reason."""
    response = ask(scene.cloud, **changes)

    assert (status, status) == (response.status_code, response.json()["statusCode"])
    assert "access_token" not in response.text
    assert response.json()["message"]
