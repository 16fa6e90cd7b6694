"""How requests reach functions of the local host, and who may call them."""

from __future__ import annotations

import asyncio
import json

import httpx
import pytest
from starlette.requests import Request
from starlette.types import Message

from localcloud.host.http import BodyTooLargeError, read_body
from tests.localcloud.host.conftest import Sample

pytestmark = pytest.mark.enable_socket


def test_route_parameters_and_query(client: httpx.Client) -> None:
    """Parameters are decoded, repeated query values are joined, empty ones are dropped."""
    seen = client.get("/api/ECHO/a%2Fb%20c/x?one=1&one=2&none=&with=%C3%A4", headers={"X-Forwarded-Host": "a.b"}).json()

    assert {"id": "a%2Fb c", "part": "x"} == seen["params"]
    assert {"one": "1,2", "with": "ä"} == seen["query"]
    assert f"{client.base_url}/api/ECHO/a%2Fb%20c/x?one=1&one=2&none=&with=%C3%A4" == seen["url"]
    assert "a.b" == seen["forwarded"]


def test_body_and_thread(client: httpx.Client) -> None:
    """A synchronous function gets the body and runs on the thread pool."""
    seen = client.post("/api/echo/1", content="ünï").json()

    assert ("POST", "ünï", {"id": "1"}) == (seen["method"], seen["body"], seen["params"])
    assert seen["thread"].startswith("ThreadPoolExecutor")


def test_literal_before_parameter(client: httpx.Client) -> None:
    """A literal segment wins over a parameter; where its methods do not fit, the parameter gets the request."""
    assert "echo_known" == client.get("/api/echo/known").json()["function"]
    assert "echo" == client.post("/api/echo/known").json()["function"]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PUT", "/api/echo/1"),
        ("HEAD", "/api/echo/1"),
        ("GET", "/echo/1"),
        ("GET", "/api/echo"),
        ("GET", "/api/nothing"),
    ],
)
def test_unknown_is_not_found(client: httpx.Client, method: str, path: str) -> None:
    """A method that is not listed is answered like an unknown path, HEAD included."""
    assert 404 == client.request(method, path).status_code


def test_cookies(client: httpx.Client) -> None:
    """Several cookies are several headers, written as ASP.NET writes them."""
    answer = client.get("/api/cookies")

    assert (302, "/elsewhere", "GET") == (answer.status_code, answer.headers["location"], answer.headers["x-seen"])
    assert [
        "first=a%2520b; max-age=60; path=/api; samesite=lax; httponly",
        "__Host-second=2; expires=Wed, 21 Oct 2026 07:28:00 GMT; path=/; secure",
    ] == answer.headers.get_list("set-cookie")


def test_head_where_listed(client: httpx.Client) -> None:
    """HEAD reaches a function that lists it."""
    assert "HEAD" == client.head("/api/cookies").headers["x-seen"]


def test_failure_tells_nothing(client: httpx.Client, sample: Sample) -> None:
    """A function that raises gives an empty 500; the log says why."""
    answer = client.get("/api/broken")

    assert (500, b"") == (answer.status_code, answer.content)
    assert "RuntimeError: GET was bound to fail" in sample.process.log.read_text()


@pytest.mark.parametrize(
    ("path", "key", "status"),
    [
        ("keyed", None, 401),
        ("keyed", "", 401),
        ("keyed", "wrong", 401),
        ("keyed", "the-function-key", 200),
        ("keyed", "the-host-key", 200),
        ("keyed", "the-master-key", 200),
        ("master", "the-host-key", 401),
        ("master", "the-function-key", 401),
        ("master", "the-master-key", 200),
    ],
)
def test_keys(client: httpx.Client, path: str, key: str | None, status: int) -> None:
    """A key opens what it is made for, as a header and as a query value."""
    headers = {} if key is None else {"x-functions-key": key}

    assert status == client.get(f"/api/{path}", headers=headers).status_code
    assert status == client.get(f"/api/{path}", params={"code": key or ""}).status_code


def test_root_and_ping(client: httpx.Client) -> None:
    """The root and the ping answer everyone."""
    assert [200, 200] == [client.get(path).status_code for path in ("/", "/admin/host/ping")]


@pytest.mark.parametrize("path", ["/admin/host/status", "/admin/functions", "/admin/functions/take", "/admin/other"])
def test_admin_needs_the_master_key(client: httpx.Client, path: str) -> None:
    """No other key opens the host's own routes."""
    given = [client.get(path, headers={"x-functions-key": key}).status_code for key in ("", "the-host-key")]

    assert [401, 401] == given


def test_admin_shows_state(client: httpx.Client, sample: Sample) -> None:
    """The master key shows state and functions."""
    master = {"x-functions-key": sample.process.master_key}
    names = [function["name"] for function in client.get("/admin/functions", headers=master).json()]

    assert "Running" == client.get("/admin/host/status", headers=master).json()["state"]
    assert {"echo", "take", "tick", "nightly"} <= set(names)
    assert "nightly" == client.get("/admin/functions/Nightly", headers=master).json()["name"]
    assert 404 == client.get("/admin/other", headers=master).status_code


@pytest.mark.parametrize(("name", "status"), [("nightly", 202), ("take", 202), ("echo", 400), ("nobody", 404)])
def test_run_by_hand(client: httpx.Client, sample: Sample, name: str, status: int) -> None:
    """The master key runs a timer or queue function at once."""
    body = json.dumps({"input": "by hand"})
    master = {"x-functions-key": sample.process.master_key}

    assert status == client.post(f"/admin/functions/{name}", content=body, headers=master).status_code
    if name == "nightly":
        sample.notes.wait("nightly", past_due=False)
    if name == "take":
        sample.notes.wait("taken", body="by hand", count=1)


@pytest.mark.parametrize(("headers", "fits"), [([], True), ([], False), ([(b"content-length", b"9")], False)])
def test_body_limit(headers: list[tuple[bytes, bytes]], *, fits: bool) -> None:
    """A body is read up to the limit, whether or not its length was announced."""
    parts = [b"1234", b"5678"]

    async def receive() -> Message:
        part = parts.pop(0)
        return {"type": "http.request", "body": part, "more_body": bool(parts)}

    reading = read_body(Request({"type": "http", "headers": headers}, receive), 8 if fits else 7)
    if fits:
        assert b"12345678" == asyncio.run(reading)
    else:
        with pytest.raises(BodyTooLargeError):
            asyncio.run(reading)
