"""How do unmodified clients on production URLs reach the local cloud: an HTTP CONNECT proxy that decrypts nothing."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from collections import Counter

LOGIN_HOSTS = ("login.microsoftonline.com", "login.windows.net", "login.microsoft.com", "sts.windows.net")
GRAPH_HOST = "graph.microsoft.com"
UPLOAD_HOST = "outlook.office.com"
VAULT_SUFFIX = ".vault.azure.net"
CERTIFICATE_HOSTS = (*LOGIN_HOSTS, GRAPH_HOST, UPLOAD_HOST, f"*{VAULT_SUFFIX}")
_MAX_HEAD = 16_384


def is_simulated(host: str) -> bool:
    """Return whether the local cloud answers for *host*."""
    lowered = host.casefold()
    return lowered in CERTIFICATE_HOSTS or (
        lowered.endswith(VAULT_SUFFIX) and lowered.count(".") == VAULT_SUFFIX.count(".") and lowered != VAULT_SUFFIX
    )


def loopback_socket(port: int = 0) -> socket.socket:
    """
    Return a listening socket on 127.0.0.1 (any free port for 0).

    It names ``IPPROTO_TCP``, without which asyncio does not set TCP_NODELAY and each exchange waits 40 ms.
    """
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        listener.listen(256)
    except OSError:
        listener.close()
        raise
    return listener


def port_of(listener: socket.socket) -> int:
    """Return the port a socket listens on."""
    return int(listener.getsockname()[1])


class _Far(asyncio.Protocol):
    """The tunnel's end at the TLS server: passes its bytes to the client's end."""

    def __init__(self, near: asyncio.Transport) -> None:
        self.near = near

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self.near.write(data)

    def eof_received(self) -> bool:
        self.near.close()
        return False

    def connection_lost(self, _error: Exception | None) -> None:
        self.near.close()

    def pause_writing(self) -> None:
        """Stop reading from the client while the server is slow."""
        self.near.pause_reading()

    def resume_writing(self) -> None:
        if not self.near.is_closing():
            self.near.resume_reading()


class _Near(asyncio.Protocol):
    """The client's end: reads one CONNECT request, then passes bytes through."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._head = b""
        self._opening: asyncio.Task[None] | None = None
        self._far: _Far | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._gateway.open_ends.add(self._transport)

    def data_received(self, data: bytes) -> None:
        if self._far is not None:
            self._far.transport.write(data)
            return
        self._head += data
        head, end, rest = self._head.partition(b"\r\n\r\n")
        if end:
            self._head = rest
            self._transport.pause_reading()
            self._answer(head)
        elif len(self._head) > _MAX_HEAD:
            self._refuse("431 Request Header Fields Too Large", "oversize")

    def _answer(self, head: bytes) -> None:
        method, _, target = head.split(b"\r\n", 1)[0].decode("latin-1").partition(" ")
        host, _, port = target.partition(" ")[0].rpartition(":")
        if method != "CONNECT":
            self._refuse("405 Method Not Allowed", "method")
        elif port != "443" or not is_simulated(host):
            self._refuse("403 Forbidden", "host")
        else:
            self._opening = asyncio.get_running_loop().create_task(self._open())

    def _refuse(self, status: str, reason: str) -> None:
        self._gateway.counters["gateway.refused"] += 1
        self._gateway.counters[f"gateway.refused.{reason}"] += 1
        body = b"The local cloud simulates only Microsoft's sign-in, Graph, upload and Key Vault hosts.\n"
        head = (
            f"HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        )
        self._transport.write(head.encode() + body)
        self._transport.close()

    async def _open(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            _, far = await loop.create_connection(lambda: _Far(self._transport), "127.0.0.1", self._gateway.tls_port)
        except OSError:
            self._refuse("502 Bad Gateway", "unreachable")
            return
        if self._transport.is_closing():
            far.transport.close()
            return
        self._gateway.counters["gateway.tunnels"] += 1
        self._transport.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        # A client may send its TLS hello without waiting for the answer.
        far.transport.write(self._head)
        self._far = far
        self._transport.resume_reading()

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, _error: Exception | None) -> None:
        self._gateway.open_ends.discard(self._transport)
        if self._far is not None:
            self._far.transport.close()

    def pause_writing(self) -> None:
        """Stop reading from the server while the client is slow."""
        if self._far is not None:
            self._far.transport.pause_reading()

    def resume_writing(self) -> None:
        if self._far is not None and not self._far.transport.is_closing():
            self._far.transport.resume_reading()


class Gateway:
    """The CONNECT proxy in front of the TLS server at *tls_port*; any host that is not simulated gets a 403."""

    def __init__(self, tls_port: int, counters: Counter[str]) -> None:
        self.tls_port = tls_port
        self.counters = counters
        self.open_ends: set[asyncio.Transport] = set()
        self._server: asyncio.Server | None = None

    async def start(self, listener: socket.socket) -> None:
        """Accept connections on *listener*."""
        self._server = await asyncio.get_running_loop().create_server(lambda: _Near(self), sock=listener)

    def stop(self) -> None:
        """Close the listener and every tunnel."""
        if self._server is not None:
            self._server.close()
        for transport in list(self.open_ends):
            transport.abort()
