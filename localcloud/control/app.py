"""How does a test or a demo steer the local cloud: one JSON endpoint on loopback, behind a token."""

from __future__ import annotations

import hmac
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route

from localcloud.control.directory import DirectoryControl
from localcloud.control.replies import ControlError, replying
from localcloud.world import Fault

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.requests import Request
    from starlette.routing import BaseRoute
    from starlette.types import ASGIApp, Receive, Scope, Send

    from localcloud.control.replies import Act
    from localcloud.world import World

_FAULT_FIELDS = ("service", "operation", "effect", "key", "skip", "times")
_EFFECT_NEEDS = {"status": "status", "delay": "seconds"}


class StateControl:
    """The control routes for modes, faults, counters and recorded traffic of *world*."""

    def __init__(self, world: World) -> None:
        self._world = world

    def routes(self) -> list[Route]:
        """Return the routes below the control root."""
        table: list[tuple[str, str, Act, int]] = [
            ("GET", "/health", lambda _request, _body: {"status": "ok"}, 200),
            ("GET", "/modes", lambda _request, _body: self._world.modes, 200),
            ("PUT", "/modes", self._set_modes, 200),
            ("POST", "/faults", self._add_fault, 201),
            ("GET", "/faults", self._list_faults, 200),
            ("DELETE", "/faults", lambda _request, _body: self._world.faults.clear(), 204),
            ("DELETE", "/faults/{id}", self._remove_fault, 204),
            ("GET", "/counters", self._count, 200),
            ("DELETE", "/counters", lambda _request, _body: self._world.reset_counters(), 204),
            ("PUT", "/recording", self._record, 200),
            ("GET", "/traffic", lambda _request, _body: self._world.traffic or [], 200),
        ]
        return [Route(path, replying(act, status), methods=[method]) for method, path, act, status in table]

    def _set_modes(self, _request: Request, body: dict[str, Any]) -> dict[str, Any]:
        """Change the modes that *body* names; a null value takes a mode back to its default."""
        for name, value in body.items():
            if value is None:
                self._world.reset_mode(name)
            else:
                self._world.modes[name] = value
        return self._world.modes

    def _add_fault(self, _request: Request, body: dict[str, Any]) -> dict[str, Any]:
        unknown = set(body) - set(_FAULT_FIELDS)
        if unknown:
            raise ControlError(400, f"unknown fields: {', '.join(sorted(unknown))}")
        effect = body["effect"]
        needed = _EFFECT_NEEDS.get(effect["kind"], "kind")
        if needed not in effect:
            raise ControlError(400, f"an effect of kind {effect['kind']} needs {needed}")
        return {"id": self._world.faults.add(Fault(**body))}

    def _remove_fault(self, request: Request, _body: dict[str, Any]) -> None:
        self._world.faults.remove(request.path_params["id"])

    def _list_faults(self, _request: Request, _body: dict[str, Any]) -> dict[str, Any]:
        return {"waiting": [asdict(fault) for fault in self._world.faults.waiting()], "hits": self._world.faults.hits}

    def _count(self, _request: Request, _body: dict[str, Any]) -> dict[str, int]:
        return dict(self._world.counters)

    def _record(self, _request: Request, body: dict[str, Any]) -> dict[str, Any]:
        self._world.traffic = [] if body["on"] else None
        return {"on": self._world.traffic is not None}


class RequireToken:
    """ASGI middleware: answers 401 unless the request bears *token*."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._expected = f"Bearer {token}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass an authorized request on."""
        given = next((value for name, value in scope["headers"] if name == b"authorization"), b"")
        if hmac.compare_digest(given, self._expected):
            await self._app(scope, receive, send)
            return
        refusal = JSONResponse({"error": "the control endpoint needs the token printed at start"}, 401)
        await refusal(scope, receive, send)


def control_app(world: World, token: str, mail_routes: Sequence[BaseRoute] = ()) -> ASGIApp:
    """Return the control endpoint; *mail_routes* of the Graph simulator appear below ``/mail``."""
    routes: list[BaseRoute] = [*StateControl(world).routes(), *DirectoryControl(world).routes()]
    return RequireToken(Starlette(routes=[*routes, Mount("/mail", routes=list(mail_routes))]), token)
