"""The audit log, for administrators: who did what."""

from dataclasses import asdict

import azure.functions as func

from functions.replies import answer, json_reply
from functions.requests import Request
from shared.audit_log import AuditLog
from shared.settings import Settings


def blueprint(log: AuditLog, settings: Settings) -> func.Blueprint:
    """Return the route of this area."""
    bp = func.Blueprint()

    @bp.function_name("audit_list")
    @bp.route("audit", methods=["GET"], auth_level=func.AuthLevel.FUNCTION)
    def list_all(req: func.HttpRequest) -> func.HttpResponse:
        def handle(request: Request) -> func.HttpResponse:
            page = log.page(request.limit(), request.query("cursor"), request.moment("since"), request.moment("until"))
            return json_reply({"data": [asdict(entry) for entry in page.items], "next_cursor": page.next_cursor})

        return answer(req, settings, handle)

    return bp
