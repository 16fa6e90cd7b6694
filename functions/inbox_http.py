"""Received mail for holders of a connection's receive token: its list, single mails and their content."""

from typing import Protocol

import azure.functions as func

from functions.content_replies import content_answer
from functions.received_http import list_reply
from functions.replies import answer, json_reply
from functions.requests import Request
from shared.connections import Connection
from shared.errors import NotFound
from shared.identifiers import split_receipt_id
from shared.received import Content, Received
from shared.settings import Settings

SCOPE = "receive"
AREA = "inbox"


class ReceiveTokens(Protocol):
    """What recognises a caller."""

    def authenticate(self, text: str, scope: str) -> Connection:
        """Return the connection that the token names; raises `Refused`, `NotFound`, `TooMany`."""


def blueprint(tokens: ReceiveTokens, received: Received, settings: Settings) -> func.Blueprint:
    """Return the routes of this area."""
    bp = func.Blueprint()
    _views(bp, tokens, received, settings)
    _contents(bp, tokens, received, settings)
    return bp


def _views(bp: func.Blueprint, tokens: ReceiveTokens, received: Received, settings: Settings) -> None:
    @bp.function_name("inbox_list")
    @bp.route("inbox", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
    def list_all(req: func.HttpRequest) -> func.HttpResponse:
        def handle(request: Request) -> func.HttpResponse:
            connection = tokens.authenticate(request.bearer(), SCOPE)
            return list_reply(received, connection.id, request)

        return answer(req, settings, handle)

    @bp.function_name("inbox_get")
    @bp.route("inbox/{id}", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
    def get(req: func.HttpRequest) -> func.HttpResponse:
        return answer(req, settings, lambda request: json_reply(received.view(_own(tokens, request), AREA)))


def _contents(bp: func.Blueprint, tokens: ReceiveTokens, received: Received, settings: Settings) -> None:
    @bp.function_name("inbox_raw")
    @bp.route("inbox/{id}/raw", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
    def raw(req: func.HttpRequest) -> func.HttpResponse:
        return content_answer(req, settings, lambda request: received.raw(_own(tokens, request)))

    @bp.function_name("inbox_attachment")
    @bp.route("inbox/{id}/attachments/{n}", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
    def attachment(req: func.HttpRequest) -> func.HttpResponse:
        def find(request: Request) -> Content:
            return received.attachment(_own(tokens, request), request.route("n"))

        return content_answer(req, settings, find)


def _own(tokens: ReceiveTokens, request: Request) -> str:
    """Return the id in the route, once it is known to be of a mail of the caller's own connection."""
    connection = tokens.authenticate(request.bearer(), SCOPE)
    named = split_receipt_id(request.route("id"))
    if named is None or named[0] != connection.id:
        raise NotFound("There is no such mail of this token's connection. GET inbox lists those there are.")
    return request.route("id")
