"""The list of events that people read agrees with the types that there are."""

import re
from pathlib import Path

from shared.notices import ALARMS, EventType

PAGE = Path(__file__).parents[2] / "docs" / "events.md"


def test_every_type_is_documented_with_whom_it_reaches() -> None:
    """One line of the table for each type, and the alarms are those that the operator gets."""
    lines = re.findall(r"^\| `([a-z.]+)` \|.*\| (yes|no) \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)

    assert {kind.short: "yes" if kind in ALARMS else "no" for kind in EventType} == dict(lines)
