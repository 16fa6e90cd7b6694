"""Mail is delivered for the first time from what stands with its work, and whatever was changed meanwhile stays so."""

import contextlib
import json
from collections.abc import Callable, Mapping
from itertools import count
from typing import Any

import pytest

from shared.connections import Limits
from shared.deliver.run import BATCH
from shared.erasure import Erasure
from shared.errors import Conflict, StorageUnavailable
from shared.identifiers import receipt_id
from shared.ports import Delete, Upsert
from shared.receipts import DELIVER, ReceiptStatus, Work, hash_of
from shared.rows import Value
from tests.scenes.delivering import Killed, Post, ask_again, befallen, die, lose_answer

MOST_TABLE_CALLS = 40
"""For 100 mails, as the bench counts them."""


@pytest.fixture
def post() -> Post:
    """Return a fresh mailbox with its receiver."""
    return Post()


def snapshot(post: Post, name: str) -> dict[str, Any]:
    """Return what stands of the receipt in the work of one mail."""
    (row,) = (row for row in work_rows(post) if row[0].endswith(post.world.receipt(post.key, name).hash))
    known = json.loads(str(row[1]["snapshot"]))
    assert isinstance(known, dict)
    return known


def work_rows(post: Post) -> list[tuple[str, Mapping[str, Value]]]:
    """Return keys and values of all open deliver work."""
    return [(row.key, row.values) for row in post.world.tables.receipts.read(post.key, "wd|", "wd~").rows]


def rewrite(post: Post, **values: Value) -> None:
    """Put rows of all open work in the place of those that are there, with these *values*."""
    for key, _ in work_rows(post):
        post.world.tables.receipts.commit(post.key, [Delete(key)])
        post.world.tables.receipts.commit(post.key, [Upsert(key, values)])


def test_a_hundred_mails_take_few_calls(post: Post) -> None:
    """No receipt is read; the rest is a read, a look at the claim and one transaction for each sixteen."""
    post.store(*(f"m{number}" for number in range(100)))
    post.world.tables.receipts.calls.clear()
    before, blobs = post.world.tables.calls(), post.world.blobs.received.calls["chunks"]
    post.go(*post.due())
    batches = -(-100 // BATCH)
    asked = post.world.tables.receipts.calls
    assert (0, batches, 100) == (asked["get"], asked["commit"], post.world.blobs.received.calls["chunks"] - blobs)
    assert post.world.tables.calls() - before <= MOST_TABLE_CALLS
    assert 100 == len(set(post.ids())) == len(post.receiver.got)


def test_work_holds_nothing_of_a_mail_that_is_personal(post: Post) -> None:
    """Who wrote and about what stands in the receipt and in the mail alone."""
    post.store("a")
    known = snapshot(post, "a")
    assert ("", "", "") == (known["subject"], known["sender"], known["internet_message_id"])
    assert known["blob"] == post.world.receipt(post.key, "a").blob


def test_what_the_work_does_not_hold_stays_in_the_receipt(post: Post) -> None:
    """Subject and sender outlive the delivery, and so does what fetch wrote down meanwhile."""
    post.store("a")
    before = post.world.receipt(post.key, "a")
    post.world.change_receipt(post.key, "a", after_fault='{"code":"c","detail":"d.","at":""}')
    post.go()
    after = post.world.receipt(post.key, "a")
    assert (before.subject, before.sender, ReceiptStatus.DELIVERED) == (after.subject, after.sender, after.status)
    assert after.after_fault is not None
    assert ["fetch", "deliver"] == [attempt.kind for attempt in after.tries]


@pytest.mark.parametrize("values", [{"attempts": 0}, {"attempts": 0, "snapshot": "{"}, {"snapshot": '{"hash":1}'}])
def test_work_that_holds_nothing_of_use_is_done_from_the_receipt(post: Post, values: dict[str, Value]) -> None:
    """Rows of the version before are worked off at once, those that nobody can read at the second try."""
    post.store("a", "b")
    rewrite(post, **values)
    post.go()
    if post.world.rows(post.key, "wd"):
        post.go_on()
    assert (2, 2) == (len(post.receiver.got), len(set(post.ids())))
    assert ([], []) == (post.world.rows(post.key, "wd"), post.world.rows(post.key, "v"))


def test_a_retry_reads_the_receipt_and_sends_the_same_bytes(post: Post) -> None:
    """What failed once is listed as retrying, its work holds no copy, and its view ends with the delivery."""
    post.receiver.answers = [503]
    post.store("a")
    post.go()
    ((_, values),) = work_rows(post)
    assert (1, "", 1) == (values["attempts"], values["snapshot"], len(post.world.rows(post.key, "v")))
    post.go_on()
    (first, second) = (body for _, body, _ in post.receiver.got)
    assert (first, []) == (second, post.world.rows(post.key, "v"))
    assert (ReceiptStatus.DELIVERED, 2) == (
        post.world.receipt(post.key, "a").status,
        post.world.receipt(post.key, "a").attempts,
    )


@pytest.mark.parametrize("asked_again", [False, True])
def test_a_mail_that_another_delivers_meanwhile_is_counted_twice(post: Post, *, asked_again: bool) -> None:
    """Whoever was taken for dead overwrites nothing, even where a person's wish stands in the place of the work."""
    post.store("a")
    moment = post.world.receipt(post.key, "a").stored_moment()

    def beside() -> None:
        post.receiver.before = None
        post.world.clock.advance(100)
        post.go()
        if asked_again:
            post.world.tables.receipts.commit(post.key, [Work(DELIVER, moment, hash_of("a")).insert()])

    post.receiver.before = beside
    post.go()
    receipt = post.world.receipt(post.key, "a")
    assert (ReceiptStatus.DELIVERED, 2, 2) == (receipt.status, receipt.attempts, len(post.receiver.got))
    assert ["fetch", "deliver", "deliver"] == [attempt.kind for attempt in receipt.tries]
    assert [] == post.world.rows(post.key, "wd")


@pytest.mark.parametrize("default", [204, 503])
def test_mail_that_is_erased_at_any_call_stays_erased(default: int) -> None:
    """Between any two calls the mail and its work go; delivery brings back neither content nor a name."""
    for at in count(1):
        post = Post()
        post.receiver.default = default
        post.store("a", "b")

        def erase(_: Any, post: Post = post) -> None:
            Erasure(post.world.tables, post.world.blobs.received).erase(receipt_id(post.key, "a"))

        with befallen(post, at, erase) as calls:
            post.go()
        if calls[0] < at:
            break
        post.receiver.default = 204
        post.settle()
        erased, kept = post.world.receipt(post.key, "a"), post.world.receipt(post.key, "b")
        assert ("", "", "", ReceiptStatus.DELIVERED) == (erased.blob, erased.subject, erased.mailbox, kept.status), at
        assert erased.status is ReceiptStatus.EXPIRED, at
        assert ([], []) == (post.world.rows(post.key, "wd"), post.world.rows(post.key, "v")), at
    assert at > 6


@pytest.mark.parametrize("default", [204, 503])
def test_mail_whose_body_was_never_stored_stays_erased_too(default: int) -> None:
    """Of such mail there is no copy; between any two calls it goes, and nobody has it delivered any more."""
    for at in count(1):
        post = Post(limits=Limits(max_message_mb=1))
        post.receiver.default = default
        post.world.graph.arrive("a", size=3_000_000)
        post.world.go_on(post.key)

        def erase(_: Any, post: Post = post) -> None:
            Erasure(post.world.tables, post.world.blobs.received).erase(receipt_id(post.key, "a"))
            post.world.tables.receipts.commit(post.key, [Work(DELIVER, post.world.clock(), hash_of("a")).insert()])

        with befallen(post, at, erase) as calls:
            post.go()
        if calls[0] < at:
            break
        handed = len(post.receiver.got)
        post.settle()
        erased = post.world.receipt(post.key, "a")
        assert (ReceiptStatus.EXPIRED, "", "") == (erased.status, erased.subject, erased.sender), at
        assert (handed, []) == (len(post.receiver.got), post.world.rows(post.key, "wd")), at
        with pytest.raises(Conflict):
            ask_again(post, "a")
    assert at > 6


@pytest.mark.parametrize("trouble", [die, lose_answer])
def test_no_trouble_at_any_call_loses_mail(trouble: Callable[[Any], None], monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever dies or stays unanswered, each mail goes out with its own bytes, and every record is true."""
    monkeypatch.setattr("shared.deliver.run.BATCH", 2)
    names = ["a", "b", "c"]
    for at in count(1):
        post = Post()
        post.receiver.answers = [503]
        post.store(*names)
        with befallen(post, at, trouble) as calls, contextlib.suppress(Killed, StorageUnavailable):
            post.go(*post.due())
        post.settle()
        assert {ReceiptStatus.DELIVERED} == {post.world.receipt(post.key, name).status for name in names}, at
        assert 3 == len({(headers["webhook-id"], body) for _, body, headers in post.receiver.got}), at
        assert ([], []) == (post.world.rows(post.key, "wd"), post.world.rows(post.key, "v")), at
        if calls[0] < at:
            break
    assert at > 15
