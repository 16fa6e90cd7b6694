"""Every outward call ends by its deadline, however the answer drips; proxies come from the environment."""

import socket
import threading
import time
from collections.abc import Callable, Iterator

import httpx
import pytest

from shared.adapters.graph_http import GraphHttp
from shared.adapters.http_client import deadline_after, environment_client
from shared.adapters.webhooks import GuardedWebhooks
from shared.errors import Fault, Unreachable
from shared.ports import GraphMailbox

pytestmark = pytest.mark.enable_socket


class Server:
    """Accepts on loopback and lets *serve* speak to each connection."""

    def __init__(self, serve: Callable[[socket.socket], None]) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.serve = serve
        self.heads: list[bytes] = []
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self._accept, daemon=True)
        self.thread.start()

    def _accept(self) -> None:
        while not self.ended.is_set():
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            with connection:
                self.heads.append(connection.recv(4096))
                try:
                    self.serve(connection)
                except OSError:
                    continue

    def close(self) -> None:
        """Stop."""
        self.ended.set()
        self.listener.shutdown(socket.SHUT_RDWR)  # closing alone does not wake a thread that accepts
        self.listener.close()
        self.thread.join(60)


@pytest.fixture
def start() -> Iterator[Callable[[Callable[[socket.socket], None]], Server]]:
    """Return what starts servers, and end them."""
    servers: list[Server] = []

    def starter(serve: Callable[[socket.socket], None]) -> Server:
        servers.append(Server(serve))
        return servers[-1]

    yield starter
    for server in servers:
        server.close()


def drip(prefix: bytes) -> Callable[[socket.socket], None]:
    """Return a peer that sends *prefix* and then one byte at a time for ever."""

    def serve(connection: socket.socket) -> None:
        connection.sendall(prefix)
        while True:
            connection.sendall(b"x")
            time.sleep(0.05)

    return serve


@pytest.mark.parametrize(
    "prefix", [b"HTTP/1.1 200 OK\r\nX-A: ", b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", b""]
)
def test_a_dripping_answer_ends_by_the_deadline(
    start: Callable[[Callable[[socket.socket], None]], Server], prefix: bytes
) -> None:
    """In the headers and in the body, where httpx's own timeouts begin anew with every byte."""
    server = start(drip(prefix))
    mailbox = GraphMailbox(f"http://127.0.0.1:{server.port}", "u", lambda fresh: "t")
    started = time.monotonic()
    with pytest.raises(Unreachable) as caught:
        GraphHttp(environment_client()).request(mailbox, "POST", "messages", deadline=1.0)
    assert caught.value.outcome_unknown
    assert time.monotonic() - started < 30  # it would drip for ever


def test_a_stream_ends_by_its_deadline(start: Callable[[Callable[[socket.socket], None]], Server]) -> None:
    """Chunks that keep coming do not extend it."""
    server = start(drip(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"))
    mailbox = GraphMailbox(f"http://127.0.0.1:{server.port}", "u", lambda fresh: "t")
    with pytest.raises(Unreachable):
        list(GraphHttp(environment_client()).stream(mailbox, "messages/a/$value", deadline=0.4))


def test_a_refused_connection_proves_that_nothing_was_sent() -> None:
    """The outcome of a call that never connected is known."""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    mailbox = GraphMailbox(f"http://127.0.0.1:{port}", "u", lambda fresh: "t")
    with pytest.raises(Unreachable) as caught:
        GraphHttp(environment_client()).request(mailbox, "POST", "messages")
    assert not caught.value.outcome_unknown


def test_microsofts_hosts_are_reached_through_the_environments_proxy(
    start: Callable[[Callable[[socket.socket], None]], Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    """HTTPS_PROXY counts, and NO_PROXY excepts."""
    server = start(lambda connection: connection.sendall(b"HTTP/1.1 502 No\r\nContent-Length: 0\r\n\r\n"))
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{server.port}")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    client = environment_client()
    with pytest.raises(httpx.ProxyError):
        client.get("https://graph.microsoft.com/v1.0", extensions=deadline_after(5))
    assert server.heads[0].startswith(b"CONNECT graph.microsoft.com:443 ")
    with pytest.raises(httpx.ConnectError):
        client.get("https://127.0.0.1:1/", extensions=deadline_after(5))


def test_destinations_are_never_reached_through_a_proxy(
    start: Callable[[Callable[[socket.socket], None]], Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy would resolve the name itself, and the check would be void."""
    proxy = start(lambda connection: connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"))
    answer = b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n"
    receiver = start(lambda connection: connection.sendall(answer))
    for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
    client = GuardedWebhooks([("127.0.0.1", receiver.port)], "https://mail.contoso.example")
    assert client.post(f"http://127.0.0.1:{receiver.port}/hook", b"{}", {"webhook-id": "rcv_1"}).status == 204
    assert (len(proxy.heads), b"webhook-id: rcv_1" in receiver.heads[0]) == (0, True)


def test_a_real_name_that_leads_inside_is_refused() -> None:
    """The system's resolver is asked, and what it says is checked."""
    with pytest.raises(Fault) as caught:
        GuardedWebhooks((), "https://mail.contoso.example").post("https://localhost/", b"{}", {})
    assert not isinstance(caught.value, Unreachable)
