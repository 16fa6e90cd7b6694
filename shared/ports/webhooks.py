"""Calls to addresses that a person entered, as promises."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Answer:
    """What a destination answered; *retry_after* in seconds."""

    status: int
    retry_after: float | None = None


class Webhooks(Protocol):
    """The guarded client for addresses that a person entered."""

    def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        """
        POST *body*; redirects are not followed.

        Raises `Fault` with destination_forbidden where the address may not be called, destination_unreachable else.
        """

    def check(self, url: str) -> str | None:
        """Return why this URL can never be called, or None; makes no call."""
