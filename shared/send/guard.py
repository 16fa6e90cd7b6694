"""Every outward call of a drain goes through here: one of four permits, and enough of the lease left to end in it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from shared.turns import Turn, TurnLost

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Guard:
    """Makes outward calls under *turn*."""

    turn: Turn

    def check(self) -> None:
        """Raise `TurnLost` unless a whole call still fits into the lease; whoever gets here has made progress."""
        self.turn.renew()
        if not self.turn.may_call():
            raise TurnLost

    def call(self, function: Callable[[], Result]) -> Result:
        """Return what *function* does with one permit; raises `TurnLost` before it, never after."""
        with self.turn.permits.take():
            self.check()
            return function()

    def paced(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        """Yield *chunks*, each only if a whole call still fits into the lease."""
        for chunk in chunks:
            self.check()
            yield chunk
