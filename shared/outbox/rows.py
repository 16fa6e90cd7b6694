"""The rows of the outbox: which keys they have, and what each holds. One connection's mails share a partition."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from shared.errors import RecordedFault
from shared.identifiers import new_ulid, split_entry_id
from shared.outbox.work import Bounce, Move, Phase, Status, Work
from shared.times import from_text, to_key

WORK_FIRST, WORK_LAST = "w|", "w~"
"""The range of all progress rows; those of mails for much later stand at its end, and have rows by time beside."""

ACTIVE_LAST = "w|~"
"""The end of the progress rows that every drain reads."""

TIMED_FIRST, TIMED_LAST = "t|", "t~"
FAR = timedelta(minutes=10)
"""A mail that is accepted longer than this before it is to be sent is no drain's business until then."""

ENTRY_FIRST, ENTRY_LAST = "m|", "m~"
TRACK_FIRST, TRACK_LAST = "a|", "a~"
GATE_KEY = "c|open"
"""The row that accepting a mail merges into; it stands as long as the connection takes mail."""

VIEWED = frozenset({Status.FAILED, Status.BOUNCED, Status.OUTCOME_UNKNOWN, Status.CANCELLED})
"""States that have rows of their own, since someone looks for them."""

TRACKED = frozenset({Status.ACCEPTED, Status.SENT, Status.OUTCOME_UNKNOWN})
"""States that are not the last word on a mail that went by a draft."""

_DIGITS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_INVERTED = str.maketrans(_DIGITS, _DIGITS[::-1])
_TIME_LENGTH = 10
_SUBJECT = 200
_LISTED_CHARACTERS = 8_000  # of a property's 32,768, even where every character is escaped


@dataclass(frozen=True, slots=True)
class Entry:
    """
    What was accepted, and once it is finished its outcome; while it is open the progress row is the truth.

    *size* is what the mail takes encoded, in bytes. *hook_id* names the hook that asked for it, *resend_of* the entry
    that it repeats. *recipients* counts everyone, should the lists have been cut.
    """

    id: str
    connection_id: str
    created_at: str
    payload: str
    size: int = 0
    subject: str = ""
    to: tuple[str, ...] = ()
    cc: tuple[str, ...] = ()
    bcc: tuple[str, ...] = ()
    recipients: int = 0
    key_hash: str = ""
    not_before: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    hook_id: str = ""
    resend_of: str = ""
    save_to_sent_items: bool = True
    status: Status = Status.QUEUED
    attempt: int = 0
    draft_id: str = ""
    internet_message_id: str = ""
    fault: RecordedFault | None = None
    finished_at: str = ""
    moves: tuple[Move, ...] = ()
    confirmed_at: str = ""
    copy_removed_at: str = ""
    bounces: tuple[Bounce, ...] = ()


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the progress row says of an entry, and what the entry keeps of it in the end."""

    status: Status
    attempt: int
    draft_id: str
    internet_message_id: str
    fault: RecordedFault | None
    finished_at: str
    moves: tuple[Move, ...]
    confirmed_at: str = ""
    copy_removed_at: str = ""
    bounces: tuple[Bounce, ...] = ()


@dataclass(frozen=True, slots=True)
class KeyUse:
    """Which entry an idempotency key made, from a body of which hash."""

    entry_id: str
    body_hash: str
    created_at: str


@dataclass(frozen=True, slots=True)
class Upload:
    """A file put into storage before the mail that names it; *size* in bytes as announced."""

    id: str
    name: str
    content_type: str
    size: int
    sha256: str
    blob: str
    created_at: str
    used_at: str = ""


def outcome_of(work: Work) -> Outcome:
    """Return what *work* says of its entry."""
    return Outcome(
        work.status,
        work.attempt,
        work.draft_id,
        work.internet_message_id,
        work.fault,
        work.finished_at,
        work.moves,
        work.confirmed_at,
        work.copy_removed_at,
        work.bounces,
    )


def with_progress(entry: Entry, work: Work) -> Entry:
    """Return the entry as its progress row says it stands."""
    known = outcome_of(work)
    return replace(
        entry,
        status=known.status,
        attempt=known.attempt,
        draft_id=known.draft_id,
        internet_message_id=known.internet_message_id,
        fault=known.fault,
        finished_at=known.finished_at,
        moves=known.moves,
        confirmed_at=known.confirmed_at,
        copy_removed_at=known.copy_removed_at,
        bounces=known.bounces,
    )


def work_of(entry: Entry) -> Work:
    """Return the state of a finished entry, for what is learned of it afterwards."""
    return Work(
        entry.id,
        entry.payload,
        entry.created_at,
        status=entry.status,
        draft_id=entry.draft_id,
        internet_message_id=entry.internet_message_id,
        attempt=entry.attempt,
        fault=entry.fault,
        finished_at=entry.finished_at,
        moves=entry.moves,
        confirmed_at=entry.confirmed_at,
        copy_removed_at=entry.copy_removed_at,
        bounces=entry.bounces,
    )


def tracked(work: Work) -> bool:
    """Tell whether something may still be learned of a finished mail: whether it was sent, whether it bounced."""
    return not work.direct and work.status in TRACKED


def cancellable(work: Work) -> bool:
    """Tell whether no attempt has been made of this mail."""
    return work.status == Status.QUEUED and work.phase == Phase.NONE


def short_subject(subject: str) -> str:
    """Return what a row keeps of a subject."""
    return subject[:_SUBJECT]


def listed(addresses: tuple[str, ...]) -> tuple[str, ...]:
    """Return as many addresses as fit into one property."""
    kept, room = [], _LISTED_CHARACTERS
    for address in addresses:
        room -= len(address) + 4
        if room < 0:
            break
        kept.append(address)
    return tuple(kept)


def invert(ulid: str) -> str:
    """Return a ULID, or the beginning of one, in the form that sorts newest first; twice gives the ULID again."""
    return ulid.translate(_INVERTED)


def invert_time(moment: datetime) -> str:
    """Return the beginning of the inverted ULIDs of *moment*."""
    return invert(new_ulid(int(moment.timestamp() * 1000))[:_TIME_LENGTH])


def ulid_of(entry_id: str) -> str:
    """Return the ULID of an entry id."""
    parts = split_entry_id(entry_id)
    if parts is None:
        raise ValueError("not an entry id")
    return parts[1]


def entry_key(entry_id: str) -> str:
    """Return the key of an entry; newest sorts first."""
    return f"m|{invert(ulid_of(entry_id))}"


def work_key(entry_id: str) -> str:
    """Return the key of a progress row; oldest sorts first."""
    return f"w|{ulid_of(entry_id)}"


def track_key(entry_id: str) -> str:
    """Return the key of the row by which a finished mail is followed for a while; oldest sorts first."""
    return f"{TRACK_FIRST}{ulid_of(entry_id)}"


def far(work: Work) -> bool:
    """Tell whether the progress row of a mail that was just accepted stands aside until it is to be sent."""
    return bool(work.not_before) and from_text(work.not_before) > from_text(work.created_at) + FAR


def later_key(entry_id: str) -> str:
    """Return the key of the progress row of a mail for much later; oldest sorts first."""
    return f"{ACTIVE_LAST}{ulid_of(entry_id)}"


def timed_key(work: Work) -> str:
    """Return the key of the row by which a mail for much later is found when its time comes; earliest sorts first."""
    return f"{TIMED_FIRST}{to_key(from_text(work.not_before))}|{ulid_of(work.id)}"


def view_key(status: Status, entry_id: str) -> str:
    """Return the key of the row by which an entry in an unusual state is found; newest sorts first."""
    return f"v|{status.value}|{invert(ulid_of(entry_id))}"


def key_hash(key: str) -> str:
    """Return the hash of an idempotency key."""
    return hashlib.sha256(key.encode()).hexdigest()


def key_key(hashed: str) -> str:
    """Return the key of an idempotency key's row."""
    return f"k|{hashed}"


def upload_key(upload_id: str) -> str:
    """Return the key of an upload's row."""
    return f"u|{upload_id.removeprefix('upl_')}"
