"""A mail is sent exactly once: whatever Exchange answers, whenever a worker dies, however the modes are set."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.codes import Code
from shared.connections import Direction, Run, connection_key, run_key
from shared.errors import Fault, GrantFault, ItemFault, MailboxFault, StorageUnavailable, Throttled, Unreachable
from shared.outbox.work import OPEN, Status
from shared.ports import ANY, Delete, Update
from shared.rows import decode
from shared.schedule import Wakeup
from shared.send.accept import Submission
from shared.send.waking import BURST_SECONDS
from tests.fakes.exchange import Modes, lost_answer
from tests.scenes.sending import MAIL, QUEUE, Killer, Sending


def once(method: str, *errors: tuple[Fault, bool]) -> Callable[[str], tuple[Fault | None, bool]]:
    """Return a script in which the first calls of *method* end as given, and all others well."""
    left = list(errors)
    return lambda name: left.pop(0) if name == method and left else (None, True)


def test_a_mail_is_sent_with_three_storage_calls_of_its_own() -> None:
    """Payload read, intent, accepted; the rest is shared by all mails of a drain."""
    world = Sending()
    ids = [world.accept() for _ in range(60)]
    world.tables.outbox.calls.clear()
    connections = world.tables.connections.calls["commit"]
    world.blobs.outbox.calls.clear()
    world.work()

    assert {1} == {world.exchange.copies[entry_id] for entry_id in ids}
    assert 60 == world.blobs.outbox.calls["get"]
    assert 60 * 2 + 2 == world.tables.outbox.calls["commit"]
    assert 3 == world.tables.outbox.calls["read"]  # one for the wake-up, the scan, and one of what was for later
    assert 2 == world.tables.connections.calls["commit"] - connections
    assert {Status.ACCEPTED} == {world.entry(entry_id).status for entry_id in ids}
    assert [] == [key for _, key in world.tables.outbox.everything() if key.startswith("w|")]


def test_nothing_is_left_to_fire_once_everything_is_sent() -> None:
    """When the outbox is empty, so are the due rows and the queue."""
    world = Sending()
    world.accept()
    world.run(1200)

    assert [] == world.due_rows()
    assert [] == world.wakeups.take(QUEUE)


def test_a_lost_wakeup_is_covered_by_the_due_row() -> None:
    """A mail whose wake-up never came is sent within minutes."""
    world = Sending()
    world.wakeups.failures.plan("put", StorageUnavailable("no queue"))
    entry_id = world.accept()
    world.run(240)

    assert (Status.ACCEPTED, 1) == (world.entry(entry_id).status, world.exchange.copies[entry_id])


def test_a_lost_answer_to_a_send_that_happened_is_found_and_not_repeated() -> None:
    """The look sees that it is no draft any more."""
    world = Sending()
    world.exchange.script = once("send", (lost_answer(), True))
    entry = world.finish(world.accept())

    assert (Status.ACCEPTED, 1, 1) == (entry.status, entry.attempt, world.exchange.copies[entry.id])
    assert ["accept", "attempt", "lost", "found"] == [move.name for move in entry.moves]


def test_a_send_that_never_happened_is_repeated_after_the_quiet_period() -> None:
    """Two looks that saw the draft, and 300 quiet seconds, come before the second attempt."""
    world = Sending()
    world.exchange.script = once("send", (lost_answer(), False))
    started = world.clock()
    entry = world.finish(world.accept())

    assert (Status.ACCEPTED, 2, 1) == (entry.status, entry.attempt, world.exchange.copies[entry.id])
    assert "repeat" in [move.name for move in entry.moves]
    repeated = next(move.at for move in entry.moves if move.name == "repeat")
    assert repeated >= (started + timedelta(seconds=300)).strftime("%Y-%m-%dT%H:%M:%S")
    assert 1 == world.exchange.calls["create_draft"]


@pytest.mark.parametrize("fault", [Throttled("slow", retry_after=7), Unreachable("refused"), GrantFault("no role")])
def test_a_refused_attempt_is_repeated_with_the_same_draft(fault: Fault) -> None:
    """What proves a refusal needs no look, and no second draft."""
    world = Sending()
    world.exchange.script = once("send", (fault, False))
    entry = world.finish(world.accept())

    assert (Status.ACCEPTED, 2, 1) == (entry.status, entry.attempt, world.exchange.copies[entry.id])
    assert (1, 0) == (world.exchange.calls["create_draft"], world.exchange.calls["get"])


def test_a_refusal_for_good_fails_the_mail_with_its_sentence() -> None:
    """A message-level refusal is not repeated."""
    world = Sending()
    world.exchange.script = once("send", (ItemFault("may not send as", Code.SEND_AS_DENIED), False))
    entry = world.finish(world.accept())

    assert (Status.FAILED, "send_as_denied", 0) == (
        entry.status,
        entry.fault and entry.fault.code,
        world.exchange.copies[entry.id],
    )


def test_a_removed_draft_is_made_anew_twice_and_then_given_up() -> None:
    """A 404 to a first attempt proves that nothing was sent."""
    world = Sending()
    gone = ItemFault("gone", Code.MESSAGE_NOT_FOUND)
    world.exchange.script = once("send", (gone, False), (gone, False), (gone, False))
    entry = world.finish(world.accept())

    assert (Status.FAILED, 3, "draft_removed") == (
        entry.status,
        world.exchange.calls["create_draft"],
        entry.fault and entry.fault.code,
    )


def test_a_404_after_an_unknown_attempt_is_looked_into_and_never_started_over() -> None:
    """With copy and draft both gone nobody can know."""
    world = Sending(Modes(copy="never"))
    world.exchange.script = once("send", (lost_answer(), True))
    entry = world.finish(world.accept())

    assert (Status.OUTCOME_UNKNOWN, 1, 1) == (
        entry.status,
        world.exchange.copies[entry.id],
        world.exchange.calls["create_draft"],
    )


def test_a_202_with_retry_after_is_accepted_and_only_pauses() -> None:
    """The next mail waits, this one is sent."""
    world = Sending()
    world.exchange.pause = 120.0
    first = world.accept()
    world.work()
    world.exchange.pause = None
    second = world.accept()
    world.work()

    assert (Status.ACCEPTED, Status.QUEUED) == (world.entry(first).status, world.entry(second).status)
    world.run(400)
    assert (1, 1) == (world.exchange.copies[first], world.exchange.copies[second])


def test_mail_waits_while_the_credential_is_at_fault_and_goes_when_it_works() -> None:
    """No attempt, no call, one fault on the connection."""
    world = Sending()
    world.rights.fault = GrantFault("consent was withdrawn")
    entry_id = world.accept()
    world.run(1800)
    assert (Status.QUEUED, {}) == (world.entry(entry_id).status, dict(world.exchange.calls))

    world.rights.fault = None
    world.run(1200)
    assert (Status.ACCEPTED, 1) == (world.entry(entry_id).status, world.exchange.copies[entry_id])


def test_mail_that_waited_beyond_its_hold_fails_and_says_so() -> None:
    """After 72 hours the sender hears of it."""
    world = Sending()
    world.rights.fault = GrantFault("consent was withdrawn")
    entry = world.finish(world.accept())

    assert (Status.FAILED, "not_sent_in_time") == (entry.status, entry.fault and entry.fault.code)
    assert entry.finished_at >= "2026-03-05T09:30"


def test_a_disabled_connection_sends_nothing_but_keeps_its_promise_of_time() -> None:
    """Its mail fails when the hold is over, without any call."""
    world = Sending(hold_hours=1)
    entry_id = world.accept()
    key = connection_key(world.connection.id)
    world.tables.connections.commit(world.connection.shard, [Update(key, {"enabled": False}, ANY)])
    entry = world.finish(entry_id)

    assert (Status.FAILED, {}) == (entry.status, dict(world.exchange.calls))


def test_a_mailbox_fault_backs_off_and_keeps_the_mail() -> None:
    """A mailbox without licence gets it later."""
    world = Sending()
    fault = MailboxFault("no licence", Code.MAILBOX_NOT_ENABLED)
    world.exchange.script = once("create_draft", *[(fault, False)] * 3)
    entry = world.finish(world.accept())

    assert (Status.ACCEPTED, 4) == (entry.status, world.exchange.calls["create_draft"])


def test_a_mail_to_be_sent_later_waits_for_its_time() -> None:
    """send_at is kept to within two minutes, with no call before."""
    world = Sending()
    at = world.clock() + timedelta(hours=30)
    entry_id = world.accept(send_at=at)
    world.run(29.5 * 3600)
    assert (Status.QUEUED, {}) == (world.entry(entry_id).status, dict(world.exchange.calls))

    world.run(3600)
    assert Status.ACCEPTED == world.entry(entry_id).status


def test_a_cancelled_mail_is_not_sent_and_its_draft_is_removed() -> None:
    """Cancelling while the draft is being made wins; the worker removes its own draft."""
    world = Sending()
    entry_id = world.accept()

    def cancel(name: str) -> None:
        if name == "after create_draft":
            world.entries.cancel(entry_id)

    world.exchange.step = cancel
    world.work()

    assert (Status.CANCELLED, [], 0) == (
        world.entry(entry_id).status,
        world.exchange.drafts(),
        world.exchange.copies[entry_id],
    )


def test_a_mail_that_breaks_our_own_code_does_not_hold_up_the_others() -> None:
    """It fails after a few tries, and says that it was us."""
    world = Sending()
    broken = world.accept()
    row = next(key for _, key in world.tables.outbox.everything() if key.startswith("w|"))
    payload = str(world.tables.outbox.get(world.connection.id, row).values["payload"])  # type: ignore[union-attr]
    world.blobs.outbox.contents[payload] = b"no json"
    good = world.accept()
    world.work()
    assert Status.ACCEPTED == world.entry(good).status

    entry = world.finish(broken)
    assert (Status.FAILED, "internal_error") == (entry.status, entry.fault and entry.fault.code)


def test_two_connections_of_one_mailbox_are_drained_under_one_turn() -> None:
    """Whoever holds the mailbox sends for all of its connections."""
    world = Sending()
    other = world.make()
    first = world.accept()
    second = world.acceptance.accept(other, Submission(MAIL)).id
    body = world.wakeups.take(QUEUE)[0]
    world.drain.run(Wakeup.from_body(body))

    assert (1, 1) == (world.exchange.copies[first], world.exchange.copies[second])


def test_who_waits_for_the_mailbox_gets_it_after_a_drain() -> None:
    """A fetch that left word is woken, and the turn is kept free for it for a moment."""
    world = Sending()
    incoming = world.make(Direction.INCOMING)
    world.accept()

    def fetch_comes(name: str) -> None:
        if name == "after create_draft":
            view = world.turns.look(incoming.box)
            assert world.turns.claim(view, "fetch", lambda _: []) is None

    world.exchange.step = fetch_comes
    world.work()

    assert [incoming.id] == [body["id"] for body in world.wakeups.take("mail-fetch")]
    assert "fetch" == world.turns.look(incoming.box).box.reserved_for


def test_a_mail_accepted_during_a_drain_is_taken_along_or_woken() -> None:
    """Word left while the mailbox is held is answered before it is given up."""
    world = Sending()
    first, second = world.accept(), ""

    def comes_late(name: str) -> None:
        nonlocal second
        if name == "after send" and not second:
            world.clock.advance(BURST_SECONDS)
            second = world.accept()
            world.drain.run(Wakeup.from_body(world.wakeups.take(QUEUE)[-1]))

    world.exchange.step = comes_late
    world.work()

    assert (1, 1) == (world.exchange.copies[first], world.exchange.copies[second])


def test_a_fault_stands_on_the_connection_until_it_works_again() -> None:
    """The run says what is wrong and when it is tried again."""
    world = Sending()
    world.exchange.script = once("create_draft", (GrantFault("no role", Code.ROLES_MISSING), False))
    world.accept()
    world.work()
    row = world.tables.connections.get(world.connection.shard, run_key(world.connection.id))
    assert row is not None
    run = decode(Run, row.values)
    assert ("roles_missing", 1, 1) == (run.fault and run.fault.code, run.failures, world.rights.suspected)

    world.run(600)
    row = world.tables.connections.get(world.connection.shard, run_key(world.connection.id))
    assert row is not None
    run = decode(Run, row.values)
    assert (None, 0, 1, "") == (run.fault, run.failures, run.taken, run.claim)


def test_a_deleted_connection_leaves_no_due_row_behind() -> None:
    """What still fires for it is removed by whoever is woken."""
    world = Sending()
    world.accept()
    table, shard = world.tables.connections, world.connection.shard
    table.commit(shard, [Delete(connection_key(world.connection.id)), Delete(run_key(world.connection.id))])
    world.run(900)

    assert ([], {}) == (world.due_rows(), dict(world.exchange.calls))


FAULTS = st.sampled_from(
    [
        (None, True),
        (None, True),
        (lost_answer(), True),
        (lost_answer(), False),
        (Unreachable("connect"), False),
        (Throttled("429", retry_after=3), False),
        (ItemFault("400", Code.MESSAGE_REFUSED), False),
        (MailboxFault("403", Code.MAILBOX_ACCESS_DENIED), False),
        (GrantFault("401"), False),
    ]
)
MODES = st.builds(
    Modes,
    new_id_on_send=st.booleans(),
    copy=st.sampled_from(["at once", "late", "never"]),
    draft_lingers=st.sampled_from([timedelta(), timedelta(seconds=45), timedelta(seconds=200)]),
    marker_works=st.booleans(),
    message_id_works=st.booleans(),
)


@settings(max_examples=60)
@given(MODES, st.lists(FAULTS, max_size=5), st.lists(FAULTS, max_size=3), st.integers(1, 120), st.booleans())
def test_never_two_copies_and_no_false_word(
    modes: Modes,
    sends: list[tuple[Fault | None, bool]],
    drafts: list[tuple[Fault | None, bool]],
    kill_at: int,
    late_writer: bool,
) -> None:
    """Under any answers, any death and any mode: at most one copy, one for accepted, none for failed."""
    killer = Killer(kill_at)
    world = Sending(modes, killer)
    answers = {"send": list(sends), "create_draft": list(drafts)}
    world.exchange.script = lambda name: answers[name].pop(0) if answers.get(name) else (None, True)
    if late_writer:
        world.tables.outbox.failures.plan("commit", after_effect=True)
    entry_id = world.accept()
    entry = world.finish(entry_id)

    copies = world.exchange.copies[entry_id]
    assert copies <= 1
    assert {Status.ACCEPTED: 1, Status.FAILED: 0}.get(entry.status, copies) == copies
    assert entry.status not in OPEN
    renamed = modes.new_id_on_send or bool(modes.draft_lingers)
    unknowable = modes.copy == "never" or (renamed and not modes.marker_works and not modes.message_id_works)
    assert entry.status != Status.OUTCOME_UNKNOWN or unknowable


@pytest.mark.parametrize("boundary", range(1, 60))
def test_a_death_at_any_boundary_of_a_plain_send_costs_nothing(boundary: int) -> None:
    """Whatever call the worker dies before or after, the mail arrives once."""
    world = Sending(killer=Killer(boundary))
    entry_id = world.accept()
    entry = world.finish(entry_id)

    assert (Status.ACCEPTED, 1) == (entry.status, world.exchange.copies[entry_id])


@pytest.mark.parametrize("key_of", [connection_key, run_key])
def test_a_connection_that_cannot_be_read_is_not_taken_for_deleted(key_of: Callable[[str], str]) -> None:
    """Its mails wait for whoever can read it, and go then."""
    world = Sending()
    entry_id, key = world.accept(), key_of(world.connection.id)
    before = world.tables.connections.get(world.connection.shard, key)
    assert before is not None
    strange = {"fault": "{"} if key_of is run_key else {"direction": "sideways"}
    world.tables.connections.commit(world.connection.shard, [Update(key, strange, ANY)])
    world.run(600)
    assert (Status.QUEUED, 0) == (world.entry(entry_id).status, world.exchange.copies[entry_id])

    restored = {name: before.values[name] for name in strange}
    world.tables.connections.commit(world.connection.shard, [Update(key, restored, ANY)])
    world.run(600)
    assert (Status.ACCEPTED, 1) == (world.entry(entry_id).status, world.exchange.copies[entry_id])
