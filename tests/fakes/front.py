"""The front in memory: what the app hears when it calls itself."""

from dataclasses import dataclass

from shared.errors import Unreachable


@dataclass
class MemoryFront:
    """Takes forged headers away unless they *arrive*; *silent* calls get no answer first. *calls* counts."""

    arrives: bool = False
    silent: int = 0
    calls: int = 0

    def lets_through(self, header: str, value: str, nonce: str) -> bool:
        """As `Front` says."""
        self.calls += 1
        if self.silent:
            self.silent -= 1
            raise Unreachable("no answer")
        return self.arrives
