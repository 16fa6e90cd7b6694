"""How does a process get its managed identity's token: the App Service protocol of 2019-08-01 over plain http."""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING

from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from localcloud.effects import Answering, answer
from localcloud.entra.grants import RESOURCES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request

    from localcloud.entra.tokens import TokenIssuer
    from localcloud.world import ManagedIdentity, World

_API_VERSION = "2019-08-01"
_SELECTORS = ("client_id", "principal_id", "object_id", "mi_res_id")


class IdentityEndpoint:
    """The endpoint behind ``IDENTITY_ENDPOINT``; only who knows *header* (``IDENTITY_HEADER``) gets a token."""

    def __init__(self, world: World, issuer: TokenIssuer, header: str) -> None:
        self._world = world
        self._issuer = issuer
        self._header = header

    def routes(self) -> list[Route]:
        """Return the one route, ``GET /msi/token``."""
        return [Route("/msi/token", self._faulty, methods=["GET"])]

    async def _faulty(self, request: Request) -> Response:
        resource = request.query_params.get("resource", "")
        return await answer(self._world, "identity", "token", (resource,), Answering(request, self._token))

    async def _token(self, request: Request) -> Response:
        if not hmac.compare_digest(request.headers.get("x-identity-header", "").encode(), self._header.encode()):
            return _refused(401, "The value of the X-IDENTITY-HEADER header is missing or wrong.")
        query = request.query_params
        if query.get("api-version") != _API_VERSION:
            return _refused(400, f"The api-version is invalid; {_API_VERSION} is supported.")
        resource = query.get("resource", "").removesuffix("/")
        if resource not in RESOURCES:
            return _refused(400, f"AADSTS500011: The resource principal named {resource} was not found in the tenant.")
        identity = self._chosen(query)
        if identity is None:
            text = "No User Assigned or Delegated Managed Identity found for specified ClientId/ResourceId/PrincipalId."
            return _refused(400, text)
        token = self._issuer.issue_identity_token(identity, resource)
        expires_on = str(int(self._world.clock()) + 86_400)
        return JSONResponse(
            {
                "access_token": token,
                "expires_on": expires_on,
                "resource": resource,
                "token_type": "Bearer",
                "client_id": identity.client_id,
            }
        )

    def _chosen(self, query: Mapping[str, str]) -> ManagedIdentity | None:
        selector = next((name for name in _SELECTORS if query.get(name)), None)
        for identity in self._world.identities:
            known = {
                "client_id": identity.client_id,
                "principal_id": identity.principal_id,
                "object_id": identity.principal_id,
                "mi_res_id": identity.resource_id,
            }
            if (identity.name is None) if selector is None else known[selector] == query[selector]:
                return identity
        return None


def _refused(status: int, message: str) -> Response:
    return JSONResponse({"statusCode": status, "message": message}, status)
