"""Grants, for administrators: what each tenant has given."""

from typing import Any

import azure.functions as func

from functions.replies import answer, json_reply, no_content
from functions.requests import Request
from shared.connection_admin.views import fault_view
from shared.grant_admin import GrantAdmin
from shared.grant_checks import GrantChecks
from shared.grants import Grant, sentence
from shared.paging import page_of
from shared.settings import Settings


def blueprint(admin: GrantAdmin, checks: GrantChecks, settings: Settings) -> func.Blueprint:
    """Return the routes of this area."""
    bp = func.Blueprint()

    @bp.function_name("grants_list")
    @bp.route("grants", methods=["GET"], auth_level=func.AuthLevel.FUNCTION)
    def list_all(req: func.HttpRequest) -> func.HttpResponse:
        def handle(request: Request) -> func.HttpResponse:
            keyed = [(f"{grant.created_at}|{grant.id}", grant_view(grant)) for grant in admin.all()]
            page = page_of(keyed, request.limit(), request.query("cursor"))
            return json_reply({"data": page.items, "next_cursor": page.next_cursor})

        return answer(req, settings, handle)

    @bp.function_name("grants_get")
    @bp.route("grants/{id}", methods=["GET"], auth_level=func.AuthLevel.FUNCTION)
    def get(req: func.HttpRequest) -> func.HttpResponse:
        return answer(req, settings, lambda request: json_reply(grant_view(admin.get(request.route("id")))))

    @bp.function_name("grants_delete")
    @bp.route("grants/{id}", methods=["DELETE"], auth_level=func.AuthLevel.FUNCTION)
    def delete(req: func.HttpRequest) -> func.HttpResponse:
        def handle(request: Request) -> func.HttpResponse:
            request.admin_mark()
            admin.delete(request.route("id"))
            return no_content()

        return answer(req, settings, handle)

    @bp.function_name("grants_verify")
    @bp.route("grants/{id}/verify", methods=["POST"], auth_level=func.AuthLevel.FUNCTION)
    def verify(req: func.HttpRequest) -> func.HttpResponse:
        def handle(request: Request) -> func.HttpResponse:
            request.admin_write()
            return json_reply(grant_view(checks.verify(request.route("id"))))

        return answer(req, settings, handle)

    @bp.function_name("grants_confirm")
    @bp.route("grants/{id}/confirm", methods=["POST"], auth_level=func.AuthLevel.FUNCTION)
    def confirm(req: func.HttpRequest) -> func.HttpResponse:
        def handle(request: Request) -> func.HttpResponse:
            request.admin_write()
            return json_reply(grant_view(checks.confirm(request.route("id"))))

        return answer(req, settings, handle)

    return bp


def grant_view(grant: Grant) -> dict[str, Any]:
    """Return the grant as answers show it."""
    return {
        "id": grant.id,
        "credential_id": grant.credential_id,
        "tenant": grant.tenant,
        "status": grant.status.value,
        "detail": sentence(grant),
        "usable": grant.usable,
        "confirmed": grant.confirmed,
        "roles": {"granted": list(grant.granted), "missing": list(grant.missing), "excess": list(grant.excess)},
        "created_at": grant.created_at,
        "consented_at": grant.since,
        "checked_at": grant.checked_at or None,
        "next_check_at": grant.next_at or None,
        "fault": fault_view(grant.fault),
    }
