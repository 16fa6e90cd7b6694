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
