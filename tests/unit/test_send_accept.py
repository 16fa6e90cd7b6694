"""What accepting a mail promises: once it is stored it counts, the same request twice is one mail."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from shared.codes import Code
from shared.compose.message import Address, File, Outgoing
from shared.connections import Direction
from shared.errors import Conflict, InvalidRequest, NotFound, StorageUnavailable, TooLarge
from shared.outbox.work import Status
from shared.ports import Insert
from shared.schedule import minute_bucket
from shared.send.accept import Submission, body_hash
from shared.send.entries import Wanted
from shared.times import to_key
from tests.scenes.sending import MAIL, QUEUE, Sending


def test_an_accepted_mail_is_a_payload_some_rows_a_due_row_and_a_wakeup() -> None:
    """Everything that the mail needs to be sent stands in storage before the answer."""
    scene = Sending()
    entry_id = scene.accept(key="k1")

    assert ["k|", "m|", "w|"] == sorted(key[:2] for key in scene.stored())
    assert [f"due|{to_key(minute_bucket(scene.clock()))}|send|{scene.connection.id}"] == scene.due_rows()
    assert [scene.connection.id] == [body["id"] for body in scene.wakeups.take(QUEUE)]
    entry = scene.entry(entry_id)
    assert (Status.QUEUED, "Hello", ("ann@example.com",), 1) == (
        entry.status,
        entry.subject,
        entry.to,
        entry.recipients,
    )
    assert MAIL == Outgoing.from_bytes(scene.blobs.outbox.get(entry.payload) or b"")


def test_a_time_beyond_all_plans_is_refused() -> None:
    """A year ahead is taken, the end of the calendar is not, and nothing of it is stored."""
    scene = Sending()
    scene.accept(send_at=scene.clock() + timedelta(days=366))
    before = scene.stored()
    with pytest.raises(InvalidRequest) as caught:
        scene.accept(send_at=datetime.max.replace(tzinfo=UTC))

    assert (["/send_at"], before) == ([fault.pointer for fault in caught.value.faults], scene.stored())


@pytest.mark.parametrize("ago", [timedelta(minutes=1), timedelta(days=30), timedelta(days=365 * 1900)])
def test_a_time_that_is_past_means_now(ago: timedelta) -> None:
    """However long ago: a mail is not given up for having waited before it was there."""
    scene = Sending()
    entry_id = scene.accept(send_at=scene.clock() - ago)
    scene.run(60)

    assert Status.ACCEPTED == scene.entry(entry_id).status


def test_the_same_key_and_body_give_the_same_entry() -> None:
    """A webhook that is delivered twice makes one mail, and leaves no second payload."""
    scene = Sending()
    first = scene.acceptance.accept(scene.connection, Submission(MAIL, key="k", body_hash="h"))
    second = scene.acceptance.accept(scene.connection, Submission(MAIL, key="k", body_hash="h"))

    assert (first.id, False, True) == (second.id, first.replayed, second.replayed)
    assert 1 == len(scene.blobs.outbox.contents)
    scene.work()
    third = scene.acceptance.accept(scene.connection, Submission(MAIL, key="k", body_hash="h"))
    assert (Status.ACCEPTED, 1) == (third.status, scene.exchange.copies[first.id])


def test_the_same_key_with_another_body_is_refused() -> None:
    """A key stands for one mail only."""
    scene = Sending()
    scene.accept(key="k", body_hash="one")

    with pytest.raises(Conflict) as caught:
        scene.accept(key="k", body_hash="two")
    assert Code.IDEMPOTENCY_KEY_REUSED == caught.value.code


def test_keys_belong_to_their_connection() -> None:
    """Two connections may use the same key for two mails."""
    scene = Sending()
    other = scene.make()
    first = scene.accept(key="k")
    second = scene.acceptance.accept(other, Submission(MAIL, key="k", body_hash="h"))

    assert not second.replayed
    assert first != second.id


def test_without_a_key_a_repeated_request_is_a_second_mail() -> None:
    """Nobody can tell an impatient caller from one who means it twice."""
    scene = Sending()

    assert scene.accept() != scene.accept()


@pytest.mark.parametrize("key", ["", "k"])
def test_a_lost_answer_of_the_transaction_is_looked_up(key: str) -> None:
    """What was stored is accepted, and is not taken for a replay of somebody else."""
    scene = Sending()
    scene.tables.outbox.failures.plan("commit", after_effect=True)
    accepted = scene.acceptance.accept(scene.connection, Submission(MAIL, key=key, body_hash="h"))

    assert (False, Status.QUEUED) == (accepted.replayed, scene.entry(accepted.id).status)


def test_a_transaction_that_was_not_done_is_no_acceptance() -> None:
    """The caller hears of it and may repeat; nothing is sent."""
    scene = Sending()
    scene.tables.outbox.failures.plan("commit")
    with pytest.raises(StorageUnavailable):
        scene.accept()

    scene.run(600)
    assert {} == dict(scene.exchange.copies)


def test_nothing_is_accepted_without_its_due_row() -> None:
    """Were the due row missing, a lost wake-up would lose the mail."""
    scene = Sending()
    scene.tables.connections.failures.plan("commit")
    with pytest.raises(StorageUnavailable):
        scene.accept()

    assert [] == scene.stored()


def test_the_due_row_costs_one_call_a_minute() -> None:
    """However many mails are accepted in a minute."""
    scene = Sending()
    before = scene.tables.connections.calls["commit"]
    for _ in range(5):
        scene.accept()
    scene.clock.advance(60)
    scene.accept()

    assert 2 == scene.tables.connections.calls["commit"] - before


def test_the_same_body_in_another_spelling_is_the_same() -> None:
    """Order and white space do not count, values do."""
    assert body_hash({"a": 1, "b": ["x"]}) == body_hash({"b": ["x"], "a": 1})
    assert body_hash({"a": 1}) != body_hash({"a": "1"})


def test_what_the_mailbox_would_not_send_is_refused_before_it_is_accepted() -> None:
    """30 MB of files take more than 35 MB once they are encoded for mail."""
    scene = Sending()
    files = (File("a", "a/b", 30_000_000, content=b""),)
    with pytest.raises(TooLarge) as caught:
        scene.accept(MAIL.with_files(files))

    assert Code.MESSAGE_EXCEEDS_MAILBOX_LIMIT == caught.value.code
    assert [] == scene.stored()


def test_a_text_that_cannot_go_into_one_request_is_refused() -> None:
    """Graph takes 4 MB at once, and text cannot be split off."""
    with pytest.raises(InvalidRequest) as caught:
        Sending().accept(replace(MAIL, html="ü" * 2_000_000))

    assert ["/html"] == [fault.pointer for fault in caught.value.faults]


def test_a_disabled_or_incoming_connection_takes_no_mail() -> None:
    """The caller hears of it at once."""
    scene = Sending(enabled=False)
    with pytest.raises(Conflict):
        scene.accept()
    scene.connection = scene.make(Direction.INCOMING)
    with pytest.raises(NotFound):
        scene.accept()


def test_cancel_stops_a_mail_and_a_repeat_finds_it_stopped() -> None:
    """Cancelled is cancelled, however often it is asked for."""
    scene = Sending()
    entry_id = scene.accept()

    assert [Status.CANCELLED] * 2 == [scene.entries.cancel(entry_id).status for _ in range(2)]
    scene.run(600)
    assert {} == dict(scene.exchange.calls)


def test_what_was_sent_cannot_be_cancelled() -> None:
    """The refusal names the state."""
    scene = Sending()
    entry_id = scene.accept()
    scene.work()

    with pytest.raises(Conflict, match="accepted") as caught:
        scene.entries.cancel(entry_id)
    assert Code.NOT_CANCELLABLE == caught.value.code


def test_pages_are_newest_first_and_stable_while_mail_arrives() -> None:
    """Walking the cursor shows each entry once, whatever arrives meanwhile."""
    scene = Sending()
    ids = []
    for _ in range(7):
        ids.append(scene.accept())
        scene.clock.advance(1)
    seen, cursor = [], ""
    while True:
        page = scene.entries.page(scene.connection.id, Wanted(3, cursor))
        seen += [entry.id for entry in page.entries]
        scene.accept()
        if page.next_cursor is None:
            break
        cursor = page.next_cursor

    assert sorted(ids) == sorted(seen)
    assert [entry[-26:-16] for entry in seen] == sorted((entry[-26:-16] for entry in seen), reverse=True)


def test_lists_filter_by_state_and_show_what_is_true_now() -> None:
    """Open entries show their progress, unusual ends have lists of their own."""
    scene = Sending()
    sent = scene.accept()
    scene.work()
    waiting, stopped = scene.accept(), scene.accept()
    scene.entries.cancel(stopped)

    def listed(status: Status | None) -> list[str]:
        return [entry.id for entry in scene.entries.page(scene.connection.id, Wanted(50, status=status)).entries]

    assert {sent, waiting, stopped} == set(listed(None))
    assert [[sent], [waiting], [stopped], []] == [
        listed(status) for status in (Status.ACCEPTED, Status.QUEUED, Status.CANCELLED, Status.FAILED)
    ]


def test_lists_filter_by_time() -> None:
    """Since counts in, until counts out."""
    scene = Sending()
    scene.accept()
    now, hour = scene.clock(), timedelta(hours=1)
    found = [
        len(scene.entries.page(scene.connection.id, Wanted(since=since, until=until)).entries)
        for since, until in ((now - hour, now + hour), (now + hour, None), (None, now - hour))
    ]
    assert [1, 0, 0] == found


def test_lists_are_searched_by_recipient_and_subject() -> None:
    """Both by how they begin, whatever the case, and with a status; open, finished and unusually ended mail alike."""
    scene = Sending()
    sent = scene.accept(replace(MAIL, subject="Order 1", to=(Address("bob@example.com"),)))
    scene.work()
    waiting = scene.accept(replace(MAIL, subject="order 2", cc=(Address("Bob@example.com"),)))
    stopped = scene.accept(replace(MAIL, subject="Order 3", to=(Address("eve@example.com"),)))
    scene.entries.cancel(stopped)

    def listed(recipient: str, subject: str, status: Status | None = None) -> set[str]:
        asked = Wanted(50, status=status, recipient=recipient, subject=subject)
        return {entry.id for entry in scene.entries.page(scene.connection.id, asked).entries}

    assert [{sent, waiting}, {sent, waiting, stopped}, set(), {stopped}] == [
        listed(*asked) for asked in (("BOB@", ""), ("", "ORDER"), ("", "rder"), ("eve@example.com", "order 3"))
    ]
    assert [{waiting}, {stopped}, set(), {sent}] == [
        listed("", "order", Status.QUEUED),
        listed("", "order", Status.CANCELLED),
        listed("bob", "order", Status.CANCELLED),
        listed("bob", "order", Status.ACCEPTED),
    ]


def test_a_search_looks_through_a_thousand_entries_at_once() -> None:
    """A page may be empty though others follow; the cursor leads on to what stands further back."""
    scene = Sending()
    wanted = scene.accept(replace(MAIL, subject="Needle"))
    (row,) = scene.tables.outbox.read(scene.connection.id, "m|", "m~").rows
    for first_of in range(0, 1000, 100):
        keys = [f"m|{number:026d}" for number in range(first_of, first_of + 100)]
        scene.tables.outbox.commit(scene.connection.id, [Insert(key, {**row.values, "subject": "Hay"}) for key in keys])
    first = scene.entries.page(scene.connection.id, Wanted(5, subject="needle"))
    second = scene.entries.page(scene.connection.id, Wanted(5, str(first.next_cursor), subject="needle"))

    assert ([], [wanted], None) == (first.entries, [entry.id for entry in second.entries], second.next_cursor)


def test_an_entry_of_another_connection_is_not_found() -> None:
    """A token sees its own connection's mail only."""
    scene = Sending()
    entry_id = scene.accept()

    assert entry_id == scene.entries.get(entry_id, scene.connection.id).id
    for wrong in (scene.make().id, ""):
        with pytest.raises(NotFound):
            scene.entries.get(entry_id, wrong)
    with pytest.raises(NotFound):
        scene.entries.get("msg_nothing")


def test_a_cursor_that_is_none_of_ours_is_refused() -> None:
    """It is a fault of the request, not an empty page."""
    scene = Sending()
    with pytest.raises(InvalidRequest):
        scene.entries.page(scene.connection.id, Wanted(cursor="x|y"))
