"""Mail fetched again by hand, and the attempts that a receipt remembers, over HTTP."""

import json
from typing import Any

import pytest

from functions import received_http, retry_http
from shared.audit import Audit
from shared.codes import Code
from shared.errors import ItemFault
from shared.identifiers import receipt_id
from shared.received import Received
from shared.refetching import Refetching
from tests.scenes.administration import settings
from tests.scenes.calls import Caller
from tests.scenes.delivering import Post

BASE = "https://mail.example"


@pytest.fixture
def post() -> Post:
    """Return a fresh mailbox with its receiver."""
    return Post()


@pytest.fixture
def caller(post: Post) -> Caller:
    """Return the routes."""
    world = post.world
    audit = Audit(world.tables.audit, world.clock)
    received = Received(world.tables, world.blobs.received, world.wakeups, lambda: b"k" * 32, BASE, world.clock)
    return Caller(
        received_http.blueprint(received, audit, settings(BASE)),
        retry_http.blueprint(Refetching(world.tables, world.wakeups), received, audit, settings(BASE)),
    )


def ask(caller: Caller, post: Post, method: str, name: str, what: str) -> tuple[int, Any]:
    """Return status and JSON of a request about a mail."""
    answer = caller.call(method, f"received/{receipt_id(post.key, name)}/{what}", {} if method == "POST" else None)
    return answer.status_code, json.loads(answer.get_body())


def test_a_mail_that_could_not_be_fetched_is_fetched_again_at_once(caller: Caller, post: Post) -> None:
    """202; both attempts to fetch it and its delivery stand on the receipt, newest first."""
    post.world.graph.items["a"] = [ItemFault("Broken.", Code.GRAPH_REFUSED)]
    post.store("a")

    status, shown = ask(caller, post, "POST", "a", "retry")
    post.world.go(post.key)
    post.settle()

    _, attempts = ask(caller, post, "GET", "a", "attempts")
    assert (202, "retrying") == (status, shown["status"])
    found = [(item["kind"], item["outcome"], item["status"], item["code"]) for item in attempts["data"]]
    assert [("deliver", "ok", 204, ""), ("fetch", "ok", None, ""), ("fetch", "failed", None, "graph_refused")] == found
    assert attempts["next_cursor"] is None


def test_what_was_fetched_is_not_fetched_again(caller: Caller, post: Post) -> None:
    """409 with what to do instead, also while its delivery is retried: its bytes must stay the same."""
    post.receiver.answers = [500]
    post.store("a")
    assert 409 == ask(caller, post, "POST", "a", "retry")[0]
    post.go()
    status, problem = ask(caller, post, "POST", "a", "retry")
    assert (409, True) == (status, "redeliver" in problem["detail"])


def test_a_mail_that_is_not_there_has_neither(caller: Caller, post: Post) -> None:
    """404 for both."""
    assert [404, 404] == [
        ask(caller, post, method, "x", what)[0] for method, what in (("POST", "retry"), ("GET", "attempts"))
    ]
