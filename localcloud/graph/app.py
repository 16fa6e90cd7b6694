"""How does Graph look to an HTTP client: the ASGI applications of graph.microsoft.com and outlook.office.com."""

from __future__ import annotations

import asyncio
import uuid
from typing import TYPE_CHECKING, Any

from localcloud.effects import ABORT_EXTENSION
from localcloud.graph import attachment_sessions
from localcloud.graph.engine import DIAGNOSTIC, GraphEngine, record, sleep_latency
from localcloud.graph.errors import error_reply
from localcloud.graph.faulting import perform
from localcloud.graph.wire import Reply, Request
from localcloud.mail.errors import MailError, bad_request

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping

    from localcloud.entra.tokens import TokenIssuer
    from localcloud.graph.attachment_sessions import UploadSession
    from localcloud.mail.mailboxes import Mailboxes
    from localcloud.world import World

    Message = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[Message]]
    Send = Callable[[Message], Awaitable[None]]
    App = Callable[[Message, Receive, Send], Awaitable[None]]

MAX_REQUEST = 4 * 1024 * 1024
_COMMON = {
    "cache-control": "private", "odata-version": "4.0", "strict-transport-security": "max-age=31536000",
    "x-ms-ags-diagnostic": DIAGNOSTIC,
}  # fmt: skip


def graph_app(world: World, mailboxes: Mailboxes, issuer: TokenIssuer) -> App:
    """Return the application behind https://graph.microsoft.com. The server adds ``Date``."""
    engine = GraphEngine(world, mailboxes, issuer)
    return _application(world, engine.answer)


def uploads_app(world: World, mailboxes: Mailboxes) -> App:
    """Return the application behind https://outlook.office.com, which only takes chunks of upload sessions."""

    async def answer(request: Request) -> Reply:
        world.counters["graph_requests"] += 1
        world.counters["graph_operation:uploads.put"] += 1
        request_id = str(uuid.uuid4())
        try:
            session = attachment_sessions.find_session(mailboxes, request)
            with mailboxes.throttle.permit(session.app_id, session.mailbox, len(request.body)):
                reply = await _upload_step(world, mailboxes, session, request)
        except MailError as error:
            reply = error_reply(error, world.clock(), request_id, request_id)
        reply.headers["request-id"] = request_id
        record(world, request, reply, "uploads.put")
        return reply

    return _application(world, answer)


async def _upload_step(world: World, mailboxes: Mailboxes, session: UploadSession, request: Request) -> Reply:
    await sleep_latency(mailboxes, session.mailbox)
    user = session.mailbox.user

    def handler() -> Reply:
        if request.method == "PUT":
            return attachment_sessions.put_chunk(mailboxes, session, request)
        if request.method == "DELETE":
            return attachment_sessions.cancel(mailboxes, session)
        if request.method == "GET":
            return attachment_sessions.progress(session)
        raise bad_request("The method is not supported by upload sessions.")

    return await perform(world.faults.take("graph", "uploads.put", user.address, user.id), handler, world.clock())


def _application(world: World, answer: Callable[[Request], Awaitable[Reply]]) -> App:
    async def app(scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
            return
        try:
            request = await _read(scope, receive)
        except MailError as error:
            request_id = str(uuid.uuid4())
            reply = error_reply(error, world.clock(), request_id, request_id)
        else:
            reply = await answer(request)
        if reply.reset:
            await _reset(scope, receive)
        else:
            await _write(reply, send)

    return app


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        kind = (await receive())["type"]
        await send({"type": f"{kind}.complete"})
        if kind == "lifespan.shutdown":
            return


async def _read(scope: Message, receive: Receive) -> Request:
    """
    Read the whole request.

    Raises:
        MailError: 413 over 4 MB, 411 for a POST that does not say how long it is.
    """
    headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
    chunks, size = [], 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            break
        chunk = message.get("body", b"")
        size += len(chunk)
        if size <= MAX_REQUEST:
            chunks.append(chunk)
        if not message.get("more_body"):
            break
    if size > MAX_REQUEST:
        raise MailError(413, "RequestEntityTooLarge", "The maximum request length supported is 4MB.")
    if scope["method"] == "POST" and not {"content-length", "transfer-encoding"} & set(headers):
        raise MailError(411, "LengthRequired", "The request must have a Content-Length.")
    path = scope.get("raw_path") or scope["path"].encode()
    return Request(
        scope["method"], path.decode("latin-1"), scope["query_string"].decode("latin-1"), headers, b"".join(chunks)
    )


async def _write(reply: Reply, send: Send) -> None:
    body = reply.body()
    fields = _COMMON | {name.lower(): value for name, value in reply.headers.items()}
    if body:
        fields["content-type"] = reply.content_type
    if reply.status != 204:
        fields["content-length"] = str(len(body))
    headers = [(name.encode("latin-1"), value.encode("latin-1", "replace")) for name, value in fields.items()]
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    if reply.drip:
        for position in range(len(body)):
            await send({"type": "http.response.body", "body": body[position : position + 1], "more_body": True})
            await asyncio.sleep(reply.drip)
        body = b""
    await send({"type": "http.response.body", "body": body})


async def _reset(scope: Message, receive: Receive) -> None:
    """
    Drop the connection so that the client sees a reset, not an answer.

    Raises:
        ConnectionResetError: where no real connection carries the request, as under an in-process transport.
    """
    abort = scope.get("extensions", {}).get(ABORT_EXTENSION)
    if abort is None:
        raise ConnectionResetError("scripted connection reset")
    abort()
    while (await receive())["type"] != "http.disconnect":
        pass
