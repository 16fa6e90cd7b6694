"""Which URL of the simulated Entra ID (login.microsoftonline.com) leads to which answer."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from localcloud.effects import Answering, answer
from localcloud.entra.clients import basic_credentials
from localcloud.entra.consent import ConsentEndpoint
from localcloud.entra.discovery import instance_discovery, openid_configuration
from localcloud.entra.errors import EntraError, error_response
from localcloud.entra.grants import TokenGrants
from localcloud.entra.pages import Pages
from localcloud.entra.sign_in import SignInEndpoint

if TYPE_CHECKING:
    from starlette.requests import Request

    from localcloud.effects import Endpoint
    from localcloud.entra.tokens import TokenIssuer
    from localcloud.world import World


async def _form(request: Request) -> dict[str, str]:
    """Return the fields of a URL-encoded body; of a field given twice, the last."""
    body = (await request.body()).decode("utf-8", "replace")
    return dict(parse_qsl(body, keep_blank_values=True))


class _Endpoints:
    """The handlers behind the routes; each goes through the faults scripted for its operation."""

    def __init__(self, world: World, issuer: TokenIssuer) -> None:
        self._world = world
        self._issuer = issuer
        self._pages = Pages()
        self._grants = TokenGrants(issuer)
        self._consent = ConsentEndpoint(world, self._pages)
        self._sign_in = SignInEndpoint(self._grants, self._pages)

    async def discovery(self, request: Request) -> Response:
        name = request.path_params["tenant"]
        try:
            return JSONResponse(openid_configuration(self._world, name))
        except EntraError as error:
            # Only discovery calls an unknown tenant invalid_tenant (entra-and-graph-mail.md section 7.2).
            error.error = "invalid_tenant"
            return error_response(error, self._world.clock())

    async def instances(self, _request: Request) -> Response:
        return JSONResponse(instance_discovery())

    async def keys(self, _request: Request) -> Response:
        return JSONResponse(self._issuer.key_set())

    async def token(self, request: Request) -> Response:
        form = await _form(request)
        form |= basic_credentials(request.headers.get("authorization", ""))
        try:
            granted = self._grants.grant(request.path_params["tenant"], form)
        except EntraError as error:
            correlation_id = request.headers.get("client-request-id")
            return error_response(error, self._world.clock(), correlation_id=correlation_id)
        return JSONResponse(granted, headers={"Cache-Control": "no-store, no-cache", "Pragma": "no-cache"})

    async def consent_v1(self, request: Request) -> Response:
        return await self._consented(request, 1)

    async def consent_v2(self, request: Request) -> Response:
        return await self._consented(request, 2)

    async def _consented(self, request: Request, version: int) -> Response:
        tenant, query = request.path_params["tenant"], dict(request.query_params)
        try:
            if request.method != "POST":
                return self._consent.show(tenant, query, version=version)
            form = await _form(request)
            return self._consent.decide(tenant, query, form, version=version)
        except EntraError as error:
            return self._pages.error(error, self._world.clock())

    async def authorize(self, request: Request) -> Response:
        tenant, query = request.path_params["tenant"], dict(request.query_params)
        try:
            if request.method != "POST":
                return self._sign_in.show(tenant, query)
            form = await _form(request)
            return self._sign_in.decide(tenant, query, form)
        except EntraError as error:
            return self._pages.error(error, self._world.clock())

    def through_faults(self, operation: str, endpoint: Endpoint) -> Endpoint:
        """Return *endpoint* as it behaves under the faults scripted for *operation*, by tenant."""

        async def faulty(request: Request) -> Response:
            name = request.path_params.get("tenant", "common")
            tenant = self._world.find_tenant(name)
            keys = (name,) if tenant is None else (tenant.id, tenant.domain)
            return await answer(self._world, "entra", operation, keys, Answering(request, endpoint))

        return faulty


def entra_app(world: World, issuer: TokenIssuer) -> Starlette:
    """Return the ASGI app for the login hosts."""
    here = _Endpoints(world, issuer)
    table: list[tuple[str, str, Endpoint, list[str]]] = [
        ("/common/discovery/instance", "instance_discovery", here.instances, ["GET"]),
        ("/{tenant}/v2.0/.well-known/openid-configuration", "discovery", here.discovery, ["GET"]),
        ("/{tenant}/.well-known/openid-configuration", "discovery", here.discovery, ["GET"]),
        ("/{tenant}/discovery/v2.0/keys", "keys", here.keys, ["GET"]),
        ("/{tenant}/discovery/keys", "keys", here.keys, ["GET"]),
        ("/{tenant}/oauth2/v2.0/token", "token", here.token, ["POST"]),
        ("/{tenant}/oauth2/v2.0/authorize", "authorize", here.authorize, ["GET", "POST"]),
        ("/{tenant}/adminconsent", "adminconsent", here.consent_v1, ["GET", "POST"]),
        ("/{tenant}/v2.0/adminconsent", "adminconsent", here.consent_v2, ["GET", "POST"]),
    ]
    routes = [
        Route(path, here.through_faults(operation, endpoint), methods=methods)
        for path, operation, endpoint, methods in table
    ]
    return Starlette(routes=routes)
