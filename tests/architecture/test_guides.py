"""The guides for operators speak of routes, settings, figures, files and tests that are there."""

import ast
import json
import re
from pathlib import Path

import pytest

from bench.costs import BEGIN, END, GUIDE, PRICES, Book, guide_with, report
from shared.settings import SETTINGS
from tests.architecture.sources import ROOT, product_files

SURFACE = ROOT / "tests" / "functions" / "test_surface.py"
THREATS = ROOT / "docs" / "threat-model.md"
GUIDES = (GUIDE, THREATS, ROOT / "SECURITY.md")
ROUTE = re.compile(r"`(?P<method>GET|POST|PUT|PATCH|DELETE) (?P<path>[a-z][\w/{}.-]*)(?:\?[^`]*)?`")
LINK = re.compile(r"\]\((?!https?:|#)([^)#]+)")
NAMED_TEST = re.compile(r"`(?P<file>tests/[\w/]+\.py)::(?P<name>\w+)`")
# Values that a deployment prints, in capitals like its choices.
OUTPUTS = re.compile(r"^output (\w+) ", re.MULTILINE)


def known_routes() -> set[tuple[str, str]]:
    """Return every method and route of the table that a test holds to the app, names of placeholders left out."""
    table = SURFACE.read_text(encoding="utf-8").partition('HTTP = """')[2].partition('"""')[0]
    lines = (line.split() for line in table.strip().splitlines())
    return {(method, bare(line[2])) for line in lines for method in line[1].split(",")}


def bare(path: str) -> str:
    """Return a route whose placeholders have no names."""
    return re.sub(r"\{[^}]*\}", "{}", path)


@pytest.mark.parametrize("guide", GUIDES, ids=lambda path: path.name)
def test_every_route_is_there(guide: Path) -> None:
    """Whatever a guide tells to call is a route of the app."""
    told = {(found["method"], bare(found["path"])) for found in ROUTE.finditer(guide.read_text(encoding="utf-8"))}

    assert set() == told - known_routes()


@pytest.mark.parametrize("guide", GUIDES, ids=lambda path: path.name)
def test_every_link_leads_to_a_file(guide: Path) -> None:
    """A link within the project leads to something."""
    targets = LINK.findall(guide.read_text(encoding="utf-8"))

    assert [] == [target for target in targets if not (guide.parent / target).exists()]


def test_every_choice_of_the_deployment_is_one() -> None:
    """Names in capitals are settings, choices of the deployment, or what it prints."""
    told = set(re.findall(r"`([A-Z]+(?:_[A-Z]+)+)(?:=[^`]*)?`", GUIDE.read_text(encoding="utf-8")))
    parameters = (ROOT / "infra" / "main.bicepparam").read_text(encoding="utf-8")
    known = set(re.findall(r"readEnvironmentVariable\('(\w+)'", parameters)) | {one.name for one in SETTINGS}
    known |= set(OUTPUTS.findall((ROOT / "infra" / "main.bicep").read_text(encoding="utf-8")))
    deployed = (ROOT / "infra" / "modules" / "app.bicep").read_text(encoding="utf-8")

    assert set() == {name for name in told - known if name not in deployed}


def test_every_word_of_the_api_is_one() -> None:
    """Fields, codes, states and events that the guide names stand in the product's code, word for word."""
    told = re.findall(r"`([a-z]+(?:[._][a-z]+)+)(?:: [^`]*)?`", GUIDE.read_text(encoding="utf-8"))
    sources = [path.read_text(encoding="utf-8") for path in product_files()]
    known = {word for text in sources for word in re.findall(r"[a-z]+(?:_[a-z]+)*", text)}

    assert set() == {word for name in told for word in name.split(".") if word not in known and name != "host.json"}


def test_host_figures_are_those_of_the_host() -> None:
    """The table of host.json has its values, and all of its queues' settings."""
    host = json.loads((ROOT / "host.json").read_text(encoding="utf-8"))
    rows = dict(re.findall(r"^\| `(\w+)` \| ([^|]+?) \|", GUIDE.read_text(encoding="utf-8"), re.MULTILINE))
    spoken = {"00:10:00": "10 min", "00:00:02": "2 s", "00:00:30": "30 s", "base64": "`base64`"}
    figures = {"functionTimeout": host["functionTimeout"], **host["extensions"]["queues"]}

    assert {name: spoken.get(value, str(value)) for name, value in figures.items()} == {
        name: rows[name] for name in figures
    }


def test_costs_are_those_that_are_computed() -> None:
    """The tables of costs are what `make costs` prints; `make costs ARGS=--write` renews them."""
    guide = GUIDE.read_text(encoding="utf-8")

    assert guide_with(report(Book.read(PRICES)), guide) == guide


def test_every_threat_has_a_test_that_is_there() -> None:
    """Each row of the threat model names a test, and each named test stands in its file."""
    rows = [line for line in THREATS.read_text(encoding="utf-8").splitlines() if line.startswith("| ")][1:]
    threats = [row for row in rows if not row.startswith("| **")]
    named = [found for row in threats for found in NAMED_TEST.finditer(row)]
    functions = {
        (found["file"], node.name)
        for found in named
        for node in ast.walk(ast.parse((ROOT / found["file"]).read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef)
    }

    assert len(threats) == len(named)
    assert [] == [f"{one['file']}::{one['name']}" for one in named if (one["file"], one["name"]) not in functions]


def test_a_guide_without_marks_is_refused() -> None:
    """Tables are written between two marks only."""
    with pytest.raises(ValueError, match="lacks the marks"):
        guide_with("x", f"{END} {BEGIN}")
