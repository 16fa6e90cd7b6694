"""The app calls its own address through real sockets, and takes nothing for its own answer that is not."""

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from localcloud.easy_auth import EasyAuth
from shared.adapters.own_front import PublicFront
from shared.errors import Unreachable
from shared.principals import HEADER

pytestmark = pytest.mark.enable_socket
ECHO = '{"probe": "%s", "arrived": %s}'


class App(BaseHTTPRequestHandler):
    """Answers a probe as the app does, or as *reply* says."""

    reply = ""
    status = 200

    def do_GET(self) -> None:
        """Answer."""
        arrived = "true" if self.headers.get(HEADER) else "false"
        body = (self.reply or ECHO % (self.headers.get("X-Mailgrant-Probe"), arrived)).encode()
        self.send_response_only(self.status)
        self.send_header("Location", "/elsewhere")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Write nothing."""


@pytest.fixture
def app() -> Iterator[tuple[type[App], EasyAuth]]:
    """Return an app and the front before it."""
    kind = type("Own", (App,), {})
    server = ThreadingHTTPServer(("127.0.0.1", 0), kind)
    Thread(target=server.serve_forever, daemon=True).start()
    front = EasyAuth(behind=f"http://127.0.0.1:{server.server_port}")
    front.start()
    yield kind, front
    front.stop()
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("on", [True, False])
def test_what_arrives_is_told(app: tuple[type[App], EasyAuth], *, on: bool) -> None:
    """A front that is on takes the header away, one that is off does not."""
    app[1].on = on

    assert (not on) == PublicFront(app[1].url).lets_through(HEADER, "forged", "n1")


@pytest.mark.parametrize(
    ("status", "reply"),
    [
        (302, ""),
        (401, ""),
        (503, ""),
        (200, "<html>"),
        (200, "[]"),
        (200, '{"probe": "other", "arrived": false}'),
        (200, '{"probe": "n1", "arrived": 0}'),
    ],
)
def test_whatever_else_answers_proves_nothing(app: tuple[type[App], EasyAuth], status: int, reply: str) -> None:
    """A page for signing in, a refusal, and whoever does not know the nonce."""
    app[0].status, app[0].reply = status, reply

    with pytest.raises(Unreachable):
        PublicFront(app[1].url).lets_through(HEADER, "forged", "n1")


def test_nobody_there_proves_nothing(app: tuple[type[App], EasyAuth]) -> None:
    """As a front that turns strangers away does not."""
    app[1].closed = True
    gone = PublicFront("http://127.0.0.1:9")

    for front in (gone, PublicFront(app[1].url)):
        with pytest.raises(Unreachable):
            front.lets_through(HEADER, "forged", "n1")
