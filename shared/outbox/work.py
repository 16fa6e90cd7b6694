"""The live record of one mail to send: its states, its phases, and the last moves it made."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from shared.errors import RecordedFault
from shared.times import from_text


class Status(StrEnum):
    """What became of a mail, as answers show it."""

    QUEUED = "queued"
    SENDING = "sending"
    ACCEPTED = "accepted"
    SENT = "sent"
    BOUNCED = "bounced"
    FAILED = "failed"
    OUTCOME_UNKNOWN = "outcome_unknown"
    CANCELLED = "cancelled"


class Phase(StrEnum):
    """Where a mail stands within ``sending``; ``none`` outside of it."""

    NONE = "none"
    CALLING = "calling"
    REFUSED = "refused"
    LOOKING = "looking"


OPEN = frozenset({Status.QUEUED, Status.SENDING})


@dataclass(frozen=True, slots=True)
class Move:
    """One step: its name, when it was taken, and a code that says why ('' where the name says all)."""

    name: str
    at: str
    why: str = ""


@dataclass(frozen=True, slots=True)
class Bounce:
    """A recipient whom the mail did not reach: the status code of RFC 3463 ('' for none), and why, as reported."""

    address: str
    status: str
    reason: str
    at: str


@dataclass(frozen=True, slots=True)
class Periods:
    """How long to wait before a first look, between the two looks that count, and before a draft is sent again."""

    look: timedelta
    gap: timedelta
    quiet: timedelta


@dataclass(frozen=True, slots=True)
class Work:
    """
    The live state of one mail; the record of its progress row.

    *next_at* is when it is due. *attempt* counts calls of ``/send``, *unknown* those whose answer was lost, the last at
    *unknown_at*. *seen_first* and *seen_last* are the first and last of the looks in a row that saw the draft,
    *nothing_since* the first of those in a row that found nothing. *refusal* is what stands against another attempt.
    *direct* mails go by ``sendMail``, which leaves nothing to look for. *confirmed_at* is when the copy in Sent Items
    was found; *discard_copy* asks that it be removed, *copy_id* is its id until that is done. *bounces* are known.
    """

    id: str
    payload: str
    created_at: str
    not_before: str = ""
    status: Status = Status.QUEUED
    phase: Phase = Phase.NONE
    next_at: str = ""
    draft_id: str = ""
    internet_message_id: str = ""
    attempt: int = 0
    attempt_at: str = ""
    restarts: int = 0
    failures: int = 0
    unknown: int = 0
    unknown_at: str = ""
    looks: int = 0
    seen_first: str = ""
    seen_last: str = ""
    nothing_since: str = ""
    refusal: RecordedFault | None = None
    direct: bool = False
    fault: RecordedFault | None = None
    finished_at: str = ""
    moves: tuple[Move, ...] = ()
    discard_copy: bool = False
    confirmed_at: str = ""
    copy_id: str = ""
    copy_removed_at: str = ""
    bounces: tuple[Bounce, ...] = ()

    def due(self, now: datetime) -> bool:
        """Tell whether something is to be done by *now*."""
        return not self.next_at or from_text(self.next_at) <= now

    def held_until(self, hold: timedelta) -> datetime:
        """Return until when the mail may wait for its first attempt."""
        return from_text(self.not_before or self.created_at) + hold
