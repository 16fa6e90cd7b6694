"""The guarded client for addresses that a person entered, and signatures after Standard Webhooks."""

import ipaddress
import socket
from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

import httpcore
import httpx
import standardwebhooks

from shared.adapters.graph_wire import retry_after_seconds
from shared.adapters.http_client import FirstUse, PoolTransport, client_over, deadline_after, pool, proxied
from shared.codes import Code
from shared.errors import Fault
from shared.ports import Answer
from shared.telemetry import TRACEPARENT, traceparent

CONNECT_SECONDS = 10.0
TOTAL_SECONDS = 20.0
MAX_ANSWER_BYTES = 64 * 1024
MAX_URL = 2000
_DEFAULT_PORTS = {"https": 443, "http": 80}
_Address = ipaddress.IPv4Address | ipaddress.IPv6Address

# Python's is_global passes these: Azure's wire server, 6to4 and its relays, Teredo, and both NAT64 prefixes.
_REFUSED = tuple(
    ipaddress.ip_network(text)
    for text in (
        "168.63.129.16/32",
        "192.88.99.0/24",
        "2001::/32",
        "2002::/16",
        "64:ff9b::/96",
        "64:ff9b:1::/48",
        "fec0::/10",
    )
)

Resolve = Callable[[str, int], list[str]]


class GuardedBackend(httpcore.NetworkBackend):
    """
    Resolves a name once, refuses it if any address may not be called, and connects to an address that was checked.

    A name that resolves differently a moment later gains nothing: the second answer is never asked for.
    """

    def __init__(self, allowed: Collection[tuple[str, int]], resolve: Resolve, inner: httpcore.NetworkBackend) -> None:
        self._allowed = frozenset(allowed)
        self._resolve = resolve
        self._inner = inner

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        """Connect to the first checked address that answers; raises `Fault` where one may not be called."""
        try:
            addresses = self._resolve(host, port)
        except (OSError, UnicodeError) as error:  # the latter for a label that is too long
            raise httpcore.ConnectError("the name does not resolve") from error
        if (host.lower(), port) not in self._allowed and not all(is_public(address) for address in addresses):
            raise forbidden("The destination's name leads to an address that is not public. Use a public address.")
        options = list(socket_options or ())
        failure: Exception = httpcore.ConnectError("the name has no address")
        for address in addresses:
            try:
                return self._inner.connect_tcp(address, port, timeout, local_address, options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise failure


class GuardedWebhooks:
    """
    Posts to destinations. *allowed* are host and port pairs that may also be plain http and not public.

    *own_url* is our own address, which is never called. No proxy of the environment is used: it would resolve the name
    itself, and the check would be void. A *proxy* that is given takes over the check of addresses, and nothing else.
    """

    def __init__(
        self,
        allowed: Collection[tuple[str, int]],
        own_url: str,
        resolve: Resolve | None = None,
        backend: httpcore.NetworkBackend | None = None,
        proxy: str = "",
    ) -> None:
        self._allowed = frozenset(allowed)
        self._own = _host_port(urlsplit(own_url))
        inner = backend or httpcore.SyncBackend()
        guarded = GuardedBackend(self._allowed, resolve or _system_addresses, inner)

        def connect() -> PoolTransport:
            tls = httpx.create_ssl_context()
            connections = proxied(proxy, tls, inner) if proxy else pool(tls, guarded)
            return PoolTransport(lambda _host: connections, [connections])

        self._client = client_over(FirstUse(connect))
        self._client.timeout = httpx.Timeout(TOTAL_SECONDS, connect=CONNECT_SECONDS)

    def check(self, url: str) -> str | None:
        """Return why this URL can never be called, or None; makes no call."""
        try:
            parsed = httpx.URL(url) if len(url) <= MAX_URL else None
        except (httpx.InvalidURL, ValueError):
            parsed = None
        if parsed is None or not parsed.host:
            return f"The destination must be a whole URL of at most {MAX_URL} characters."
        if parsed.userinfo:
            return "The destination's URL must not hold a user name or password."
        return self._check_place(
            parsed.scheme, parsed.host.lower(), parsed.port or _DEFAULT_PORTS.get(parsed.scheme, 0)
        )

    def _check_place(self, scheme: str, host: str, port: int) -> str | None:
        listed = (host, port) in self._allowed and scheme in _DEFAULT_PORTS
        if (host, port) == self._own or (host.rstrip(".") == self._own[0] and not listed):
            return "The destination is this application itself."
        if not listed and (scheme != "https" or port != 443):
            return "The destination must begin with https:// and use port 443."
        if not listed and _is_literal(host) and not is_public(host):
            return "The destination's address is not public."
        return None

    def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        """POST *body* and return the status; at most 64 KiB of the answer are read, and none is kept."""
        reason = self.check(url)
        if reason:
            raise forbidden(reason)
        request = self._client.build_request(
            "POST",
            url,
            content=body,
            headers={**headers, **({TRACEPARENT: parent} if (parent := traceparent()) else {})},
            extensions={**deadline_after(TOTAL_SECONDS), "timeout": self._client.timeout.as_dict()},
        )
        try:
            answer = self._client.send(request, stream=True)
        except httpx.HTTPError as error:
            raise _unreachable(error) from None
        try:
            size = 0
            for part in answer.iter_raw():
                size += len(part)
                if size > MAX_ANSWER_BYTES:
                    break
        except httpx.HTTPError as error:
            raise _unreachable(error) from None
        finally:
            answer.close()
        seconds = retry_after_seconds({name.lower(): value for name, value in answer.headers.items()})
        return Answer(answer.status_code, seconds)


def signature(secret: str, webhook_id: str, at: datetime, body: bytes) -> dict[str, str]:
    """Return the three headers of Standard Webhooks for *body*; *secret* begins with ``whsec_``."""
    signed = standardwebhooks.Webhook(secret).sign(webhook_id, at, body.decode())
    return {
        "webhook-id": webhook_id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": signed,
    }


def verified(secret: str, body: bytes, headers: Mapping[str, str]) -> bool:
    """Tell whether *body* bears a signature of Standard Webhooks by *secret* that is at most five minutes old."""
    try:
        standardwebhooks.Webhook(secret).verify(body, dict(headers), json_parse=False)
    except (standardwebhooks.WebhookVerificationError, ValueError, OverflowError):
        return False
    return True


def is_public(address: str) -> bool:
    """Tell whether an IP address may be called: global, and in none of the ranges that lead back inside."""
    try:
        found: _Address = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped is not None:
        return False
    if not found.is_global or found.is_multicast or found.is_reserved:
        return False
    return not any(found.version == network.version and found in network for network in _REFUSED)


def forbidden(detail: str) -> Fault:
    """Return the fault of a destination that may not be called."""
    return Fault(detail, Code.DESTINATION_FORBIDDEN)


def _unreachable(error: httpx.HTTPError) -> Fault:
    detail = f"The destination gave no answer ({type(error).__name__}). It is tried again by itself."
    return Fault(detail, Code.DESTINATION_UNREACHABLE, retryable=True, outcome_unknown=True)


def _host_port(parts: Any) -> tuple[str, int]:
    return (parts.hostname or "").lower(), parts.port or (80 if parts.scheme == "http" else 443)


def _is_literal(host: str) -> bool:
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        # Systems also read 127.1, 0x7f000001 and 2130706433 as addresses; a public name ends in letters.
        last = host.rstrip(".").rpartition(".")[2]
        return last.isdigit() or last.startswith("0x")
    return True


def _system_addresses(host: str, port: int) -> list[str]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))
