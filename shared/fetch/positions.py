"""Where a listing of a folder stands: a time, in the place of the link that a delta walk has."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from shared.times import from_text, to_text

OVERLAP = timedelta(minutes=5)
"""How much of what was listed is listed again by the next fetch: mail may appear later than it was received."""

MOST_KNOWN = 100
EARLIEST = "1900-01-01T00:00:00Z"
_FORM = re.compile(r"at:(?P<at>[^|]*)\|(?P<skip>\d+)\|(?P<known>[0-9a-f,]*)")


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """
    Where a listing goes on: with mail received *at* this time (RFC 3339) or later, of which *skip* are passed over.

    *known* are hashes of messages from there on that have their receipts.
    """

    at: str
    skip: int = 0
    known: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The form that a run's record keeps."""
        return f"at:{self.at}|{self.skip}|{','.join(self.known[-MOST_KNOWN:])}"


def is_position(link: str) -> bool:
    """Tell whether what a record keeps is a position, and no link of Graph."""
    return link.startswith("at:")


def position_of(text: str) -> Position:
    """Return the position of its text; raises ValueError where it is none."""
    match = _FORM.fullmatch(text)
    if match is None:
        message = "not a position"
        raise ValueError(message)
    return Position(match["at"], int(match["skip"]), tuple(filter(None, match["known"].split(","))))


def wire_time(moment: datetime) -> str:
    """Return a time as Graph writes those of mail: whole seconds, so that both compare as text."""
    return to_text(moment.replace(microsecond=0)).replace(".000Z", "Z")


def rest_of(first: Position, walked: Position, listed: Mapping[str, str], now: datetime) -> Position:
    """
    Return where the next fetch begins after a listing from *first*, of late from *walked*, came to its end.

    *listed* maps the hash of each message that it showed to the time at which that was received. That may lie in the
    future, as imported mail's does; the next fetch begins before *now* all the same.
    """
    newest = wire_time(now)
    first = replace(max(first, walked), at=max(first.at, min(walked.at, _earlier(newest))))
    latest = min(max(listed.values(), default=""), newest)
    begins = _earlier(latest) if latest else first.at
    if begins <= first.at:
        known = (*first.known, *(key for key in listed if key not in first.known))
        return Position(first.at, 0, known[-MOST_KNOWN:])
    known = tuple(key for key, at in listed.items() if at >= begins)
    return Position(begins, 0, known[-MOST_KNOWN:])


def _earlier(at: str) -> str:
    try:
        return wire_time(from_text(at) - OVERLAP)
    except ValueError:
        return at
