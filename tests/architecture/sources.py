"""What the tests of this folder ask of source files: which there are, and what they import."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]


def product_files() -> list[Path]:
    """Return every module that is deployed."""
    return [ROOT / "function_app.py", *(ROOT / "functions").rglob("*.py"), *(ROOT / "shared").rglob("*.py")]


# Run by the Python of another client, whose packages requirements-dev.in does not name.
FOREIGN = (ROOT / "bench" / "peers", ROOT / "localcloud" / "foreign" / "clients")


def development_files() -> list[Path]:
    """Return every module of ours that is not deployed and runs in our own environment."""
    folders = [ROOT / name for name in ("localcloud", "tests", "bench", "examples", "infra")]
    files = [file for folder in folders for file in folder.rglob("*.py") if "node_modules" not in file.parts]
    return [file for file in files if not any(file.is_relative_to(folder) for folder in FOREIGN)]


def imports_of(source: str) -> Iterator[str]:
    """Yield the full name of everything that *source* imports, at any depth."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
