"""What compressed answers may do to memory: each piece is bounded, and twice compressed ones are refused."""

import gzip
import itertools
from collections.abc import Callable

import httpcore
import httpx
import pytest

from shared.adapters.graph_http import GraphHttp
from shared.adapters.http_client import PoolTransport, client_over, decoded, pool
from shared.errors import Unreachable
from shared.ports import GraphMailbox
from tests.unit.test_webhooks import Network

MB = 1024 * 1024
MAILBOX = GraphMailbox("http://graph.example", "u", lambda _: "t")


def client(body: bytes, coding: str) -> httpx.Client:
    """Return a client whose every call is answered by *body*."""
    head = f"HTTP/1.1 200 OK\r\nContent-Encoding: {coding}\r\nContent-Length: {len(body)}\r\n\r\n"
    connections: httpcore.ConnectionPool = pool(None, Network(head.encode() + body))
    return client_over(PoolTransport(lambda _: connections, [connections]))


def test_a_bomb_comes_in_pieces_that_fit() -> None:
    """However far a body was compressed, a reader that counts can stop in time."""
    bomb = gzip.compress(bytes(200 * MB))
    with client(bomb, "gzip").stream("GET", "http://graph.example/") as answer:
        pieces = [len(piece) for piece in itertools.islice(decoded(answer), 3)]

    assert 17 * MB > max(pieces)


@pytest.mark.parametrize("coding", ["gzip, gzip", "deflate,gzip", "br", "x"])
@pytest.mark.parametrize(
    "read",
    [
        lambda http: http.request(MAILBOX, "GET", "messages"),
        lambda http: list(http.stream(MAILBOX, "messages/a/$value")),
    ],
    ids=["whole", "streamed"],
)
def test_an_answer_compressed_twice_or_unasked_is_tried_again(coding: str, read: Callable[[GraphHttp], object]) -> None:
    """Whatever its first layer holds, no bound would be true of the second."""
    with pytest.raises(Unreachable):
        read(GraphHttp(client(gzip.compress(gzip.compress(b"{}")), coding)))


def test_plain_and_once_compressed_answers_are_read() -> None:
    """Also where the peer says ``identity``, or which coding it is in capitals."""
    bodies = [(b'{"a":1}', "identity"), (gzip.compress(b'{"a":1}'), "GZIP")]

    assert [{"a": 1}] * 2 == [
        GraphHttp(client(body, coding)).request(MAILBOX, "GET", "messages").json() for body, coding in bodies
    ]
