"""A webhook receiver as a customer would write it: verifies signatures, keeps events, counts repeats."""

from __future__ import annotations

import json
import sys
import threading
from collections import Counter
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from standardwebhooks.webhooks import Webhook, WebhookVerificationError


@dataclass
class Receiver:
    """
    An HTTP server on loopback that stands for the software which receives mail.

    Signing secrets are looked up by path, so that each connection has a path of its own. *status* is what it answers to
    a well-signed event; set it to make the receiver fail.
    """

    status: int = 204
    events: dict[str, dict[str, Any]] = field(default_factory=dict)
    posts: Counter[str] = field(default_factory=Counter)
    bodies: dict[str, set[bytes]] = field(default_factory=dict)
    refused: int = 0
    secrets: dict[str, str] = field(default_factory=dict)
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
        secret = self.secrets.get(path)
        try:
            Webhook(secret or "").verify(body, headers)
        except (WebhookVerificationError, ValueError, KeyError):
            with self._lock:
                self.refused += 1
            return 401
        if not 200 <= self.status < 300:
            return self.status
        identifier = headers["webhook-id"]
        with self._lock:
            self.posts[identifier] += 1
            self.events[identifier] = json.loads(body)
            self.bodies.setdefault(identifier, set()).add(body)
        return self.status

    @property
    def repeats(self) -> int:
        """How many posts carried an id seen before."""
        return sum(count - 1 for count in self.posts.values())

    def of_type(self, kind: str) -> list[dict[str, Any]]:
        """Return the events of one type."""
        with self._lock:
            return [event for event in self.events.values() if event["type"] == kind]


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of callers that died in the middle of a call: that is what they are killed for."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


def _handler(receiver: Receiver) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            self.send_response(receiver.take(self.path.lstrip("/"), headers, body))
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Keep quiet."""

    return Handler
