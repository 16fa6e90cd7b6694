"""Which moves a mail may make, and that no row of moves leads to a second draft or a false word."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from shared.errors import RecordedFault
from shared.identifiers import new_connection_id, new_entry_id, new_ulid
from shared.outbox import moves
from shared.outbox.moves import IllegalMove
from shared.outbox.rows import entry_key, invert, invert_time, listed, ulid_of, view_key, work_key
from shared.outbox.work import OPEN, Bounce, Periods, Phase, Status, Work
from shared.rows import decode, encode
from shared.times import to_text

NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
PERIODS = Periods(timedelta(seconds=30), timedelta(seconds=60), timedelta(seconds=300))
HOLD = timedelta(hours=72)
FAULT = RecordedFault("graph_refused", "refused", to_text(NOW))
WAIT = timedelta(seconds=5)


def every_move(now: datetime) -> dict[str, Callable[[Work], Work]]:
    """Return each move by name, as it would be taken at *now*."""
    return {
        "postpone": lambda work: moves.postpone(work, FAULT, WAIT, now),
        "attempt": lambda work: moves.attempt(work, f"draft-{now.timestamp()}", "<a@b.c>", now),
        "attempt_direct": lambda work: moves.attempt_direct(work, now),
        "attempt_again": lambda work: moves.attempt_again(work, now),
        "repeat": lambda work: moves.repeat(work, PERIODS, now),
        "answered": lambda work: moves.answered(work, now),
        "found": lambda work: moves.found(work, "", now),
        "refused": lambda work: moves.refused(work, FAULT, WAIT, now),
        "fail": lambda work: moves.fail(work, FAULT, now),
        "removed": lambda work: moves.removed(work, FAULT, now),
        "lost": lambda work: moves.lost(work, FAULT, PERIODS, now),
        "lost_direct": lambda work: moves.lost_direct(work, now),
        "saw_draft": lambda work: moves.saw_draft(work, PERIODS, now),
        "saw_nothing": lambda work: moves.saw_nothing(work, PERIODS, now),
        "look_failed": lambda work: moves.look_failed(work, FAULT, WAIT, now),
        "conclude_unsent": lambda work: moves.conclude_unsent(work, FAULT, PERIODS, now),
        "give_up": lambda work: moves.give_up(work, HOLD, now),
        "cancel": lambda work: moves.cancel(work, now),
        "abandon": lambda work: moves.abandon(work, now),
        "sent": lambda work: moves.sent(work, "<sent@b.c>", "copy", now),
        "bounced": lambda work: moves.bounced(work, (Bounce("a@b.c", "5.1.1", "", ""),), now),
        "copy_removed": lambda work: moves.copy_removed(work, now),
    }


def legal(work: Work, now: datetime) -> set[str]:
    """Return the names of the moves that *work* may make."""
    found = set()
    for name, move in every_move(now).items():
        try:
            move(work)
        except IllegalMove:
            continue
        found.add(name)
    return found


QUEUED = moves.accept("msg_1", "p", NOW, None)
CALLING = moves.attempt(QUEUED, "draft", "<a@b.c>", NOW)
DIRECT = moves.attempt_direct(QUEUED, NOW)
REFUSED = moves.refused(CALLING, FAULT, WAIT, NOW)
LOOKING = moves.lost(CALLING, FAULT, PERIODS, NOW)
ACCEPTED = moves.answered(CALLING, NOW)
UNWANTED = replace(ACCEPTED, discard_copy=True)
BOUNCES = (Bounce("ann@example.com", "5.1.10", "no such user", to_text(NOW)),)


@pytest.mark.parametrize(
    ("work", "expected"),
    [
        (QUEUED, {"postpone", "attempt", "attempt_direct", "fail", "cancel", "abandon", "sent"}),
        (DIRECT, {"answered", "refused", "lost_direct", "fail", "abandon"}),
        (moves.refused(DIRECT, FAULT, WAIT, NOW), {"answered", "attempt_again", "fail", "abandon"}),
        (moves.lost_direct(DIRECT, NOW), {"bounced"}),
        (CALLING, {"answered", "refused", "removed", "lost", "fail", "abandon"}),
        (REFUSED, {"answered", "attempt_again", "fail", "abandon"}),
        (LOOKING, {"answered", "found", "saw_draft", "saw_nothing", "look_failed", "abandon"}),
        (ACCEPTED, {"sent", "bounced"}),
        (moves.sent(ACCEPTED, "", "copy", NOW), {"bounced"}),
        (moves.sent(UNWANTED, "", "copy", NOW), {"bounced", "copy_removed"}),
        (moves.bounced(ACCEPTED, BOUNCES, NOW), {"bounced", "sent"}),
        (moves.bounced(moves.sent(ACCEPTED, "", "", NOW), BOUNCES, NOW), {"bounced"}),
        (moves.fail(QUEUED, FAULT, NOW), set()),
        (moves.cancel(QUEUED, NOW), set()),
        (moves.give_up(LOOKING, HOLD, NOW + HOLD), {"sent", "bounced"}),
    ],
)
def test_every_state_has_its_moves_and_no_others(work: Work, expected: set[str]) -> None:
    """What is not named is refused; of finished states only evidence that comes later leads on."""
    assert expected == legal(work, NOW)


def test_a_draft_is_only_repeated_after_two_looks_and_the_quiet_period() -> None:
    """One look, two looks too close, and two looks too early are all not enough."""
    start = NOW + timedelta(seconds=30)
    first = moves.saw_draft(LOOKING, PERIODS, start)
    close = moves.saw_draft(first, PERIODS, start + timedelta(seconds=59))
    early = moves.saw_draft(first, PERIODS, start + timedelta(seconds=60))
    quiet = NOW + timedelta(seconds=300)
    enough = moves.saw_draft(early, PERIODS, quiet)

    assert [False, False, False, True] == [
        moves.proved_unsent(work, PERIODS, now)
        for work, now in (
            (first, start),
            (close, start + timedelta(seconds=59)),
            (early, start + timedelta(seconds=60)),
            (enough, quiet),
        )
    ]
    assert not moves.proved_unsent(enough, PERIODS, quiet + timedelta(seconds=1))


def test_a_look_that_saw_nothing_starts_the_count_anew() -> None:
    """Two sights with a gap between them prove nothing."""
    seen = moves.saw_draft(LOOKING, PERIODS, NOW + timedelta(seconds=30))
    gone = moves.saw_nothing(seen, PERIODS, NOW + timedelta(seconds=100))
    late = NOW + timedelta(hours=1)

    assert not moves.proved_unsent(moves.saw_draft(gone, PERIODS, late), PERIODS, late)


def test_a_refusal_after_an_unknown_attempt_is_no_failure_yet() -> None:
    """The mail may have been sent by the attempt before: it is looked for."""
    late = NOW + timedelta(minutes=10)
    again = replace(moves.refused(CALLING, FAULT, WAIT, NOW), unknown=1, unknown_at=to_text(NOW))
    doubted = moves.fail(again, FAULT, late)

    assert (Phase.LOOKING, FAULT) == (doubted.phase, doubted.refusal)
    with pytest.raises(IllegalMove):
        moves.repeat(moves.saw_draft(doubted, PERIODS, late), PERIODS, late)


def test_looks_come_sooner_while_a_decision_is_near_and_rarer_later() -> None:
    """At 30, 90, 210 and 300 seconds; with nothing to be found at growing gaps up to an hour."""
    work, times = LOOKING, [30]
    for _ in range(3):
        moment = NOW + timedelta(seconds=times[-1])
        work = moves.saw_draft(work, PERIODS, moment)
        times.append(round((datetime.fromisoformat(work.next_at) - NOW).total_seconds()))
    assert [30, 90, 210, 300] == times

    gaps, moment = [], NOW
    for _ in range(9):
        work = moves.saw_nothing(work, PERIODS, moment)
        gaps.append(round((datetime.fromisoformat(work.next_at) - moment).total_seconds()))
    assert gaps == sorted(gaps)
    assert 3600 == gaps[-1]


def test_only_the_last_twenty_moves_are_kept() -> None:
    """A record does not grow with its troubles."""
    work = QUEUED
    for _ in range(40):
        work = moves.postpone(work, FAULT, WAIT, NOW)

    assert 20 == len(work.moves)


@given(st.lists(st.sampled_from(sorted(every_move(NOW))), max_size=30))
@settings(max_examples=60)
def test_a_record_reads_back_from_its_row_at_every_step(names: list[str]) -> None:
    """Whatever moves it made, the row holds it whole."""
    work, now = QUEUED, NOW
    for name in names:
        now += timedelta(seconds=61)
        if name in legal(work, now):
            work = every_move(now)[name](work)

    assert work == decode(Work, encode(work))


_EVIDENCE = dict.fromkeys(("sent", "late_evidence", "copy_found"), "sent") | {
    "bounced": "bounced",
    "copy_removed": "copy_removed",
}


class Machine(RuleBasedStateMachine):
    """Takes any moves at any times, and holds what must be true whatever the order."""

    @initialize()
    def begin(self) -> None:
        """Accept a mail."""
        self.now, self.work, self.steps = NOW, QUEUED, [QUEUED]

    @rule(name=st.sampled_from(sorted(every_move(NOW))), seconds=st.sampled_from([0, 1, 31, 61, 301, 90_000]))
    def move(self, name: str, seconds: int) -> None:
        """Let time pass and try a move."""
        self.now += timedelta(seconds=seconds)
        if name in legal(self.work, self.now):
            self.work = every_move(self.now)[name](self.work)
            self.steps.append(self.work)

    @invariant()
    def one_draft(self) -> None:
        """While an attempt stands its draft never changes, and after an unknown one never at all."""
        for before, after in zip(self.steps, self.steps[1:], strict=False):
            if before.attempt and after.attempt:
                assert before.draft_id == after.draft_id
            if before.unknown:
                assert after.draft_id == before.draft_id
            if before.direct:
                assert (True, "", False) == (after.direct, after.draft_id, before.unknown and after.attempt > 1)

    @invariant()
    def attempts_count_up(self) -> None:
        """Each attempt is written before it is made, and starting over is bounded."""
        for before, after in zip(self.steps, self.steps[1:], strict=False):
            assert after.attempt in (before.attempt, before.attempt + 1) or (
                after.status == Status.QUEUED and not before.unknown
            )
        assert self.work.restarts <= moves.MOST_RESTARTS

    @invariant()
    def finished_is_finished(self) -> None:
        """Only evidence follows a finished state, and none says failed after an unproved unknown attempt."""
        for before, after in zip(self.steps, self.steps[1:], strict=False):
            if before.status not in OPEN:
                assert before.attempt == after.attempt
                assert {"sent", "bounced", "copy_removed"} >= {_EVIDENCE[after.moves[-1].name]}
                assert after.status in (Status.SENT, Status.BOUNCED)
        if self.work.status == Status.FAILED and self.work.unknown:
            assert "conclude_unsent" == self.work.moves[-1].name
        if self.work.status == Status.CANCELLED:
            assert 0 == self.work.attempt


TestMachine = Machine.TestCase
TestMachine.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)


def test_keys_sort_entries_newest_first_and_work_oldest_first() -> None:
    """Lists begin with the newest entry, a drain with the oldest mail."""
    connection = new_connection_id("0123456789abcdef")
    tail = connection.removeprefix("conn_")
    old, new = f"msg_{tail}.{new_ulid(1000)}", f"msg_{tail}.{new_ulid(2000)}"

    assert entry_key(new) < entry_key(old)
    assert work_key(old) < work_key(new)
    assert ulid_of(old) == invert(invert(ulid_of(old)))
    assert view_key(Status.FAILED, new) < view_key(Status.FAILED, old)
    assert entry_key(new).removeprefix("m|").startswith(invert_time(datetime.fromtimestamp(2, UTC)))


def test_an_id_without_the_form_of_an_entrys_has_no_key() -> None:
    """Nothing else finds a row."""
    with pytest.raises(ValueError, match="entry id"):
        entry_key("rcv_1")
    assert entry_key(new_entry_id(new_connection_id("0123456789abcdef"))).startswith("m|")


def test_a_list_of_addresses_fits_into_a_property() -> None:
    """Of very many recipients as many are kept as a row can hold."""
    many = tuple(f"{'a' * 60}{number}@example.com" for number in range(500))

    assert 0 < len(listed(many)) < 500
    assert listed(many) == many[: len(listed(many))]
