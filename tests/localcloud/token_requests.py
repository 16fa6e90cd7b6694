"""Requests to the simulated token endpoint, as the tests of several files make them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx
import jwt

if TYPE_CHECKING:
    from tests.localcloud.conftest import Scene

LOGIN = "https://login.microsoftonline.com"
GRAPH = "https://graph.microsoft.com"
SCOPE = f"{GRAPH}/.default"
BEARER = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


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
