"""Received mail fetched again by hand: what could not be fetched, or whose next try is far off."""

import azure.functions as func

from functions.replies import answer, json_reply
from functions.requests import Request
from shared.audit import Audit
from shared.received import Received, receipt_view
from shared.refetching import Refetching
from shared.settings import Settings


def blueprint(refetching: Refetching, received: Received, audit: Audit, settings: Settings) -> func.Blueprint:
    """Return the route of this area."""
    bp = func.Blueprint()

    @bp.function_name("received_retry")
    @bp.route("received/{id}/retry", methods=["POST"], auth_level=func.AuthLevel.FUNCTION)
    def retry(req: func.HttpRequest) -> func.HttpResponse:
        def handle(request: Request) -> func.HttpResponse:
            request.admin_write()
            refetching.retry(request.route("id"))
            audit.write("received.retry", "done", received_id=request.route("id"))
            return json_reply(receipt_view(received.get(request.route("id"))), 202)

        return answer(req, settings, handle)

    return bp
