"""How does $batch run its steps, and how are apps throttled."""

import asyncio
import base64
import time
from email.utils import parsedate_to_datetime
from typing import Any

import pytest

from tests.localcloud.graph_cast import IMMUTABLE, MARKER, START, GraphScene, draft, encoded, mail

ADDRESS = "ann@contoso.example"
ANN = f"/users/{ADDRESS}"


def step(number: int, url: str = f"{ANN}/mailFolders/inbox", method: str = "GET", **more: Any) -> dict[str, Any]:
    """Return one step of a batch."""
    return {"id": str(number), "method": method, "url": url, **more}


def test_each_step_answers_for_itself() -> None:
    """The outer answer is 200 while steps succeed and fail on their own."""
    scene = GraphScene()
    message = scene.arrive(ADDRESS)
    answers = scene.batch(
        step(1, f"{ANN}/messages/{message}", headers=IMMUTABLE),
        step(2, f"{ANN}/messages/AAkALgnothing"),
        step(
            3, f"{ANN}/messages/{message}", "PATCH", body={"isRead": True}, headers={"Content-Type": "application/json"}
        ),
        step(4, f"{ANN}/messages/{message}/$value"),
    )

    assert {"1": 200, "2": 404, "3": 200, "4": 200} == {name: answer["status"] for name, answer in answers.items()}
    assert message == answers["1"]["body"]["id"] != answers["3"]["body"]["id"]
    assert 'IdType="ImmutableId"' == answers["1"]["headers"]["Preference-Applied"]
    assert "ErrorItemNotFound" == answers["2"]["body"]["error"]["code"]
    assert mail() == base64.b64decode(answers["4"]["body"])
    assert "text/plain" == answers["4"]["headers"]["Content-Type"]


def test_mime_draft_in_a_batch() -> None:
    """A body that is not JSON is base64 once more inside a batch."""
    scene = GraphScene()
    body = encoded(encoded(mail("Batched")).encode())
    answers = scene.batch(step(1, f"{ANN}/messages", "POST", body=body, headers={"Content-Type": "text/plain"}))

    assert (201, "Batched") == (answers["1"]["status"], answers["1"]["body"]["subject"])


@pytest.mark.parametrize(
    "steps",
    [
        [],
        [step(number) for number in range(21)],
        [step(1), step(1)],
        [{"id": "1", "method": "GET"}],
        [step(1, method="TRACE")],
        [step(1, "https://graph.microsoft.com/v1.0/users")],
        [step(1, f"{ANN}/messages", "POST", body={})],
        [step(1, dependsOn=["2"]), step(2)],
        "text",
    ],
)
def test_malformed_batches(steps: object) -> None:
    """A malformed batch is refused as a whole."""
    assert 400 == GraphScene().post("/$batch", {"requests": steps}).status_code


def test_dependent_steps() -> None:
    """Steps that depend on a failed one are not run."""
    scene = GraphScene()
    answers = scene.batch(
        step(1, f"{ANN}/messages/AAkALgnothing"), step(2, dependsOn=["1"]), step(3, dependsOn=["2"]), step(4)
    )

    assert {"1": 404, "2": 424, "3": 424, "4": 200} == {name: answer["status"] for name, answer in answers.items()}


def test_a_batch_works_four_at_a_time_and_pays_for_each_step() -> None:
    """Twenty steps of 20 ms take five rounds and one for the batch itself, and never breach the mailbox's limit."""
    scene = GraphScene()
    scene.world.modes["latency_ms"] = 20
    began = time.perf_counter()
    answers = scene.batch(*(step(number) for number in range(20)))
    took = time.perf_counter() - began

    assert {200} == {answer["status"] for answer in answers.values()}
    assert took >= 0.12
    assert 4 == scene.world.counters["graph_peak_concurrency"]
    assert (1, 20) == (scene.world.counters["graph_requests"], scene.world.counters["graph_sub_requests"])


def test_nested_batch() -> None:
    """A batch in a batch is refused."""
    answers = GraphScene().batch(step(1, "/$batch", "POST", body={}, headers={"Content-Type": "application/json"}))

    assert 400 == answers["1"]["status"]


def crowd(scene: GraphScene, paths: list[str]) -> list[Any]:
    """Make GET requests for *paths* at once and return the answers."""

    async def work() -> list[Any]:
        async with scene.client() as client:
            headers = {"Authorization": f"Bearer {scene.token}"}
            return await asyncio.gather(*(client.get(path, headers=headers) for path in paths))

    answers: list[Any] = scene.run(work())
    return answers


def test_fifth_request_at_once_is_throttled() -> None:
    """Four requests at a time are served per mailbox; another mailbox is not concerned."""
    scene = GraphScene()
    scene.world.modes["latency_ms"] = 20
    answers = crowd(scene, [f"{ANN}/mailFolders/inbox"] * 6 + ["/users/bob@contoso.example/mailFolders/inbox"])
    refused = [answer for answer in answers if answer.status_code == 429]

    assert [200] * 4 + [429] * 2 + [200] == [answer.status_code for answer in answers]
    assert "Application is over its MailboxConcurrency limit." == refused[0].json()["error"]["message"]
    assert ("ApplicationThrottled", "1") == (refused[0].json()["error"]["code"], refused[0].headers["retry-after"])
    assert 2 == scene.world.counters["graph_throttled"]


def test_throttling_inside_a_batch() -> None:
    """Two batches on one mailbox exceed its limit: the outer answers stay 200, inner ones become 429."""
    scene = GraphScene()
    scene.world.modes["latency_ms"] = 10

    async def work() -> list[Any]:
        async with scene.client() as client:
            headers = {"Authorization": f"Bearer {scene.token}"}
            body = {"requests": [step(number) for number in range(8)]}
            return await asyncio.gather(*(client.post("/$batch", json=body, headers=headers) for _ in range(2)))

    answers = scene.run(work())
    inner = [item for answer in answers for item in answer.json()["responses"]]

    assert [200, 200] == [answer.status_code for answer in answers]
    assert {200, 429} == {item["status"] for item in inner}
    assert all("Retry-After" in item["headers"] for item in inner if item["status"] == 429)


@pytest.mark.parametrize("form", ["int", "decimal", "date", "none"])
def test_forms_of_retry_after(form: str) -> None:
    """Retry-After comes as an integer, a decimal, a date or not at all."""
    scene = GraphScene()
    scene.world.modes |= {"mailbox_concurrency": 0, "retry_after_form": form, "retry_after_seconds": 7}
    value = scene.call("GET", f"{ANN}/messages").headers.get("retry-after")
    expected = {"int": "7", "decimal": "7.128", "none": None}

    if form == "date":
        assert START + 7 == parsedate_to_datetime(value).timestamp()
    else:
        assert expected[form] == value


def test_requests_and_bytes_are_limited_per_window() -> None:
    """Too many requests in ten minutes, or too many bytes written in five, are refused until the window is over."""
    scene = GraphScene()
    scene.world.modes |= {"mailbox_requests": 2, "mailbox_upload_mb": 0.0001}
    statuses = [scene.call("GET", f"{ANN}/messages").status_code for _ in range(3)]
    scene.now += 600
    written = scene.post(f"{ANN}/messages", draft(subject="x" * 200)).status_code
    scene.now += 300

    assert [200, 200, 429] == statuses
    assert (429, 200) == (written, scene.call("GET", f"{ANN}/messages").status_code)


def test_lists_can_be_charged_by_item() -> None:
    """With the mode on, a list takes time for each item."""
    scene = GraphScene()
    for _ in range(5):
        scene.arrive(ADDRESS)
    scene.world.modes["list_item_ms"] = 10
    began = time.perf_counter()
    scene.get(f"{ANN}/messages?$select=id")

    assert time.perf_counter() - began >= 0.05


def test_marker_of_a_batched_draft_is_searchable() -> None:
    """A draft made in a batch has its extended property."""
    scene = GraphScene()
    body = draft("a@b.example", singleValueExtendedProperties=[{"id": MARKER, "value": "m9"}])
    scene.batch(step(1, f"{ANN}/messages", "POST", body=body, headers={"Content-Type": "application/json"}))
    condition = f"singleValueExtendedProperties/Any(ep: ep/id eq '{MARKER}' and ep/value eq 'm9')"

    assert 1 == len(scene.get(f"{ANN}/messages", params={"$filter": condition})["value"])
