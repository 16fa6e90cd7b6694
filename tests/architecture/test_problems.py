"""Every problem code is raised somewhere, is in the documentation, and has the status that stands there."""

import re
from collections.abc import Iterator

from functions.replies import CODE_STATUS, status_of
from shared.codes import Code
from shared.errors import MailgrantError
from tests.architecture.sources import ROOT, product_files

TABLE = ROOT / "docs" / "problems.md"


def documented() -> dict[str, list[str]]:
    """Return the cells of each row of the table by code."""
    lines = [line for line in TABLE.read_text(encoding="utf-8").splitlines() if line.startswith("| `")]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert len(rows) == len({row[0] for row in rows})
    return {row[0].strip("`"): row[1:] for row in rows}


def kinds(base: type[MailgrantError] = MailgrantError) -> Iterator[type[MailgrantError]]:
    """Return every kind of error of the product."""
    yield base
    for kind in base.__subclasses__():
        yield from kinds(kind)


def test_the_table_is_the_enum() -> None:
    """Each code has its row, in the same order, and each row says everything."""
    table = documented()

    assert [code.value for code in Code] == list(table)
    assert [] == [code for code, cells in table.items() if len(cells) != 4 or not all(cells)]


def test_every_code_is_used() -> None:
    """A code that nobody raises is removed."""
    text = "\n".join(path.read_text(encoding="utf-8") for path in product_files())
    used = set(re.findall(r"\bCode\.([A-Z][A-Z0-9_]+)", text))

    assert {code.name for code in Code} == used


def test_statuses_are_those_of_the_table() -> None:
    """What an error's own code, or a code by itself, is answered with stands in its row."""
    table = documented()
    given = {(code.value, status) for code, status in CODE_STATUS.items()}
    for kind in filter(lambda kind: "code" in vars(kind), kinds()):
        error = kind.__new__(kind)
        error.known = False  # type: ignore[attr-defined]
        given.add((kind.code.value, status_of(error)))

    assert [] == [(code, status) for code, status in sorted(given) if str(status) not in table[code][2]]
