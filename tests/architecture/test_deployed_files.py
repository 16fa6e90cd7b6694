"""What `func azure functionapp publish` takes along: the app itself, and nothing of its development."""

import os
from collections.abc import Iterator
from pathlib import Path

import pathspec
import pytest

ROOT = Path(__file__).parents[2]
APP_FILES = {"function_app.py", "host.json", "requirements.txt"}
APP_FOLDERS = {"functions", "shared"}


@pytest.fixture(name="ignored")
def _ignored() -> pathspec.GitIgnoreSpec:
    return pathspec.GitIgnoreSpec.from_lines((ROOT / ".funcignore").read_text(encoding="utf-8").splitlines())


def files_taken(ignored: pathspec.GitIgnoreSpec) -> Iterator[str]:
    """Yield every file that `.funcignore` lets through, as a path in the checkout."""
    for folder, subfolders, names in os.walk(ROOT):
        inside = Path(folder).relative_to(ROOT)
        subfolders[:] = [name for name in subfolders if not ignored.match_file(f"{(inside / name).as_posix()}/")]
        yield from (path for name in names if not ignored.match_file(path := (inside / name).as_posix()))


def test_the_app_is_deployed_and_nothing_else(ignored: pathspec.GitIgnoreSpec) -> None:
    """The files at the root are the app's three, and the folders are the app's two."""
    taken = list(files_taken(ignored))

    assert APP_FILES == {path for path in taken if "/" not in path}
    assert APP_FOLDERS == {path.split("/")[0] for path in taken if "/" in path}


@pytest.mark.parametrize(
    "path",
    [
        "tests/conftest.py",
        "localcloud/world.py",
        "docs/decisions/0001.md",
        "infra/main.bicep",
        "bench/tokens.py",
        "local.settings.json",
        "local.settings.sample.json",
        "README.md",
        ".venv/bin/python",
        ".git/config",
    ],
)
def test_development_stays_behind(path: str, ignored: pathspec.GitIgnoreSpec) -> None:
    """Tests, tools, documents, secrets and state of one machine are never deployed, whether they exist yet or not."""
    assert ignored.match_file(path)


def test_bytecode_stays_behind(ignored: pathspec.GitIgnoreSpec) -> None:
    """Compiled files of another machine are not deployed."""
    assert ignored.match_file("shared/__pycache__/mail.cpython-313.pyc")
