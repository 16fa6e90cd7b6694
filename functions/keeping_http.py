"""What was kept and what was done: one mail erased on request, and the run log of a connection."""

from dataclasses import asdict
from typing import Any

import azure.functions as func

from functions.replies import answer, json_reply, no_content
from functions.requests import Request
from shared.audit import Audit
from shared.erasure import Erasure
from shared.run_lists import RunLists
from shared.run_log import RunLine
from shared.settings import Settings


def blueprint(erasure: Erasure, runs: RunLists, audit: Audit, settings: Settings) -> func.Blueprint:
    """Return the routes of this area."""
    bp = func.Blueprint()

    @bp.function_name("received_erase")
    @bp.route("received/{id}", methods=["DELETE"], auth_level=func.AuthLevel.FUNCTION)
    def erase(req: func.HttpRequest) -> func.HttpResponse:
        def handle(request: Request) -> func.HttpResponse:
            request.admin_mark()
            erasure.erase(request.route("id"))
            audit.write("received.erase", "done", received_id=request.route("id"))
            return no_content()

        return answer(req, settings, handle)

    @bp.function_name("log_list")
    @bp.route("connections/{id}/log", methods=["GET"], auth_level=func.AuthLevel.FUNCTION)
    def list_runs(req: func.HttpRequest) -> func.HttpResponse:
        def handle(request: Request) -> func.HttpResponse:
            since, until = request.moment("since"), request.moment("until")
            page = runs.page(request.route("id"), request.limit(), request.query("cursor"), since, until)
            return json_reply({"data": [_shown(line) for line in page.items], "next_cursor": page.next_cursor})

        return answer(req, settings, handle)

    return bp


def _shown(line: RunLine) -> dict[str, Any]:
    """Return a run with what belongs to its kind."""
    foreign = ("accepted",) if line.kind == "fetch" else ("pages", "taken")
    shown = {name: value for name, value in asdict(line).items() if name not in foreign}
    return {**shown, "requests": line.requests or None}
