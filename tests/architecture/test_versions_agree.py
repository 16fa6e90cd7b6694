"""The version stands in three places that must say the same: the code, the package's metadata and the changelog."""

import re
import tomllib
from pathlib import Path

from shared.version import VERSION

ROOT = Path(__file__).parents[2]


def test_metadata_has_the_version() -> None:
    """pyproject.toml names the version that the app answers."""
    assert VERSION == tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]


def test_changelog_begins_with_the_version() -> None:
    """The changelog's newest numbered heading is the version that the app answers."""
    headings = re.findall(r"^## \[(\d[^\]]*)\]", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)

    assert VERSION == headings[0]
