"""Who is told that this app works on something, and so may look whether its timer still does."""

from collections.abc import Callable

Watch = Callable[[], None]


def nobody() -> None:
    """Look at nothing."""
