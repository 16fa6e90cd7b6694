"""A host whose clock is wrong: this process alone sees another time, storage and everyone else the true one."""

from __future__ import annotations

import importlib
import time
from datetime import datetime, timedelta, tzinfo
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

OFFSET = "LOCAL_HOST_CLOCK_OFFSET"


def install(environment: Mapping[str, str]) -> None:
    """Shift this process's clock by the seconds that the environment asks for; does nothing where it asks for none."""
    offset = float(environment.get(OFFSET) or 0)
    if not offset:
        return
    true_time = time.time

    class Shifted(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Shifted:
            return super().now(tz) + timedelta(seconds=offset)

    # Every function that tells the time looks the class up here, even those that were imported long ago.
    importlib.import_module("shared.times").datetime = Shifted  # type: ignore[attr-defined]
    time.time = lambda: true_time() + offset
