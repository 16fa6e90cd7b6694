"""Grants, for administrators: what each tenant has given."""

from typing import Annotated, Any

import azure.functions as func
from pydantic import Field

from functions.replies import answer, json_reply, no_content
from functions.requests import Body, Request
from shared.connection_admin.views import fault_view
from shared.grant_admin import GrantAdmin
from shared.grant_checks import GrantChecks
from shared.grants import Grant, GrantStatus, sentence
from shared.paging import page_of
from shared.purge import Purge, Purged
from shared.settings import Settings

Mailbox = Annotated[str, Field(max_length=320, repr=False)]


class VerifyGrant(Body):
    """POST grants/{id}/verify; *mailbox* is one to read where the token's roles let none be read."""

    mailbox: Mailbox = ""


def blueprint(admin: GrantAdmin, checks: GrantChecks, purge: Purge, settings: Settings) -> func.Blueprint:
    """Return the routes of this area."""
    bp = func.Blueprint()
    _records(bp, admin, purge, settings)
    _proofs(bp, checks, settings)
    return bp


def _records(bp: func.Blueprint, admin: GrantAdmin, purge: Purge, settings: Settings) -> None:
    @bp.function_name("grants_list")
    @bp.route("grants", methods=["GET"], auth_level=func.AuthLevel.FUNCTION)
    def list_all(req: func.HttpRequest) -> func.HttpResponse:
        def handle(request: Request) -> func.HttpResponse:
            status, span = request.choice("status", GrantStatus), request.span()
            keyed = [
                (f"{grant.created_at}|{grant.id}", grant_view(grant))
                for grant in admin.all()
                if status in ("", grant.status) and grant.created_at in span
            ]
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
            if request.query("purge").lower() == "true":
                return json_reply(purge_view(purge.start(request.route("id"))), 202)
            admin.delete(request.route("id"))
            return no_content()

        return answer(req, settings, handle)

    @bp.function_name("grants_purge")
    @bp.route("grants/{id}/purge", methods=["GET"], auth_level=func.AuthLevel.FUNCTION)
    def report(req: func.HttpRequest) -> func.HttpResponse:
        return answer(req, settings, lambda request: json_reply(purge_view(purge.report(request.route("id")))))


def _proofs(bp: func.Blueprint, checks: GrantChecks, settings: Settings) -> None:
    @bp.function_name("grants_verify")
    @bp.route("grants/{id}/verify", methods=["POST"], auth_level=func.AuthLevel.FUNCTION)
    def verify(req: func.HttpRequest) -> func.HttpResponse:
        def handle(request: Request) -> func.HttpResponse:
            request.admin_write()
            mailbox = request.body(VerifyGrant).mailbox
            grant = checks.verify(request.route("id"), mailbox)
            checks.audit.write("grant.verify", grant.status.value, grant_id=grant.id)
            return json_reply(grant_view(grant))

        return answer(req, settings, handle)

    @bp.function_name("grants_confirm")
    @bp.route("grants/{id}/confirm", methods=["POST"], auth_level=func.AuthLevel.FUNCTION)
    def confirm(req: func.HttpRequest) -> func.HttpResponse:
        def handle(request: Request) -> func.HttpResponse:
            request.admin_write()
            return json_reply(grant_view(checks.confirm(request.route("id"))))

        return answer(req, settings, handle)


def purge_view(purged: Purged) -> dict[str, Any]:
    """Return the report of a purge as answers show it."""
    return {
        "grant_id": purged.grant_id,
        "status": "done" if purged.finished_at else "running",
        "started_at": purged.started_at,
        "finished_at": purged.finished_at or None,
        "erased": {name: getattr(purged, name) for name in ("connections", "mails", "entries", "rows", "blobs")},
    }


def grant_view(grant: Grant) -> dict[str, Any]:
    """Return the grant as answers show it."""
    return {
        "id": grant.id,
        "credential_id": grant.credential_id,
        "tenant": grant.tenant,
        "tenant_domain": grant.domain or None,
        "signed_in_as": grant.signed_in_as or None,
        "signed_in_at": grant.signed_in_at or None,
        "status": grant.status.value,
        "detail": sentence(grant),
        "usable": grant.usable,
        "confirmed": grant.confirmed,
        "scoped": grant.scoped,
        "roles": {"granted": list(grant.granted), "missing": list(grant.missing), "excess": list(grant.excess)},
        "created_at": grant.created_at,
        "consented_at": grant.since,
        "checked_at": grant.checked_at or None,
        "next_check_at": grant.next_at or None,
        "fault": fault_view(grant.fault),
    }
