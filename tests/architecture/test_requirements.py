"""What is imported is named: nothing of ours relies on a package that merely comes along with another."""

import importlib.metadata
import re
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

from localcloud.foreign.environments import LOCKS
from tests.architecture.sources import ROOT, development_files, imports_of, product_files

OURS = {"bench", "function_app", "functions", "infra", "localcloud", "shared", "tests"}
# Installed from Python 3.13 on only, so nothing can be said of it below that.
RUNTIME = "azure_functions_runtime"


def named(*files: str) -> set[str]:
    """Return the distributions that these requirement files name, in normal form; versions and conditions left out."""
    lines = [line for file in files for line in (ROOT / file).read_text(encoding="utf-8").splitlines()]
    return {normal(found[0]) for line in lines if (found := re.match(r"[A-Za-z0-9][A-Za-z0-9._-]*", line))}


def normal(name: str) -> str:
    """Return a distribution's name as indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def outside_modules(files: Iterable[Path]) -> set[str]:
    """Return the full name of everything that *files* import and that is neither ours nor Python's own."""
    names = {name for file in files for name in imports_of(file.read_text(encoding="utf-8"))}
    return {name for name in names if name.partition(".")[0] not in {*OURS, *sys.stdlib_module_names}}


@pytest.fixture(name="owners", scope="module")
def _owners() -> dict[str, str]:
    """Return which distribution ships each installed module: parts of `azure` belong to several."""
    owners: dict[str, str] = {}
    for distribution in importlib.metadata.distributions():
        for path in distribution.files or ():
            name = str(path).removesuffix(".py").removesuffix("/__init__").replace("/", ".")
            if path.suffix == ".py" and not name.startswith("."):
                owners[name] = normal(distribution.name)
    return owners


def distributions_of(modules: Iterable[str], owners: dict[str, str]) -> set[str]:
    """Return the distributions that ship *modules*; a module that nothing ships stands for itself."""
    found = set()
    for module in modules:
        parts = module.split(".")
        prefixes = (".".join(parts[:end]) for end in range(len(parts), 0, -1))
        found.add(next((owners[prefix] for prefix in prefixes if prefix in owners), module))
    return found


def test_every_import_of_the_product_is_required(owners: dict[str, str]) -> None:
    """Whatever the deployed app imports by itself stands in requirements.in."""
    imported = distributions_of(outside_modules(product_files()), owners)

    assert set() == imported - named("requirements.in")


def test_every_requirement_is_imported(owners: dict[str, str]) -> None:
    """Nothing stands in requirements.in that the deployed app does not import by itself."""
    imported = distributions_of(outside_modules(product_files()), owners)

    assert set() == named("requirements.in") - imported


def test_every_import_of_development_is_required(owners: dict[str, str]) -> None:
    """Whatever the local cloud and the tests import stands in one of the two files."""
    modules = {name for name in outside_modules(development_files()) if not name.startswith(RUNTIME)}

    assert set() == distributions_of(modules, owners) - named("requirements.in", "requirements-dev.in")


@pytest.mark.parametrize(
    "file",
    ["requirements", "requirements-dev", *(f"localcloud/foreign/{path.stem}" for path in LOCKS.glob("*.in"))],
)
def test_what_is_required_is_pinned(file: str) -> None:
    """Each name of an .in file has its exact version in a lock file that `make lock` makes."""
    pinned = named(f"{file}.txt", "requirements.txt")

    assert set() == named(f"{file}.in") - pinned
