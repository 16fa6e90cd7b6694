"""What goes over the wire to Graph: addresses, batch entries, Retry-After."""

import base64
import binascii
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import quote, urlsplit

import httpx

from shared.errors import Fault, Microsoft, Unreachable
from shared.ports import GraphMailbox
from shared.times import now_utc

IMMUTABLE_IDS = 'IdType="ImmutableId"'
_UPLOAD_HOSTS = ("outlook.office.com", "outlook.office365.com", "outlook.office365.us", "partner.outlook.cn")
_MOST_SECONDS = 24 * 3600.0
_MOST_ID = 2_000
_MOST_LINK = 16_000
"""So many characters of a link fit into a row."""

_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
_URL_SAFE = str.maketrans("-_", "+/")


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

    def mime(self) -> bytes | Fault:
        """
        Return a message's bytes, or the fault of an answer that holds none; no message is empty.

        A ``$batch`` carries what is no JSON in base64, also in its form for URLs (Graph's `json-batching.md`).
        """
        text = self.body if isinstance(self.body, str) else ""
        plain = "".join(text.split()).translate(_URL_SAFE).rstrip("=")
        try:
            content = base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
        except (binascii.Error, ValueError):
            content = text.encode() if ":" in text else b""  # as it is: base64 knows no colon, and a mail has one
        return content or unusable("a message without content")


def unusable(what: str) -> Unreachable:
    """Return the fault of a 2xx answer that is not what was asked for, but *what*; nobody knows what was done."""
    return Unreachable(f"Graph answered {what}. It is tried again by itself.", outcome_unknown=True)


def json_of(content: bytes) -> Any:
    """
    Return the value of JSON in UTF-8; raises ValueError, also where it is nested beyond measure.

    Half of a character, as a cut subject may end with, becomes a question mark: no storage takes it.
    """
    try:
        value = json.loads(content.decode("utf-8-sig"))
        if _SURROGATE.search(content):
            value = json.loads(json.dumps(value, ensure_ascii=False).encode(errors="replace"))
    except RecursionError:
        message = "nested too deeply"
        raise ValueError(message) from None
    return value


def listed(page: Any) -> list[dict[str, Any]]:
    """
    Return the items of a list, each with its id.

    Raises `Unreachable` where any of them cannot be told, since whoever reads on would pass it over: with a code, as
    where Graph cannot make a page because of one message, so that a page which stays so is taken apart.
    """
    values = page.get("value") if isinstance(page, dict) else None
    if not isinstance(values, list):
        raise unusable("something that is no list")
    if not all(isinstance(item, dict) and has_id(item) for item in values):
        detail = "Graph listed something without an id. It is tried again by itself."
        raise Unreachable(detail, microsoft=Microsoft("UnreadableItem"), outcome_unknown=True)
    return values


def has_id(item: Mapping[str, Any]) -> bool:
    """Tell whether an item of an answer names itself, by an id that a row can hold."""
    return isinstance(item.get("id"), str) and 0 < len(item["id"]) <= _MOST_ID


def properties_of(item: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return id (lower case) and value of an item's extended properties."""
    found = item.get("singleValueExtendedProperties")
    entries = found if isinstance(found, list) else []
    return [(str(e.get("id", "")).lower(), str(e.get("value") or "")) for e in entries if isinstance(e, dict)]


def link_of(page: Mapping[str, Any], name: str) -> str:
    """Return a link that *page* names, '' where there is none; raises `Unreachable` where it can be no link."""
    link = page.get(name) or ""
    if not isinstance(link, str) or (link and "://" not in link) or len(link) > _MOST_LINK:
        raise unusable("a link that is none")
    return link


def url_of(mailbox: GraphMailbox, path: str) -> str:
    """Return the URL of *path* (see `GraphHttp.request`); raises `Unreachable` for a link of another host."""
    if "://" in path:
        if not path.startswith(f"{mailbox.root}/"):
            detail = "Graph named a link of another host. It was not followed."
            raise Unreachable(detail)
        if not _is_url(path):
            raise unusable("a link that is none")
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
    except (ValueError, TypeError, IndexError, OverflowError):
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
    if not _is_url(url):
        return False
    parts = urlsplit(url)
    host = parts.hostname or ""
    return parts.scheme == "https" and any(host == known or host.endswith(f".{known}") for known in _UPLOAD_HOSTS)


def _is_url(text: str) -> bool:
    try:
        return bool(httpx.URL(text).host and urlsplit(text).hostname)
    except (httpx.InvalidURL, ValueError):
        return False
