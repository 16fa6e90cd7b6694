"""Loops of mail: a hook that writes to one address again and again is stopped before it answers itself for ever."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from shared.codes import Code
from shared.errors import RecordedFault
from shared.ports import Insert, Operation, Table, Update
from shared.times import from_text, to_text

LOOP_MAILS = 20
LOOP_WINDOW = timedelta(hours=1)
LOOP_FIRST, LOOP_LAST = "l|", "l~"


@dataclass(frozen=True, slots=True)
class Counted:
    """What is to be written with the mail, so that it counts; *fault* where it may not be sent."""

    operations: list[Operation]
    fault: RecordedFault | None = None


def counted(table: Table, partition: str, hook_id: str, addresses: Iterable[str], now: datetime) -> Counted:
    """
    Count one mail of a hook to *addresses*, each at most 20 times an hour.

    The operations fail with `RowChanged` or `RowExists` where another mail was counted meanwhile: count again then.
    """
    operations: list[Operation] = []
    for address in sorted({address.casefold() for address in addresses}):
        key = f"{LOOP_FIRST}{hashlib.sha256(f'{hook_id}|{address}'.encode()).hexdigest()[:32]}"
        row = table.get(partition, key)
        times = str(row.values.get("times", "")).split() if row else []
        recent = [moment for moment in times if from_text(moment) > now - LOOP_WINDOW]
        if len(recent) >= LOOP_MAILS:
            return Counted([], _fault(now))
        values = {"times": " ".join([*recent, to_text(now)]), "at": to_text(now)}
        operations.append(Update(key, values, row.etag) if row else Insert(key, values))
    return Counted(operations)


def _fault(now: datetime) -> RecordedFault:
    detail = (
        f"The hook wrote to one of these recipients {LOOP_MAILS} times within an hour, so this mail was held back: it "
        "may be a loop. Resend it if it is none."
    )
    return RecordedFault(Code.LOOP_SUSPECTED.value, detail, to_text(now))
