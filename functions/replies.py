"""Results and errors as HTTP: the only status table, problem details, JSON and HTML."""

import json
import logging
import math
import sys
import traceback
from collections.abc import Callable, Mapping
from dataclasses import asdict, is_dataclass
from typing import Any

import azure.functions as func

from functions.requests import Request
from shared import errors
from shared.audit import acting
from shared.codes import Code
from shared.errors import Fault, InvalidRequest, MailgrantError, TooMany
from shared.settings import Settings

log = logging.getLogger("mailgrant.http")

_STATUS: tuple[tuple[type[MailgrantError], int], ...] = (
    (errors.InvalidRequest, 422),
    (errors.NotFound, 404),
    (errors.Conflict, 409),
    (errors.PreconditionFailed, 412),
    (errors.Gone, 410),
    (errors.TooLarge, 413),
    (errors.RangeNotSatisfiable, 416),
    (errors.TooMany, 429),
    (errors.StorageError, 503),
    (errors.Throttled, 503),
    (errors.Unreachable, 502),
    (errors.Fault, 409),
)
CODE_STATUS = {
    Code.INVALID_JSON: 400,
    Code.STATE_UNKNOWN: 400,
    Code.REQUEST_NOT_MARKED: 403,
    Code.FOREIGN_HOST: 403,
    Code.UNSUPPORTED_MEDIA_TYPE: 415,
    Code.EASY_AUTH_NOT_PROVEN: 503,
    Code.VAULT_UNAVAILABLE: 503,
    Code.VAULT_REFUSED: 503,
}
_RETRY_SECONDS = 10


def status_of(error: MailgrantError) -> int:
    """Return the HTTP status that tells a caller of *error*."""
    if error.code in CODE_STATUS:
        return CODE_STATUS[error.code]
    if isinstance(error, errors.Refused):
        return 403 if error.known else 401
    return next((status for kind, status in _STATUS if isinstance(error, kind)), 500)


def answer(
    req: func.HttpRequest, settings: Settings, handle: Callable[[Request], func.HttpResponse]
) -> func.HttpResponse:
    """Run *handle* on the request; every error becomes problem details, every answer bears the request id."""
    request = Request(req, settings)
    try:
        with acting(request.actor()):
            response = handle(request)
    except MailgrantError as error:
        response = problem(error, request.id)
    except Exception:  # noqa: BLE001 - a caller gets problem details whatever happens; it is logged
        log_failure(request.id)
        detail = f"Something failed on our side. Give request id {request.id} to whoever operates Mailgrant."
        response = problem(MailgrantError(detail), request.id)
    response.headers["X-Request-Id"] = request.id
    return response


def json_reply(
    body: Any, status: int = 200, headers: Mapping[str, str] | None = None, mimetype: str = "application/json"
) -> func.HttpResponse:
    """Return *body* (plain data or a dataclass) as JSON that no cache keeps."""
    plain = asdict(body) if is_dataclass(body) and not isinstance(body, type) else body
    text = json.dumps(plain, ensure_ascii=False, separators=(",", ":"))
    merged = {"Cache-Control": "no-store", **(headers or {})}
    return func.HttpResponse(text.encode(), status_code=status, mimetype=mimetype, headers=merged)


def created(body: Any, location: str) -> func.HttpResponse:
    """Return 201 with the *location* of the new thing."""
    return json_reply(body, 201, {"Location": location})


def no_content() -> func.HttpResponse:
    """Return 204."""
    return func.HttpResponse(status_code=204)


def html_reply(html: str, status: int = 200, headers: Mapping[str, str] | None = None) -> func.HttpResponse:
    """Return a page that no cache keeps, no frame shows and no script runs in."""
    merged = {
        "Cache-Control": "no-store",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; "
        "form-action 'self' https:; frame-ancestors 'none'",
        **(headers or {}),
    }
    return func.HttpResponse(html.encode(), status_code=status, mimetype="text/html", charset="utf-8", headers=merged)


def problem(error: MailgrantError, request_id: str) -> func.HttpResponse:
    """Return *error* as ``application/problem+json`` (RFC 9457)."""
    status = status_of(error)
    return json_reply(problem_body(error, request_id), status, hints(error, status), "application/problem+json")


def problem_body(error: MailgrantError, request_id: str) -> dict[str, Any]:
    """Return *error* as the members of a problem."""
    body: dict[str, Any] = {
        "type": f"urn:mailgrant:problem:{error.code.value}",
        "title": error.code.value.replace("_", " ").capitalize(),
        "status": status_of(error),
        "detail": error.detail,
        "code": error.code.value,
        "request_id": request_id,
    }
    if isinstance(error, InvalidRequest):
        body["errors"] = [asdict(fault) for fault in error.faults]
    if isinstance(error, Fault) and any(asdict(error.microsoft).values()):
        body["microsoft"] = asdict(error.microsoft)
    return body


def log_failure(request_id: str) -> None:
    """Log where the error that is being handled arose, without its text, which may hold a caller's data."""
    error = sys.exception()
    frames = "".join(traceback.format_tb(error.__traceback__)) if error else ""
    log.error("http.failed request_id=%s error=%s\n%s", request_id, type(error).__name__, frames)


def hints(error: MailgrantError, status: int) -> dict[str, str]:
    """Return the headers that say how to do better: when to come again, who one is, how much there is."""
    if isinstance(error, errors.RangeRequired | errors.RangeNotSatisfiable):
        return {"Accept-Ranges": "bytes", "Content-Range": f"bytes */{error.size}"}
    seconds = error.retry_after if isinstance(error, Fault | TooMany) else None
    if seconds is None and status == 503:
        seconds = _RETRY_SECONDS
    hints = {} if seconds is None else {"Retry-After": str(max(1, math.ceil(seconds)))}
    return {**hints, "WWW-Authenticate": "Bearer"} if status == 401 else hints
