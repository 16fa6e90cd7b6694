"""Many connections at once, for administrators: each operation succeeds or fails by itself."""

import time
from typing import Any

import azure.functions as func

from functions.connections_bodies import BulkBody, BulkOperation, ChangeConnection, CreateConnection
from functions.connections_http import ConnectionUseCases, made
from functions.replies import answer, json_reply, log_failure, problem_body
from functions.requests import Request, check
from shared.connection_admin.views import view
from shared.errors import MailgrantError, TooMany
from shared.settings import Settings

MOST_SECONDS = 120.0
"""How long operations are begun; the platform ends a request after 230 seconds."""
_STATUS = {"create": 201, "delete": 204}
_NOT_BEGUN = "This operation was not begun, for the ones before it took too long. Send it again."


def blueprint(use: ConnectionUseCases, settings: Settings) -> func.Blueprint:
    """Return the route of this area."""
    bp = func.Blueprint()

    @bp.function_name("connections_bulk")
    @bp.route("connections/bulk", methods=["POST"], auth_level=func.AuthLevel.FUNCTION)
    def bulk(req: func.HttpRequest) -> func.HttpResponse:
        def handle(request: Request) -> func.HttpResponse:
            request.admin_write()
            body = request.body(BulkBody)
            until = time.monotonic() + MOST_SECONDS
            results = [
                {"index": number, "op": operation.op, **_result(use, operation, request, until, dry_run=body.dry_run)}
                for number, operation in enumerate(body.operations)
            ]
            failed = sum("problem" in result for result in results)
            counts = {"dry_run": body.dry_run, "succeeded": len(results) - failed, "failed": failed}
            return json_reply({**counts, "results": results})

        return answer(req, settings, handle)

    return bp


def _result(
    use: ConnectionUseCases, operation: BulkOperation, request: Request, until: float, *, dry_run: bool
) -> dict[str, Any]:
    """Do one operation and return its outcome; whatever fails in it fails it alone."""
    try:
        if time.monotonic() > until:
            raise TooMany(_NOT_BEGUN, 1)
        shown = None
        if dry_run:
            _try_out(use, operation)
        else:
            shown = _done(use, operation)
    except MailgrantError as error:
        refused = problem_body(error, request.id)
    except Exception:  # noqa: BLE001 - the outcome of the others must still be told; it is logged
        log_failure(request.id)
        detail = f"Something failed on our side. Give request id {request.id} to whoever operates Mailgrant."
        refused = problem_body(MailgrantError(detail), request.id)
    else:
        status = 200 if dry_run else _STATUS.get(operation.op, 200)
        return {"id": operation.id or (shown or {}).get("id"), "status": status, "connection": shown}
    return {"id": operation.id or None, "status": refused["status"], "connection": None, "problem": refused}


def _try_out(use: ConnectionUseCases, operation: BulkOperation) -> None:
    """Refuse what would be refused at this moment, and write nothing."""
    if operation.op == "create":
        body = check(CreateConnection, operation.connection)
        use.creation.examine(body.asked(), body.model_dump(exclude_unset=True))
    elif operation.op == "delete":
        use.changes.delete(operation.id, discard=operation.discard, dry_run=True)
    else:
        use.changes.change(operation.id, _change(operation).changes(), operation.version, dry_run=True)


def _done(use: ConnectionUseCases, operation: BulkOperation) -> dict[str, Any] | None:
    """Do it; return the connection as it is then, None where it is gone."""
    if operation.op == "create":
        return made(use, check(CreateConnection, operation.connection))
    if operation.op == "delete":
        use.changes.delete(operation.id, discard=operation.discard)
        return None
    use.changes.change(operation.id, _change(operation).changes(), operation.version)
    return view(use.lists.get(operation.id))


def _change(operation: BulkOperation) -> ChangeConnection:
    if operation.op == "patch":
        return check(ChangeConnection, operation.connection)
    return check(ChangeConnection, {"enabled": operation.op == "enable"})
