"""Accepted mail becomes sent by its copy and bounced by a report, whoever dies between, and costs little meanwhile."""

from datetime import timedelta
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from localcloud.mail.bounces import non_delivery_report
from shared.connections import Direction
from shared.errors import Throttled
from shared.identifiers import new_ulid
from shared.notices import box_prefix
from shared.outbox import moves
from shared.outbox.work import Bounce, Status
from shared.schedule import Wakeup
from shared.send.confirming import MOST_DISCARDED
from shared.send.entries import Wanted
from tests.fakes.exchange import Item, Modes, lost_answer
from tests.scenes.sending import PERIODS, Killer, Sending


def report_of(world: Sending, *failed: str, number: int = -1) -> bytes:
    """Return the report of failed delivery of a mail that was sent."""
    return non_delivery_report(world.exchange.mimes[number], "box@contoso.example", failed, world.clock().timestamp())


def marks(world: Sending) -> list[str]:
    """Return the keys of the mails that are followed."""
    return [key for _, key in world.tables.outbox.everything() if key.startswith("a|")]


@pytest.mark.parametrize(
    "modes",
    [
        Modes(),
        Modes(new_id_on_send=True),
        Modes(marker_works=False),
        Modes(message_id_works=False),
        Modes(marker_works=False, message_id_works=False),
        Modes(new_id_on_send=True, marker_works=False),
        Modes(copy="late"),
        Modes(draft_lingers=timedelta(seconds=200)),
        Modes(message_id_rewritten=True),
    ],
)
def test_a_copy_in_sent_items_makes_a_mail_sent(modes: Modes) -> None:
    """By marker, draft id or Message-ID, whichever works, at once or late; the Message-ID is the one it bears."""
    world = Sending(modes, confirms=True)
    entry_id = world.accept()
    world.run(1800)
    entry = world.entry(entry_id)

    copy = next(item for item in world.exchange.items.values() if not item.is_draft)
    borne = copy.internet_message_id if modes.message_id_works else entry.internet_message_id
    assert (Status.SENT, borne, 1) == (entry.status, entry.internet_message_id, world.exchange.copies[entry_id])
    assert "sent" == entry.moves[-1].name


def test_a_mail_without_a_copy_stays_accepted_and_is_forgotten_after_two_days() -> None:
    """Where nobody can know more, nothing is claimed, and nothing is left that costs."""
    world = Sending(Modes(copy="never"), confirms=True)
    entry_id = world.accept()
    world.run(3 * 86400)
    calls = world.exchange.calls.total()
    world.run(2 * 86400)

    assert (Status.ACCEPTED, []) == (world.entry(entry_id).status, marks(world))
    assert ([], calls) == (world.due_rows(), world.exchange.calls.total())


def test_lists_come_once_a_minute_at_most_and_grow_to_a_quarter_of_an_hour() -> None:
    """Two days of waiting cost some two hundred lists, not three thousand."""
    world = Sending(Modes(copy="never"), confirms=True)
    times: list[float] = []
    world.accept()

    def noted(method: str) -> tuple[None, bool]:
        if method == "sent_copies":
            times.append(world.clock.monotonic())
        return None, True

    world.exchange.script = noted
    for _ in range(80):
        world.run(60)
    gaps = [later - before for before, later in pairwise(times)]

    assert min(gaps) >= 60
    assert max(gaps) < 1300
    assert len(times) < 20


def test_a_mailbox_with_nothing_to_confirm_costs_nothing() -> None:
    """Once all is learned there is no call of Graph and no due row."""
    world = Sending(confirms=True)
    world.accept()
    world.run(3 * 86400)
    calls, storage = world.exchange.calls.total(), world.tables.outbox.calls.total()
    world.run(86400)

    assert ([], calls, storage) == (world.due_rows(), world.exchange.calls.total(), world.tables.outbox.calls.total())


def test_many_mails_are_confirmed_by_one_list_and_few_transactions() -> None:
    """Sixty mails cost a list, and four transactions."""
    world = Sending(confirms=True)
    ids = [world.accept() for _ in range(60)]
    world.work()
    world.tables.outbox.calls.clear()
    world.clock.advance(61)
    world.drain.run(Wakeup("send", world.connection.id, due=world.due_rows()[0]))

    assert {Status.SENT} == {world.entry(entry_id).status for entry_id in ids}
    assert (1, 1) == (world.exchange.calls["sent_copies"], world.exchange.calls["reports"])
    assert world.tables.outbox.calls["commit"] <= 4


@pytest.mark.parametrize("at", range(1, 26, 2))
def test_a_death_at_any_boundary_only_delays_what_is_learned(at: int) -> None:
    """Killed at each step of sending and confirming: one copy, sent, and nothing left."""
    world = Sending(killer=Killer(at), confirms=True)
    entry_id = world.accept()
    world.run(2400)

    assert (Status.SENT, 1) == (world.entry(entry_id).status, world.exchange.copies[entry_id])
    assert 1 == len(marks(world))


@pytest.mark.parametrize("number", range(10))
@pytest.mark.parametrize("after", [False, True])
def test_a_lost_answer_of_storage_only_delays_what_is_learned(number: int, after: bool) -> None:
    """Each write of sending and confirming may get no answer, done or not."""
    world = Sending(confirms=True)
    entry_id = world.accept()
    left = [number]

    def fail(method: str) -> None:
        if method != "commit":
            return
        left[0] -= 1
        if left[0] == -1:
            world.tables.outbox.failures.plan("commit", after_effect=after)

    world.tables.outbox.failures.before = fail
    world.run(2400)

    assert (Status.SENT, 1) == (world.entry(entry_id).status, world.exchange.copies[entry_id])


def test_a_report_names_who_was_not_reached_and_why() -> None:
    """The reason of RFC 3464, and bounced even after the copy said sent."""
    world = Sending(confirms=True)
    entry_id = world.accept()
    world.run(600)
    assert Status.SENT == world.entry(entry_id).status
    world.exchange.bounce(report_of(world, "ann@example.com"))
    world.run(3600)
    entry = world.entry(entry_id)

    assert (Status.BOUNCED, "bounced") == (entry.status, entry.fault.code if entry.fault else "")
    assert [("ann@example.com", "5.1.10")] == [(bounce.address, bounce.status) for bounce in entry.bounces]
    assert "RecipientNotFound" in entry.bounces[0].reason
    assert [entry_id] == [
        key_entry.id for key_entry in world.entries.page(world.connection.id, Wanted(status=Status.BOUNCED)).entries
    ]


def test_two_reports_add_up_and_one_seen_twice_counts_once() -> None:
    """Each recipient is named once, whichever report came first."""
    world = Sending(confirms=True)
    entry_id = world.accept()
    world.work()
    for failed in (["a@x.example"], ["a@x.example"], ["b@x.example", "A@X.example"]):
        world.exchange.bounce(report_of(world, *failed))
    world.run(1800)

    assert ["a@x.example", "b@x.example"] == [bounce.address for bounce in world.entry(entry_id).bounces]
    assert 3 == world.exchange.calls["report_content"]


def test_a_storm_of_reports_is_read_to_its_end() -> None:
    """More reports in a minute than one check reads, or than a list names, are all read."""
    world = Sending(confirms=True)
    ids = [world.accept() for _ in range(60)]
    world.work()
    for number in range(60):
        world.exchange.bounce(report_of(world, f"u{number}@x.example", number=number))
    world.run(6 * 3600)

    assert {Status.BOUNCED} == {world.entry(entry_id).status for entry_id in ids}
    assert 60 == world.exchange.calls["report_content"]


def test_a_bounced_mails_copy_is_still_found() -> None:
    """A report that comes first keeps nobody from learning the Message-ID."""
    world = Sending(Modes(copy="late", message_id_rewritten=True), confirms=True)
    entry_id = world.accept()
    world.work()
    world.exchange.bounce(report_of(world, "ann@example.com"))
    world.run(3600)
    entry = world.entry(entry_id)

    assert (Status.BOUNCED, True) == (entry.status, entry.internet_message_id.endswith("@rewritten.example>"))
    assert ["bounced", "copy_found"] == [move.name for move in entry.moves][-2:]


def test_late_evidence_moves_an_unknown_mail_to_sent() -> None:
    """A copy that appears after everyone gave up settles what nobody could know."""
    world = Sending(Modes(copy="never"), confirms=True)
    world.exchange.script = lambda method: (lost_answer() if method == "send" else None, True)
    entry_id = world.accept()
    world.finish(entry_id)
    unknown = world.entry(entry_id)
    draft = Item(unknown.draft_id, entry_id, "<late@contoso.example>", is_draft=False, at=world.clock())
    world.exchange.items[draft.id] = draft
    world.run(3600)
    entry = world.entry(entry_id)

    assert (Status.OUTCOME_UNKNOWN, Status.SENT) == (unknown.status, entry.status)
    assert ("late_evidence", None, "<late@contoso.example>") == (
        entry.moves[-1].name,
        entry.fault,
        entry.internet_message_id,
    )
    assert [] == [key for _, key in world.tables.outbox.everything() if key.startswith("v|")]


def test_a_queued_mail_that_lies_in_sent_items_is_an_alarm_and_is_not_sent() -> None:
    """Somebody sent it: once more would be a second copy."""
    world = Sending(Modes(), confirms=True)
    world.accept()
    world.work()
    waiting = world.accept(send_at=world.clock() + timedelta(hours=5))
    strange = Item("id-x", waiting, "<x@contoso.example>", is_draft=False, at=world.clock())
    world.exchange.items["id-x"] = strange
    world.run(8 * 3600)

    assert (Status.SENT, 0) == (world.entry(waiting).status, world.exchange.copies[waiting])
    assert "sent_early" == world.entry(waiting).moves[-1].name
    keys = [key for _, key in world.tables.connections.everything()]
    assert 1 == len([key for key in keys if key.startswith(box_prefix(world.connection.id))])


def test_the_copy_of_a_mail_that_wants_none_is_removed_once_it_is_confirmed() -> None:
    """The copy goes, the other mail's stays, and the entry says so."""
    world = Sending(confirms=True)
    kept, gone = world.accept(), world.accept(save_copy=False)
    world.run(600)

    assert [kept] == [item.marker for item in world.exchange.items.values()]
    assert ("", True) == (world.entry(kept).copy_removed_at, world.entry(gone).copy_removed_at != "")
    assert {Status.SENT} == {world.entry(kept).status, world.entry(gone).status}


def test_many_copies_are_removed_a_few_at_a_time() -> None:
    """So that neither new mail nor a fetch waits for them; the rest follows a minute later, not ever more rarely."""
    world = Sending(confirms=True, send_rate=0)
    for _ in range(2 * MOST_DISCARDED + 1):
        world.accept(save_copy=False)
    removed = []
    for _ in range(4):
        world.run(60)
        removed.append(world.exchange.calls["remove"])

    assert [MOST_DISCARDED, 2 * MOST_DISCARDED, *[2 * MOST_DISCARDED + 1] * 2] == removed
    assert {0} == {len(world.exchange.items)}


@pytest.mark.parametrize("at", [*range(1, 13, 3), *range(13, 34)])
def test_a_copy_is_removed_whoever_dies(at: int) -> None:
    """Killed at each step: the copy goes in the end, and only after it was confirmed."""
    world = Sending(killer=Killer(at), confirms=True)
    entry_id = world.accept(save_copy=False)
    world.run(2400)
    entry = world.entry(entry_id)

    copies = [item for item in world.exchange.items.values() if not item.is_draft]
    assert (Status.SENT, 1, []) == (entry.status, world.exchange.copies[entry_id], copies)
    assert entry.confirmed_at <= entry.copy_removed_at


def test_the_draft_of_a_mail_that_is_looked_for_is_never_taken_for_a_copy() -> None:
    """Nothing is removed while nobody knows whether the mail was sent."""
    world = Sending(Modes(copy="never"), confirms=True)
    world.accept(save_copy=False)
    world.exchange.script = lambda method: (lost_answer() if method == "send" else None, False)
    world.run(250)

    assert 1 == len(world.exchange.drafts())
    assert 0 == world.exchange.calls["remove"]


def test_a_fault_of_our_own_while_confirming_holds_no_mail_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is tried again ever more rarely, for two days at most, and each mail goes out as if nothing were."""
    world = Sending(confirms=True)
    tried: list[str] = []

    def broken(_: object, since: str) -> None:
        tried.append(since)
        raise KeyError("ours")

    monkeypatch.setattr(world.exchange, "sent_copies", broken)
    world.accept()
    world.run(120)
    entry_id = world.accept()
    world.run(15)
    assert Status.ACCEPTED == world.entry(entry_id).status
    world.run(3 * 86400)

    assert 100 < len(tried) < 300
    world.run(86400)
    assert [] == world.due_rows()


def test_what_graph_refuses_is_asked_again_later() -> None:
    """A list that fails only delays; asked to wait, everyone leaves the mailbox alone."""
    world = Sending(confirms=True)
    entry_id = world.accept()
    world.work()
    left = [Throttled("busy", retry_after=300), lost_answer()]
    world.exchange.script = lambda method: (left.pop() if method == "sent_copies" and left else None, False)
    world.run(120)
    assert Status.ACCEPTED == world.entry(entry_id).status
    world.exchange.script = lambda _: (None, True)
    world.run(3600)

    assert Status.SENT == world.entry(entry_id).status


def test_connections_of_one_mailbox_share_its_lists() -> None:
    """Two connections, one list."""
    world = Sending(confirms=True)
    other = world.make(Direction.OUTGOING)
    first = world.accept()
    world.connection, mine = other, world.connection
    second = world.accept()
    world.run(130)

    assert {Status.SENT} == {world.entry(first).status, world.entry(second).status}
    assert mine.id != other.id
    assert 1 == world.exchange.calls["sent_copies"]


def test_a_mail_without_the_right_to_read_is_not_followed() -> None:
    """Accepted is final where Sent Items cannot be listed."""
    world = Sending(confirms=True)
    work = moves.accept(f"msg_{world.connection.id.removeprefix('conn_')}.{new_ulid()}", "p", world.clock(), None)
    direct = moves.answered(moves.attempt_direct(work, world.clock()), world.clock())

    with pytest.raises(moves.IllegalMove):
        moves.sent(direct, "<a@b.c>", "id", world.clock())


@given(
    orders=st.lists(st.sampled_from(["copy", "bounce a", "bounce b", "bounce a b"]), max_size=6),
    unknown=st.booleans(),
)
@settings(max_examples=50, deadline=None)
def test_whatever_comes_in_whatever_order_the_outcome_is_the_same(orders: list[str], unknown: bool) -> None:
    """Bounced if any report came, else sent if the copy was found; each recipient once."""
    world = Sending()
    now = world.clock()
    calling = moves.attempt(moves.accept("msg_1", "p", now, None), "d", "<a@b.c>", now)
    looking = moves.lost(calling, None, PERIODS, now)
    late = now + timedelta(days=9)
    work = moves.give_up(looking, timedelta(hours=72), late) if unknown else moves.answered(calling, now)
    start = work.status
    for order in orders:
        if order == "copy" and not work.confirmed_at:
            work = moves.sent(work, "<n@b.c>", "c", late)
        elif order != "copy":
            known = {bounce.address for bounce in work.bounces}
            fresh = tuple(Bounce(name, "5.1.1", "", "") for name in order.split()[1:] if name not in known)
            work = moves.bounced(work, fresh, late) if fresh else work

    wanted = {name for order in orders for name in order.split()[1:]}
    status = Status.BOUNCED if wanted else Status.SENT if orders else start
    assert (status, sorted(wanted)) == (work.status, sorted(bounce.address for bounce in work.bounces))
    assert ("copy" in orders) == bool(work.confirmed_at)
