"""Delivery at once, after a death, after a lost answer, with mail that was asked for twice, and with slow receivers."""

from datetime import timedelta

import pytest

from shared.connections import Delivery, delivery_key
from shared.errors import StorageUnavailable
from shared.identifiers import receipt_id, shard_of
from shared.ports import Delete, Row, Update
from shared.receipts import DELIVER as WORK
from shared.receipts import ReceiptStatus, Work, hash_of
from shared.received import Received
from shared.rows import Value
from shared.schedule import DELIVER, Wakeup
from shared.tick import Tick
from shared.times import from_text, to_text
from tests.fakes.intake import BOX
from tests.scenes.delivering import Post


@pytest.fixture
def post() -> Post:
    """Return a fresh mailbox with its receiver."""
    return Post()


def again(post: Post, name: str, seconds: float) -> None:
    """Have a mail delivered once more, as of *seconds* from now."""
    at = post.world.clock() + timedelta(seconds=seconds)
    post.world.tables.receipts.commit(post.key, [Work(WORK, at, hash_of(name)).insert()])


def test_mail_stored_this_second_is_delivered_at_once(post: Post) -> None:
    """Storage's time is cut to whole seconds: what fetch stored at 0.7 s is not of the future at 0.9 s."""

    def pass_time(_: str) -> None:
        post.world.graph.failures.before = None
        post.world.clock.advance(0.7)

    post.world.graph.failures.before = pass_time
    post.store("a")
    (row,) = post.world.rows(post.key, "wd")
    assert Work.from_row(Row(row, {})).at > post.world.clock().replace(microsecond=0)
    post.go()
    assert (post.ids(), post.world.rows(post.key, "wd")) == ([receipt_id(post.key, "a")], [])


def test_the_wait_of_a_failed_mail_is_waited_for(post: Post) -> None:
    """Only what was never tried may go out before its time."""
    post.receiver.default = 503
    post.store("a")
    post.go()
    post.world.clock.advance(2)
    post.go()
    assert len(post.receiver.got) == 1
    post.world.clock.advance(4)
    post.go()
    assert len(post.receiver.got) == 2


@pytest.mark.parametrize("answers", [[], [503] * 2])
def test_mail_asked_for_twice_goes_out_once_and_blocks_nothing(post: Post, answers: list[int]) -> None:
    """Two pieces of work for one mail in one batch are one handing over, and one row of its receipt is written."""
    post.receiver.answers = list(answers)
    post.store("a", "b")
    again(post, "a", 1)
    again(post, "a", 2)
    post.go()
    post.world.clock.advance(6)
    post.go()
    assert len(post.ids()) == 2 + len(answers)
    assert {post.world.receipt(post.key, name).status for name in "ab"} == {ReceiptStatus.DELIVERED}
    assert post.world.rows(post.key, "wd") == []


def test_the_claim_follows_the_lease(post: Post) -> None:
    """With leases of 6 s a death costs 9 s."""
    post.world.turns.lease_seconds = 6.0
    post.store("a")

    def die() -> None:
        raise KeyboardInterrupt

    post.receiver.before = die
    with pytest.raises(KeyboardInterrupt):
        post.go(*post.due())
    post.receiver.before = None
    row, now = post.row(), post.world.clock()
    assert (from_text(row.lease_until) - now, from_text(row.next_at) - now) == (
        timedelta(seconds=6),
        timedelta(seconds=9),
    )
    assert post.due() == [row.due]
    post.world.clock.advance(9)
    tick = Tick(post.world.tables, post.world.wakeups, post.world.clock)
    tick.run()
    post.deliver().run(Wakeup.from_body(post.world.woken(DELIVER)[-1]))
    assert (post.world.receipt(post.key, "a").status, post.due()) == (ReceiptStatus.DELIVERED, [])


def test_a_slow_receiver_keeps_the_claim(post: Post) -> None:
    """While receivers take their time the lease is renewed, and nobody else starts beside."""
    post.world.turns.lease_seconds = 6.0
    post.store(*(f"m{n}" for n in range(12)))

    def slow() -> None:
        with post.lock:
            post.world.clock.advance(1.5)

    post.receiver.before = slow
    post.go()
    assert len(post.ids()) == len(set(post.ids())) == 12
    assert post.world.rows(post.key, "wd") == []


def test_a_long_delivery_that_dies_is_noticed_soon(post: Post) -> None:
    """What the tick woke in vain fires again once the lease has ended, not five minutes on."""
    post.store("a")
    tick = Tick(post.world.tables, post.world.wakeups, post.world.clock)

    def long_run() -> None:
        post.receiver.before = None
        post.world.clock.advance(91)
        lease = to_text(post.world.clock() + timedelta(seconds=50))
        operation = Update(delivery_key(post.key), {"lease_until": lease}, "*")
        post.world.tables.connections.commit(shard_of(BOX), [operation])
        tick.run()
        post.deliver().run(Wakeup.from_body(post.world.woken(DELIVER)[-1]))
        raise KeyboardInterrupt

    post.receiver.before = long_run
    with pytest.raises(KeyboardInterrupt):
        post.go(*post.due())
    (row,) = [row for row in post.world.due_rows() if row.kind == DELIVER]
    assert row.at - post.world.clock() == timedelta(seconds=50 + 30)
    post.world.clock.advance(81)
    tick.run()
    post.deliver().run(Wakeup.from_body(post.world.woken(DELIVER)[-1]))
    assert (post.world.rows(post.key, "wd"), post.due()) == ([], [])


def test_a_claim_without_an_answer_is_looked_up(post: Post) -> None:
    """The claim's id in the row means that it was won: nobody waits for its end."""
    post.store("a")
    post.world.tables.connections.failures.plan("commit", StorageUnavailable("lost"), after_effect=True)
    post.go()
    assert (len(post.receiver.got), post.row().claim) == (1, "")


def test_a_claim_that_was_not_made_is_the_hosts_to_repeat(post: Post) -> None:
    """Without the claim's id in the row nothing is delivered."""
    post.store("a")
    post.world.tables.connections.failures.plan("commit", StorageUnavailable("refused"))
    with pytest.raises(StorageUnavailable):
        post.go()
    assert (post.receiver.got, post.row() if delivery_key(post.key) in post.etags() else None) == ([], None)


def test_trouble_with_the_blob_of_one_mail_repeats_no_other(post: Post) -> None:
    """What was handed over beside it is recorded before the host is told; nothing counts against the destination."""
    post.store("a", "b", "c")
    post.world.blobs.received.failures.plan("chunks", StorageUnavailable("no answer"))
    with pytest.raises(StorageUnavailable):
        post.go()
    assert (len(post.receiver.got), len(post.world.rows(post.key, "wd"))) == (2, 1)
    post.go_on()
    assert (len(post.ids()), len(set(post.ids())), post.row().failures) == (3, 3, 0)


def test_a_row_of_the_view_that_is_missing_ends_no_delivery_in_a_loop(post: Post) -> None:
    """What cannot be removed is not there: the mail is delivered once, and recorded."""
    post.receiver.answers = [503]
    post.store("a")
    post.go()
    (view,) = post.world.rows(post.key, "v")
    post.world.tables.receipts.commit(post.key, [Delete(view)])
    post.go_on()
    assert (len(post.ids()), post.world.receipt(post.key, "a").status) == (2, ReceiptStatus.DELIVERED)
    assert post.world.rows(post.key, "wd") == []


def test_a_redelivery_outlives_a_queue_that_does_not_answer(post: Post) -> None:
    """Work and due row stand already, so nobody is told that it failed; the tick wakes whoever delivers."""
    post.store("a")
    post.go(*post.due())
    world = post.world
    received = Received(
        world.tables, world.blobs.received, world.wakeups, lambda: b"k" * 32, "https://mail.example", world.clock
    )
    world.wakeups.failures.plan("put", StorageUnavailable("no answer"))
    received.redeliver(receipt_id(post.key, "a"))
    world.clock.advance(121)
    Tick(world.tables, world.wakeups, world.clock).run()
    post.deliver().run(Wakeup.from_body(world.woken(DELIVER)[-1]))
    assert post.ids() == [receipt_id(post.key, "a")] * 2


def test_a_new_destination_ends_a_live_claim(post: Post) -> None:
    """Whoever delivers to the old one stops, and forgets nothing of what was said since."""
    post.store("a")
    fresh = Delivery(post.key, seq=9)

    def change() -> None:
        values: dict[str, Value] = {"claim": "", "lease_until": "", "seq": fresh.seq, "paused": False}
        post.world.tables.connections.commit(shard_of(BOX), [Update(delivery_key(post.key), values, "*")])

    post.receiver.before, post.receiver.default = change, 503
    post.go()
    assert (post.row().seq, post.row().failures, post.row().claim) == (9, 0, "")
