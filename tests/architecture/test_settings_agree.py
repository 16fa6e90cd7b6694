"""What a deployment needs stands in several places that must agree: code, README, sample settings, local cloud."""

import json
import re
from pathlib import Path

from localcloud.environment import CONTAINERS, TABLES, WORK_QUEUES
from shared.settings import SETTINGS, Setting

ROOT = Path(__file__).parents[2]
# What the sample file also holds for the host's sake; the app does not read these.
OF_THE_HOST = {"FUNCTIONS_WORKER_RUNTIME", "PYTHON_THREADPOOL_THREAD_COUNT"}


def table_row(setting: Setting) -> str:
    """Return the README's table row for *setting*."""
    default = "required" if setting.required else f"`{setting.default}`" if setting.default else "empty"
    return f"| `{setting.name}` | {default} | {setting.description} |"


def test_readme_table_is_the_settings() -> None:
    """The README's table has exactly one row per setting, in the code's order, with its default and description."""
    rows = re.findall(r"^\| `[A-Z][A-Za-z_]+` \| .*\|$", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE)

    assert "\n".join(map(table_row, SETTINGS)) == "\n".join(rows)


def test_sample_file_names_every_setting() -> None:
    """local.settings.sample.json has every setting and nothing else but the host's own."""
    values = json.loads((ROOT / "local.settings.sample.json").read_text(encoding="utf-8"))["Values"]

    assert {setting.name for setting in SETTINGS} == set(values) - OF_THE_HOST


def test_sample_file_shows_the_defaults() -> None:
    """Where a setting has a default, the sample file shows that default."""
    values = json.loads((ROOT / "local.settings.sample.json").read_text(encoding="utf-8"))["Values"]
    defaults = {setting.name: setting.default for setting in SETTINGS if setting.default}

    assert defaults == {name: values.get(name) for name in defaults}


def test_readme_names_the_storage_that_the_local_cloud_makes() -> None:
    """The queues, tables and containers that the README asks for are those that every local run begins with."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if re.match(r" +- (queues|tables|containers) `", line)]
    found = [tuple(re.findall(r"`([a-z-]+)`", line.partition(", each with")[0])) for line in lines]

    assert [WORK_QUEUES, TABLES, CONTAINERS] == found
