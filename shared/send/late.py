"""When a mail has waited or was looked for too long; decided without any outward call."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from shared.codes import Code
from shared.errors import RecordedFault
from shared.outbox import moves
from shared.outbox.work import Phase, Status, Work
from shared.send.storing import Held, Writer
from shared.times import to_text


@dataclass(frozen=True, slots=True)
class Patience:
    """How long mails of a connection may wait."""

    writer: Writer
    hold_hours: int

    @property
    def hold(self) -> timedelta:
        """How long a mail may wait to be sent."""
        return timedelta(hours=self.hold_hours)

    def is_over(self, work: Work, now: datetime) -> bool:
        """Tell whether the mail has waited too long to be sent."""
        return now >= work.held_until(self.hold)

    def end(self, held: Held, now: datetime) -> Held | None:
        """Give the mail up if it has waited or was looked for too long, and return it then."""
        work = held.work
        if work.phase == Phase.LOOKING:
            hopeless = moves.hopeless(work, self.hold, now)
            return self.writer.write(held, moves.give_up(work, self.hold, now)) if hopeless else None
        waits = work.status == Status.QUEUED or work.phase == Phase.REFUSED
        if not waits or not self.is_over(work, now):
            return None
        return self.writer.write(held, moves.fail(work, self.fault(now), now))

    def fault(self, now: datetime) -> RecordedFault:
        """Return the sentence for a mail that waited too long."""
        detail = (
            f"The mail could not be sent within {self.hold_hours} hours. Nothing was sent; "
            "send it again if it still matters."
        )
        return RecordedFault(Code.NOT_SENT_IN_TIME.value, detail, to_text(now))
