"""Received mail: lists, single mails and their content for administrators, and signed links for receivers."""

import azure.functions as func

from functions.content_replies import content_answer
from functions.replies import answer, json_reply
from functions.requests import Request
from shared.audit import Audit
from shared.errors import FieldFault, InvalidRequest
from shared.receipts import ReceiptStatus
from shared.received import Content, Received, Wanted, attempts_view, receipt_view
from shared.settings import Settings


def blueprint(received: Received, audit: Audit, settings: Settings) -> func.Blueprint:
    """Return the routes of this area."""
    bp = func.Blueprint()
    _views(bp, received, audit, settings)
    _contents(bp, received, audit, settings)
    return bp


def _views(bp: func.Blueprint, received: Received, audit: Audit, settings: Settings) -> None:
    @bp.function_name("received_list")
    @bp.route("connections/{id}/received", methods=["GET"], auth_level=func.AuthLevel.FUNCTION)
    def list_all(req: func.HttpRequest) -> func.HttpResponse:
        def handle(request: Request) -> func.HttpResponse:
            return list_reply(received, request.route("id"), request)

        return answer(req, settings, handle)

    @bp.function_name("received_get")
    @bp.route("received/{id}", methods=["GET"], auth_level=func.AuthLevel.FUNCTION)
    def get(req: func.HttpRequest) -> func.HttpResponse:
        def handle(request: Request) -> func.HttpResponse:
            shown = received.view(request.route("id"))
            if shown["message"] is not None:
                audit.write("received.open", "message", received_id=request.route("id"))
            return json_reply(shown)

        return answer(req, settings, handle)

    @bp.function_name("received_attempts")
    @bp.route("received/{id}/attempts", methods=["GET"], auth_level=func.AuthLevel.FUNCTION)
    def attempts(req: func.HttpRequest) -> func.HttpResponse:
        def handle(request: Request) -> func.HttpResponse:
            return json_reply({"data": attempts_view(received.get(request.route("id"))), "next_cursor": None})

        return answer(req, settings, handle)

    @bp.function_name("received_redeliver")
    @bp.route("received/{id}/redeliver", methods=["POST"], auth_level=func.AuthLevel.FUNCTION)
    def redeliver(req: func.HttpRequest) -> func.HttpResponse:
        def handle(request: Request) -> func.HttpResponse:
            request.admin_write()
            shown = receipt_view(received.redeliver(request.route("id")))
            audit.write("received.redeliver", "done", received_id=request.route("id"))
            return json_reply(shown, 202)

        return answer(req, settings, handle)


def _contents(bp: func.Blueprint, received: Received, audit: Audit, settings: Settings) -> None:
    @bp.function_name("received_raw")
    @bp.route("received/{id}/raw", methods=["GET"], auth_level=func.AuthLevel.FUNCTION)
    def raw(req: func.HttpRequest) -> func.HttpResponse:
        def find(request: Request) -> Content:
            content = received.raw(request.route("id"))
            audit.write("received.open", "raw", received_id=request.route("id"))
            return content

        return content_answer(req, settings, find)

    @bp.function_name("received_attachment")
    @bp.route("received/{id}/attachments/{n}", methods=["GET"], auth_level=func.AuthLevel.FUNCTION)
    def attachment(req: func.HttpRequest) -> func.HttpResponse:
        def find(request: Request) -> Content:
            content = received.attachment(request.route("id"), request.route("n"))
            audit.write("received.open", "attachment", received_id=request.route("id"), number=request.route("n"))
            return content

        return content_answer(req, settings, find)

    @bp.function_name("content_get")
    @bp.route("content/{token}", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
    def linked(req: func.HttpRequest) -> func.HttpResponse:
        return content_answer(req, settings, lambda request: received.linked(request.route("token")))


def list_reply(received: Received, connection_id: str, request: Request) -> func.HttpResponse:
    """Return the page of a connection's mail that the request's query asks for."""
    wanted = Wanted(
        status=_status(request),
        since=request.moment("since"),
        until=request.moment("until"),
        sender=request.query("from"),
        subject=request.query("subject"),
        message_id=request.query("message_id"),
    )
    page = received.page(connection_id, request.limit(), request.query("cursor"), wanted)
    return json_reply({"data": [receipt_view(item) for item in page.items], "next_cursor": page.next_cursor})


def _status(request: Request) -> ReceiptStatus | None:
    text = request.query("status")
    if not text:
        return None
    try:
        return ReceiptStatus(text)
    except ValueError:
        message = f"status must be one of {', '.join(status.value for status in ReceiptStatus)}"
        raise InvalidRequest(message, [FieldFault("?status", "unknown", message)]) from None
