"""The CONNECT gateway: known hosts are tunnelled unread, everything else is refused."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections import Counter
from typing import TYPE_CHECKING

import httpx
import pytest

from localcloud.gateway.proxy import Gateway, is_simulated, loopback_socket, port_of

if TYPE_CHECKING:
    from localcloud.cloud import LocalCloud

pytestmark = pytest.mark.enable_socket


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("graph.microsoft.com", True),
        ("Graph.Microsoft.com", True),
        ("outlook.office.com", True),
        ("login.microsoftonline.com", True),
        ("mailgrant-local.vault.azure.net", True),
        (".vault.azure.net", False),
        ("a.b.vault.azure.net", False),
        ("vault.azure.net", False),
        ("*.vault.azure.net", True),
        ("example.com", False),
        ("evil-graph.microsoft.com.example", False),
    ],
)
def test_simulated_hosts(host: str, expected: bool) -> None:
    """Only Microsoft's own names of the simulated services are answered for."""
    assert expected == is_simulated(host)


def test_listeners_name_tcp() -> None:
    """A listener says IPPROTO_TCP, or else asyncio leaves Nagle's delay on."""
    with loopback_socket() as listener:
        assert (socket.IPPROTO_TCP, "127.0.0.1") == (listener.proto, listener.getsockname()[0])


@pytest.mark.parametrize("host", ["graph.microsoft.com", "outlook.office.com"])
def test_production_url(http: httpx.Client, host: str) -> None:
    """A request to a production URL reaches the simulated service of that host."""
    assert {"host": host, "path": "/v1.0/users"} == http.get(f"https://{host}/v1.0/users").json()


def test_other_hosts_stay_inside(http: httpx.Client, cloud: LocalCloud) -> None:
    """A host that is not simulated is refused with 403 and counted: nothing leaks outside."""
    before = cloud.world.counters["gateway.refused.host"]
    with pytest.raises(httpx.ProxyError, match="403 Forbidden"):
        http.get("https://example.com/")

    assert before + 1 == cloud.world.counters["gateway.refused.host"]


def test_authority_is_private(cloud: LocalCloud) -> None:
    """Who trusts the machine's authorities only does not trust the cloud."""
    proxy = cloud.environment()["HTTPS_PROXY"]
    with (
        httpx.Client(proxy=proxy, verify=ssl.create_default_context(), trust_env=False) as client,
        pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"),
    ):
        client.get("https://graph.microsoft.com/v1.0/users")


def test_host_without_service(cloud: LocalCloud, trust: ssl.SSLContext) -> None:
    """A Host header that no service answers for gets 421, whatever name the tunnel had."""
    proxy = cloud.environment()["HTTPS_PROXY"]
    with httpx.Client(proxy=proxy, verify=trust, trust_env=False) as client:
        response = client.get("https://graph.microsoft.com/", headers={"Host": "example.com"})

    assert 421 == response.status_code


async def _exchange(request: bytes, *, upstream: bool = True) -> tuple[bytes, Counter[str]]:
    """Send *request* to a gateway before an upper-casing server; return all that came back, and the counters."""

    async def shout(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            writer.write(data.upper())
            await writer.drain()
        writer.close()

    counters: Counter[str] = Counter()
    with loopback_socket() as unused:
        port = port_of(unused)
    server = await asyncio.start_server(shout, "127.0.0.1", port if upstream else 0)
    gateway, listener = Gateway(port, counters), loopback_socket()
    await gateway.start(listener)
    reader, writer = await asyncio.open_connection("127.0.0.1", port_of(listener))
    writer.write(request)
    established = b"HTTP/1.1 200 Connection established\r\n\r\n"
    length = len(established) + len(request.partition(b"\r\n\r\n")[2])
    answer = await (reader.readexactly(length) if upstream else reader.read())
    writer.close()
    gateway.stop()
    server.close()
    return answer, counters


def test_bytes_after_the_head() -> None:
    """What a client sends without waiting for the answer reaches the server, megabytes of it both ways."""
    body = b"x" * 3_000_000
    answer, counters = asyncio.run(_exchange(b"CONNECT graph.microsoft.com:443 HTTP/1.1\r\n\r\n" + body))

    assert b"HTTP/1.1 200 Connection established\r\n\r\n" + body.upper() == answer
    assert Counter({"gateway.tunnels": 1}) == counters


@pytest.mark.parametrize(
    ("request_line", "status", "reason"),
    [
        (b"CONNECT graph.microsoft.com:80 HTTP/1.1\r\n\r\n", b"403 Forbidden", "host"),
        (b"CONNECT nonsense HTTP/1.1\r\n\r\n", b"403 Forbidden", "host"),
        (b"GET http://graph.microsoft.com/ HTTP/1.1\r\n\r\n", b"405 Method Not Allowed", "method"),
        (b"x" * 20_000, b"431 Request Header Fields Too Large", "oversize"),
        (b"CONNECT graph.microsoft.com:443 HTTP/1.1\r\n\r\n", b"502 Bad Gateway", "unreachable"),
    ],
)
def test_refusals(request_line: bytes, status: bytes, reason: str) -> None:
    """What the gateway cannot tunnel is refused in words and counted by reason."""
    answer, counters = asyncio.run(_exchange(request_line, upstream=False))

    assert b"HTTP/1.1 " + status == answer.split(b"\r\n")[0]
    assert Counter({"gateway.refused": 1, f"gateway.refused.{reason}": 1}) == counters
