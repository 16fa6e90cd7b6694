"""What becomes of mail whose destination is paused, disabled, changed, or parked with its connection."""

import contextlib
from collections.abc import Callable
from itertools import count
from typing import Any

import pytest
import standardwebhooks

from shared.codes import Code
from shared.connection_admin.views import destination_view
from shared.connections import Destination
from shared.errors import Conflict, Fault, InvalidRequest, StorageUnavailable
from shared.identifiers import receipt_id
from shared.ports import Delete
from shared.receipts import ReceiptStatus
from shared.times import from_text
from tests.fakes import MemoryWakeups
from tests.scenes.delivering import SECRET, URL, Killed, Post, befallen, die, lose_answer

OTHER = "https://other.example/hook"


@pytest.fixture
def post() -> Post:
    """Return a fresh mailbox with its receiver."""
    return Post()


def names(count: int) -> list[str]:
    """Return made-up ids of messages."""
    return [f"m{number}" for number in range(count)]


def statuses(post: Post, count: int) -> set[ReceiptStatus]:
    """Return the statuses of the first *count* made-up messages."""
    return {post.world.receipt(post.key, name).status for name in names(count)}


def test_a_paused_destination_is_told_of_once(post: Post) -> None:
    """The notice stands from the moment at which the pause does, and probes that fail tell nothing more."""
    post.receiver.default = 503
    post.store(*names(20))
    post.go()
    assert (True, ["mailgrant.destination.paused"]) == (post.row().paused, post.notices())
    post.go_on()
    post.go_on()
    assert ["mailgrant.destination.paused"] == post.notices()
    post.receiver.default = 204
    post.go_on()
    assert ["mailgrant.connection.recovered", "mailgrant.destination.paused"] == sorted(post.notices())


def test_two_failures_far_apart_disable_nothing(post: Post) -> None:
    """Days without mail are no days of failing."""
    post.receiver.answers = [500]
    post.store("m0")
    post.go()
    post.world.tables.receipts.commit(post.key, [Delete(key) for key in post.world.rows(post.key, "wd")])
    post.world.clock.advance(4 * 86400)
    post.receiver.answers = [500]
    post.store("m1")
    post.go()
    assert (False, 2) == (post.row().disabled, post.row().failures)


def test_a_destination_that_is_gone_is_told_of_with_a_sentence(post: Post) -> None:
    """A 410 disables: one notice, a sentence that says what to do, and receipts that stay stored."""
    post.receiver.default = 410
    post.store(*names(20))
    post.go()
    fault = post.row().fault
    assert fault is not None
    assert ["mailgrant.destination.disabled"] == post.notices()
    assert ("destination_refused", True) == (fault.code, "PATCH the connection" in fault.detail)
    assert {ReceiptStatus.STORED} == statuses(post, 20)
    assert [] == post.world.rows(post.key, "v")


def test_after_three_days_no_receipt_says_that_it_is_retried(post: Post) -> None:
    """What was tried as a probe meanwhile is stored again: nobody tries it any more."""
    post.receiver.default = 503
    post.store(*names(30))
    post.go()
    while not post.row().disabled:
        post.go_on()
    assert ({ReceiptStatus.STORED}, []) == (statuses(post, 30), post.world.rows(post.key, "v"))
    assert 30 == len(post.world.rows(post.key, "wd"))
    fault = post.row().fault
    assert fault is not None
    assert "failed for 3 days" in fault.detail


@pytest.mark.parametrize("change", [{"enabled": True}, {"destination": Destination("webhook", OTHER)}])
def test_a_disabled_destination_that_is_enabled_gets_all_that_was_not_delivered(
    post: Post, change: dict[str, object]
) -> None:
    """At once and oldest first, whatever waits its mails have from before."""
    post.receiver.default = 410
    post.store(*names(40))
    post.go()
    post.receiver.default = 204
    post.receiver.got.clear()
    post.change(**change)
    post.settle(60)
    assert sorted(receipt_id(post.key, name) for name in names(40)) == sorted(post.ids())
    assert {ReceiptStatus.DELIVERED} == statuses(post, 40)
    assert (False, 0, []) == (post.row().backlog, post.row().failures, post.world.rows(post.key, "wd"))


def test_one_mail_that_fails_holds_up_no_backlog(post: Post) -> None:
    """It waits, and every other one goes out in the same run."""
    post.receiver.default = 410
    post.store(*names(40))
    post.go()
    post.receiver.default, post.receiver.answers = 204, [500]
    post.receiver.got.clear()
    post.change(enabled=True)
    post.go()
    assert (40, 1) == (len(post.ids()), len(post.world.rows(post.key, "wd")))


def test_a_disabled_connection_delivers_nothing_until_it_is_enabled(post: Post) -> None:
    """Stored mail waits with it, and goes out by itself afterwards."""
    post.store("a")
    post.change(enabled=False)
    post.settle()
    assert ([], 1) == (post.ids(), len(post.world.rows(post.key, "wd")))
    post.change(enabled=True)
    post.settle()
    assert [receipt_id(post.key, "a")] == post.ids()


def test_disabling_ends_a_delivery_after_its_batch(post: Post) -> None:
    """What is in flight is recorded as it came out; the rest stays."""
    post.store(*names(40))

    def disable() -> None:
        post.receiver.before = None
        post.change(enabled=False)

    post.receiver.before = disable
    post.go()
    assert 16 == len(post.ids())
    assert 24 == len(post.world.rows(post.key, "wd"))
    post.settle()
    assert 16 == len(post.ids())


@pytest.mark.parametrize("answer", [204, 503])
def test_a_changed_destination_gets_all_but_the_batch_in_flight(post: Post, answer: int) -> None:
    """Nothing goes to the old address after its batch; what that refused goes to the new one."""
    post.receiver.default = answer
    post.store(*names(40))

    def change() -> None:
        post.receiver.before = None
        post.change(destination=Destination("webhook", OTHER))

    post.receiver.before = change
    post.go()
    assert 16 == len([url for url, _, _ in post.receiver.got if url == URL])
    post.receiver.default = 204
    post.settle()
    old = [headers["webhook-id"] for url, _, headers in post.receiver.got if url == URL]
    new = [headers["webhook-id"] for url, _, headers in post.receiver.got if url == OTHER]
    assert (16, 24 if answer == 204 else 40) == (len(old), len(set(new)))
    assert len(new) == len(set(new))
    assert ({ReceiptStatus.DELIVERED}, 0) == (statuses(post, 40), post.row().failures)
    assert [] == post.notices()


def test_a_lost_claim_keeps_what_was_handed_over(post: Post) -> None:
    """Receivers that are slower than the lease cost no second post of what they have taken."""
    post.world.turns.lease_seconds = 2.0
    post.store(*names(4))

    def change() -> None:
        with post.lock:
            post.receiver.before = None
            post.change(destination=Destination("webhook", OTHER))
            post.world.clock.advance(1.9)

    post.receiver.before = change
    post.go()
    post.settle()
    assert (4, {ReceiptStatus.DELIVERED}) == (len(post.ids()), statuses(post, 4))


def test_mail_of_machines_is_skipped_where_that_is_asked_for() -> None:
    """It is stored and says why it was not delivered; a person can have it delivered all the same."""
    post = Post(automatic_mail="skip")
    post.store("a", "b")
    blob = post.world.receipt(post.key, "a").blob
    post.world.blobs.received.contents[blob] = b"Auto-Submitted: auto-replied\r\nSubject: away\r\n\r\nI am away"
    post.go()
    receipt = post.world.receipt(post.key, "a")
    assert (ReceiptStatus.SKIPPED, "automatic_mail:auto_reply") == (receipt.status, receipt.skipped)
    assert [receipt_id(post.key, "b")] == post.ids()
    skipped = receipt.tries[-1]
    assert ("skipped", "automatic_mail:auto_reply") == (skipped.outcome, skipped.code)
    post.receiver.answers = [500]
    post.redeliver("skipped")
    post.settle()
    assert ReceiptStatus.DELIVERED == post.world.receipt(post.key, "a").status
    assert [receipt_id(post.key, name) for name in "baa"] == post.ids()


def test_a_receipt_keeps_its_last_ten_attempts(post: Post) -> None:
    """Each says when, what came of it, what the destination answered and how long it took."""
    unreachable = Fault("no answer", Code.DESTINATION_UNREACHABLE, retryable=True)
    post.receiver.answers = [500] * 8 + [unreachable] * 3
    post.store("a")
    post.go()
    while post.world.receipt(post.key, "a").status != ReceiptStatus.DELIVERED:
        post.go_on()
    tries = post.world.receipt(post.key, "a").tries
    assert [("failed", 500)] * 6 + [("failed", 0)] * 3 + [("ok", 204)] == [(one.outcome, one.status) for one in tries]
    assert {"deliver"} == {one.kind for one in tries}
    assert sorted(one.at for one in tries) == [one.at for one in tries]


def verifies(secret: str, post: Post) -> bool:
    """Tell whether the standard's library takes the latest post for one of *secret*'s."""
    _, body, headers = post.receiver.got[-1]
    at = from_text(post.world.receipt(post.key, "a").delivered_at)
    expected = standardwebhooks.Webhook(secret).sign(headers["webhook-id"], at, body.decode())
    return expected in headers["webhook-signature"].split(" ")


def test_a_rotated_secret_signs_beside_the_one_before_for_a_day(post: Post) -> None:
    """Receivers that know the old or the new one verify; afterwards only the new one is used."""
    post.store("a")
    after, second = post.rotation().rotate(post.key)
    post.settle()
    assert [True, True] == [verifies(secret, post) for secret in (SECRET, second)]
    shown = destination_view(after.destination, None) if after.destination else {}
    assert (2, 86400) == (
        shown["signing_version"],
        (from_text(shown["signing_overlap_until"]) - from_text(shown["signing_secret_rotated_at"])).total_seconds(),
    )
    post.world.clock.advance(86400)
    post.redeliver("delivered")
    post.settle()
    assert [False, True] == [verifies(secret, post) for secret in (SECRET, second)]


def test_a_rotation_whose_answer_was_lost_may_be_repeated(post: Post) -> None:
    """The first secret goes on signing, whoever has which; a new address keeps the secrets."""
    post.store("a")
    secrets = [SECRET, *(post.rotation().rotate(post.key)[1] for _ in range(2))]
    post.change(destination=Destination("webhook", OTHER))
    post.settle()
    assert [True, True, True] == [verifies(secret, post) for secret in secrets]
    assert 3 == len(set(secrets))


def test_rotations_are_bounded_and_can_end_what_was_before_at_once(post: Post) -> None:
    """A sixth secret beside five is refused; with no overlap only the new one is left."""
    post.store("a")
    for _ in range(4):
        post.rotation().rotate(post.key)
    with pytest.raises(Conflict):
        post.rotation().rotate(post.key)
    _, last = post.rotation().rotate(post.key, 0)
    post.settle()
    assert (True, 1) == (verifies(last, post), len(post.receiver.got[-1][2]["webhook-signature"].split(" ")))
    with pytest.raises(InvalidRequest):
        post.rotation().rotate(post.key, 169)


def test_a_rotation_ends_a_delivery_under_way_after_its_batch(post: Post) -> None:
    """What follows bears the new signature too, and nothing is posted twice for it."""
    post.store(*names(40))

    def rotate() -> None:
        post.receiver.before = None
        post.rotation().rotate(post.key)

    post.receiver.before = rotate
    post.go()
    post.settle()
    signatures = [len(headers["webhook-signature"].split(" ")) for _, _, headers in post.receiver.got]
    assert ([1] * 16 + [2] * 24, 40) == (signatures, len(set(post.ids())))


def test_only_a_webhook_has_a_secret() -> None:
    """A queue has none to rotate."""
    post = Post()
    post.change(destination=Destination("queue", name="out-mail"))
    with pytest.raises(InvalidRequest):
        post.rotation().rotate(post.key)
    post.store("a")
    post.settle()
    events = [item.body["id"] for item in post.world.wakeups.sent if item.queue == "out-mail"]
    assert [receipt_id(post.key, "a")] == events


def brought_back(post: Post) -> None:
    """Let a destination fail until it is disabled, and an administrator enable it; a call that died is made again."""
    post.settle(120)
    post.change(enabled=True)
    post.receiver.default = 204
    post.settle(120)


@pytest.mark.parametrize("trouble", [die, lose_answer])
def test_no_trouble_at_any_call_loses_mail_of_a_disabled_destination(trouble: Callable[[Any], None]) -> None:
    """Whatever dies while it is given up and brought back, all mail goes out, with the same bytes."""
    for at in count(1):
        post = Post()
        post.world.wakeups = MemoryWakeups(post.world.clock)
        post.store(*names(6))
        post.receiver.default = 410
        with befallen(post, at, trouble) as calls, contextlib.suppress(Killed, StorageUnavailable):
            brought_back(post)
        brought_back(post)
        post.settle()
        assert ({ReceiptStatus.DELIVERED}, []) == (statuses(post, 6), post.world.rows(post.key, "wd")), at
        assert 6 == len({(headers["webhook-id"], body) for _, body, headers in post.receiver.got}), at
        assert ("", False, []) == (post.row().claim, post.row().disabled, post.world.rows(post.key, "v")), at
        assert set(post.notices()) <= {"mailgrant.destination.disabled"}, at
        if calls[0] < at:
            break
    assert at > 20
