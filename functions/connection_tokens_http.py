"""What belongs to a connection's making: its tokens, and the pickers for mailbox and folder."""

from dataclasses import asdict
from typing import Any

import azure.functions as func

from functions.connections_bodies import CreateToken
from functions.replies import answer, created, json_reply, no_content
from functions.requests import Request
from shared.connection_admin.lists import ConnectionLists
from shared.connection_admin.tokens import ConnectionToken, ConnectionTokens
from shared.errors import FieldFault, InvalidRequest
from shared.paging import page_of
from shared.settings import Settings


def blueprint(tokens: ConnectionTokens, lists: ConnectionLists, settings: Settings) -> func.Blueprint:
    """Return the routes of this area."""
    bp = func.Blueprint()
    _tokens(bp, tokens, settings)
    _pickers(bp, lists, settings)
    return bp


def _tokens(bp: func.Blueprint, tokens: ConnectionTokens, settings: Settings) -> None:
    @bp.function_name("tokens_create")
    @bp.route("connections/{id}/tokens", methods=["POST"], auth_level=func.AuthLevel.FUNCTION)
    def create(req: func.HttpRequest) -> func.HttpResponse:
        def handle(request: Request) -> func.HttpResponse:
            request.admin_write()
            row, token = tokens.create(request.route("id"), request.body(CreateToken).scope)
            place = f"{settings.public_base_url}/api/connections/{row.connection_id}/tokens/{row.id}"
            return created({**_token_view(row), "token": str(token)}, place)

        return answer(req, settings, handle)

    @bp.function_name("tokens_list")
    @bp.route("connections/{id}/tokens", methods=["GET"], auth_level=func.AuthLevel.FUNCTION)
    def list_all(req: func.HttpRequest) -> func.HttpResponse:
        def handle(request: Request) -> func.HttpResponse:
            keyed = [(token.id, _token_view(token)) for token in tokens.of(request.route("id"))]
            page = page_of(keyed, request.limit(), request.query("cursor"))
            return json_reply({"data": page.items, "next_cursor": page.next_cursor})

        return answer(req, settings, handle)

    @bp.function_name("tokens_delete")
    @bp.route("connections/{id}/tokens/{token_id}", methods=["DELETE"], auth_level=func.AuthLevel.FUNCTION)
    def delete(req: func.HttpRequest) -> func.HttpResponse:
        def handle(request: Request) -> func.HttpResponse:
            request.admin_mark()
            tokens.delete(request.route("id"), request.route("token_id"))
            return no_content()

        return answer(req, settings, handle)


def _pickers(bp: func.Blueprint, lists: ConnectionLists, settings: Settings) -> None:
    @bp.function_name("mailboxes_list")
    @bp.route("mailboxes", methods=["GET"], auth_level=func.AuthLevel.FUNCTION)
    def mailboxes(req: func.HttpRequest) -> func.HttpResponse:
        def handle(request: Request) -> func.HttpResponse:
            found = lists.people(_needed(request, "grant_id"), request.query("search"), request.limit())
            return json_reply({"data": [asdict(person) for person in found], "next_cursor": None})

        return answer(req, settings, handle)

    @bp.function_name("folders_list")
    @bp.route("folders", methods=["GET"], auth_level=func.AuthLevel.FUNCTION)
    def folders(req: func.HttpRequest) -> func.HttpResponse:
        def handle(request: Request) -> func.HttpResponse:
            grant_id, mailbox = _needed(request, "grant_id"), _needed(request, "mailbox")
            found = lists.folders(grant_id, mailbox, request.query("parent") or None)
            return json_reply({"data": [asdict(folder) for folder in found], "next_cursor": None})

        return answer(req, settings, handle)


def _needed(request: Request, name: str) -> str:
    value = request.query(name)
    if not value:
        message = f"{name} is missing from the query"
        raise InvalidRequest(message, [FieldFault(f"?{name}", "missing", message)])
    return value


def _token_view(token: ConnectionToken) -> dict[str, Any]:
    return {
        "id": token.id,
        "connection_id": token.connection_id,
        "scope": token.scope,
        "created_at": token.created_at,
        "last_used_at": token.last_used_at or None,
    }
