"""What is still to be done for mail that was accepted: when its connection looks for copies, reports, old drafts."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from shared.times import from_text, to_text

KEPT = timedelta(hours=48)
"""How long a mail is followed after it was accepted, or its outcome was given up."""
TIDY_AFTER = timedelta(hours=25)
"""How long after a send drafts that nobody recorded are looked for; they are left alone for 24 hours."""
GROWTH = 15
"""How much longer than the first wait the longest is: 15 minutes where the first is one."""


@dataclass(frozen=True, slots=True)
class Aftercare:
    """
    What one connection's run row says of it; all times are storage's.

    *check_at* is when Sent Items and reports are listed next ('' where nothing is followed), *checks* how many lists in
    a row came since mail was accepted. Reports up to *reports_upto* were read; *reports_seen* are hashes of those so
    close before it that a list names them again. *tidy_at* is when old drafts are removed ('' where none can be).
    """

    check_at: str = ""
    checks: int = 0
    reports_upto: str = ""
    reports_seen: tuple[str, ...] = ()
    tidy_at: str = ""

    def after_accepting(self, first: timedelta, now: datetime) -> "Aftercare":
        """Return it where mail was accepted *now*: looked for after *first*, and often again."""
        soon = to_text(now + first)
        return replace(self, check_at=min(self.check_at or soon, soon), checks=0)

    def after_working(self, now: datetime) -> "Aftercare":
        """Return it where drafts may have been made: tidied once they are old, unless that is due before."""
        return replace(self, tidy_at=self.tidy_at or to_text(now + TIDY_AFTER))

    def after_check(self, first: timedelta, now: datetime) -> "Aftercare":
        """Return it after a list, with a wait that grows."""
        factor = min(2 ** min(self.checks, 10), GROWTH)
        return replace(self, checks=self.checks + 1, check_at=to_text(now + first * factor))

    def next_at(self) -> datetime | None:
        """Return when something is due, None where nothing is."""
        times = [from_text(at) for at in (self.check_at, self.tidy_at) if at]
        return min(times) if times else None

    def checks_by(self, now: datetime) -> bool:
        """Tell whether a list is due by *now*."""
        return bool(self.check_at) and from_text(self.check_at) <= now

    def tidies_by(self, now: datetime) -> bool:
        """Tell whether tidying is due by *now*."""
        return bool(self.tidy_at) and from_text(self.tidy_at) <= now
