"""What can stop the host from starting, each with a sentence for the person who started it."""

from __future__ import annotations


class StartError(Exception):
    """Say why the app must not start; the real host would report the same function or setting as broken."""


class RuntimeMissingError(StartError):
    """Say that this Python has no azure-functions-runtime (it needs Python 3.13 or newer)."""
