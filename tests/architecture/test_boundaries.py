"""Which code may know which vendor, where import-linter cannot tell: it sees all of `azure.*` as one package."""

import importlib.metadata
from pathlib import Path

import pytest

from tests.architecture.sources import ROOT, imports_of, product_files

VENDORS = (
    "azure.data",
    "azure.identity",
    "azure.keyvault",
    "azure.storage",
    "azure.core",
    "httpx",
    "msal",
    "requests",
    "standardwebhooks",
)


def is_breach(*names: str, forbidden: tuple[str, ...]) -> bool:
    """Tell whether any of *names* is a *forbidden* package or something inside one."""
    return any(f"{name}.".startswith(f"{package}.") for name in names for package in forbidden)


def breaches(files: list[Path], *forbidden: str) -> list[str]:
    """Return "file: import" for every import in *files* that is a breach."""
    return [
        f"{file.relative_to(ROOT)}: {name}"
        for file in files
        for name in imports_of(file.read_text(encoding="utf-8"))
        if is_breach(name, forbidden=forbidden)
    ]


def test_only_triggers_know_the_functions_library() -> None:
    """`azure.functions` is imported in `functions/` and `function_app.py`, and nowhere else in the product."""
    assert [] == breaches(sorted((ROOT / "shared").rglob("*.py")), "azure.functions", "azure_functions_runtime")


def test_only_adapters_and_composition_know_vendors() -> None:
    """A vendor's package is imported in `shared/adapters/` and `shared/composition.py`, and nowhere else."""
    files = [file for file in product_files() if "adapters" not in file.parts and file.name != "composition.py"]

    assert [] == breaches(files, *VENDORS)


def test_product_does_not_know_the_local_cloud() -> None:
    """Nothing that is deployed imports what only development has."""
    assert [] == breaches(product_files(), "localcloud", "tests", "bench")


def test_no_dependency_hides_our_packages() -> None:
    """No installed distribution ships a top-level `functions` or `shared`: the platform would find it before ours."""
    shipped = importlib.metadata.packages_distributions()

    assert {} == {name: shipped[name] for name in ("functions", "shared", "function_app") if name in shipped}


@pytest.mark.parametrize(
    "source",
    [
        "import azure.functions as func",
        "from azure import functions",
        "from azure.functions import HttpRequest",
        "def f():\n    import azure.functions.decorators",
    ],
)
def test_every_way_to_import_is_seen(source: str) -> None:
    """A plain import, one from the parent package, one of a part and one inside a function are all found."""
    assert is_breach(*imports_of(source), forbidden=("azure.functions",))


def test_likeness_of_names_is_no_breach() -> None:
    """A package whose name merely begins alike is another package."""
    assert not is_breach(*imports_of("import azure.functions_extra, azure"), forbidden=("azure.functions",))
