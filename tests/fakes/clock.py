"""A clock that moves only when a test says so."""

from datetime import UTC, datetime, timedelta

START = datetime(2026, 3, 2, 9, 30, 15, tzinfo=UTC)


class MovableClock:
    """A `Clock`: call it for the time; `monotonic` gives the same time as seconds since the start."""

    def __init__(self, now: datetime = START) -> None:
        self.start = now
        self.now = now

    def __call__(self) -> datetime:
        """Return the time as it stands."""
        return self.now

    def advance(self, seconds: float) -> datetime:
        """Move the clock by *seconds* and return the new time."""
        self.now += timedelta(seconds=seconds)
        return self.now

    def monotonic(self) -> float:
        """Return the seconds since the clock was made, as `time.monotonic` would."""
        return (self.now - self.start).total_seconds()
