"""The outbox, for administrators: what became of each mail, cancelling one, and sending one again."""

from dataclasses import asdict
from typing import Any

import azure.functions as func

from functions.replies import answer, json_reply
from functions.requests import Body, Request
from functions.send_http import idempotency_key, view
from shared.audit import Audit
from shared.errors import FieldFault, InvalidRequest, NotFound
from shared.identifiers import is_connection_id
from shared.outbox.rows import Entry
from shared.outbox.work import Status
from shared.send.entries import Entries, Wanted
from shared.send.resending import Resending
from shared.settings import Settings


class ResendBody(Body):
    """How to send a mail again."""

    accept_duplicate: bool = False


def blueprint(entries: Entries, resending: Resending, audit: Audit, settings: Settings) -> func.Blueprint:
    """Return the routes of this area."""
    bp = func.Blueprint()

    @bp.function_name("outbox_list")
    @bp.route("connections/{id}/outbox", methods=["GET"], auth_level=func.AuthLevel.FUNCTION)
    def list_all(req: func.HttpRequest) -> func.HttpResponse:
        def handle(request: Request) -> func.HttpResponse:
            if not is_connection_id(request.route("id")):
                raise NotFound("There is no such connection. GET connections lists those there are.")
            page = entries.page(request.route("id"), wanted(request))
            return json_reply({"data": [full_view(entry) for entry in page.entries], "next_cursor": page.next_cursor})

        return answer(req, settings, handle)

    @bp.function_name("outbox_get")
    @bp.route("outbox/{id}", methods=["GET"], auth_level=func.AuthLevel.FUNCTION)
    def get(req: func.HttpRequest) -> func.HttpResponse:
        return answer(req, settings, lambda request: json_reply(full_view(entries.get(request.route("id")))))

    @bp.function_name("outbox_cancel")
    @bp.route("outbox/{id}/cancel", methods=["POST"], auth_level=func.AuthLevel.FUNCTION)
    def cancel(req: func.HttpRequest) -> func.HttpResponse:
        def handle(request: Request) -> func.HttpResponse:
            request.admin_write()
            shown = full_view(entries.cancel(request.route("id")))
            audit.write("message.cancel", "done", message_id=request.route("id"))
            return json_reply(shown)

        return answer(req, settings, handle)

    @bp.function_name("outbox_resend")
    @bp.route("outbox/{id}/resend", methods=["POST"], auth_level=func.AuthLevel.FUNCTION)
    def resend(req: func.HttpRequest) -> func.HttpResponse:
        def handle(request: Request) -> func.HttpResponse:
            request.admin_write()
            wish, key = request.body(ResendBody), idempotency_key(request)
            accepted = resending.resend(request.route("id"), key, accept_duplicate=wish.accept_duplicate)
            audit.write("message.resend", "done", message_id=request.route("id"), new_message_id=accepted.id)
            place = f"{settings.public_base_url}/api/outbox/{accepted.id}"
            return json_reply(full_view(entries.get(accepted.id)), 202, {"Location": place})

        return answer(req, settings, handle)

    return bp


def wanted(request: Request) -> Wanted:
    """Return which entries a list is to hold; raises `InvalidRequest` naming the query's fault."""
    status = request.query("status")
    if status and status not in {known.value for known in Status}:
        message = f"status must be one of {', '.join(known.value for known in Status)}"
        raise InvalidRequest(message, [FieldFault("?status", "unknown", message)])
    return Wanted(
        limit=request.limit(),
        cursor=request.query("cursor"),
        status=Status(status) if status else None,
        since=request.moment("since"),
        until=request.moment("until"),
        recipient=request.query("to"),
        subject=request.query("subject"),
    )


def full_view(entry: Entry) -> dict[str, Any]:
    """Return an entry as an administrator sees it: with its moves and Microsoft's ids."""
    fault = asdict(entry.fault) if entry.fault else None
    known = {"connection_id": entry.connection_id, "draft_id": entry.draft_id or None, "fault": fault}
    known |= {"hook_id": entry.hook_id or None, "resend_of": entry.resend_of or None}
    return {**view(entry), **known, "moves": [asdict(move) for move in entry.moves]}
