"""A mail whose work stands in line twice: what the older copy says is of no use once the other was tried."""

from contextlib import suppress
from itertools import count
from typing import Any

import pytest

from shared.errors import Conflict
from shared.identifiers import receipt_id
from shared.receipts import ReceiptStatus
from tests.fakes.graph_reading import broken
from tests.scenes.delivering import Post, ask_again, befallen


@pytest.fixture
def post(monkeypatch: pytest.MonkeyPatch) -> Post:
    """Return a fresh mailbox whose deliverer takes one mail at a time, so that nothing answers for two."""
    monkeypatch.setattr("shared.deliver.run.BATCH", 1)
    return Post()


def told(post: Post, name: str) -> tuple[ReceiptStatus, int, list[str]]:
    """Return status, attempts to deliver as counted and the outcomes of those that stand in the receipt."""
    receipt = post.world.receipt(post.key, name)
    outcomes = [attempt.outcome for attempt in receipt.tries if attempt.kind == "deliver"]
    return receipt.status, receipt.attempts, outcomes


@pytest.mark.parametrize(("answers", "outcomes"), [([503], ["failed", "ok"]), ([], ["ok", "ok"])])
def test_mail_asked_for_in_the_second_it_came_is_counted_each_time(
    post: Post, answers: list[int], outcomes: list[str]
) -> None:
    """Storage cuts its time, so a wish may come before the work that stands there; no view outlives the delivery."""

    def pass_time(_: str) -> None:
        post.world.graph.failures.before = None
        post.world.clock.advance(0.7)

    post.world.graph.failures.before = pass_time
    post.store("a")
    ask_again(post, "a")
    assert 2 == len(post.world.rows(post.key, "wd"))
    post.receiver.answers = list(answers)
    post.settle()
    assert (ReceiptStatus.DELIVERED, 2, outcomes) == told(post, "a")
    assert ([], []) == (post.world.rows(post.key, "wd"), post.world.rows(post.key, "v"))


@pytest.mark.parametrize(("answers", "outcomes"), [([503], ["failed", "ok"]), ([], ["ok", "ok"])])
def test_mail_fetched_late_and_asked_for_is_counted_each_time(
    post: Post, answers: list[int], outcomes: list[str]
) -> None:
    """A bulk redelivery stands at the time of the first sight of a mail, before the work that its content brought."""
    post.world.graph.items["a"] = [broken()]
    post.store("a")
    post.world.clock.advance(60)
    post.world.go_on(post.key)
    post.redeliver("stored")
    post.receiver.answers = list(answers)
    post.go()
    post.settle()
    assert (ReceiptStatus.DELIVERED, 2, outcomes) == told(post, "a")
    assert ([], []) == (post.world.rows(post.key, "wd"), post.world.rows(post.key, "v"))


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("answers", [[], [503], [503, 503]])
def test_a_wish_at_any_call_leaves_true_records(post: Post, answers: list[int], *, whole: bool) -> None:
    """Between any two calls of a delivery a person asks for the mail: each handing over is counted, no view is left."""
    for at in count(1):
        post = Post()
        post.receiver.answers = list(answers)
        post.store("a", "b")
        (due,) = post.due()

        def wish(_: Any, post: Post = post) -> None:
            if whole:
                with suppress(Conflict):
                    post.redeliver(post.world.receipt(post.key, "a").status)
            else:
                ask_again(post, "a")

        with befallen(post, at, wish) as calls:
            post.go(due)
        post.settle()
        handed = {name: post.ids().count(receipt_id(post.key, name)) for name in "ab"}
        assert handed == {name: told(post, name)[1] for name in "ab"}, at
        assert handed == {name: len(told(post, name)[2]) for name in "ab"}, at
        assert {ReceiptStatus.DELIVERED} == {told(post, name)[0] for name in "ab"}, at
        assert ([], []) == (post.world.rows(post.key, "wd"), post.world.rows(post.key, "v")), at
        if calls[0] < at:
            break
    assert at > 10
