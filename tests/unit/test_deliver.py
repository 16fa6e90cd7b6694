"""How stored mail is handed over: once recorded, at least once, oldest first, and never against a dead receiver."""

import json
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
import standardwebhooks

from shared.codes import Code
from shared.connections import Delivery, Destination, delivery_key, run_key
from shared.errors import CredentialFault, Fault, StorageUnavailable
from shared.identifiers import receipt_id, shard_of
from shared.ports import Insert, Update
from shared.receipts import DELIVER as WORK
from shared.receipts import ReceiptStatus, Work, hash_of
from shared.rows import encode
from shared.schedule import DELIVER, NOTICE, DueRow, Wakeup
from shared.times import from_text, to_text
from tests.fakes.graph_reading import mime_of
from tests.fakes.intake import BOX
from tests.scenes.delivering import SECRET, URL, Post


@pytest.fixture
def post() -> Post:
    """Return a fresh mailbox with its receiver."""
    return Post()


def test_stored_mail_reaches_the_receiver_signed(post: Post) -> None:
    """The event bears the receipt's id and a signature that the standard's own library verifies for these bytes."""
    post.store("a")
    post.go()
    ((url, body, headers),) = post.receiver.got
    event = json.loads(body)
    assert (url, headers["webhook-id"], event["id"]) == (URL, receipt_id(post.key, "a"), receipt_id(post.key, "a"))
    assert (event["type"], event["data"]["message"]["subject"]) == ("mailgrant.message.received", "a")
    at = datetime.fromtimestamp(int(headers["webhook-timestamp"]), tz=post.world.clock().tzinfo)
    assert at == post.world.clock().replace(microsecond=0)
    expected = standardwebhooks.Webhook(SECRET).sign(headers["webhook-id"], at, body.decode())
    assert headers["webhook-signature"] == expected


def test_a_delivery_is_recorded_and_its_work_is_gone(post: Post) -> None:
    """The receipt says when, how often and how much of it could be read; nothing is due any more."""
    post.store("a", "b")
    (due,) = post.due()
    post.go(due)
    receipt = post.world.receipt(post.key, "a")
    assert (receipt.status, receipt.attempts, receipt.parsed) == (ReceiptStatus.DELIVERED, 1, "ok")
    assert receipt.delivered_at == to_text(post.world.clock())
    assert (post.world.rows(post.key, "wd"), post.due(), post.row().claim) == ([], [], "")
    assert post.row().delivered == 2


def test_every_attempt_sends_the_same_bytes(post: Post) -> None:
    """Retries differ in time and signature alone."""
    post.receiver.answers = [500, 500]
    post.store("a")
    post.go()
    post.go_on()
    post.go_on()
    assert len({body for _, body, _ in post.receiver.got}) == 1
    assert len(set(post.ids())) == 1
    assert len({headers["webhook-signature"] for _, _, headers in post.receiver.got}) == 3


@pytest.mark.parametrize("answer", [500, 302, 404, Fault("no answer", Code.DESTINATION_UNREACHABLE, retryable=True)])
def test_a_failed_delivery_is_tried_again_with_growing_waits(post: Post, answer: int | Fault) -> None:
    """Whatever is no 2xx is tried again; meanwhile the receipt is `retrying` and says why."""
    post.receiver.answers = [answer] * 3
    post.store("a")
    post.go()
    waits = []
    for _ in range(3):
        receipt = post.world.receipt(post.key, "a")
        assert receipt.status == ReceiptStatus.RETRYING
        assert receipt.fault is not None
        assert len(post.world.rows(post.key, "v")) == 1
        waits.append((from_text(post.row().next_at) - post.world.clock()).total_seconds())
        post.go_on()
    assert waits == [5.0, 10.0, 20.0]
    receipt = post.world.receipt(post.key, "a")
    assert (receipt.status, receipt.attempts, receipt.fault) == (ReceiptStatus.DELIVERED, 4, None)
    assert (post.world.rows(post.key, "v"), post.world.rows(post.key, "wd")) == ([], [])


def test_one_refused_mail_does_not_hold_up_the_others(post: Post) -> None:
    """The rest of the backlog goes out in the same run."""
    post.receiver.answers = [500]
    post.store(*(f"m{n}" for n in range(20)))
    post.go()
    assert (len(post.receiver.got), len(post.world.rows(post.key, "wd"))) == (20, 1)


def test_after_ten_failures_the_destination_is_paused_and_probed_with_one_mail(post: Post) -> None:
    """A dead receiver costs one request at growing delay; its answer lets the whole backlog out."""
    post.receiver.default = 503
    post.store(*(f"m{n}" for n in range(40)))
    post.go()
    assert (post.row().paused, len(post.receiver.got)) == (True, 16)
    post.go()
    assert len(post.receiver.got) == 16
    post.go_on()
    assert len(post.receiver.got) == 17
    waits = []
    for _ in range(6):
        waits.append((from_text(post.row().next_at) - post.world.clock()).total_seconds())
        post.go_on()
    assert max(waits) <= 900.0
    post.receiver.default = 200
    post.go_on()
    assert (post.row().paused, post.row().failures, post.world.rows(post.key, "wd")) == (False, 0, [])
    assert len(set(post.ids())) == 40


def test_a_receiver_that_is_gone_is_disabled(post: Post) -> None:
    """A 410 ends it: nothing is sent any more, and the mail stays stored."""
    post.receiver.default = 410
    post.store("a")
    post.go(*post.due())
    assert (post.row().disabled, post.row().due, len(post.world.rows(post.key, "wd"))) == (True, "", 1)
    assert post.world.receipt(post.key, "a").status == ReceiptStatus.STORED
    assert [row.id for row in post.world.due_rows() if row.kind == NOTICE] == [post.key]
    post.go()
    assert (len(post.receiver.got), post.due()) == (1, [])


def test_after_three_days_a_receiver_is_disabled(post: Post) -> None:
    """Nobody is called for ever."""
    post.receiver.default = 500
    post.store("a")
    post.go()
    started = post.world.clock()
    while not post.row().disabled:
        post.go_on()
    assert timedelta(days=3) <= post.world.clock() - started < timedelta(days=4)


def test_mail_whose_content_is_gone_is_expired(post: Post) -> None:
    """There is nothing to hand over, and the work ends."""
    post.store("a")
    post.world.blobs.received.contents.clear()
    post.go()
    assert post.world.receipt(post.key, "a").status == ReceiptStatus.EXPIRED
    assert (post.receiver.got, post.world.rows(post.key, "wd")) == ([], [])


def test_work_without_a_receipt_is_removed(post: Post) -> None:
    """An erased mail leaves no loop behind."""
    work = Work(WORK, post.world.clock(), hash_of("x"))
    post.world.tables.receipts.commit(post.key, [work.insert()])
    post.go()
    assert (post.receiver.got, post.world.rows(post.key, "wd")) == ([], [])


def test_a_mail_that_cannot_be_parsed_is_delivered_and_marked(post: Post) -> None:
    """It goes out with what could be read."""
    post.store("a")
    blob = post.world.receipt(post.key, "a").blob
    post.world.blobs.received.contents[blob] = b"\x00\xff"
    post.go()
    receipt = post.world.receipt(post.key, "a")
    assert (receipt.status, receipt.parsed, receipt.parsed_reason) == (
        ReceiptStatus.DELIVERED,
        "unparsable",
        "no_headers",
    )
    assert json.loads(post.receiver.got[0][1])["data"]["message"]["parsed"] == "unparsable"


def test_a_death_in_the_middle_repeats_at_most_one_batch(post: Post) -> None:
    """What was recorded is not sent again; after the claim's end its due row fires and the rest goes out."""
    post.store(*(f"m{n}" for n in range(40)))
    receipts = post.world.tables.receipts
    commits = 0

    def die(method: str) -> None:
        nonlocal commits
        commits += method == "commit"
        if commits == 2:
            raise KeyboardInterrupt

    receipts.failures.before = die
    with pytest.raises(KeyboardInterrupt):
        post.go()
    receipts.failures.before = None
    receipts.failures._inside = False
    assert len(post.receiver.got) == 32
    post.go()
    assert len(post.receiver.got) == 32
    post.go_on()
    assert (len(set(post.ids())), len(post.ids())) == (40, 56)
    assert post.world.rows(post.key, "wd") == []


def test_word_left_during_a_run_means_another_look(post: Post) -> None:
    """Mail that is stored while its deliverer ends is not left to the next due row."""
    post.store("a")

    def another() -> None:
        post.receiver.before = None
        post.world.graph.arrive("b")
        now = to_text(post.world.clock())
        post.world.tables.connections.commit(shard_of(BOX), [Update(run_key(post.key), {"next_at": now}, "*")])
        post.world.go(post.key)
        post.go()  # a second invocation finds the claim live, and leaves word

    post.receiver.before = another
    post.go()
    assert post.ids() == [receipt_id(post.key, "a"), receipt_id(post.key, "b")]


def test_a_run_that_lost_its_claim_writes_nothing_more(post: Post) -> None:
    """Whoever took over goes on."""
    post.store("a")

    def lose() -> None:
        operation = Update(delivery_key(post.key), {"claim": "other"}, "*")
        post.world.tables.connections.commit(shard_of(BOX), [operation])

    post.receiver.before = lose
    post.go()
    assert post.row().claim == "other"


def test_queue_destinations_get_the_event(post: Post) -> None:
    """The event goes into the queue that begins with out-, and into no other."""
    world = post.world
    key = world.connect(destination=Destination("queue", name="out-mail"))
    bad = world.connect(destination=Destination("queue", name="mail-fetch"))
    world.graph.arrive("a")
    world.go(key)
    world.wakeups.sent.clear()
    post.deliver().run(Wakeup(DELIVER, key))
    post.deliver().run(Wakeup(DELIVER, bad))
    events = [item.body["id"] for item in world.wakeups.sent if item.queue == "out-mail"]
    assert events == [receipt_id(key, "a")]
    assert [item.queue for item in world.wakeups.sent if item.queue == "mail-fetch"] == []
    fault = world.receipt(bad, "a").fault
    assert fault is not None
    assert fault.code == Code.DESTINATION_FORBIDDEN.value


def test_a_vault_that_fails_only_delays(post: Post) -> None:
    """Without the signing secret nothing is sent; it is tried again."""
    post.secrets.fault = CredentialFault("vault", Code.VAULT_UNAVAILABLE)
    post.store("a")
    post.go()
    assert post.receiver.got == []
    post.secrets.fault = None
    post.go_on()
    assert len(post.receiver.got) == 1


def test_storage_trouble_is_the_hosts_to_repeat(post: Post) -> None:
    """The error comes out, and the claim's due row stays."""
    post.store("a")
    post.receiver.before = lambda: post.world.tables.receipts.failures.plan("commit")
    with pytest.raises(StorageUnavailable):
        post.go()
    assert post.row().due in post.due()


def test_a_receipt_that_changed_meanwhile_is_still_recorded(post: Post) -> None:
    """A note of the fetcher on the same receipt does not cost a second post."""
    post.store("a")

    def note() -> None:
        operation = Update(f"m|{hash_of('a')}", {"subject": "changed"}, "*")
        post.world.tables.receipts.commit(post.key, [operation])

    post.receiver.before = note
    post.go()
    receipt = post.world.receipt(post.key, "a")
    assert (receipt.status, receipt.subject, post.world.rows(post.key, "wd")) == (
        ReceiptStatus.DELIVERED,
        "changed",
        [],
    )


def test_a_stray_due_row_ends_with_the_claim(post: Post) -> None:
    """The row that fetch leaves two minutes ahead fires once, finds nothing and is gone."""
    post.store("a")
    post.go()
    (due,) = post.due()
    post.go(due)
    assert (post.due(), len(post.receiver.got)) == ([], 1)


def test_without_a_destination_nothing_is_done(post: Post) -> None:
    """An outgoing or deleted connection's wake-up is dropped with its due row."""
    key = post.world.connect()
    stray = DueRow(post.world.clock(), DELIVER, key)
    post.world.tables.connections.commit(shard_of(BOX), [stray.insert()])
    post.deliver().run(Wakeup(DELIVER, key, 0, stray.key))
    assert stray.key not in post.due()
    assert key not in post.world.turns.look(BOX).deliveries


def test_a_live_claim_is_respected(post: Post) -> None:
    """Somebody else's lease keeps this run away until it ends."""
    post.store("a")
    live = replace(
        Delivery(post.key), claim="other", lease_until=to_text(post.world.clock() + timedelta(seconds=30)), seq=3
    )
    post.world.tables.connections.commit(shard_of(BOX), [Insert(delivery_key(post.key), encode(live))])
    post.go()
    assert (post.receiver.got, post.row().seq) == ([], 4)
    post.world.clock.advance(31)
    post.go()
    assert len(post.receiver.got) == 1
    assert mime_of("a").decode() in post.world.blobs.received.contents[post.world.receipt(post.key, "a").blob].decode()
