"""Requests and replies as such: numbers, versions and pointers of requests; hints, ids and silence of answers."""

import json
import logging
from collections.abc import Callable
from typing import Any

import azure.functions as func
import pytest
from pydantic import Field

from functions.connections_bodies import Since
from functions.replies import answer, json_reply
from functions.requests import Body, Request, check
from shared.codes import Code
from shared.errors import CredentialFault, InvalidRequest, Microsoft, StorageUnavailable, Throttled, TooMany
from tests.scenes.administration import settings


class Shape(Body):
    """A body with a list, a union, a mapping and an optional object."""

    name: str
    start: int | Since = 1
    items: list[Since] = Field(default_factory=list)
    headers: dict[str, int] = Field(default_factory=dict)


def ask(
    handle: Callable[[Request], Any], headers: dict[str, str] | None = None, params: dict[str, str] | None = None
) -> tuple[int, Any, func.HttpResponse]:
    """Make a request that *handle* answers; return status, JSON and the answer."""
    request = func.HttpRequest(
        "GET", "https://mail.example/api/x", headers=headers or {}, params=params or {}, body=b""
    )
    given = answer(request, settings(), lambda it: json_reply({"value": handle(it)}))
    return given.status_code, json.loads(given.get_body()), given


def fail(error: Exception) -> Callable[[Request], Any]:
    """Return what raises *error*."""

    def handle(_: Request) -> Any:
        raise error

    return handle


@pytest.mark.parametrize("limit", ["0", "201", "-1", "x", "", "1.5", "²", "٣", "9" * 5000])
def test_a_limit_that_is_none_is_named(limit: str) -> None:
    """Whatever else Python takes for a digit, or cannot take at all."""
    status, body, _ = ask(lambda request: request.limit(), params={"limit": limit} if limit else {"limit": "0x1"})

    assert (422, "?limit") == (status, body["errors"][0]["pointer"])


@pytest.mark.parametrize(
    ("text", "version"),
    [("", None), ("*", None), ('"7"', 7), ('W/"7"', 7), ("7", 7), ("x", -1), ('"²"', -1), ("9" * 5000, -1)],
    ids=lambda value: str(value)[:8],
)
def test_if_match_names_a_version_or_none_that_ever_was(text: str, version: int | None) -> None:
    """-1 is never a version, so such a change is refused as stale."""
    assert (200, {"value": version}) == ask(lambda request: request.if_match(), headers={"If-Match": text})[:2]


@pytest.mark.parametrize(
    ("data", "pointers"),
    [
        ({}, ["/name"]),
        ({"name": "n", "surprise/~": 1}, ["/surprise~1~0"]),
        ({"name": "n", "start": "soon"}, ["/start", "/start"]),
        ({"name": "n", "start": {"since": 5}}, ["/start", "/start/since"]),
        ({"name": "n", "start": {}}, ["/start", "/start/since"]),
        ({"name": "n", "items": [{"since": "x"}, {}, 5]}, ["/items/1/since", "/items/2"]),
        ({"name": "n", "headers": {"a": "b"}}, ["/headers/a"]),
        ([], [""]),
        (None, [""]),
    ],
    ids=str,
)
def test_a_pointer_leads_to_a_place_of_the_body(data: Any, pointers: list[str]) -> None:
    """Members of unions and other inner names of the checker are no places (RFC 6901)."""
    with pytest.raises(InvalidRequest) as refused:
        check(Shape, data)

    assert pointers == [fault.pointer for fault in refused.value.faults]


@pytest.mark.parametrize(
    ("error", "status", "seconds"),
    [
        (StorageUnavailable("No answer."), 503, "10"),
        (CredentialFault("No answer.", Code.VAULT_UNAVAILABLE), 503, "10"),
        (CredentialFault("Wait.", Code.VAULT_UNAVAILABLE, retry_after=30), 503, "30"),
        (CredentialFault("No role.", Code.VAULT_REFUSED), 503, "10"),
        (Throttled("Slow down.", retry_after=1.2), 503, "2"),
        (Throttled("Slow down."), 503, "10"),
        (TooMany("Too often.", 0.2), 429, "1"),
        (CredentialFault("Wrong.", Code.SECRET_WRONG), 409, None),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_whoever_is_to_wait_is_told_how_long(error: Exception, status: int, seconds: str | None) -> None:
    """Every 503 and 429 bears Retry-After, rounded up; nothing else does."""
    code, _, given = ask(fail(error))

    assert (status, seconds) == (code, given.headers.get("Retry-After"))


def test_microsofts_ids_are_passed_on() -> None:
    """A support case needs all of them, even where Microsoft gave no code."""
    known = Microsoft(request_id="r-1", correlation_id="c-1")
    body = ask(fail(CredentialFault("Wrong.", Code.SECRET_WRONG, microsoft=known)))[1]

    assert {"code": "", "request_id": "r-1", "trace_id": "", "correlation_id": "c-1"} == body["microsoft"]
    assert "microsoft" not in ask(fail(CredentialFault("Wrong.", Code.SECRET_WRONG)))[1]


def test_what_nobody_foresaw_tells_nothing_of_the_caller(caplog: pytest.LogCaptureFixture) -> None:
    """An error's text may hold a subject or an address; the log has its kind, its place and the request id."""
    with caplog.at_level(logging.INFO):
        status, body, given = ask(fail(RuntimeError("canary@example.com")))

    assert (500, "internal_error", given.headers["X-Request-Id"]) == (status, body["code"], body["request_id"])
    assert "canary" not in caplog.text + json.dumps(body)
    assert all(word in caplog.text for word in ("RuntimeError", body["request_id"], "in handle"))
