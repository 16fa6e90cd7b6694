"""
How one mail to send may move from state to state: every legal move has a name, every other is refused.

Only the draft whose id stands in the record may ever be sent, and once an attempt was made there is no second draft
until Graph has proved that nothing was sent. An attempt without a recorded outcome counts as unknown: its draft is
looked for before it may be sent again.
"""

from dataclasses import replace
from datetime import datetime, timedelta

from shared.codes import Code
from shared.errors import RecordedFault
from shared.outbox.work import OPEN, Bounce, Move, Periods, Phase, Status, Work
from shared.times import from_text, to_text

KEPT_MOVES = 20
MOST_RESTARTS = 2
MOST_FAILURES = 5
GIVE_UP = timedelta(hours=24)
LONGEST_LOOK_GAP = timedelta(hours=1)
CLOCKS = timedelta(minutes=5)
"""By how much a host's clock may be ahead of storage's, which says later whether a time has come."""
MOST_BOUNCES = 50
_FOUND = {
    Status.ACCEPTED: "sent",
    Status.OUTCOME_UNKNOWN: "late_evidence",
    Status.QUEUED: "sent_early",
    Status.BOUNCED: "copy_found",
}
_MAY_BOUNCE = frozenset({Status.ACCEPTED, Status.SENT, Status.OUTCOME_UNKNOWN, Status.BOUNCED})


class IllegalMove(Exception):
    """The state machine has no such move from where the record stands."""


def accept(entry_id: str, payload: str, now: datetime, send_at: datetime | None) -> Work:
    """Return the state of a mail just accepted, due at *send_at*, or at once where that is past by any clock."""
    later = to_text(send_at) if send_at and send_at > now - CLOCKS else ""
    made = Work(entry_id, payload, to_text(now), not_before=later, next_at=later)
    return _moved(made, "accept", now)


def hold_back(work: Work, fault: RecordedFault, now: datetime) -> Work:
    """Keep a mail that was just accepted from being sent; a person may resend it."""
    _require(work, work.status == Status.QUEUED and not work.attempt, "hold_back")
    return _finished(replace(work, fault=fault), Status.FAILED, "hold_back", now, fault.code)


def postpone(work: Work, fault: RecordedFault, wait: timedelta, now: datetime) -> Work:
    """No draft could be made; try again after *wait*."""
    _require(work, work.status == Status.QUEUED, "postpone")
    later = replace(work, failures=work.failures + 1, fault=fault, next_at=to_text(now + wait))
    return _moved(later, "postpone", now, fault.code)


def attempt(work: Work, draft_id: str, internet_message_id: str, now: datetime) -> Work:
    """Record the one draft and the intent to send it, together; from here on nobody may cancel."""
    _require(work, work.status == Status.QUEUED and bool(draft_id), "attempt")
    made = replace(work, draft_id=draft_id, internet_message_id=internet_message_id)
    return _calling(made, "attempt", now)


def attempt_direct(work: Work, now: datetime) -> Work:
    """Record the intent to send without a draft, where the tenant grants none; from here on nobody may cancel."""
    _require(work, work.status == Status.QUEUED, "attempt_direct")
    return _calling(replace(work, direct=True), "attempt_direct", now)


def attempt_again(work: Work, now: datetime) -> Work:
    """Record the intent to send the same draft, or the same mail without one, once more after a refusal."""
    _require(work, work.phase == Phase.REFUSED, "attempt_again")
    return _calling(work, "attempt_again", now)


def repeat(work: Work, periods: Periods, now: datetime) -> Work:
    """Record the intent to send the same draft once more, after the looks that prove that it was not sent."""
    _require(work, proved_unsent(work, periods, now) and work.refusal is None, "repeat")
    return _calling(work, "repeat", now)


def answered(work: Work, now: datetime) -> Work:
    """Graph said 202 to this draft; true whatever was noted meanwhile."""
    _require(work, work.status == Status.SENDING, "answered")
    return _finished(work, Status.ACCEPTED, "answered", now)


def found(work: Work, internet_message_id: str, now: datetime) -> Work:
    """A look found the message, and it is no draft any more."""
    _require(work, work.phase == Phase.LOOKING, "found")
    known = replace(work, internet_message_id=internet_message_id or work.internet_message_id)
    return _finished(known, Status.ACCEPTED, "found", now)


def refused(work: Work, fault: RecordedFault, wait: timedelta, now: datetime) -> Work:
    """Graph refused the attempt for now; the same draft is sent again after *wait*."""
    _require(work, work.phase == Phase.CALLING, "refused")
    later = replace(work, phase=Phase.REFUSED, fault=fault, failures=work.failures + 1, next_at=to_text(now + wait))
    return _moved(later, "refused", now, fault.code)


def fail(work: Work, fault: RecordedFault, now: datetime) -> Work:
    """
    Give the mail up for good, explained by *fault*.

    With an unknown attempt behind it that claim needs proof: the mail is looked for first, and fails once the looks
    have shown that it was not sent.
    """
    unsent = work.status == Status.QUEUED or work.phase in (Phase.CALLING, Phase.REFUSED)
    _require(work, unsent, "fail")
    if not work.unknown:
        return _finished(replace(work, fault=fault), Status.FAILED, "fail", now, fault.code)
    looking = replace(work, phase=Phase.LOOKING, refusal=fault, fault=fault, next_at=to_text(now))
    return _moved(_unseen(looking), "doubt", now, fault.code)


def removed(work: Work, fault: RecordedFault, now: datetime) -> Work:
    """The draft was gone at the first attempt, so nothing was sent: start over, twice at most."""
    _require(work, work.phase == Phase.CALLING and not work.unknown and not work.direct, "removed")
    if work.restarts >= MOST_RESTARTS:
        return _finished(replace(work, fault=fault), Status.FAILED, "fail", now, fault.code)
    fresh = replace(work, status=Status.QUEUED, phase=Phase.NONE, draft_id="", internet_message_id="", attempt=0)
    fresh = replace(fresh, attempt_at="", restarts=work.restarts + 1, next_at=to_text(now), fault=fault)
    return _moved(fresh, "removed", now, fault.code)


def lost(work: Work, fault: RecordedFault | None, periods: Periods, now: datetime) -> Work:
    """The answer to the attempt is unknown (*fault*), or its worker died before it wrote one down (None)."""
    _require(work, work.phase == Phase.CALLING and not work.direct, "lost")
    looking = replace(
        work,
        phase=Phase.LOOKING,
        unknown=work.unknown + 1,
        unknown_at=to_text(now),
        fault=fault or work.fault,
        next_at=to_text(now + periods.look),
    )
    return _moved(_unseen(looking), "lost" if fault else "abandoned", now, fault.code if fault else "")


def lost_direct(work: Work, now: datetime) -> Work:
    """The answer to an attempt without a draft is unknown: there is nothing to look for, so nobody can know."""
    _require(work, work.phase == Phase.CALLING and work.direct, "lost_direct")
    detail = (
        "Whether this mail was sent cannot be known: Graph's answer was lost, and without the right Mail.ReadWrite "
        "there is no draft to look for. Ask the recipient, then resend it if it is missing."
    )
    fault = RecordedFault(Code.OUTCOME_UNKNOWN.value, detail, to_text(now))
    return _finished(replace(work, fault=fault, unknown=1), Status.OUTCOME_UNKNOWN, "lost_direct", now)


def saw_draft(work: Work, periods: Periods, now: datetime) -> Work:
    """A look saw the recorded draft, still a draft, and no sent message."""
    _require(work, work.phase == Phase.LOOKING, "saw_draft")
    first = work.seen_first or to_text(now)
    seen = replace(work, looks=work.looks + 1, seen_first=first, seen_last=to_text(now), nothing_since="")
    enough = max(from_text(first) + periods.gap, from_text(work.unknown_at) + periods.quiet)
    grown = now + _look_gap(seen, periods)
    following = min(grown, enough) if enough > now else grown
    return _moved(replace(seen, next_at=to_text(following)), "saw_draft", now)


def saw_nothing(work: Work, periods: Periods, now: datetime) -> Work:
    """A look found neither draft nor sent message."""
    _require(work, work.phase == Phase.LOOKING, "saw_nothing")
    since = work.nothing_since or to_text(now)
    later = replace(work, looks=work.looks + 1, seen_first="", seen_last="", nothing_since=since)
    return _moved(replace(later, next_at=to_text(now + _look_gap(later, periods))), "saw_nothing", now)


def look_failed(work: Work, fault: RecordedFault, wait: timedelta, now: datetime) -> Work:
    """A look gave no answer, so it proves nothing; look again after *wait*."""
    _require(work, work.phase == Phase.LOOKING, "look_failed")
    return _moved(replace(work, fault=fault, next_at=to_text(now + wait)), "look_failed", now, fault.code)


def proved_unsent(work: Work, periods: Periods, now: datetime) -> bool:
    """
    Tell whether the looks prove that the last unknown attempt sent nothing.

    Two looks at least *gap* apart must have seen the draft, the last of them just now, and the quiet period must
    be over: Exchange acts on a ``/send`` within it, or never.
    """
    if work.phase != Phase.LOOKING or work.seen_last != to_text(now):
        return False
    seen_long_enough = from_text(work.seen_first) + periods.gap <= now
    return seen_long_enough and from_text(work.unknown_at) + periods.quiet <= now


def conclude_unsent(work: Work, fault: RecordedFault, periods: Periods, now: datetime) -> Work:
    """Give the mail up although an attempt was unknown: the looks prove that nothing was sent."""
    _require(work, proved_unsent(work, periods, now), "conclude_unsent")
    return _finished(replace(work, fault=fault), Status.FAILED, "conclude_unsent", now, fault.code)


def hopeless(work: Work, hold: timedelta, now: datetime) -> bool:
    """Tell whether looking further is in vain: nothing was found for 24 h, or nobody could look for the whole hold."""
    if work.phase != Phase.LOOKING:
        return False
    if work.nothing_since and from_text(work.nothing_since) + GIVE_UP <= now:
        return True
    seen = work.seen_last or work.unknown_at
    return from_text(seen) + max(hold, GIVE_UP) <= now


def give_up(work: Work, hold: timedelta, now: datetime) -> Work:
    """Say that nobody can know; only late evidence, or a person's resend, leaves this state."""
    _require(work, hopeless(work, hold, now), "give_up")
    detail = (
        "Whether this mail was sent cannot be known: Graph's answer was lost, and neither draft nor copy was found."
    )
    fault = RecordedFault(Code.OUTCOME_UNKNOWN.value, detail, to_text(now))
    return _finished(replace(work, fault=fault), Status.OUTCOME_UNKNOWN, "give_up", now)


def cancel(work: Work, now: datetime) -> Work:
    """Stop a mail of which no attempt was made."""
    _require(work, work.status == Status.QUEUED, "cancel")
    return _finished(work, Status.CANCELLED, "cancel", now)


def abandon(work: Work, now: datetime) -> Work:
    """
    End a mail whose connection was deleted, so that nobody will send it or look for it any more.

    Without an attempt it is cancelled, after a refusal it failed; after any other attempt nobody can know.
    """
    _require(work, work.status in OPEN, "abandon")
    if work.status == Status.QUEUED:
        return _finished(work, Status.CANCELLED, "abandon", now)
    if work.phase == Phase.REFUSED and not work.unknown:
        return _finished(work, Status.FAILED, "abandon", now)
    detail = "Whether this mail was sent cannot be known: its connection was deleted before Graph's answer was clear."
    fault = RecordedFault(Code.OUTCOME_UNKNOWN.value, detail, to_text(now))
    return _finished(replace(work, fault=fault), Status.OUTCOME_UNKNOWN, "abandon", now)


def sent(work: Work, internet_message_id: str, copy_id: str, now: datetime) -> Work:
    """
    The copy in Sent Items was found, which bears this Message-ID: the mail is sent, whatever was known before.

    Late evidence is the only way out of ``outcome_unknown``. A mail that is still queued was sent by nobody of ours;
    it must not be sent once more. One that has bounced stays so.
    """
    name = _FOUND.get(work.status, "")
    _require(work, bool(name) and not work.confirmed_at and not work.direct, "sent")
    known = replace(work, internet_message_id=internet_message_id or work.internet_message_id)
    known = replace(known, confirmed_at=to_text(now), copy_id=copy_id if work.discard_copy else "")
    if work.status == Status.BOUNCED:
        return _moved(known, name, now)
    fresh = replace(known, status=Status.SENT, fault=None, next_at="")
    return _moved(replace(fresh, finished_at=work.finished_at or to_text(now)), name, now)


def bounced(work: Work, bounces: tuple[Bounce, ...], now: datetime) -> Work:
    """A report says that the mail did not reach these recipients, of whom no other said so before."""
    _require(work, work.status in _MAY_BOUNCE and bool(bounces), "bounced")
    known = (*work.bounces, *bounces)[:MOST_BOUNCES]
    codes = ", ".join(sorted({bounce.status for bounce in known if bounce.status})) or "no status code"
    detail = f"The mail did not reach {len(known)} of its recipients ({codes}); bounces names them and says why."
    fault = RecordedFault(Code.BOUNCED.value, detail, to_text(now))
    return _moved(replace(work, status=Status.BOUNCED, bounces=known, fault=fault), "bounced", now, fault.code)


def copy_removed(work: Work, now: datetime) -> Work:
    """The confirmed copy was removed from Sent Items, or was gone already."""
    _require(work, bool(work.confirmed_at and work.copy_id) and work.discard_copy, "copy_removed")
    return _moved(replace(work, copy_id="", copy_removed_at=to_text(now)), "copy_removed", now)


def _calling(work: Work, name: str, now: datetime) -> Work:
    moment = to_text(now)
    made = replace(work, status=Status.SENDING, phase=Phase.CALLING, attempt=work.attempt + 1, attempt_at=moment)
    return _moved(replace(made, next_at=moment), name, now)


def _finished(work: Work, status: Status, name: str, now: datetime, why: str = "") -> Work:
    done = replace(work, status=status, phase=Phase.NONE, next_at="", finished_at=to_text(now), refusal=None)
    if status == Status.ACCEPTED:
        done = replace(done, fault=None)
    return _moved(done, name, now, why)


def _unseen(work: Work) -> Work:
    return replace(work, looks=0, seen_first="", seen_last="", nothing_since="")


def _look_gap(work: Work, periods: Periods) -> timedelta:
    doublings = min(max(work.looks - 1, 0), 12)
    return min(LONGEST_LOOK_GAP, periods.gap * (1 << doublings))


def _moved(work: Work, name: str, now: datetime, why: str = "") -> Work:
    return replace(work, moves=(*work.moves, Move(name, to_text(now), why))[-KEPT_MOVES:])


def _require(work: Work, condition: bool, name: str) -> None:
    if not condition:
        raise IllegalMove(f"{name} from {work.status}/{work.phase}")
