"""A host that dies in the middle of its work loses nothing and doubles nothing."""

import random
from pathlib import Path

import pytest
from rich.console import Console

from localcloud.faults import Campaign

pytestmark = [pytest.mark.enable_socket, pytest.mark.timeout(240)]


@pytest.mark.parametrize(("area", "kills"), [("fetch", 3), ("deliver", 3), ("send", 3), ("upgrade", 2)])
def test_kills_at_boundaries_lose_and_double_nothing(area: str, kills: int, tmp_path: Path) -> None:
    """
    SIGKILL before or after outward calls of the area, amid faults: 0 lost, 0 duplicates, every state true.

    In `upgrade` a newer version dies and then this one, which finds what the other left.
    """
    console = Console(stderr=True, quiet=True)
    figures = Campaign(area, kills, random.Random(7), tmp_path, console).play()

    assert figures["kills"] >= kills
    assert figures["boundaries"] > 4
    judged = [figures[name] for name in ("lost", "duplicates", "wrong_state", "stuck")]
    assert ([0, 0, 0, 0], []) == (judged, figures.get("details", []))
