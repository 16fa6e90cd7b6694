"""App Service Authentication as far as headers go: a front that alone tells the app who is signed in."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from http.cookies import CookieError, SimpleCookie
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx

COOKIE = "AppServiceAuthSession"
_PREFIX = "x-ms-client-principal"
_FRAMING = ("connection", "content-length", "transfer-encoding", "keep-alive", "content-encoding", "date", "server")


@dataclass
class EasyAuth:
    """
    A front on loopback before the host at *behind*, which lets requests without a session pass (AllowAnonymous).

    *sessions* maps a session's cookie to the header of who is signed in. With *on* False it is switched off, and passes
    whatever a client sends; with *closed* it demands a session of everybody.
    """

    behind: str = ""
    sessions: dict[str, str] = field(default_factory=dict)
    on: bool = True
    closed: bool = False
    _server: ThreadingHTTPServer | None = None
    _client: httpx.Client = field(default_factory=lambda: httpx.Client(trust_env=False, timeout=30))

    def start(self) -> None:
        """Listen on a free loopback port."""
        server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        server.daemon_threads = True
        self._server = server
        threading.Thread(target=server.serve_forever, name="easy-auth", daemon=True).start()

    def stop(self) -> None:
        """Stop listening."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None
        self._client.close()

    @property
    def url(self) -> str:
        """The public address."""
        if self._server is None:
            message = "the front is not started"
            raise RuntimeError(message)
        return f"http://127.0.0.1:{self._server.server_port}"

    def forward(self, method: str, path: str, headers: list[tuple[str, str]], body: bytes) -> httpx.Response:
        """Return what the app answers to a client's request; raises httpx's errors."""
        kept = [(name, value) for name, value in headers if name.lower() not in _FRAMING]
        return self._client.request(method, f"{self.behind}{path}", headers=kept, content=body)

    def passed(self, headers: list[tuple[str, str]]) -> list[tuple[str, str]] | None:
        """Return what the app gets of a client's *headers*, None where the client is turned away."""
        if not self.on:
            return headers
        kept = [(name, value) for name, value in headers if not name.lower().startswith(_PREFIX)]
        who = self.sessions.get(_session(headers), "")
        if who:
            kept.append(("X-MS-CLIENT-PRINCIPAL", who))
        return None if self.closed and not who else kept


def _session(headers: list[tuple[str, str]]) -> str:
    cookies = SimpleCookie()
    for name, value in headers:
        if name.lower() == "cookie":
            try:
                cookies.load(value)
            except CookieError:
                return ""
    return cookies[COOKIE].value if COOKIE in cookies else ""


def _handler(front: EasyAuth) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def _forward(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            headers = front.passed([(name, value) for name, value in self.headers.items()])
            if headers is None:
                self._reply(401, [], b"")
                return
            try:
                answer = front.forward(self.command, self.path, headers, body)
            except httpx.HTTPError:
                self._reply(502, [], b"")
                return
            self._reply(answer.status_code, list(answer.headers.multi_items()), answer.content)

        def _reply(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
            self.send_response_only(status)
            for name, value in headers:
                if name.lower() not in _FRAMING:
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = _forward  # noqa: N815 - http.server's names

        def log_message(self, *_: object) -> None:
            """Write nothing."""

    return Handler
