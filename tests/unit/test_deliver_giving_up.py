"""Mail that its destination never takes, mail that our code fails on, a vault that fails: none holds others up."""

from datetime import timedelta

import pytest

from shared.codes import Code
from shared.connections import Destination
from shared.deliver.job import PAUSE_AFTER
from shared.erasure import Erasure
from shared.errors import CredentialFault
from shared.identifiers import receipt_id
from shared.notices import EventType
from shared.ports import Answer
from shared.receipts import DELIVER as WORK
from shared.receipts import Receipt, ReceiptStatus, Work, hash_of
from shared.schedule import NOTICE
from shared.stored_mail import read_mail
from tests.scenes.delivering import URL, Post

HOUR = 3600


@pytest.fixture
def post(monkeypatch: pytest.MonkeyPatch) -> Post:
    """Return a mailbox whose receiver refuses the mail `bad`, and takes all other."""
    post = Post()
    take = post.receiver.post

    def refuse(url: str, body: bytes, headers: dict[str, str]) -> Answer:
        answer = take(url, body, headers)
        return Answer(422) if headers["webhook-id"] == receipt_id(post.key, "bad") else answer

    monkeypatch.setattr(post.receiver, "post", refuse)
    return post


def bad(post: Post) -> Receipt:
    """Return the receipt of the mail that is refused."""
    return post.world.receipt(post.key, "bad")


def live(post: Post, hours: int) -> None:
    """Let hours pass, each with a mail that is taken and with every delivery that is due."""
    for _ in range(hours):
        post.world.clock.advance(HOUR)
        post.store(f"good-{post.world.clock().timestamp()}")
        post.go()


def test_mail_that_is_refused_for_three_days_while_others_are_taken_is_failed(post: Post) -> None:
    """Its work ends, it stands under its status, it is counted, and one notice tells of it."""
    post.store("bad")
    post.go()
    live(post, 71)
    assert ReceiptStatus.RETRYING == bad(post).status
    live(post, 2)
    assert (ReceiptStatus.FAILED, Code.DESTINATION_REFUSED) == (bad(post).status, bad(post).fault.code)  # type: ignore[union-attr]
    assert [] == post.world.rows(post.key, WORK)
    assert (1, False, 0) == (post.row().failed, post.row().paused, post.row().failures)
    (notice,) = post.world.tables.receipts.read(post.key, "we|", "we~").rows
    assert (EventType.MESSAGE_QUARANTINED, receipt_id(post.key, "bad")) == (
        notice.values["type"],
        notice.values["subject"],
    )
    assert [hash_of("bad")] == [key.rpartition("|")[2] for key in post.world.rows(post.key, "v|failed")]
    assert any(row.kind == NOTICE for row in post.world.due_rows())


def test_failed_mail_that_is_redelivered_begins_anew(post: Post) -> None:
    """A person's wish is tried for three days again, and a destination that takes it ends all of that."""
    post.store("bad")
    post.go()
    live(post, 73)
    post.redeliver("failed")
    post.go()
    assert (ReceiptStatus.RETRYING, True) == (bad(post).status, bad(post).refused_since > bad(post).stored_at)
    post.receiver.post = type(post.receiver).post.__get__(post.receiver)  # type: ignore[method-assign]
    post.world.clock.advance(HOUR)
    post.go()
    assert (ReceiptStatus.DELIVERED, "") == (bad(post).status, bad(post).refused_since)
    assert [] == post.world.rows(post.key, "v|")


def test_no_mail_fails_because_its_destination_was_down(post: Post) -> None:
    """What was refused before a person gave the destination a new start does not count."""
    post.store("bad")
    post.go()
    live(post, 71)
    post.change(destination=Destination("webhook", f"{URL}/new"))
    post.go()
    live(post, 10)
    assert ReceiptStatus.RETRYING == bad(post).status


def test_a_destination_that_takes_nothing_fails_no_mail(post: Post) -> None:
    """It is paused and disabled, and its mail stays stored."""
    post.receiver.default = 500
    post.store("bad", "b", "c")
    post.go()
    while not post.row().disabled:
        post.go_on()
    assert 0 == post.row().failed
    assert {ReceiptStatus.STORED} == {post.world.receipt(post.key, name).status for name in ("bad", "b", "c")}


def test_mail_that_our_code_fails_on_holds_no_other_up(post: Post, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is retried with its reason, says nothing of the destination, and the rest of its batch is recorded."""

    def broken(blobs: object, receipt: Receipt) -> object:
        if receipt.hash == hash_of("ill"):
            raise UnicodeEncodeError("utf-8", "\ud800", 0, 1, "surrogates not allowed")
        return read_mail(blobs, receipt)  # type: ignore[arg-type]

    monkeypatch.setattr("shared.deliver.handing.read_mail", broken)
    post.store("ill", "b", "c")
    post.go()
    ill = post.world.receipt(post.key, "ill")
    assert (ReceiptStatus.RETRYING, Code.INTERNAL_ERROR) == (ill.status, ill.fault.code)  # type: ignore[union-attr]
    assert (2, 0) == (len(post.ids()), post.row().failures)
    assert 1 == len(post.world.rows(post.key, WORK))
    monkeypatch.setattr("shared.deliver.handing.read_mail", read_mail)
    post.settle()
    assert ReceiptStatus.DELIVERED == post.world.receipt(post.key, "ill").status


def test_a_vault_that_fails_pauses_no_destination(post: Post) -> None:
    """Its fault is not the destination's: mail waits, and goes out once the vault answers."""
    post.secrets.fault = CredentialFault("vault", Code.VAULT_UNAVAILABLE)
    post.store(*(f"m{number}" for number in range(PAUSE_AFTER + 10)))
    for _ in range(5):
        post.go()
        post.world.clock.advance(60)
    assert (0, False, []) == (post.row().failures, post.row().paused, post.ids())
    post.secrets.fault = None
    post.settle()
    assert PAUSE_AFTER + 10 == len(set(post.ids()))


def test_a_wish_is_not_taken_for_the_work_of_before(post: Post) -> None:
    """Left work of a mail that was delivered since is done with; a redelivery that stands beside it is not."""
    post.store("a")
    post.go()
    now = post.world.clock()
    old = Work(WORK, now - timedelta(seconds=20), hash_of("a"), attempts=3)
    post.world.tables.receipts.commit(post.key, [old.insert(), Work(WORK, now, hash_of("a")).insert()])
    post.go()
    assert (2, []) == (len(post.ids()), post.world.rows(post.key, WORK))


def test_mail_erased_while_it_is_handed_over_stays_erased(post: Post) -> None:
    """It was delivered, and that is recorded; its content is not there any more, and it says so."""
    post.store("a")

    def erase() -> None:
        post.receiver.before = None
        Erasure(post.world.tables, post.world.blobs.received).erase(receipt_id(post.key, "a"))

    post.receiver.before = erase
    post.go()
    receipt = post.world.receipt(post.key, "a")
    assert (ReceiptStatus.EXPIRED, True) == (receipt.status, bool(receipt.delivered_at))
    assert [] == post.world.rows(post.key, WORK)
