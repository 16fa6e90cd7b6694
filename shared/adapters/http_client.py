"""Outward HTTP: one kind of client, whose every call ends by one deadline of our own, dripping answers included."""

import socket
import threading
import time
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any, cast

import httpcore
import httpx

USER_AGENT = "Mailgrant/1"
MAX_CONNECTIONS = 64
KEEPALIVE_SECONDS = 20.0
CONNECT_SECONDS = 10.0
_CODINGS = ("gzip", "deflate")
_COMPRESSED = 16 * 1024  # which is at most 16 MiB once it is decoded: deflate makes 1 byte of 1032

_deadline: ContextVar[float | None] = ContextVar("deadline", default=None)


class DeadlineBackend(httpcore.NetworkBackend):
    """
    Opens connections through *inner* and ends every read and write by the deadline of the call under way.

    httpx's timeouts are per read, and a peer that sends a byte now and then never trips them.
    """

    def __init__(self, inner: httpcore.NetworkBackend | None = None) -> None:
        self._inner = inner or httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        """Connect within the deadline; raises `httpcore.ConnectTimeout` past it."""
        left = _left(timeout, httpcore.ConnectTimeout)
        options = [(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1), *(socket_options or ())]
        return _DeadlineStream(self._inner.connect_tcp(host, port, left, local_address, options))


class _DeadlineStream(httpcore.NetworkStream):
    def __init__(self, inner: httpcore.NetworkStream) -> None:
        self._inner = inner

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._inner.read(max_bytes, _left(timeout, httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._inner.write(buffer, _left(timeout, httpcore.WriteTimeout))

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self, ssl_context: Any, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        left = _left(timeout, httpcore.ConnectTimeout)
        return _DeadlineStream(self._inner.start_tls(ssl_context, server_hostname, left))

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


class PoolTransport(httpx.BaseTransport):
    """
    An httpx transport over httpcore pools, which take our network backend; *choose* picks the pool of a host.

    The extension ``deadline`` of a request (on *time.monotonic*) bounds everything up to the last byte of the answer.
    """

    def __init__(
        self, choose: Callable[[str], httpcore.ConnectionPool], pools: Iterable[httpcore.ConnectionPool]
    ) -> None:
        self._choose = choose
        self._pools = tuple(pools)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send one request; errors are httpx's own."""
        deadline = request.extensions.get("deadline")
        raw = httpcore.Request(
            request.method,
            httpcore.URL(
                scheme=request.url.raw_scheme,
                host=request.url.raw_host,
                port=request.url.port,
                target=request.url.raw_path,
            ),
            headers=request.headers.raw,
            content=cast("Iterable[bytes]", request.stream),
            extensions=request.extensions,
        )
        with _until(deadline), _httpx_errors(request):
            answer = self._choose(request.url.host).handle_request(raw)
        compressed = any(name.lower() == b"content-encoding" for name, _ in answer.headers)
        stream = _AnswerStream(request, answer.stream, deadline, _COMPRESSED if compressed else 0)
        return httpx.Response(answer.status, headers=answer.headers, stream=stream, extensions=answer.extensions)

    def close(self) -> None:
        """Close every pool."""
        for pool in self._pools:
            pool.close()


class FirstUse(httpx.BaseTransport):
    """
    A transport that *make* makes at the first request.

    Reading the certificates of the system takes as long as importing a large package, and a start has no time for it.
    """

    def __init__(self, make: Callable[[], PoolTransport]) -> None:
        self._make = make
        self._made: PoolTransport | None = None
        self._lock = threading.Lock()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send one request; errors are httpx's own."""
        with self._lock:
            made = self._made = self._made or self._make()
        return made.handle_request(request)

    def close(self) -> None:
        """Close every pool, if there are any."""
        with self._lock:
            if self._made is not None:
                self._made.close()


class _AnswerStream(httpx.SyncByteStream):
    def __init__(self, request: httpx.Request, inner: Any, deadline: float | None, piece: int) -> None:
        self._request, self._inner, self._deadline, self._piece = request, inner, deadline, piece

    def __iter__(self) -> Iterator[bytes]:
        parts = iter(self._inner)
        while True:
            with _until(self._deadline), _httpx_errors(self._request):
                try:
                    part = next(parts)
                except StopIteration:
                    return
            for at in range(0, len(part), self._piece or len(part)):
                yield part[at : at + (self._piece or len(part))]

    def close(self) -> None:
        self._inner.close()


def environment_client() -> httpx.Client:
    """Return the client for Microsoft's hosts; HTTPS_PROXY, NO_PROXY and SSL_CERT_FILE of the environment count."""
    proxy = urllib.request.getproxies().get("https")
    return client_over(FirstUse(lambda: _environment_transport(proxy)))


def _environment_transport(proxy: str | None) -> PoolTransport:
    tls = httpx.create_ssl_context()
    direct = pool(tls)
    if not proxy:
        return PoolTransport(lambda _host: direct, [direct])
    through = proxied(proxy, tls)

    def choose(host: str) -> httpcore.ConnectionPool:
        return direct if urllib.request.proxy_bypass(host) else through

    return PoolTransport(choose, [direct, through])


def pool(tls: Any, backend: httpcore.NetworkBackend | None = None) -> httpcore.ConnectionPool:
    """Return a pool of direct connections that never calls *backend* (or the system's) past a call's deadline."""
    return httpcore.ConnectionPool(
        tls,
        max_connections=MAX_CONNECTIONS,
        max_keepalive_connections=MAX_CONNECTIONS,
        keepalive_expiry=KEEPALIVE_SECONDS,
        network_backend=DeadlineBackend(backend),
    )


def client_over(transport: httpx.BaseTransport) -> httpx.Client:
    """Return a client that keeps no cookies, follows no redirects and asks the environment nothing."""
    return httpx.Client(
        transport=transport,
        trust_env=False,
        follow_redirects=False,
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
        headers={"User-Agent": USER_AGENT, "Accept-Encoding": ", ".join(_CODINGS)},
        timeout=httpx.Timeout(30.0, connect=CONNECT_SECONDS),
    )


def deadline_after(seconds: float) -> dict[str, float]:
    """Return the request extension that ends a call *seconds* from now."""
    return {"deadline": time.monotonic() + seconds}


def decoded(answer: httpx.Response, size: int | None = None) -> Iterator[bytes]:
    """
    Yield the body of an open *answer*, in pieces of *size* bytes if given; none is above 16 MiB.

    Raises `httpx.DecodingError` for one that is compressed twice, whose pieces know no bound, or as nobody asked for.
    """
    codings = [name.strip().lower() for name in answer.headers.get("content-encoding", "").split(",")]
    codings = [name for name in codings if name not in ("", "identity")]
    if len(codings) > 1 or any(name not in _CODINGS for name in codings):
        message = "the answer is compressed twice, or in a way that was not asked for"
        raise httpx.DecodingError(message, request=answer.request)
    yield from answer.iter_bytes(size)


def proxied(proxy: str, tls: Any, backend: httpcore.NetworkBackend | None = None) -> httpcore.HTTPProxy:
    """Return a pool of connections through *proxy*, the only thing that *backend* (or the system's) connects to."""
    described = httpx.Proxy(proxy)
    return httpcore.HTTPProxy(
        httpcore.URL(str(described.url)),
        proxy_auth=described.raw_auth,
        ssl_context=tls,
        max_connections=MAX_CONNECTIONS,
        max_keepalive_connections=MAX_CONNECTIONS,
        keepalive_expiry=KEEPALIVE_SECONDS,
        network_backend=DeadlineBackend(backend),
    )


@contextmanager
def _until(deadline: float | None) -> Iterator[None]:
    before = _deadline.set(deadline)
    try:
        yield
    finally:
        _deadline.reset(before)


@contextmanager
def _httpx_errors(request: httpx.Request) -> Iterator[None]:
    """Turn httpcore's errors into httpx's, which bear the same names."""
    try:
        yield
    except (httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError) as error:
        raise _same_name(error)(str(error), request=request) from error
    except (httpcore.ProxyError, httpcore.UnsupportedProtocol) as error:
        raise _same_name(error)(str(error), request=request) from error


def _same_name(error: Exception) -> type[httpx.TransportError]:
    return cast("type[httpx.TransportError]", getattr(httpx, type(error).__name__))


def _left(timeout: float | None, late: type[httpcore.TimeoutException]) -> float | None:
    deadline = _deadline.get()
    if deadline is None:
        return timeout
    left = deadline - time.monotonic()
    if left <= 0:
        message = "the call's deadline has passed"
        raise late(message)
    return left if timeout is None else min(left, timeout)
