"""What `func azure functionapp publish` takes along: the app itself, and nothing of its development."""

from pathlib import Path

import pathspec
import pytest

from localcloud.package import outside_imports, taken, unpack, write

ROOT = Path(__file__).parents[2]
APP_FILES = {"function_app.py", "host.json", "requirements.txt"}
APP_FOLDERS = {"functions", "shared"}


@pytest.fixture(name="ignored")
def _ignored() -> pathspec.GitIgnoreSpec:
    return pathspec.GitIgnoreSpec.from_lines((ROOT / ".funcignore").read_text(encoding="utf-8").splitlines())


def test_the_app_is_deployed_and_nothing_else() -> None:
    """The files at the root are the app's three, and the folders are the app's two."""
    found = list(taken())

    assert APP_FILES == {path for path in found if "/" not in path}
    assert APP_FOLDERS == {path.split("/")[0] for path in found if "/" in path}


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
        ".azure/mailgrant/.env",
        ".env",
        "dist/mailgrant.zip",
    ],
)
def test_development_stays_behind(path: str, ignored: pathspec.GitIgnoreSpec) -> None:
    """Tests, tools, documents, secrets and state of one machine are never deployed, whether they exist yet or not."""
    assert ignored.match_file(path)


def test_bytecode_stays_behind(ignored: pathspec.GitIgnoreSpec) -> None:
    """Compiled files of another machine are not deployed."""
    assert ignored.match_file("shared/__pycache__/mail.cpython-313.pyc")


def test_the_package_is_the_same_each_time(tmp_path: Path) -> None:
    """Two packages of one checkout have the same bytes, and hold the app as it is."""
    first, second, folder = tmp_path / "1.zip", tmp_path / "2.zip", tmp_path / "app"
    files = [write(first), write(second)]
    unpack(first, folder)

    assert first.read_bytes() == second.read_bytes()
    assert [files[0]] * 2 == [files[1], sum(path.is_file() for path in folder.rglob("*"))]
    assert (ROOT / "host.json").read_bytes() == (folder / "host.json").read_bytes()


def test_the_start_is_compared_with_what_the_app_imports(tmp_path: Path) -> None:
    """The bare import has every name of other packages, at any depth, and nothing of Python or of the app."""
    (tmp_path / "shared").mkdir()
    lines = ["import json", "from shared import rows", "import httpx", "def f():", "    from jinja2 import Template"]
    (tmp_path / "shared" / "a.py").write_text("\n".join(lines), encoding="utf-8")

    assert ["from jinja2 import Template", "import httpx"] == outside_imports(tmp_path)
