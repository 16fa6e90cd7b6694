"""What goes over the wire to Graph: addresses, batch entries, Retry-After."""

import base64
import binascii
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import quote, urlsplit

from shared.errors import Fault, Unreachable
from shared.ports import GraphMailbox
from shared.times import now_utc

IMMUTABLE_IDS = 'IdType="ImmutableId"'
_UPLOAD_HOSTS = ("outlook.office.com", "outlook.office365.com", "outlook.office365.us", "partner.outlook.cn")
_MOST_SECONDS = 24 * 3600.0


@dataclass(frozen=True, slots=True)
class SubRequest:
    """One request of a ``$batch``; *path* as in `GraphHttp.request`."""

    id: str
    method: str
    path: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Any = None


@dataclass(frozen=True, slots=True)
class SubAnswer:
    """One answer of a ``$batch``: its *body* as JSON gave it, and its *fault* unless it is a 2xx."""

    id: str
    status: int
    headers: Mapping[str, str]
    body: Any = field(repr=False)
    fault: Fault | None = None

    def content(self) -> bytes:
        """Return a non-JSON body's bytes (a ``$batch`` carries them in base64)."""
        if not isinstance(self.body, str):
            return b"" if self.body is None else json.dumps(self.body).encode()
        try:
            return base64.b64decode(self.body, validate=True)
        except (binascii.Error, ValueError):
            return self.body.encode()


def url_of(mailbox: GraphMailbox, path: str) -> str:
    """Return the URL of *path* (see `GraphHttp.request`); raises `Unreachable` for a link of another host."""
    if "://" in path:
        if not path.startswith(f"{mailbox.root}/"):
            detail = "Graph named a link of another host. It was not followed."
            raise Unreachable(detail)
        return path
    if path.startswith("/"):
        return f"{mailbox.root}/v1.0{path}"
    user = quote(mailbox.user, safe="@")
    # A user name that begins with $ would be read as an OData segment (Graph's `user-get.md`).
    segment = f"users('{user}')" if mailbox.user.startswith("$") else f"users/{user}"
    return f"{mailbox.root}/v1.0/{segment}" + (f"/{path}" if path else "")


def quoted(identifier: str) -> str:
    """Return an id as a path segment."""
    return quote(identifier, safe="=")


def retry_after_seconds(headers: Mapping[str, str], now: Callable[[], datetime] = now_utc) -> float | None:
    """Return Retry-After in seconds: whole, decimal (Graph's own samples) or an HTTP date; None where it is absent."""
    text = headers.get("retry-after", "").strip()
    if not text:
        return None
    try:
        seconds = float(text)
    except ValueError:
        moment = _http_date(text)
        seconds = -1.0 if moment is None else (moment - (_http_date(headers.get("date", "")) or now())).total_seconds()
        if moment is None:
            return None
    return min(max(seconds, 0.0), _MOST_SECONDS) if seconds == seconds else None  # noqa: PLR0124 - nan


def _http_date(text: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError):
        return None
    return moment if moment.tzinfo else None


def wire_entry(request: SubRequest, mailbox: GraphMailbox, prefix: str) -> dict[str, Any]:
    """Return *request* as a ``$batch`` carries it; *prefix* is the API's root."""
    wire: dict[str, Any] = {
        "id": request.id,
        "method": request.method,
        "url": url_of(mailbox, request.path).removeprefix(prefix),
    }
    headers = dict(request.headers)
    if request.body is not None:
        headers.setdefault("Content-Type", "application/json")
        wire["body"] = request.body
    if headers:
        wire["headers"] = headers
    return wire


def is_upload_url(url: str) -> bool:
    """Tell whether an upload session's URL lies within Exchange Online."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    return parts.scheme == "https" and any(host == known or host.endswith(f".{known}") for known in _UPLOAD_HOSTS)
