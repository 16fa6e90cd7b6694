"""Connections, for administrators: make, look, change, try, delete."""

from dataclasses import asdict, dataclass
from typing import Any

import azure.functions as func

from functions.connections_bodies import ChangeConnection, CreateConnection, TestConnection
from functions.replies import answer, created, json_reply, no_content
from functions.requests import Request
from shared.connection_admin.changes import ConnectionChanges
from shared.connection_admin.checks import ConnectionChecks
from shared.connection_admin.creation import ConnectionCreation
from shared.connection_admin.lists import ConnectionLists, Wanted
from shared.connection_admin.views import Shown, view
from shared.connections import Direction, Status
from shared.settings import Settings
from shared.signing import Signing


@dataclass(frozen=True, slots=True)
class ConnectionUseCases:
    """Everything that an administrator does with connections."""

    creation: ConnectionCreation
    changes: ConnectionChanges
    lists: ConnectionLists
    checks: ConnectionChecks
    signing: Signing


def blueprint(use: ConnectionUseCases, settings: Settings) -> func.Blueprint:
    """Return the routes of connections themselves."""
    bp = func.Blueprint()
    _readers(bp, use, settings)
    _writers(bp, use, settings)
    _trials(bp, use, settings)
    return bp


def _readers(bp: func.Blueprint, use: ConnectionUseCases, settings: Settings) -> None:
    @bp.function_name("connections_list")
    @bp.route("connections", methods=["GET"], auth_level=func.AuthLevel.FUNCTION)
    def list_all(req: func.HttpRequest) -> func.HttpResponse:
        def handle(request: Request) -> func.HttpResponse:
            page = use.lists.page(request.limit(), request.query("cursor"), _wanted(request))
            return json_reply({"data": [view(shown) for shown in page.items], "next_cursor": page.next_cursor})

        return answer(req, settings, handle)

    @bp.function_name("connections_get")
    @bp.route("connections/{id}", methods=["GET"], auth_level=func.AuthLevel.FUNCTION)
    def get(req: func.HttpRequest) -> func.HttpResponse:
        return answer(req, settings, lambda request: _shown(use.lists.get(request.route("id"))))


def _writers(bp: func.Blueprint, use: ConnectionUseCases, settings: Settings) -> None:
    @bp.function_name("connections_create")
    @bp.route("connections", methods=["POST"], auth_level=func.AuthLevel.FUNCTION)
    def create(req: func.HttpRequest) -> func.HttpResponse:
        def handle(request: Request) -> func.HttpResponse:
            request.admin_write()
            body = request.body(CreateConnection)
            if request.query("dry_run").lower() == "true":
                preview = use.creation.preview(body.asked(), body.model_dump(exclude_unset=True))
                would = {"would_take": preview.count.mails, "exact": preview.count.exact}
                return json_reply({**would, "since": preview.since or None})
            shown = made(use, body)
            return created(shown, f"{settings.public_base_url}/api/connections/{shown['id']}")

        return answer(req, settings, handle)

    @bp.function_name("connections_change")
    @bp.route("connections/{id}", methods=["PATCH"], auth_level=func.AuthLevel.FUNCTION)
    def change(req: func.HttpRequest) -> func.HttpResponse:
        def handle(request: Request) -> func.HttpResponse:
            request.admin_write()
            body, connection_id = request.body(ChangeConnection), request.route("id")
            use.changes.change(connection_id, body.changes(), request.if_match())
            return _shown(use.lists.get(connection_id))

        return answer(req, settings, handle)

    @bp.function_name("connections_delete")
    @bp.route("connections/{id}", methods=["DELETE"], auth_level=func.AuthLevel.FUNCTION)
    def delete(req: func.HttpRequest) -> func.HttpResponse:
        def handle(request: Request) -> func.HttpResponse:
            request.admin_mark()
            use.changes.delete(request.route("id"), discard=request.query("discard").lower() == "true")
            return no_content()

        return answer(req, settings, handle)


def _trials(bp: func.Blueprint, use: ConnectionUseCases, settings: Settings) -> None:
    @bp.function_name("connections_test")
    @bp.route("connections/{id}/test", methods=["POST"], auth_level=func.AuthLevel.FUNCTION)
    def test(req: func.HttpRequest) -> func.HttpResponse:
        def handle(request: Request) -> func.HttpResponse:
            request.admin_write()
            checks = use.checks.run(request.route("id"), request.body(TestConnection).unreachable_mailbox)
            outcome = "failed" if any(check.ok is False for check in checks) else "done"
            use.changes.audit.write("connection.test", outcome, connection_id=request.route("id"))
            return json_reply({"checks": [asdict(check) for check in checks]})

        return answer(req, settings, handle)

    @bp.function_name("connections_fetch")
    @bp.route("connections/{id}/fetch", methods=["POST"], auth_level=func.AuthLevel.FUNCTION)
    def fetch(req: func.HttpRequest) -> func.HttpResponse:
        def handle(request: Request) -> func.HttpResponse:
            request.admin_write()
            connection_id = request.route("id")
            use.changes.fetch(connection_id)
            return json_reply(view(use.lists.get(connection_id)), 202)

        return answer(req, settings, handle)


def made(use: ConnectionUseCases, body: CreateConnection) -> dict[str, Any]:
    """Make a connection and return it as its creator sees it: with its signing secret, this once."""
    asked = body.asked()
    signed = asked.destination is not None and asked.destination.type == "webhook"
    if signed:
        use.signing.link_key()  # a vault that does not answer must show before anything is made
    connection = use.creation.create(asked, body.model_dump(exclude_unset=True))
    shown = view(use.lists.get(connection.id))
    if signed:
        shown["signing_secret"] = use.signing.signing_secret(connection.id)
    return shown


def _wanted(request: Request) -> Wanted:
    direction, status = request.choice("direction", Direction), request.choice("status", Status)
    return Wanted(
        grant_id=request.query("grant_id"),
        direction=Direction(direction) if direction else None,
        status=Status(status) if status else None,
        span=request.span(),
    )


def _shown(shown: Shown) -> func.HttpResponse:
    return json_reply(view(shown), headers={"ETag": f'"{shown.connection.version}"'})
