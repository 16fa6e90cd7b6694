"""What does the simulated Key Vault answer: secrets with versions, soft delete, and the bearer challenge."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from localcloud.effects import Answering, answer
from localcloud.entra.tokens import LOGIN, VAULT_AUDIENCE, TokenIssuer, TokenRejected
from localcloud.vault.store import Vault, VaultError

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request

    from localcloud.effects import Endpoint
    from localcloud.world import Tenant, World

    Action = Callable[[Vault, Request, dict[str, Any]], dict[str, Any] | None]

_NAME = re.compile(r"[0-9A-Za-z-]{1,127}")


class VaultService:
    """All vaults of the cloud, each found by its host name; they trust tokens of *home* for the vault resource."""

    def __init__(self, world: World, issuer: TokenIssuer, home: Tenant) -> None:
        self._world = world
        self._issuer = issuer
        self._home = home
        self._vaults: dict[str, Vault] = {}

    def app(self) -> Starlette:
        """Return the ASGI app for every ``NAME.vault.azure.net``."""
        table: list[tuple[str, str, str, Action]] = [
            ("PUT", "/secrets/{name}", "set", _set),
            ("GET", "/secrets", "list", lambda vault, request, _: vault.list_secrets(_page(request))),
            ("GET", "/secrets/{name}/versions", "versions", _versions),
            ("GET", "/secrets/{name}/{version}", "get", _get),
            ("GET", "/secrets/{name}/", "get", _get),
            ("GET", "/secrets/{name}", "get", _get),
            ("PATCH", "/secrets/{name}/{version}", "update", _update),
            ("PATCH", "/secrets/{name}/", "update", _update),
            ("PATCH", "/secrets/{name}", "update", _update),
            ("DELETE", "/secrets/{name}", "delete", lambda vault, request, _: vault.delete(_name(request))),
            ("GET", "/deletedsecrets", "list_deleted", lambda vault, request, _: vault.list_deleted(_page(request))),
            ("GET", "/deletedsecrets/{name}", "get_deleted", lambda vault, request, _: vault.deleted(_name(request))),
            (
                "POST",
                "/deletedsecrets/{name}/recover",
                "recover",
                lambda vault, request, _: vault.recover(_name(request)),
            ),
            ("DELETE", "/deletedsecrets/{name}", "purge", lambda vault, request, _: vault.purge(_name(request))),
        ]
        routes = [
            Route(path, self._endpoint(operation, action), methods=[method])
            for method, path, operation, action in table
        ]
        app = Starlette(routes=routes)
        # The SDK asks for the latest version with a trailing slash, which must not become a redirect.
        app.router.redirect_slashes = False
        return app

    def _endpoint(self, operation: str, action: Action) -> Endpoint:
        async def act(request: Request) -> Response:
            try:
                self._check_token(request.headers.get("authorization", ""))
                body = await request.json() if request.method in ("PUT", "PATCH") else {}
                result = action(self._vault(request), request, body)
            except VaultError as error:
                return self._refused(error)
            except ValueError:
                return self._refused(VaultError(400, "BadParameter", "The request body is not valid JSON."))
            return Response(status_code=204) if result is None else JSONResponse(result)

        async def faulty(request: Request) -> Response:
            name = str(request.path_params.get("name", ""))
            return await answer(self._world, "vault", operation, (name,), Answering(request, act))

        return faulty

    def _vault(self, request: Request) -> Vault:
        host = request.headers.get("host", "").casefold().removesuffix(":443")
        if host not in self._vaults:
            self._vaults[host] = Vault(f"https://{host}", self._world.clock)
        return self._vaults[host]

    def _check_token(self, authorization: str) -> None:
        scheme, _, token = authorization.partition(" ")
        if scheme.casefold() != "bearer":
            raise VaultError(401, "Unauthorized", "AKV10000: Request is missing a Bearer or PoP token.")
        try:
            claims = self._issuer.verify(token, (VAULT_AUDIENCE,))
        except TokenRejected as rejected:
            code = "AKV10022: Invalid audience." if "audience" in rejected.message else "AKV10046: Unable to validate."
            raise VaultError(401, "Unauthorized", f"{code} {rejected.message}") from rejected
        if claims["tid"] != self._home.id:
            issuer = claims["iss"]
            raise VaultError(
                401, "Unauthorized", f"AKV10032: Invalid issuer. Expected {self._home.id}, found {issuer}."
            )
        denied = self._world.modes.get("vault_denied_principals", ())
        if claims["oid"] in denied:
            text = "Caller is not authorized to perform action on resource."
            raise VaultError(403, "Forbidden", text, "ForbiddenByRbac")

    def _refused(self, error: VaultError) -> Response:
        challenge = f'Bearer authorization="{LOGIN}/{self._home.id}", resource="{VAULT_AUDIENCE}"'
        headers = {"WWW-Authenticate": challenge} if error.status == 401 else None
        return JSONResponse(error.body(), error.status, headers)


def _name(request: Request) -> str:
    name = str(request.path_params["name"])
    if not _NAME.fullmatch(name):
        raise VaultError(400, "BadParameter", f"The request URI contains an invalid name: {name}")
    return name


def _page(request: Request) -> tuple[int, int]:
    """Return offset and size of the page asked for, at most 25 (the service's own limit)."""
    try:
        size = int(request.query_params.get("maxresults", 25))
        offset = int(request.query_params.get("$skiptoken", 0))
    except ValueError as error:
        raise VaultError(400, "BadParameter", "maxresults must be a number.") from error
    if not 1 <= size <= 25 or offset < 0:
        raise VaultError(400, "BadParameter", "maxresults must be between 1 and 25.")
    return offset, size


def _set(vault: Vault, request: Request, body: dict[str, Any]) -> dict[str, Any]:
    return vault.set(_name(request), body)


def _get(vault: Vault, request: Request, _body: dict[str, Any]) -> dict[str, Any]:
    return vault.get(_name(request), request.path_params.get("version"))


def _versions(vault: Vault, request: Request, _body: dict[str, Any]) -> dict[str, Any]:
    return vault.list_versions(_name(request), _page(request))


def _update(vault: Vault, request: Request, body: dict[str, Any]) -> dict[str, Any]:
    return vault.update(_name(request), request.path_params.get("version"), body)
