"""How a right answer goes wrong: mutations that know its structure, of JSON, of headers and of bytes."""

from __future__ import annotations

import copy
import gzip
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st

SECRET = "MgFuzzSecret"
"""Stands in every link, token and upload address of the good answers: none of it may show in an error or a log."""

NUMBERS = st.one_of(st.sampled_from([0, -1, 2**31, 2**63, 10**400, 1e308, float("nan"), float("inf")]), st.integers())
TEXTS = st.one_of(
    st.sampled_from(["", "null", "²", "0", "-1", "9" * 5000, "\x00", "\ud800", "é" * 40, "../..", "true"]),
    st.text(max_size=20),
)
SCALARS = st.one_of(st.none(), st.booleans(), NUMBERS, TEXTS)
NONSENSE = st.one_of(
    SCALARS,
    st.sampled_from([[], {}, [None], [[]], [{}], {"id": None}, {"value": {}}, {"error": []}]),
    st.recursive(
        SCALARS, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(TEXTS, inner, max_size=2), max_leaves=4
    ),
)
LINKS = st.sampled_from(
    [
        "", "x", "/", "//evil.example/x", "messages?$skiptoken=1", "/v1.0/users/u/messages", "https://evil.example/x",
        "http://graph.microsoft.com/v1.0/x", "https://graph.microsoft.com@evil.example/", "file:///etc/passwd",
        "https://graph.microsoft.com/\n", "https://graph.microsoft.com/%zz", "https://graph.microsoft.com:99999/",
        "https://graph.microsoft.com/v1.0/" + "x" * 70_000, "https://graph.microsoft.com/v1.0/x?" + "y" * 40_000,
        "https://[::1", "://", "https://graph.microsoft.com/\u202e", f"https://evil.example/{SECRET}",
        f"https://graph.microsoft.com/\x7f{SECRET}", f"https://outlook.office.com:{SECRET}/", f"https://[{SECRET}",
    ]
)  # fmt: skip
DATES = ["0", "-5", "1e400", "nan", "soon", "²", "9" * 400, "Thu, 01 Jan 1970 00:00:00 GMT", "1 Jan 9999 23:59:59 -2359",
         "Sun, 22 Nov 2026 07:00:30 +99999999999", "Sun, 99 Nov 99999 07:00:30 GMT", "x, y", "Sun, 22 Nov 2026"]  # fmt: skip
HEADERS: Mapping[str, st.SearchStrategy[str]] = {
    "Retry-After": st.sampled_from(DATES) | st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=12),
    "Date": st.sampled_from(DATES),
    "Content-Type": st.sampled_from(["text/html", "text/html; charset=utf-8", "application/json", "image/png", ""]),
    "Content-Encoding": st.sampled_from(["gzip", "deflate", "br", "zstd", "identity", "x", "gzip, gzip"]),
    "Location": LINKS.map(lambda link: link.encode("ascii", "ignore").decode().replace("\n", "")[:200]),
    "ETag": st.sampled_from(['W/"', "", "*", "é"]),
    "request-id": st.sampled_from(["", "x" * 9000]),
}
STATUSES = (200, 201, 202, 204, 206, 207, 301, 302, 304, 307, 400, 401, 403, 404, 405, 409, 410, 412, 413, 418, 423,
            429, 500, 502, 503, 504, 507, 599)  # fmt: skip
PAGE = b"<!DOCTYPE html><html><body>Please sign in</body></html>"


@dataclass(frozen=True)
class Answer:
    """One HTTP answer; *garbled* tells whether anything of it is not as it should be."""

    status: int
    content: bytes = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict)
    garbled: bool = True


def right(body: Any, status: int = 200) -> Answer:
    """Return an answer as it should be: JSON, or bytes of a message."""
    if isinstance(body, bytes):
        return Answer(status, body, {"Content-Type": "text/plain"}, garbled=False)
    content = b"" if body is None else json.dumps(body).encode()
    return Answer(status, content, {"Content-Type": "application/json"}, garbled=False)


@st.composite
def answers(draw: st.DrawFn, good: Answer) -> Answer:
    """Draw *good*, or one of the many ways in which it may be wrong."""
    kind = draw(st.sampled_from(["good", "body", "body", "body", "bytes", "status", "headers", "page"]))
    if kind == "good":
        return good
    status, content, headers = good.status, good.content, dict(good.headers)
    if kind == "body":
        content = draw(bodies(content))
    elif kind == "bytes":
        content = draw(damaged(content))
    elif kind == "page":
        content, headers = PAGE, {"Content-Type": draw(st.sampled_from(["text/html", "application/json"]))}
    if kind == "status" or draw(st.integers(0, 9)) == 0:
        status = draw(st.sampled_from(STATUSES))
    if kind == "headers" or draw(st.integers(0, 4)) == 0:
        for name in draw(st.sets(st.sampled_from(sorted(HEADERS)), min_size=1, max_size=2)):
            headers[name] = draw(HEADERS[name])
    if headers.get("Content-Encoding") == "gzip" and draw(st.booleans()):
        content = gzip.compress(content)
    return Answer(status, content, headers)


@st.composite
def damaged(draw: st.DrawFn, content: bytes) -> bytes:
    """Draw *content* cut, stretched, with other bytes in it, or nested beyond all measure."""
    at = draw(st.integers(0, len(content)))
    return draw(
        st.sampled_from(
            [
                content[:at], content[:at] + b"\xff\x00" + content[at:], b"", b"null", b"[" * 20_000,
                b'{"value":' * 20_000, b"\xef\xbb\xbf" + content, content + content, content.replace(b":", b"", 1),
            ]
        )
    )  # fmt: skip


@st.composite
def bodies(draw: st.DrawFn, content: bytes) -> bytes:
    """Draw the JSON of *content* with one to three of its parts changed."""
    try:
        value = json.loads(content)
    except ValueError:
        return draw(damaged(content))
    return json.dumps(draw(mutated(value))).encode()


@st.composite
def mutated(draw: st.DrawFn, value: Any) -> Any:
    """Draw *value* with one to three of its parts lost, replaced, doubled, reordered or added to."""
    value = copy.deepcopy(value)
    for _ in range(draw(st.integers(1, 3))):
        places = list(_places(value))
        if not places:
            return copy.deepcopy(draw(NONSENSE))
        holder, key = draw(st.sampled_from(places))
        draw(st.sampled_from(_MUTATIONS))(draw, holder, key)
    return value


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Yield every place in a JSON *value* that can be changed, the outer ones first."""
    waiting = [value]
    for holder in waiting:
        keys = list(holder) if isinstance(holder, dict) else range(len(holder)) if isinstance(holder, list) else []
        for key in keys:
            yield holder, key
            waiting.append(holder[key])


def _lose(_: st.DrawFn, holder: Any, key: Any) -> None:
    del holder[key]


def _replace(draw: st.DrawFn, holder: Any, key: Any) -> None:
    links = "link" in str(key).lower() or "url" in str(key).lower()
    holder[key] = copy.deepcopy(draw(LINKS | NONSENSE if links else NONSENSE))


def _double(draw: st.DrawFn, holder: Any, key: Any) -> None:
    if isinstance(holder, list):
        holder.insert(draw(st.integers(0, len(holder))), copy.deepcopy(holder[key]))
    else:
        holder[draw(TEXTS)] = copy.deepcopy(holder[key])


def _swap(draw: st.DrawFn, holder: Any, key: Any) -> None:
    keys = list(holder) if isinstance(holder, dict) else list(range(len(holder)))
    other = draw(st.sampled_from(keys))
    holder[key], holder[other] = holder[other], holder[key]


def _wrap(_: st.DrawFn, holder: Any, key: Any) -> None:
    holder[key] = [holder[key]]


_MUTATIONS: list[Callable[[st.DrawFn, Any, Any], None]] = [_lose, _replace, _replace, _double, _swap, _wrap]
