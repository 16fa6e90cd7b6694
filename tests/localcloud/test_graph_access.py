"""Who may read which mailbox, and in which words is the rest refused."""

from typing import Any

import pytest

from tests.localcloud.graph_cast import GraphScene

ANN = "/users/ann@contoso.example"


def refusal(scene: GraphScene, path: str, **details: Any) -> tuple[int, str]:
    """Return status and code of a refused GET."""
    answer = scene.call("GET", path, **details)
    return answer.status_code, answer.json()["error"]["code"]


def test_no_token() -> None:
    """A request without a token is told that the token is empty."""
    answer = GraphScene().call("GET", f"{ANN}/messages", token="")

    assert 401 == answer.status_code
    assert "InvalidAuthenticationToken" == answer.json()["error"]["code"]
    assert "Access token is empty." == answer.json()["error"]["message"]


def test_expired_token() -> None:
    """A token is refused once its time is over."""
    scene = GraphScene()
    scene.now += 90_000

    assert (401, "InvalidAuthenticationToken") == refusal(scene, f"{ANN}/messages")


def test_token_without_roles() -> None:
    """A token without any role gets 401 from mail and 403 from the directory."""
    scene = GraphScene(roles=set())

    assert (401, "NoPermissionsInAccessToken") == refusal(scene, f"{ANN}/messages")
    assert (403, "Authorization_RequestDenied") == refusal(scene, "/users")


@pytest.mark.parametrize(
    ("roles", "method", "path", "expected"),
    [
        ({"User.Read.All"}, "GET", f"{ANN}/messages", 403),
        ({"Mail.Send"}, "POST", f"{ANN}/messages", 403),
        ({"Mail.ReadWrite"}, "POST", f"{ANN}/sendMail", 403),
        ({"Mail.ReadWrite"}, "GET", "/users", 403),
        ({"Mail.ReadWrite"}, "GET", f"{ANN}/messages", 200),
        ({"User.Read.All"}, "GET", "/users", 200),
    ],
)
def test_each_right_opens_its_own_part(roles: set[str], method: str, path: str, expected: int) -> None:
    """Mail.ReadWrite reads and drafts, Mail.Send sends, User.Read.All lists people; none stands for another."""
    answer = GraphScene(roles=roles).call(method, path, json={} if method == "POST" else None)

    assert expected == answer.status_code


def test_people_of_other_tenants_do_not_exist() -> None:
    """The token's tenant decides who can be found."""
    scene = GraphScene()

    assert (404, "ErrorInvalidUser") == refusal(scene, "/users/cleo@fabrikam.example/messages")
    assert (404, "Request_ResourceNotFound") == refusal(scene, f"/users/{scene.cleo.id}")


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ("none", (404, "MailboxNotEnabledForRESTAPI")),
        ("soft_deleted", (404, "MailboxNotEnabledForRESTAPI")),
        ("access_denied", (403, "ErrorAccessDenied")),
    ],
)
def test_mailboxes_that_cannot_be_opened(state: str, expected: tuple[int, str]) -> None:
    """Each reason why a mailbox stays closed has its own words."""
    scene = GraphScene()
    scene.ann.mailbox_state = state

    assert expected == refusal(scene, f"{ANN}/mailFolders/inbox")


def test_role_based_access_needs_no_role_in_the_token() -> None:
    """A mailbox that Exchange's own access control opens is reachable without roles, its neighbour is not."""
    scene = GraphScene(roles=set())
    scene.world.modes["rbac_mailboxes:app-1"] = ["Ann@contoso.example"]

    assert 200 == scene.call("GET", f"{ANN}/mailFolders/inbox").status_code
    assert (401, "NoPermissionsInAccessToken") == refusal(scene, "/users/bob@contoso.example/mailFolders/inbox")


def test_common_headers() -> None:
    """Every answer has a request id and echoes the client's own."""
    answer = GraphScene().call("GET", f"{ANN}/messages", headers={"client-request-id": "c-1"})

    assert "c-1" == answer.headers["client-request-id"]
    assert 36 == len(answer.headers["request-id"])
    assert "4.0" == answer.headers["odata-version"]
    assert answer.headers["x-ms-ags-diagnostic"].startswith('{"ServerInfo"')
    assert answer.headers["content-type"].startswith("application/json;odata.metadata=minimal")


def test_error_envelope() -> None:
    """An error names date and both request ids inside."""
    answer = GraphScene().call("GET", f"{ANN}/messages/AAkALgnothing", headers={"client-request-id": "c-2"})
    error = answer.json()["error"]

    assert 404 == answer.status_code
    assert ("ErrorItemNotFound", "c-2") == (error["code"], error["innerError"]["client-request-id"])
    assert answer.headers["request-id"] == error["innerError"]["request-id"]


def test_unknown_paths_and_methods() -> None:
    """A path that Graph does not have is 400, a method that it does not allow 405."""
    scene = GraphScene()

    assert 400 == scene.call("GET", f"{ANN}/nonsense").status_code
    assert 400 == scene.call("GET", "https://graph.microsoft.com/v9/users").status_code
    assert 405 == scene.call("PUT", f"{ANN}/messages").status_code


def test_keyed_segments_mean_the_same() -> None:
    """``users('x')/mailFolders('inbox')`` is the same resource as the slash form, whatever the case of its words."""
    scene = GraphScene()
    plain = scene.get(f"{ANN}/mailFolders/inbox")["id"]

    assert plain == scene.get("/users('ann@contoso.example')/MailFolders('Inbox')")["id"]


def test_post_without_length() -> None:
    """A POST that does not say how long it is gets 411."""
    scene = GraphScene()

    async def work() -> int:
        async with scene.client() as client:
            request = client.build_request(
                "POST", f"{ANN}/messages", headers={"Authorization": f"Bearer {scene.token}"}
            )
            del request.headers["content-length"]
            return (await client.send(request)).status_code

    assert 411 == scene.run(work())


def test_too_large_a_request() -> None:
    """A body over 4 MB gets 413 whatever it is for."""
    answer = GraphScene().call("POST", f"{ANN}/messages", content=b"x" * (4 * 1024 * 1024 + 1))

    assert 413 == answer.status_code
