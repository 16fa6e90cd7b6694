"""
Every admin route behind Easy Auth: open at the host, refused here.

Admin routes are those that ask for a function key. Where people sign in instead, each of them is registered without one
and with our own check before it, so that a new route cannot be forgotten.
"""

from collections.abc import Callable, Iterable
from typing import Any

import azure.functions as func

from functions.replies import json_reply, log_failure, problem
from functions.requests import Request, called_by
from shared.errors import MailgrantError
from shared.front_proof import FrontProof
from shared.principals import HEADER, Principal, Role, admit, principal_of
from shared.settings import Settings

PROBE = "x-mailgrant-probe"
MAX_NONCE = 100
_READS = ("GET", "HEAD")
_OF_MAIL = ("received", "outbox")
_NO_CONTENT = (["attempts"],)

Handler = Callable[[func.HttpRequest], func.HttpResponse]


def behind_easy_auth(blueprints: Iterable[func.Blueprint], proof: FrontProof, settings: Settings) -> func.Blueprint:
    """Return the functions of *blueprints*, with the check of Easy Auth in the place of every function key."""
    inner, outer = func.FunctionApp(http_auth_level=func.AuthLevel.FUNCTION), func.Blueprint()
    for blueprint in blueprints:
        inner.register_functions(blueprint)
    for function in inner.get_functions():
        trigger: Any = function.get_trigger()
        handler: Handler = function.get_user_function()
        if trigger.auth_level is not func.AuthLevel.ANONYMOUS:
            handler = _guarded(handler, proof, settings, content=shows_content(trigger.route))
        route = outer.route(
            trigger.route, trigger_arg_name=trigger.name, methods=trigger.methods, auth_level=func.AuthLevel.ANONYMOUS
        )
        outer.function_name(str(function.get_function_name()))(route(handler))
    return outer


def shows_content(route: str) -> bool:
    """Tell whether a route hands out mail itself: one received mail, and what stands below it except its attempts."""
    parts = route.split("/")
    if parts == ["received", "{id}"]:  # its parsed view holds the bodies; that of the outbox holds none
        return True
    return parts[0] in _OF_MAIL and len(parts) > 2 and parts[2:] not in _NO_CONTENT


def _guarded(handler: Handler, proof: FrontProof, settings: Settings, *, content: bool) -> Handler:
    def guarded(req: func.HttpRequest) -> func.HttpResponse:
        if req.headers.get(PROBE):
            return _probed(req)
        request = Request(req, settings)
        try:
            principal = _admitted(request, proof, settings, content=content)
        except MailgrantError as error:
            return _with_id(problem(error, request.id), request)
        except Exception:  # noqa: BLE001 - whatever fails here, nobody is let in; it is logged
            log_failure(request.id)
            detail = f"Something failed on our side. Give request id {request.id} to whoever operates Mailgrant."
            return _with_id(problem(MailgrantError(detail), request.id), request)
        reads_only = Role.ADMIN not in principal.roles
        with called_by(f"principal:{principal.object_id[:64]}", reads_only=reads_only):
            return handler(req)

    return guarded


def _admitted(request: Request, proof: FrontProof, settings: Settings, *, content: bool) -> Principal:
    proof.demand()
    writes = str(request.raw.method).upper() not in _READS
    return admit(principal_of(request.header(HEADER)), settings.admin_tenant, writes=writes, content=content)


def _probed(req: func.HttpRequest) -> func.HttpResponse:
    """Say whether a principal's header reached us; that is all that a probe does, whoever makes it."""
    nonce = str(req.headers.get(PROBE))[:MAX_NONCE]
    return json_reply({"probe": nonce, "arrived": req.headers.get(HEADER) is not None})


def _with_id(response: func.HttpResponse, request: Request) -> func.HttpResponse:
    response.headers["X-Request-Id"] = request.id
    return response
