"""What stands before us under our public address, as a promise."""

from typing import Protocol


class Front(Protocol):
    """Our own public address, called from outside like anybody."""

    def lets_through(self, header: str, value: str, nonce: str) -> bool:
        """
        Call an admin route with *header* set to *value* and return whether that header arrived.

        *nonce* proves that our own app answered. Raises `Unreachable` where it did not.
        """
