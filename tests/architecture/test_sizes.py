"""How long a module and a function may be, so that a second reason to change is noticed."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
MODULE_LINES = 300
FUNCTION_LINES = 50


def own_files() -> list[Path]:
    """Return every module of ours outside the tests."""
    folders = [ROOT / name for name in ("functions", "shared", "localcloud", "bench", "infra")]
    found = [file for folder in folders for file in folder.rglob("*.py") if "node_modules" not in file.parts]
    return sorted([ROOT / "function_app.py", *found])


def functions_of(file: Path) -> Iterator[tuple[str, int]]:
    """Yield the name and length in lines, docstring included, of every function in *file*."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name, (node.end_lineno or node.lineno) - node.lineno + 1


def test_modules_are_short() -> None:
    """No module is longer than 300 lines."""
    lengths = {str(file.relative_to(ROOT)): len(file.read_text(encoding="utf-8").splitlines()) for file in own_files()}

    assert {} == {name: length for name, length in lengths.items() if length > MODULE_LINES}


def test_functions_are_short() -> None:
    """No function is longer than 50 lines."""
    too_long = [
        f"{file.relative_to(ROOT)}: {name} has {length} lines"
        for file in own_files()
        for name, length in functions_of(file)
        if length > FUNCTION_LINES
    ]

    assert [] == too_long
