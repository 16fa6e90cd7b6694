"""Mail delivered once more in bulk: what is selected, and that no death loses any of it or changes a byte."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from itertools import count
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.connection_admin.redelivery import Asked
from shared.connection_admin.views import redelivery_view
from shared.connections import Direction, connection_key
from shared.deliver import redelivering
from shared.errors import Conflict, InvalidRequest, NotFound, StorageUnavailable
from shared.identifiers import receipt_id, shard_of
from shared.ports import Delete, Update
from shared.receipts import ReceiptStatus, change, hash_of
from shared.schedule import DELIVER
from tests.fakes import MemoryWakeups
from tests.fakes.intake import BOX
from tests.scenes.delivering import Killed, Post, ask_again, befallen, die, lose_answer


@pytest.fixture
def post() -> Post:
    """Return a mailbox whose forty mails were delivered."""
    return delivered(40)


def delivered(number: int) -> Post:
    """Return a mailbox with *number* delivered mails, and nothing left to do."""
    post = Post()
    post.world.wakeups = MemoryWakeups(post.world.clock)
    post.store(*names(number))
    post.settle()
    assert ids(post, number) == set(post.ids())
    return post


def names(number: int) -> list[str]:
    """Return made-up ids of messages."""
    return [f"m{n}" for n in range(number)]


def ids(post: Post, number: int) -> set[str]:
    """Return the event ids of made-up messages."""
    return {receipt_id(post.key, name) for name in names(number)}


def put_into(post: Post, name: str, status: ReceiptStatus, **changes: Any) -> None:
    """Let a message have another status."""
    receipt = post.world.receipt(post.key, name)
    after = replace(receipt, status=status, **changes)
    post.world.tables.receipts.commit(post.key, change(receipt, after, "*"))


def test_all_that_was_delivered_goes_out_again_with_the_same_bytes(post: Post) -> None:
    """Each once, with the id of before; the connection shows how it went."""
    before = {headers["webhook-id"]: body for _, body, headers in post.receiver.got}
    post.receiver.got.clear()
    started = post.redeliver("delivered")
    assert (None, 0) == (redelivery_view(started)["finished_at"], started.selected)
    post.settle()
    assert before == {headers["webhook-id"]: body for _, body, headers in post.receiver.got}
    ended = post.row().redelivery
    assert ended is not None
    assert (40, 0, True, 40) == (ended.selected, ended.without_content, bool(ended.finished_at), len(post.ids()))
    assert ([], 80) == (post.world.rows(post.key, "wd"), post.row().delivered)


@pytest.mark.parametrize("status", ["failed", "skipped", "retrying", "stored"])
def test_only_the_status_that_is_asked_for_goes_out(post: Post, status: str) -> None:
    """Mail without content is counted and left alone."""
    put_into(post, "m3", ReceiptStatus(status))
    put_into(post, "m4", ReceiptStatus(status), blob="")
    post.receiver.got.clear()
    counted = post.redeliveries().count(post.key, Asked(status))
    assert (1, 1, True) == (counted.selected, counted.without_content, counted.exact)
    post.redeliver(status)
    post.settle()
    assert [receipt_id(post.key, "m3")] == post.ids()
    assert ReceiptStatus.DELIVERED == post.world.receipt(post.key, "m3").status


def test_bounds_of_time_are_kept(post: Post) -> None:
    """Since is the first moment of it, until the first after it."""
    post.world.clock.advance(3600)
    middle = post.world.clock()
    post.store("late")
    post.settle()
    post.receiver.got.clear()
    later = middle + timedelta(hours=1)
    post.redeliver("delivered", since=middle, until=later)
    post.settle()
    assert [receipt_id(post.key, "late")] == post.ids()
    post.receiver.got.clear()
    post.redeliver("delivered", until=middle)
    post.settle()
    assert ids(post, 40) == set(post.ids())


def test_mail_that_waits_for_its_next_try_goes_out_once(post: Post) -> None:
    """Its work of before is void once the mail was delivered."""
    post.receiver.answers = [503]
    post.store("late")
    post.go()
    post.receiver.got.clear()
    post.redeliver("retrying")
    post.settle()
    assert ([receipt_id(post.key, "late")], []) == (post.ids(), post.world.rows(post.key, "wd"))


@pytest.mark.parametrize("status", ["quarantined", "expired", "", "Delivered", "nonsense"])
def test_a_status_that_cannot_be_delivered_is_refused(post: Post, status: str) -> None:
    """The refusal names the field."""
    for call in (post.redeliveries().start, post.redeliveries().count):
        with pytest.raises(InvalidRequest) as caught:
            call(post.key, Asked(status))
        assert ["/status"] == [fault.pointer for fault in caught.value.faults]


def test_bounds_that_hold_nothing_are_refused(post: Post) -> None:
    """Since comes before until."""
    now = post.world.clock()
    with pytest.raises(InvalidRequest) as caught:
        post.redeliver("failed", since=now, until=now)
    assert ["/since"] == [fault.pointer for fault in caught.value.faults]


def test_where_nothing_would_go_out_it_is_refused_with_what_to_do(post: Post) -> None:
    """Disabled connections and destinations are enabled instead; outgoing ones deliver nothing."""
    post.change(enabled=False)
    with pytest.raises(Conflict, match="Enable it"):
        post.redeliver("failed")
    post.change(enabled=True)
    post.receiver.default = 410
    post.store("late")
    post.go()
    with pytest.raises(Conflict, match="PATCH"):
        post.redeliver("failed")
    values = {"direction": Direction.OUTGOING.value}
    post.world.tables.connections.commit(shard_of(BOX), [Update(connection_key(post.key), values, "*")])
    with pytest.raises(InvalidRequest):
        post.redeliver("failed")
    with pytest.raises(NotFound):
        post.redeliveries().start("conn_x", Asked("failed"))


def test_a_single_redelivery_is_refused_where_nobody_takes_it_with_what_to_do(post: Post) -> None:
    """A disabled connection or destination leaves nothing in line; once it is enabled the same request is taken."""
    post.store("a")
    post.go()
    post.change(enabled=False)
    with pytest.raises(Conflict, match="connection is disabled"):
        ask_again(post, "a")
    post.change(enabled=True)
    post.receiver.default = 410
    post.store("late")
    post.go()
    before = post.world.rows(post.key, "wd")
    with pytest.raises(Conflict, match="destination is disabled"):
        ask_again(post, "a")
    assert before == post.world.rows(post.key, "wd")
    post.receiver.default = 204
    post.change(enabled=True)
    ask_again(post, "a")
    post.settle()

    assert (2, []) == (post.ids().count(receipt_id(post.key, "a")), post.world.rows(post.key, "wd"))


def test_the_same_request_is_the_same_redelivery_and_another_one_waits(post: Post) -> None:
    """Whoever lost the answer asks again; two at once would mix their counts."""
    first = post.redeliver("delivered")
    assert first.id == post.redeliver("delivered").id
    with pytest.raises(Conflict):
        post.redeliver("failed")
    post.settle()
    assert first.id != post.redeliver("delivered").id


def test_a_paused_destination_gets_it_after_its_probe(post: Post) -> None:
    """Nothing is posted before that, and nothing is forgotten."""
    post.receiver.default = 503
    post.store(*(f"late{n}" for n in range(12)))
    post.go()
    assert post.row().paused
    post.receiver.default = 204
    post.receiver.got.clear()
    post.redeliver("delivered")
    post.go()
    assert [] == post.ids()
    post.settle()
    assert (52, 52) == (len(set(post.ids())), len(post.ids()))


def test_a_running_delivery_takes_it_up(post: Post) -> None:
    """Its claim stands; it looks again before it ends."""
    post.store("late")

    def ask() -> None:
        post.receiver.before = None
        post.redeliver("delivered")

    post.receiver.before = ask
    post.receiver.got.clear()
    post.go()
    assert ids(post, 40) <= set(post.ids())
    assert [] == post.world.rows(post.key, "wd")


def test_mail_that_fails_again_is_tried_again(post: Post) -> None:
    """A redelivery is a delivery like every other."""
    post.receiver.answers = [500] * 3
    post.redeliver("delivered")
    post.settle()
    assert {ReceiptStatus.DELIVERED} == {post.world.receipt(post.key, name).status for name in names(40)}
    assert [] == post.world.rows(post.key, "wd")


def test_an_erased_mail_stays_erased(post: Post) -> None:
    """Its row is gone, and no work brings it back."""
    post.redeliver("delivered")
    rows = post.world.tables.receipts
    rows.commit(post.key, [Delete(f"m|{hash_of('m0')}")])
    post.receiver.got.clear()
    post.settle()
    assert ids(post, 40) - {receipt_id(post.key, "m0")} == set(post.ids())
    assert rows.get(post.key, f"m|{hash_of('m0')}") is None


def befall(post: Post, at: int, what: Callable[[Any], None]) -> int:
    """Ask for a redelivery and work on it, befallen at one call; return how many calls there were."""
    with befallen(post, at, what) as calls:
        try:
            post.redeliver("delivered")
            post.settle(120)
        except (Killed, StorageUnavailable):
            pass
    return calls[0]


@pytest.mark.parametrize("trouble", [die, lose_answer])
def test_no_trouble_at_any_call_loses_a_mail_of_a_redelivery(
    trouble: Callable[[Any], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Asked for again by whoever got no answer, every mail goes out, with the id and the bytes of before."""
    monkeypatch.setattr(redelivering, "PAGE", 4)
    for at in count(1):
        post = delivered(9)
        before = {headers["webhook-id"]: body for _, body, headers in post.receiver.got}
        post.receiver.got.clear()
        calls = befall(post, at, trouble)
        if not post.row().redelivery:
            post.redeliver("delivered")  # the request got no 202
        post.settle()
        assert before == {headers["webhook-id"]: body for _, body, headers in post.receiver.got}, at
        assert ([], "") == (post.world.rows(post.key, "wd"), post.row().claim), at
        assert [] == [row for row in post.world.due_rows() if row.kind == DELIVER], at
        if calls < at:
            break
    assert at > 20


TROUBLES = st.lists(st.tuples(st.sampled_from([die, lose_answer]), st.integers(1, 60)), max_size=5)


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 30), st.integers(2, 9), TROUBLES, st.lists(st.sampled_from([204, 500, 503]), max_size=12))
def test_whatever_dies_each_selected_mail_is_handed_over(
    number: int, page: int, troubles: list[tuple[Callable[[Any], None], int]], answers: list[int]
) -> None:
    """At least once, with the id and bytes of before, whatever the receiver answers on the way."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(redelivering, "PAGE", page)
        post = delivered(number)
        before = {headers["webhook-id"]: body for _, body, headers in post.receiver.got}
        post.receiver.got.clear()
        post.redeliver("delivered")
        post.receiver.answers = list(answers)
        for trouble, at in troubles:
            with befallen(post, at, trouble):
                try:
                    post.settle(300)
                except (Killed, StorageUnavailable):
                    post.world.clock.advance(100)
        post.settle(7200)
        taken = {headers["webhook-id"]: body for _, body, headers in post.receiver.got}
        assert before == taken
        assert ([], {ReceiptStatus.DELIVERED}) == (
            post.world.rows(post.key, "wd"),
            {post.world.receipt(post.key, name).status for name in names(number)},
        )
