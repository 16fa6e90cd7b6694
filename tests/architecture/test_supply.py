"""What is installed is pinned by hash, under licences that were agreed to, and listed for whoever asks."""

import json
import re
from pathlib import Path

import pytest

from localcloud.supply import (
    DEPLOYABLE,
    DEVELOPABLE,
    OF_NODE,
    PAGE,
    bill_of_materials,
    classes_of,
    licence_of,
    node_licences,
    pins,
)
from tests.architecture.sources import ROOT

LOCKS = ("requirements", "requirements-dev")
NODE_LOCK = ROOT / "localcloud" / "package-lock.json"
ROW = re.compile(r"^\| (?P<name>[\w.:/-]+) \| (?P<value>[^|]+) \|$", re.MULTILINE)


def page() -> dict[str, str]:
    """Return what docs/licences.md says of each package, and of each licence of Node's."""
    rows = {row["name"]: row["value"] for row in ROW.finditer(PAGE.read_text(encoding="utf-8"))}
    return {name: value for name, value in rows.items() if name not in ("Package", "Licence")}


@pytest.mark.parametrize("lock", LOCKS)
def test_every_pin_has_hashes(lock: str) -> None:
    """Nothing is installed whose file is not known by its SHA-256, so an index cannot serve another."""
    assert [] == [pin.name for pin in pins(ROOT / f"{lock}.txt") if not pin.hashes]


def test_both_locks_accept_the_same_files() -> None:
    """A package that stands in both lock files has one version and the same hashes, or it could not be installed."""
    deployed, development = ({(pin.name, pin.marker): pin for pin in pins(ROOT / f"{lock}.txt")} for lock in LOCKS)
    shared = deployed.keys() & development.keys()

    assert [deployed[key] for key in shared] == [development[key] for key in shared]


def test_a_line_that_pins_nothing_is_refused(tmp_path: Path) -> None:
    """A lock file with a loose requirement is not read as if it were whole."""
    lock = tmp_path / "requirements.txt"
    lock.write_text("httpx>=0.28\n")

    with pytest.raises(ValueError, match="pins nothing"):
        pins(lock)


def test_pin_is_read_with_its_marker_and_all_hashes(tmp_path: Path) -> None:
    """Continued lines belong to their pin."""
    first, second = "a" * 64, "b" * 64
    lock = tmp_path / "requirements.txt"
    lock.write_text(
        f"x-y==1.2 ; python_version < '3.13' \\\n    --hash=sha256:{first} \\\n    --hash=sha256:{second}\nz==3\n"
    )

    found = [(pin.name, pin.version, pin.marker, pin.hashes) for pin in pins(lock)]

    assert [("x-y", "1.2", "python_version < '3.13'", (first, second)), ("z", "3", "", ())] == found


def test_no_new_kind_of_licence_is_deployed() -> None:
    """Each deployed package bears licences that were agreed to."""
    told = {pin.name: licence_of(pin.name) for pin in pins(ROOT / "requirements.txt")}

    assert {} == {name: licence for name, licence in told.items() if not classes_of(licence) <= DEPLOYABLE}


def test_no_new_kind_of_licence_comes_with_development() -> None:
    """Tools are held to a list that is little longer; what this platform does not install is not judged here."""
    told = {pin.name: licence_of(pin.name) for pin in pins(ROOT / "requirements-dev.txt")}

    assert {} == {name: one for name, one in told.items() if one and not classes_of(one) <= DEVELOPABLE}


def test_no_new_kind_of_licence_comes_with_node() -> None:
    """The packages of Node bear licences from a list of their own."""
    assert set() == {one for licence in node_licences(NODE_LOCK) for one in classes_of(licence.strip("()"))} - OF_NODE


def test_page_names_what_is_pinned() -> None:
    """docs/licences.md has a row for each pinned package and no other; `make licences` renews it."""
    pinned = {pin.name for lock in LOCKS for pin in pins(ROOT / f"{lock}.txt")}

    assert pinned == page().keys() - node_licences(NODE_LOCK).keys()


def test_page_says_what_the_packages_say() -> None:
    """Each row has the licence that the installed package tells; `make licences` renews it."""
    told = {pin.name: licence_of(pin.name) for lock in LOCKS for pin in pins(ROOT / f"{lock}.txt")}
    node = {licence: str(count) for licence, count in node_licences(NODE_LOCK).items()}

    assert {name: licence for name, licence in told.items() if licence} | node == {
        name: value for name, value in page().items() if told.get(name) or name in node
    }


def test_bill_of_materials_lists_what_is_deployed() -> None:
    """Each pin of requirements.txt is a component with its address, its hashes and its licence."""
    found = {
        part["purl"]: [digest["content"] for digest in part["externalReferences"][0]["hashes"]]
        for part in bill_of_materials()["components"]
        if part["licenses"]
    }

    assert {f"pkg:pypi/{pin.name}@{pin.version}": list(pin.hashes) for pin in pins(ROOT / "requirements.txt")} == found


def test_bill_of_materials_is_reproducible() -> None:
    """The same lock file gives the same bytes: no time and no chance in it."""
    assert json.dumps(bill_of_materials()) == json.dumps(bill_of_materials())


def test_every_ecosystem_is_watched_for_updates() -> None:
    """Dependabot looks at Python's packages, Node's and the actions, each where its files are."""
    text = (ROOT / ".github" / "dependabot.yml").read_text(encoding="utf-8")
    watched = re.findall(r"package-ecosystem: (\S+)\n    directory: (\S+)", text)

    assert [("pip", "/"), ("npm", "/localcloud"), ("github-actions", "/")] == watched
