"""Stored bytes as HTTP answers: whole where they are small, by ranges where they are large, never as a page."""

import re
from collections.abc import Callable
from urllib.parse import quote

import azure.functions as func

from functions.replies import answer
from functions.requests import Request
from shared.errors import RangeNotSatisfiable, RangeRequired
from shared.received import Content
from shared.settings import Settings

# A Python trigger hands whole bodies to the host, which copies them: what one answer holds is bounded.
MAX_PIECE = 8 * 1024 * 1024
# Stored mail is a stranger's: no browser may take it for a page of ours, run anything in it, or keep it.
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "sandbox; default-src 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_RANGE = re.compile(r"bytes=[ \t]*(\d{0,18})-(\d{0,18})[ \t]*", re.IGNORECASE | re.ASCII)
_ETAG = re.compile(r'(?:W/)?("[^"]*")')


def content_answer(req: func.HttpRequest, settings: Settings, find: Callable[[Request], Content]) -> func.HttpResponse:
    """Answer with what *find* returns, or with a problem; every answer bears the headers that keep browsers off it."""
    response = answer(req, settings, lambda request: content_reply(find(request), request))
    for name, value in HEADERS.items():
        response.headers[name] = value
    return response


def content_reply(content: Content, request: Request) -> func.HttpResponse:
    """
    Return stored bytes as a file to save, whatever they say they are.

    One range is answered with at most 8 MiB of it (RFC 9110 15.3.7 lets a server send less than was asked for), without
    one at most 8 MiB are. Several ranges, and units other than bytes, count as none (RFC 9110 14.2). Raises
    `RangeRequired`, `RangeNotSatisfiable`, and what reading raises.
    """
    etag = f'"{content.sha256}"'
    name = quote(content.name.replace("/", "_").replace("\\", "_"), safe="")
    headers = {
        "Accept-Ranges": "bytes",
        "ETag": etag,
        "Content-Disposition": f"attachment; filename*=UTF-8''{name}",
    }
    if _matches(request.header("if-none-match"), etag):
        return func.HttpResponse(status_code=304, headers=headers)
    wanted = _range(request, etag, content.size)
    if wanted is None:
        if content.size > MAX_PIECE:
            raise RangeRequired(content.size, MAX_PIECE)
        return _bytes(content.read(0, content.size - 1) if content.size else b"", 200, headers)
    first, last = wanted
    last = min(last, first + MAX_PIECE - 1)
    headers["Content-Range"] = f"bytes {first}-{last}/{content.size}"
    return _bytes(content.read(first, last), 206, headers)


def _bytes(body: bytes, status: int, headers: dict[str, str]) -> func.HttpResponse:
    return func.HttpResponse(body, status_code=status, mimetype="application/octet-stream", headers=headers)


def _matches(header: str, etag: str) -> bool:
    return header.strip() == "*" or etag in _ETAG.findall(header[:10_000])


def _range(request: Request, etag: str, size: int) -> tuple[int, int] | None:
    """Return first and last byte asked for, None for everything. Raises `RangeNotSatisfiable`."""
    asked = _RANGE.fullmatch(request.header("range").strip())
    condition = request.header("if-range").strip()
    if asked is None or (condition and condition != etag):
        return None
    begin, end = asked[1], asked[2]
    if not begin and not end:
        return None
    if not begin:
        first, last = max(0, size - int(end)), size - 1
    else:
        first, last = int(begin), min(int(end), size - 1) if end else size - 1
        if end and int(end) < int(begin):
            return None
    if first >= size or last < first:
        raise RangeNotSatisfiable(size)
    return first, last
