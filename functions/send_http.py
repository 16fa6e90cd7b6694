"""Sending, for holders of a connection's send token: messages, their state, uploads."""

from dataclasses import asdict
from typing import Any, Protocol

import azure.functions as func

from functions.replies import answer, created, json_reply, no_content
from functions.requests import Request, check
from functions.send_bodies import MessageBody, UploadBody
from shared.connections import Connection
from shared.errors import FieldFault, InvalidRequest
from shared.outbox.rows import Entry
from shared.send.accept import Accept, body_hash
from shared.send.entries import Entries
from shared.send.replying import Replying
from shared.send.uploads import Uploads
from shared.settings import Settings

SCOPE = "send"
MOST_KEY = 255


class SendTokens(Protocol):
    """What recognises a caller."""

    def authenticate(self, text: str, scope: str) -> Connection:
        """Return the connection that the token names; raises `Refused`, `NotFound`."""


def blueprint(
    tokens: SendTokens, accept: Accept, replying: Replying, entries: Entries, uploads: Uploads, settings: Settings
) -> func.Blueprint:
    """Return the routes of this area."""
    bp = func.Blueprint()
    _messages(bp, tokens, accept, replying, settings)
    _states(bp, tokens, entries, settings)
    _uploads(bp, tokens, uploads, settings)
    return bp


def _messages(bp: func.Blueprint, tokens: SendTokens, accept: Accept, replying: Replying, settings: Settings) -> None:
    @bp.function_name("messages_send")
    @bp.route("messages", methods=["POST"], auth_level=func.AuthLevel.ANONYMOUS)
    def send(req: func.HttpRequest) -> func.HttpResponse:
        def handle(request: Request) -> func.HttpResponse:
            connection = tokens.authenticate(request.bearer(), SCOPE)
            key, data = idempotency_key(request), request.json()
            submission = replying.completed(connection, check(MessageBody, data).submission(key, body_hash(data)))
            accepted = accept.accept(connection, submission)
            place = f"{settings.public_base_url}/api/messages/{accepted.id}"
            body = {
                "id": accepted.id,
                "status": accepted.status.value,
                "status_url": place,
                "deduplicated": accepted.replayed,
            }
            replayed = {"Idempotent-Replayed": "true"} if accepted.replayed else {}
            return json_reply(body, 202, {"Location": place, **replayed})

        return answer(req, settings, handle)


def _states(bp: func.Blueprint, tokens: SendTokens, entries: Entries, settings: Settings) -> None:
    @bp.function_name("messages_get")
    @bp.route("messages/{id}", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
    def get(req: func.HttpRequest) -> func.HttpResponse:
        def handle(request: Request) -> func.HttpResponse:
            connection = tokens.authenticate(request.bearer(), SCOPE)
            return json_reply(view(entries.get(request.route("id"), connection.id)))

        return answer(req, settings, handle)


def _uploads(bp: func.Blueprint, tokens: SendTokens, uploads: Uploads, settings: Settings) -> None:
    @bp.function_name("uploads_create")
    @bp.route("uploads", methods=["POST"], auth_level=func.AuthLevel.ANONYMOUS)
    def create(req: func.HttpRequest) -> func.HttpResponse:
        def handle(request: Request) -> func.HttpResponse:
            connection = tokens.authenticate(request.bearer(), SCOPE)
            body = request.body(UploadBody)
            sha256 = (body.sha256 or "").lower()
            made = uploads.create(connection, body.name, body.content_type, body.size, sha256)
            place = f"{settings.public_base_url}/api/uploads/{made.upload.id}"
            known = {"upload_id": made.upload.id, "put_url": made.put_url, "expires_at": made.expires_at}
            return created(known, place)

        return answer(req, settings, handle)

    @bp.function_name("uploads_part")
    @bp.route("uploads/{id}/parts/{n}", methods=["PUT"], auth_level=func.AuthLevel.ANONYMOUS)
    def part(req: func.HttpRequest) -> func.HttpResponse:
        def handle(request: Request) -> func.HttpResponse:
            connection = tokens.authenticate(request.bearer(), SCOPE)
            number = request.route("n")
            part_number = int(number) if number.isascii() and number.isdigit() and len(number) <= 5 else 0
            uploads.put_part(connection, request.route("id"), part_number, request.raw.get_body())
            return no_content()

        return answer(req, settings, handle)


def idempotency_key(request: Request) -> str:
    """Return the caller's key: Idempotency-Key, else webhook-id, else ''. Raises `InvalidRequest`."""
    for name in ("idempotency-key", "webhook-id"):
        key = request.header(name)
        if len(key) > MOST_KEY or not key.isprintable():
            message = f"an idempotency key has at most {MOST_KEY} printable characters"
            raise InvalidRequest(message, [FieldFault(f"#{name}", "invalid", message)])
        if key:
            return key
    return ""


def _copy(entry: Entry) -> str:
    """Return what becomes of the copy in Sent Items: ``kept``, ``to_be_removed`` once it is confirmed, ``removed``."""
    if entry.save_to_sent_items:
        return "kept"
    return "removed" if entry.copy_removed_at else "to_be_removed"


def view(entry: Entry) -> dict[str, Any]:
    """Return an entry as its sender sees it."""
    fault = entry.fault
    return {
        "id": entry.id,
        "status": entry.status.value,
        "created_at": entry.created_at,
        "send_at": entry.not_before or None,
        "finished_at": entry.finished_at or None,
        "subject": entry.subject,
        "to": list(entry.to),
        "cc": list(entry.cc),
        "bcc": list(entry.bcc),
        "recipients": entry.recipients,
        "size": entry.size,
        "attempts": entry.attempt,
        "internet_message_id": entry.internet_message_id or None,
        "sent_at": entry.confirmed_at or None,
        "sent_copy": _copy(entry),
        "bounces": [asdict(bounce) for bounce in entry.bounces],
        "fault": {"code": fault.code, "detail": fault.detail, "at": fault.at} if fault else None,
        "metadata": dict(entry.metadata),
    }
