"""Events of the log have constant names, and every one is in the list that people query by."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from shared.telemetry import TALKATIVE
from tests.architecture.sources import ROOT, product_files

PAGE = ROOT / "docs" / "telemetry.md"
LEVELS = {"info": "information", "warning": "warning", "error": "error", "exception": "error"}
LOGGERS = {"log", "_traces", "_measures"}
SHAPE = re.compile(r"[a-z]+\.([a-z_]+|%s)( [a-z_]+=(%s|%d|[A-Z][a-z]+))*(%s)?(\n%s)?")


def logged(file: Path) -> Iterator[tuple[str, str]]:
    """Yield level and text of every line that *file* may log."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in LEVELS:
            owner, text = node.func.value, node.args[0] if node.args else None
            if isinstance(owner, ast.Name) and owner.id in LOGGERS:
                assert isinstance(text, ast.Constant), f"{file}:{node.lineno}: an event's name is constant"
                yield LEVELS[node.func.attr], str(text.value)


def every_line() -> set[tuple[str, str]]:
    """Return level and text of every line that the product may log."""
    return {found for file in product_files() for found in logged(file)}


def test_every_line_begins_with_the_name_of_an_event() -> None:
    """`area.verb`, then ids and counts as `key=value`: no sentence, and nothing of a mail."""
    assert [] == sorted(text for _, text in every_line() if not SHAPE.fullmatch(text))


def test_every_event_is_documented() -> None:
    """docs/telemetry.md has one row for each event, with its level."""
    rows = re.findall(r"^\| `([a-z]+\.[a-z_*]+)` \| ([a-z]+) \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    expected = {(text.split()[0].replace("%s", "*"), level) for level, text in every_line()}

    assert expected == set(rows)
    assert len(rows) == len(set(rows))


def test_telemetry_is_quiet_about_vendors() -> None:
    """Every vendor whose log lines hold addresses of requests is named on the page."""
    text = PAGE.read_text(encoding="utf-8")

    assert [] == [name for name in TALKATIVE if f"`{name}`" not in text]
