"""How are the simulated services served: uvicorn servers on sockets of ours, and one dispatch by Host header."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from localcloud.effects import ABORT_EXTENSION
from localcloud.gateway.proxy import VAULT_SUFFIX

if TYPE_CHECKING:
    import socket
    import ssl
    from collections.abc import Iterator, Mapping

    from starlette.types import ASGIApp, Receive, Scope, Send

_SHUTDOWN_SECONDS = 1


class _AbortableProtocol(H11Protocol):
    """uvicorn's HTTP protocol that lets an app drop the connection, for scripted resets."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        app = self.app

        async def abortable(scope: Any, receive: Any, send: Any) -> None:
            scope.setdefault("extensions", {})[ABORT_EXTENSION] = transport.abort
            await app(scope, receive, send)

        self.app = abortable


class QuietServer(uvicorn.Server):
    """A uvicorn server that leaves signals to the process it runs in, and says when it listens."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._listening = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Do nothing: uvicorn would re-raise the signal after its shutdown and end the process."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, and let `listening` return."""
        await super().startup(sockets)
        self._listening.set()

    async def listening(self) -> None:
        """Wait until connections are accepted."""
        await self._listening.wait()


def make_server(app: ASGIApp, context: ssl.SSLContext | None = None) -> QuietServer:
    """Return a server for *app*, over TLS where a *context* is given; `serve` it on a bound socket."""
    config = uvicorn.Config(
        app,
        http=_AbortableProtocol,
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="critical",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=120,
        timeout_graceful_shutdown=_SHUTDOWN_SECONDS,
    )
    config.load()
    config.ssl = context
    return QuietServer(config)


class HostDispatcher:
    """The ASGI app of the TLS port: *hosts* maps exact names to apps, every vault name leads to *vaults*."""

    def __init__(self, hosts: Mapping[str, ASGIApp], vaults: ASGIApp) -> None:
        self._hosts = hosts
        self._vaults = vaults

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer by the Host header; 421 where nobody answers for it."""
        host = next((value for name, value in scope["headers"] if name == b"host"), b"").decode("latin-1").casefold()
        host = host.removesuffix(":443")
        app = self._hosts.get(host) or (self._vaults if host.endswith(VAULT_SUFFIX) else None)
        if app is not None:
            await app(scope, receive, send)
            return
        await send({"type": "http.response.start", "status": 421, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body"})
