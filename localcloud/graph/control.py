"""What can a test see and change behind Graph's back: what mailboxes hold, what recipients got, mail that arrives."""

from __future__ import annotations

import base64
from datetime import datetime
from typing import TYPE_CHECKING, Any

from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from localcloud.graph.rendering import MESSAGE_CLASS_ID
from localcloud.mail.errors import MailError
from localcloud.mail.fields import timestamp

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request

    from localcloud.mail.mailboxes import Mailboxes
    from localcloud.mail.message import Message
    from localcloud.mail.store import Folder, Mailbox
    from localcloud.world import World


def control_routes(world: World, mailboxes: Mailboxes) -> list[Route]:  # noqa: ARG001 - one signature for all services
    """Return the routes, without the prefix below which they are mounted."""
    handlers: tuple[tuple[str, str, Callable[[Mailboxes, Request], Any]], ...] = (
        ("GET", "/mailboxes/{address}", _show_mailbox),
        ("POST", "/mailboxes/{address}/messages", _add_message),
        ("POST", "/mailboxes/{address}/messages/bulk", _add_messages),
        ("GET", "/mailboxes/{address}/messages/{message}/raw", _show_message),
        ("DELETE", "/mailboxes/{address}/messages/{message}", _delete_message),
        ("POST", "/mailboxes/{address}/messages/{message}/move", _move_message),
        ("PUT", "/mailboxes/{address}/messages/{message}/poison", _poison_message),
        ("GET", "/received", _show_received),
        ("GET", "/received/{address}", _show_received),
    )
    return [Route(path, _endpoint(handler, mailboxes), methods=[method]) for method, path, handler in handlers]


def _endpoint(handler: Callable[[Mailboxes, Request], Any], mailboxes: Mailboxes) -> Callable[[Request], Any]:
    async def endpoint(request: Request) -> Response:
        try:
            answer = await handler(mailboxes, request)
        except MailError as error:
            raise HTTPException(error.status, f"{error.code}: {error.message}") from error
        except (ValueError, KeyError, TypeError) as error:
            raise HTTPException(400, str(error)) from error
        return answer if isinstance(answer, Response) else JSONResponse(answer)

    return endpoint


def _mailbox(mailboxes: Mailboxes, request: Request) -> Mailbox:
    found = mailboxes.find(request.path_params["address"])
    if found is None:
        raise HTTPException(404, "no such mailbox")
    return found


async def _show_mailbox(mailboxes: Mailboxes, request: Request) -> dict[str, Any]:
    mailbox = _mailbox(mailboxes, request)
    folders = [folder for folder in mailbox.folders.values() if folder is not mailbox.root]
    return {
        "folders": [
            {"id": folder.id, "name": folder.name, "well_known": folder.well_known, "count": len(folder.messages)}
            for folder in folders
        ],
        "messages": [_described(message, folder) for folder in folders for message in folder.messages.values()],
    }


def _described(message: Message, folder: Folder) -> dict[str, Any]:
    fields = message.fields()
    return {
        "id": message.mutable_id, "immutable_id": message.immutable_id, "folder": folder.well_known or folder.name,
        "subject": fields["subject"], "is_read": message.is_read, "is_draft": message.is_draft,
        "internet_message_id": fields["internetMessageId"], "sha256": message.digest(), "size": len(message.mime()),
        "received_at": timestamp(message.received_at), "extended": dict(message.extended),
    }  # fmt: skip


async def _add_message(mailboxes: Mailboxes, request: Request) -> dict[str, str]:
    mailbox, raw = _mailbox(mailboxes, request), await request.body()
    return {"id": _store(mailboxes, mailbox, raw, request)}


async def _add_messages(mailboxes: Mailboxes, request: Request) -> dict[str, list[str]]:
    mailbox, encoded = _mailbox(mailboxes, request), await request.json()
    raws = [base64.b64decode(text, validate=True) for text in encoded]
    return {"ids": [_store(mailboxes, mailbox, raw, request) for raw in raws]}


def _store(mailboxes: Mailboxes, mailbox: Mailbox, raw: bytes, request: Request) -> str:
    folder = request.query_params.get("folder", "inbox")
    named = next((item.id for item in mailbox.folders.values() if item.name == folder), folder)
    received_at = request.query_params.get("received_at")
    moment = None if received_at is None else _epoch(received_at)
    message = mailboxes.store(mailbox, raw, named, moment)
    item_class = request.query_params.get("item_class")
    if item_class is not None:
        message.extended[MESSAGE_CLASS_ID] = item_class
    return message.immutable_id


def _epoch(text: str) -> float:
    """Read epoch seconds or an ISO 8601 time (with its offset; a ``+`` may arrive as a space)."""
    try:
        return float(text)
    except ValueError:
        return datetime.fromisoformat(text.replace(" ", "+")).timestamp()


async def _show_message(mailboxes: Mailboxes, request: Request) -> Response:
    message = _mailbox(mailboxes, request).message(request.path_params["message"])
    return Response(message.mime(), media_type="message/rfc822")


async def _delete_message(mailboxes: Mailboxes, request: Request) -> Response:
    """Delete for good, or with ``?to=deleteditems`` as a person would."""
    mailbox = _mailbox(mailboxes, request)
    target = mailbox.well_known[request.query_params.get("to", "purges")]
    mailbox.move(mailbox.message(request.path_params["message"]), target)
    return Response(status_code=204)


async def _move_message(mailboxes: Mailboxes, request: Request) -> dict[str, str]:
    mailbox, body = _mailbox(mailboxes, request), await request.json()
    message = mailbox.message(request.path_params["message"])
    mailbox.move(message, mailbox.folder(body["destination"]))
    return {"id": message.mutable_id, "immutable_id": message.immutable_id}


async def _poison_message(mailboxes: Mailboxes, request: Request) -> Response:
    """Make Exchange unable to read a message: ``full``, or ``hard`` for not even its id; an empty kind heals it."""
    kind = (await request.json())["kind"]
    if kind not in ("", "full", "hard"):
        raise ValueError("kind must be full, hard or empty")
    _mailbox(mailboxes, request).message(request.path_params["message"]).poison = kind
    return Response(status_code=204)


async def _show_received(mailboxes: Mailboxes, request: Request) -> list[dict[str, Any]]:
    address = request.path_params.get("address")
    if address is not None:
        return [copy.report() for copy in mailboxes.received.get(address.casefold(), [])]
    return [copy.report() for copies in mailboxes.received.values() for copy in copies]
