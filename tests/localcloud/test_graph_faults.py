"""What does a scripted fault look like to a client of Graph."""

import asyncio
import time
from typing import Any

import pytest

from tests.localcloud.graph_cast import GraphScene, draft

ADDRESS = "ann@contoso.example"
ANN = f"/users/{ADDRESS}"


def drafted(scene: GraphScene) -> str:
    """Create a draft to Bob and return its id."""
    return str(scene.post(f"{ANN}/messages", draft("bob@contoso.example")).json()["id"])


def test_status_before_the_effect() -> None:
    """A fault before the effect answers with its status, headers and body, and nothing happens."""
    scene = GraphScene()
    message = drafted(scene)
    scene.fault(
        "messages.send",
        kind="status",
        status=503,
        headers={"Retry-After": "2.5"},
        body={"error": {"code": "x", "message": ""}},
    )
    answer = scene.post(f"{ANN}/messages/{message}/send")

    assert (503, "2.5", "x") == (answer.status_code, answer.headers["retry-after"], answer.json()["error"]["code"])
    assert [] == scene.inbox("bob@contoso.example")
    assert 202 == scene.post(f"{ANN}/messages/{message}/send").status_code


def test_status_after_the_effect() -> None:
    """A fault after the effect delivers and says otherwise."""
    scene = GraphScene()
    scene.fault("messages.send", kind="status", status=504, when="after")
    answer = scene.post(f"{ANN}/messages/{drafted(scene)}/send")

    assert (504, "UnknownError") == (answer.status_code, answer.json()["error"]["code"])
    assert ["Report"] == scene.inbox("bob@contoso.example")


def test_effect_that_comes_later() -> None:
    """A fault can answer at once and act after a while."""
    scene = GraphScene()
    message = drafted(scene)
    scene.fault("messages.send", kind="status", status=504, when="later", after_seconds=0.5)

    async def work() -> tuple[int, list[str], list[str]]:
        async with scene.client() as client:
            headers = {"Authorization": f"Bearer {scene.token}"}
            answer = await client.post(f"{ANN}/messages/{message}/send", headers=headers)
            before = scene.inbox("bob@contoso.example")
            await asyncio.sleep(0.7)
            return answer.status_code, before, scene.inbox("bob@contoso.example")

    assert (504, [], ["Report"]) == scene.run(work())


@pytest.mark.parametrize(("when", "expected"), [("before", []), ("after", ["Report"])])
def test_reset(when: str, expected: list[str]) -> None:
    """A reset gives no answer at all, whether or not the effect took place."""
    scene = GraphScene()
    message = drafted(scene)
    scene.fault("messages.send", kind="reset", when=when)

    with pytest.raises(ConnectionResetError):
        scene.post(f"{ANN}/messages/{message}/send")
    assert expected == scene.inbox("bob@contoso.example")


def test_html_instead_of_json() -> None:
    """A front end's HTML page may stand in for an answer."""
    scene = GraphScene()
    scene.fault("messages.list", kind="html", status=502)
    answer = scene.call("GET", f"{ANN}/messages")

    assert (502, "text/html") == (answer.status_code, answer.headers["content-type"])


def test_fault_of_one_mailbox() -> None:
    """A fault with a mailbox's address or id as its key concerns that mailbox only."""
    scene = GraphScene()
    scene.fault("messages.list", key=scene.bob.id, kind="status", status=500)

    assert 200 == scene.call("GET", f"{ANN}/messages").status_code
    assert 500 == scene.call("GET", "/users/bob@contoso.example/messages").status_code


def test_faults_inside_a_batch() -> None:
    """Inside a batch a fault hits the sub-request; a reset there is a gateway's timeout."""
    scene = GraphScene()
    scene.fault("folders.get", kind="reset")
    scene.fault("folders.get", kind="html", status=502)
    steps = [{"id": str(number), "method": "GET", "url": f"{ANN}/mailFolders/inbox"} for number in range(3)]
    answers = scene.batch(*steps)

    assert [200, 502, 504] == sorted(answer["status"] for answer in answers.values())


def test_fault_of_the_batch_itself() -> None:
    """The batch as a whole can fail, too."""
    scene = GraphScene()
    scene.fault("batch", kind="status", status=503, when="before")
    body = {"requests": [{"id": "1", "method": "GET", "url": f"{ANN}/mailFolders/inbox"}]}

    assert 503 == scene.post("/$batch", body).status_code
    assert 0 == scene.world.counters["graph_sub_requests"]


@pytest.mark.parametrize("effect", [{"kind": "delay", "seconds": 0.03}, {"kind": "drip", "seconds_per_byte": 0.0005}])
def test_slow_answers(effect: dict[str, Any]) -> None:
    """A delayed or dripping answer is complete in the end."""
    scene = GraphScene()
    scene.fault("folders.get", **effect)
    began = time.perf_counter()
    folder = scene.get(f"{ANN}/mailFolders/inbox")

    assert "Inbox" == folder["displayName"]
    assert time.perf_counter() - began >= 0.03


def test_operations_are_counted_by_name() -> None:
    """Every operation has a counter of its own."""
    scene = GraphScene()
    scene.get(f"{ANN}/messages")
    scene.get(f"{ANN}/mailFolders/inbox/messages/delta")
    counters = scene.world.counters

    assert (2, 1, 1) == (
        counters["graph_requests"],
        counters["graph_operation:messages.list"],
        counters["graph_operation:messages.delta"],
    )
