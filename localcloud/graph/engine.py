"""
What happens to one request from the token check to the answer.

The order is Graph's: token, route, rights, mailbox, throttling; then simulated latency, scripted faults, the operation.
"""

from __future__ import annotations

import asyncio
import json
import uuid
from typing import TYPE_CHECKING, Any

from localcloud.graph.access import identify, open_mailbox
from localcloud.graph.batch import run_batch
from localcloud.graph.calls import Call
from localcloud.graph.delta_states import DeltaStates
from localcloud.graph.errors import error_reply
from localcloud.graph.faulting import perform
from localcloud.graph.operations import build_router
from localcloud.graph.rendering import preference_applied
from localcloud.mail.errors import MailError, bad_request

if TYPE_CHECKING:
    from localcloud.entra.tokens import TokenIssuer
    from localcloud.graph.calls import Operation
    from localcloud.graph.wire import Reply, Request
    from localcloud.mail.mailboxes import Mailboxes
    from localcloud.mail.store import Mailbox
    from localcloud.world import World

_VERSIONS = ("v1.0", "beta")
DIAGNOSTIC = json.dumps(
    {"ServerInfo": {"DataCenter": "North Europe", "Slice": "E", "Ring": "4", "ScaleUnit": "001",
                    "RoleInstance": "DB1PEPF00000001"}}, separators=(",", ":"))  # fmt: skip


class GraphEngine:
    """Answers Graph requests on *mailboxes*."""

    def __init__(self, world: World, mailboxes: Mailboxes, issuer: TokenIssuer) -> None:
        self.world = world
        self.mailboxes = mailboxes
        self._issuer = issuer
        self._deltas = DeltaStates()
        self._router = build_router()

    async def answer(self, request: Request) -> Reply:
        """Return the answer to *request*, an error answer included; count and record it."""
        self.world.counters["graph_sub_requests" if request.in_batch else "graph_requests"] += 1
        request_id = str(uuid.uuid4())
        client_request_id = request.headers.get("client-request-id", request_id)
        operation = "unrouted"
        try:
            found, variables = self._route(request)
            operation = found.name
            self.world.counters[f"graph_operation:{operation}"] += 1
            reply = await self._operate(request, found, variables)
        except MailError as error:
            reply = error_reply(error, self.world.clock(), request_id, client_request_id)
        reply.headers |= {"request-id": request_id, "client-request-id": client_request_id}
        reply.headers |= preference_applied(request)
        record(self.world, request, reply, operation)
        return reply

    def _route(self, request: Request) -> tuple[Operation, dict[str, str]]:
        segments = request.segments
        if not segments or (segments[0] not in _VERSIONS and not request.in_batch):
            raise bad_request("Invalid version.")
        return self._router.find(request.method, segments[1:] if segments[0] in _VERSIONS else segments)

    async def _operate(self, request: Request, operation: Operation, variables: dict[str, str]) -> Reply:
        caller = identify(self.world, self._issuer, request)
        if operation.name == "batch":
            await sleep_latency(self.mailboxes, None)
            fault = self.world.faults.take("graph", "batch")
            if fault is not None and fault.effect.get("when", "before") == "before":
                return await perform(fault, _unreachable, self.world.clock())
            reply = await run_batch(self.answer, request)
            return await perform(fault, lambda: reply, self.world.clock())
        mailbox = open_mailbox(self.mailboxes, caller, operation, variables.get("user"))
        call = Call(request, variables, caller, self.mailboxes, self._deltas, mailbox)
        if mailbox is None:
            return await self._run(call, operation)
        with self.mailboxes.throttle.permit(caller.app_id, mailbox, len(request.body)):
            return await self._run(call, operation)

    async def _run(self, call: Call, operation: Operation) -> Reply:
        mailbox = call.addressed
        await sleep_latency(self.mailboxes, mailbox)
        if mailbox is not None:
            mailbox.settle()
        keys = (mailbox.user.address, mailbox.user.id) if mailbox else (call.variables.get("user", ""),)
        keys = (*keys, call.variables.get("message", ""))
        fault = self.world.faults.take("graph", operation.name, *keys)
        reply = await perform(fault, lambda: operation.handler(call), self.world.clock())
        await self._charge_list(call, reply)
        return reply

    async def _charge_list(self, call: Call, reply: Reply) -> None:
        """Let long lists take their time, where the modes ``list_item_ms`` and ``list_kb_ms`` say so."""
        if reply.items:
            cost = reply.items * float(call.mode("list_item_ms", 0))
            per_kilobyte = float(call.mode("list_kb_ms", 0))
            if per_kilobyte:
                cost += len(reply.body()) / 1024 * per_kilobyte
            if cost:
                await asyncio.sleep(cost / 1000)


def _unreachable() -> Reply:
    raise LookupError("a fault that comes before the effect runs no handler")


async def sleep_latency(mailboxes: Mailboxes, mailbox: Mailbox | None) -> None:
    """Charge the latency of one request or sub-request."""
    milliseconds = float(mailboxes.mode("latency_ms", 0.0, mailbox.user.address if mailbox else ""))
    if milliseconds:
        await asyncio.sleep(milliseconds / 1000)


def record(world: World, request: Request, reply: Reply, operation: str) -> None:
    """Keep the exchange for the contract test, where recording is on."""
    if world.traffic is None:
        return
    world.record(
        {"method": request.method, "path": request.path, "operation": operation, "status": reply.status,
         "request_body": _json_or_none(request.body), "response_body": reply.data}
    )  # fmt: skip


def _json_or_none(body: bytes) -> Any:
    try:
        return json.loads(body) if body[:1] in (b"{", b"[") else None
    except ValueError:
        return None
