"""A webhook receiver as a customer would write it: verifies signatures, keeps events, counts repeats."""

from __future__ import annotations

import json
import socket
import struct
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from standardwebhooks.webhooks import Webhook, WebhookVerificationError


@dataclass(frozen=True)
class Trouble:
    """
    How the receiver fails one post: *status* and *headers* are answered after *seconds*; *reset* drops the connection.

    *keeps* tells whether it has taken the event all the same, so that the sender only believes it to be lost.
    """

    status: int = 204
    headers: tuple[tuple[str, str], ...] = ()
    seconds: float = 0.0
    reset: bool = False
    keeps: bool = False


@dataclass
class Receiver:
    """
    An HTTP server on loopback that stands for the software which receives mail.

    Signing secrets are looked up by path, so that each connection has a path of its own. *status* is what it answers to
    a well-signed event; set it to make the receiver fail. *troubles* are what comes first, by path, a post each.
    *refused* counts by path what was not well signed.
    """

    status: int = 204
    events: dict[str, dict[str, Any]] = field(default_factory=dict)
    posts: Counter[str] = field(default_factory=Counter)
    bodies: dict[str, set[bytes]] = field(default_factory=dict)
    refused: Counter[str] = field(default_factory=Counter)
    secrets: dict[str, str] = field(default_factory=dict)
    troubles: dict[str, list[Trouble]] = field(default_factory=dict)
    troubled: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _server: ThreadingHTTPServer | None = None

    def start(self) -> None:
        """Listen on a free loopback port."""
        server = _Server(("127.0.0.1", 0), _handler(self))
        server.daemon_threads = True
        self._server = server
        threading.Thread(target=server.serve_forever, name="receiver", daemon=True).start()

    def stop(self) -> None:
        """Stop listening."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    @property
    def port(self) -> int:
        """The port it listens on."""
        if self._server is None:
            message = "the receiver is not started"
            raise RuntimeError(message)
        return self._server.server_port

    def url(self, path: str) -> str:
        """Return the address of *path*."""
        return f"http://127.0.0.1:{self.port}/{path}"

    def take(self, path: str, headers: dict[str, str], body: bytes) -> int:
        """Judge one post and return the status to answer; only well-signed events are kept."""
        return self.judge(path, headers, body, Trouble(self.status)).status

    def judge(self, path: str, headers: dict[str, str], body: bytes, trouble: Trouble | None = None) -> Trouble:
        """Judge one post, keep its event if it is well signed, and return what to answer."""
        secret = self.secrets.get(path)
        if secret is None:
            return Trouble(503)  # the first event may come before whoever made the connection has told its secret
        try:
            Webhook(secret).verify(body, headers)
        except (WebhookVerificationError, ValueError, KeyError):
            with self._lock:
                self.refused[path] += 1
            return Trouble(401)
        trouble = trouble or self._next_trouble(path)
        if not trouble.keeps and (trouble.reset or not 200 <= trouble.status < 300):
            return trouble
        identifier = headers["webhook-id"]
        with self._lock:
            self.posts[identifier] += 1
            self.events[identifier] = json.loads(body)
            self.bodies.setdefault(identifier, set()).add(body)
        return trouble

    @property
    def repeats(self) -> int:
        """How many posts carried an id seen before."""
        return sum(count - 1 for count in self.posts.values())

    def of_type(self, kind: str) -> list[dict[str, Any]]:
        """Return the events of one type."""
        with self._lock:
            return [event for event in self.events.values() if event["type"] == kind]

    def _next_trouble(self, path: str) -> Trouble:
        with self._lock:
            waiting = self.troubles.get(path)
            if not waiting:
                return Trouble(self.status)
            self.troubled += 1
            return waiting.pop(0)


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of callers that died in the middle of a call: that is what they are killed for."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


def _handler(receiver: Receiver) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            announced = int(self.headers.get("Content-Length") or 0)
            body = self.rfile.read(announced)
            if len(body) < announced:
                raise ConnectionResetError  # the caller died while it spoke
            headers = {name.lower(): value for name, value in self.headers.items()}
            answer = receiver.judge(self.path.lstrip("/"), headers, body)
            time.sleep(answer.seconds)
            if answer.reset:
                # A connection that is closed with this option is reset instead of ended.
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.connection.close()
                raise ConnectionResetError
            self.send_response(answer.status)
            for name, value in answer.headers:
                self.send_header(name, value)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Keep quiet."""

    return Handler
