"""The edges of HTTP on the running host: methods, HEAD, bodies and ids that are wrong, each in its right form."""

import httpx
import pytest

from localcloud.story import Organisation, Story

pytestmark = pytest.mark.enable_socket


def test_the_edges_of_http(story: Story, organisation: Organisation) -> None:
    """A wrong method is 404 as the host says it; HEAD changes nothing; each problem bears its request id."""
    host = story.stack.host
    headers = {"x-functions-key": host.host_key, "X-Mailgrant-Request": "1", "Content-Type": "application/json"}
    link = story.consent_link(organisation)
    with httpx.Client(base_url=f"{host.url}/api/", headers=headers, trust_env=False, timeout=30) as client:
        for method, path in (
            ("DELETE", "health"),
            ("PUT", "credentials"),
            ("HEAD", "credentials"),
            ("GET", "messages"),
        ):
            assert 404 == client.request(method, path).status_code, (method, path)
        for path in ("health", link):
            head = client.head(path)
            assert (200, b"") == (head.status_code, head.content), path
            assert head.headers["x-request-id"].startswith("req_")
        assert "no-store" in client.get(link).headers["cache-control"]
        assert "open" == story.stack.admin.get(link_path(organisation))["data"][0]["status"]

        expected = [
            ("POST", "credentials", b"{", 400, "invalid_json"),
            ("POST", "credentials", b'{"name": 5}', 422, "invalid_request"),
            ("GET", "grants/grant_x", b"", 404, "not_found"),
            ("POST", "grants/grant_x/verify", b"{}", 404, "not_found"),
            ("PATCH", "connections/conn_x", b"{}", 404, "not_found"),
            ("GET", "connections?limit=%C2%B2", b"", 422, "invalid_request"),
            ("POST", "credentials", b" " * (8 * 1024 * 1024 + 1), 413, "body_too_large"),
            ("GET", "messages/msg_x", b"", 401, "token_missing"),
        ]
        for method, path, body, status, code in expected:
            answer = client.request(method, path, content=body)
            assert (status, code) == (answer.status_code, answer.json()["code"]), (method, path)
            assert "application/problem+json" == answer.headers["content-type"].split(";")[0]
            assert answer.headers["x-request-id"] == answer.json()["request_id"]


def link_path(organisation: Organisation) -> str:
    """Return where the organisation's consent links are listed."""
    return f"credentials/{organisation.credential['id']}/consent-links"


def test_the_running_host_lets_nobody_in_without_a_key_or_token(story: Story) -> None:
    """Every described route of administrators and of tokens, without one and with a made-up one: 401, and no data."""
    document = story.stack.admin.get("openapi.json")
    closed = [
        (method.upper(), path.replace("{", "").replace("}", ""), scheme)
        for path, item in document["paths"].items()
        for method, operation in item.items()
        for scheme in {name for choice in operation["security"] for name in choice}
    ]
    given = {"function_key": {"x-functions-key": "made-up"}}
    other = {"X-Mailgrant-Token": "made-up", "Authorization": "Bearer made-up"}
    with httpx.Client(base_url=story.stack.host.url, trust_env=False, timeout=30) as client:
        found = {
            (method, path, bool(headers)): client.request(method, path, headers=headers).status_code
            for method, path, scheme in closed
            for headers in ({}, given.get(scheme, other))
        }

    assert len(found) > 120
    assert dict.fromkeys(found, 401) == found
