"""How does a refusal look on the wire."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from localcloud.graph.wire import Reply

if TYPE_CHECKING:
    from localcloud.mail.errors import MailError


def envelope(code: str, message: str, moment: float, request_id: str, client_request_id: str) -> dict[str, Any]:
    """Return Graph's error body; *moment* is in epoch seconds."""
    date = datetime.fromtimestamp(int(moment), UTC).isoformat().removesuffix("+00:00")
    inner = {"date": date, "request-id": request_id, "client-request-id": client_request_id}
    return {"error": {"code": code, "message": message, "innerError": inner}}


def error_reply(error: MailError, moment: float, request_id: str, client_request_id: str) -> Reply:
    """Return the answer for *error*."""
    data = envelope(error.code, error.message, moment, request_id, client_request_id)
    return Reply(error.status, data, headers=dict(error.headers))
