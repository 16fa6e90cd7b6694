"""How HTTP reaches functions and comes back: the ASGI application of the host."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any
from urllib.parse import quote

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from localcloud.host.admin import AdminApi, given_key
from localcloud.host.config import REQUEST_BODY_LIMIT
from localcloud.host.invocations import Invoker
from localcloud.host.keys import Keys
from localcloud.host.messages import Record, TypedData
from localcloud.host.routes import RouteTable

log = logging.getLogger("localcloud.host.http")
_SAME_SITE = {1: "lax", 2: "strict", 3: "none"}
# The server counts the body itself.
_FRAMING_HEADERS = ("content-length", "transfer-encoding")


class BodyTooLargeError(Exception):
    """Say that a request is longer than the platform takes (210 MB)."""


class HttpApp:
    """Answer requests with the function their route belongs to."""

    def __init__(self, routes: RouteTable, keys: Keys, invoker: Invoker, admin: AdminApi) -> None:
        self._routes = routes
        self._keys = keys
        self._invoker = invoker
        self._admin = admin

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI event stream."""
        request = Request(scope, receive)
        try:
            response = await self._answer(request)
        except ClientDisconnect:
            return
        except BodyTooLargeError:
            response = Response(status_code=413)
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        path = raw_path(request)
        if path == "/admin" or path.lower().startswith("/admin/"):
            return await self._admin.answer(request, path)
        found = self._routes.find(request.method, path)
        if not found:
            return Response(status_code=200 if path == "/" and request.method in ("GET", "HEAD") else 404)
        function, parameters = found
        if not self._keys.allow(function.auth_level, given_key(request), function):
            return Response(status_code=401)
        value = await to_rpc(request, path, parameters)
        trace_parent = request.headers.get("traceparent", "")
        result = await self._invoker.run(function, value, None, parameters, trace_parent)
        if not result.succeeded:
            return Response(status_code=500)
        return to_response(result.return_value)


def raw_path(request: Request) -> str:
    """Return the path as it was sent, still percent-encoded."""
    raw: bytes = request.scope.get("raw_path") or quote(request.scope["path"]).encode()
    return raw.split(b"?")[0].decode("latin-1")


async def to_rpc(request: Request, path: str, parameters: dict[str, str]) -> TypedData:
    """Return the request as the worker expects it: repeated values joined by commas, empty query values dropped."""
    url = f"{request.url.scheme}://{request.headers.get('host', 'localhost')}{path}"
    if request.url.query:
        url += f"?{request.url.query}"
    query: dict[str, str] = {}
    for name, value in request.query_params.multi_items():
        query[name] = f"{query[name]},{value}" if name in query else value
    headers: dict[str, str] = {}
    for name, value in request.headers.items():
        headers[name] = f"{headers[name]},{value}" if name in headers else value
    body = await read_body(request)
    return TypedData(
        http=Record(
            method=request.method,
            url=url,
            headers=headers,
            params=parameters,
            query={name: value for name, value in query.items() if value},
            body=TypedData(bytes=body) if body else TypedData(),
        )
    )


async def read_body(request: Request, limit: int = REQUEST_BODY_LIMIT) -> bytes:
    """Return the whole body; raises BodyTooLargeError beyond *limit* bytes."""
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > limit:
        raise BodyTooLargeError
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > limit:
            raise BodyTooLargeError
        parts.append(part)
    return b"".join(parts)


def to_response(value: TypedData | None) -> Response:
    """Return what the function gave as an HTTP answer; nothing at all is 204."""
    kind = value.WhichOneof("data") if value is not None else None
    if value is None or kind is None:
        return Response(status_code=204)
    if kind != "http":
        content = value.content if isinstance(value.content, bytes) else str(value.content)
        return Response(content, media_type="application/json" if kind == "json" else "text/plain")
    answer = value.http
    response = Response(answer.body.content if answer.body else b"", status_code=int(answer.status_code))
    for name, text in answer.headers.items():
        if name.lower() not in _FRAMING_HEADERS:
            response.headers[name] = text
    for cookie in answer.cookies or ():
        response.headers.append("set-cookie", set_cookie(cookie))
    return response


def set_cookie(cookie: Any) -> str:
    """Return a Set-Cookie header written as ASP.NET writes it: the value percent-encoded, attributes in lower case."""
    parts = [f"{cookie.name}={quote(cookie.value, safe='-._~')}"]
    if cookie.expires:
        parts.append(
            f"expires={format_datetime(datetime.fromtimestamp(cookie.expires.value.seconds, UTC), usegmt=True)}"
        )
    if cookie.max_age:
        parts.append(f"max-age={int(cookie.max_age.value)}")
    parts += [
        f"{name}={text.value}"
        for name, text in (("domain", cookie.domain), ("path", cookie.path))
        if text and text.value
    ]
    if cookie.secure and cookie.secure.value:
        parts.append("secure")
    if cookie.same_site in _SAME_SITE:
        parts.append(f"samesite={_SAME_SITE[cookie.same_site]}")
    if cookie.http_only and cookie.http_only.value:
        parts.append("httponly")
    return "; ".join(parts)
