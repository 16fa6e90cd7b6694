"""The cast of the Graph tests: two tenants, an app with rights in Contoso, and a client without sockets."""

from __future__ import annotations

import asyncio
import base64
import functools
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any

import httpx
from starlette.applications import Starlette

from localcloud.entra.tokens import TokenIssuer
from localcloud.graph import control_routes, graph_app, uploads_app
from localcloud.mail.mailboxes import Mailboxes
from localcloud.world import GRAPH_APP_ROLES, Fault, Registration, World

START = 1_760_000_000.0
IMMUTABLE = {"Prefer": 'IdType="ImmutableId"'}
MARKER = "String {7d3b1c1e-52a1-4f0e-9d6a-5f1d8f3a7c11} Name entry"


@functools.cache
def _issuer() -> TokenIssuer:
    """Return one issuer for all tests: making its key is what costs time."""
    return TokenIssuer(World())


@dataclass
class GraphScene:
    """
    One test's own cloud. Ann and Bob are at Contoso, Cleo is at Fabrikam; the clock stands still until moved.

    Every exchange is recorded in ``world.traffic``.
    """

    now: float = START
    roles: set[str] | None = None
    world: World = field(init=False)

    def __post_init__(self) -> None:
        self.world = World(lambda: self.now)
        self.world.traffic = []
        self.contoso = self.world.add_tenant("contoso.example", "Contoso")
        self.fabrikam = self.world.add_tenant("fabrikam.example", "Fabrikam")
        self.ann = self.world.add_user(self.contoso, "ann@contoso.example", "Ann Adams")
        self.bob = self.world.add_user(self.contoso, "bob@contoso.example", "Bob Brown")
        self.cleo = self.world.add_user(self.fabrikam, "cleo@fabrikam.example", "Cleo Clark")
        self.app = Registration("app-1", self.contoso.id, "Mailgrant", [])
        self.issuer = _issuer()
        self.issuer.world = self.world
        self.mailboxes = Mailboxes(self.world)
        self._graph = graph_app(self.world, self.mailboxes, self.issuer)
        self._uploads = uploads_app(self.world, self.mailboxes)
        self._control = Starlette(routes=control_routes(self.world, self.mailboxes))
        self.token = self.issue(set(GRAPH_APP_ROLES) if self.roles is None else self.roles)

    def issue(self, roles: set[str], seconds: float = 86_400) -> str:
        """Return a token for the app in Contoso."""
        return self.issuer.issue_app_token(self.contoso, self.app, roles=roles, seconds=seconds)

    def client(self) -> httpx.AsyncClient:
        """Return a client that reaches Graph, uploads and the control endpoint."""
        mounts = {
            "https://graph.microsoft.com": httpx.ASGITransport(self._graph),
            "https://outlook.office.com": httpx.ASGITransport(self._uploads),
            "https://control.example": httpx.ASGITransport(self._control),
        }
        return httpx.AsyncClient(base_url="https://graph.microsoft.com/v1.0", mounts=mounts)

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Run *work* on a loop of its own."""
        return asyncio.run(work)

    def call(self, method: str, path: str, *, token: str | None = None, **details: Any) -> httpx.Response:
        """Make one Graph request as the app (without Authorization for an empty *token*)."""
        headers = dict(details.pop("headers", {}))
        bearer = self.token if token is None else token
        if bearer:
            headers["Authorization"] = f"Bearer {bearer}"

        async def work() -> httpx.Response:
            async with self.client() as client:
                return await client.request(method, path, headers=headers, **details)

        answer: httpx.Response = self.run(work())
        return answer

    def get(self, path: str, **details: Any) -> dict[str, Any]:
        """Return the JSON of a successful GET."""
        answer = self.call("GET", path, **details)
        assert 200 == answer.status_code, answer.text
        data: dict[str, Any] = answer.json()
        return data

    def post(self, path: str, body: Any = None, **details: Any) -> httpx.Response:
        """Make a POST with a JSON body."""
        if body is None:
            details.setdefault("headers", {}).setdefault("Content-Length", "0")
            return self.call("POST", path, **details)
        return self.call("POST", path, json=body, **details)

    def control(self, method: str, path: str, **details: Any) -> httpx.Response:
        """Make one request to the control routes."""
        return self.call(method, f"https://control.example{path}", token="", **details)

    def batch(self, *steps: dict[str, Any]) -> dict[str, dict[str, Any]]:
        """Run a ``$batch`` and return its answers by id."""
        answer = self.post("/$batch", {"requests": list(steps)})
        assert 200 == answer.status_code, answer.text
        return {step["id"]: step for step in answer.json()["responses"]}

    def fault(self, operation: str, key: str | None = None, **effect: Any) -> None:
        """Script one fault of Graph."""
        self.world.faults.add(Fault("graph", operation, effect, key))

    def arrive(self, address: str, subject: str = "Hello", folder: str = "inbox", **details: Any) -> str:
        """Let a small mail arrive and return its immutable id."""
        mailbox = self.mailboxes.find(address)
        assert mailbox is not None
        return self.mailboxes.store(mailbox, mail(subject, **details), folder).immutable_id

    def inbox(self, address: str) -> list[str]:
        """Return the subjects in the inbox, oldest first."""
        return self.subjects(address, "inbox")

    def subjects(self, address: str, folder: str) -> list[str]:
        """Return the subjects in *folder*, oldest first."""
        mailbox = self.mailboxes.find(address)
        assert mailbox is not None
        return [message.fields()["subject"] for message in mailbox.folder(folder).messages.values()]


def mail(subject: str = "Hello", text: str = "Hi.", sender: str = "zoe@elsewhere.example", extra: str = "") -> bytes:
    """Return a small MIME message; *extra* are further header lines."""
    return (
        f"From: Zoe <{sender}>\r\nTo: Ann <ann@contoso.example>\r\nSubject: {subject}\r\n"
        f"Message-ID: <{subject.replace(' ', '.')}@elsewhere.example>\r\nDate: Thu, 09 Oct 2025 08:00:00 +0000\r\n"
        f"{extra}\r\n{text}\r\n"
    ).encode()


def recipient(address: str, name: str = "") -> dict[str, Any]:
    """Return a Graph recipient."""
    return {"emailAddress": {"address": address, **({"name": name} if name else {})}}


def draft(*to: str, subject: str = "Report", **more: Any) -> dict[str, Any]:
    """Return the JSON of a draft."""
    body = {"contentType": "html", "content": "<p>As asked.</p>"}
    return {"subject": subject, "body": body, "toRecipients": [recipient(address) for address in to], **more}


def encoded(data: bytes) -> str:
    """Return *data* in base64."""
    return base64.b64encode(data).decode()
