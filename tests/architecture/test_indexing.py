"""
The deployed app is found by the Functions host, function by function, with nothing but its pinned requirements.

An import error at start means zero functions and a 404 everywhere, while the deployment looks fine; so the app is
indexed here in a virtual environment made from requirements.txt alone, and once more by Microsoft's own loader.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SETTINGS = {
    "AzureWebJobsStorage": "UseDevelopmentStorage=true",
    "MAIL_STORAGE": "UseDevelopmentStorage=true",
    "KEY_VAULT_URL": "https://contoso.vault.azure.net",
    "PUBLIC_BASE_URL": "https://mailgrant.contoso.example",
}

# Connecting is refused, since building the app must reach nothing: the platform gives it 30 seconds.
PREAMBLE = """
import json, socket, sys
def refuse(*arguments): raise RuntimeError("the app connects to something while it is being indexed")
socket.socket.connect = socket.getaddrinfo = refuse
"""
INDEX_BY_LIBRARY = """
import function_app
names = [function.get_function_name() for function in function_app.app.get_functions()]
print(json.dumps({"names": names, "modules": sorted(sys.modules)}))
"""
INDEX_BY_LOADER = """
from azure_functions_runtime.loader import index_function_app
print(json.dumps({"names": [function.get_function_name() for function in index_function_app("function_app.py")]}))
"""


def run(python: Path, script: str) -> dict[str, list[str]]:
    """Run *script* at the root with *python* and the settings alone; return the JSON that it prints last."""
    environment = {"PATH": os.defpath, "PYTHONDONTWRITEBYTECODE": "", **SETTINGS}
    done = subprocess.run(
        [python, "-c", PREAMBLE + script], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    answer: dict[str, list[str]] = json.loads(done.stdout.splitlines()[-1])
    return answer


@pytest.fixture(name="deployed_python", scope="module")
def _deployed_python(outer_environment: Mapping[str, str]) -> Path:
    """Return the Python of a virtual environment with requirements.txt only, kept until that file changes."""
    requirements = ROOT / "requirements.txt"
    key = hashlib.sha256(f"{sys.version}|{ROOT}|".encode() + requirements.read_bytes()).hexdigest()[:16]
    folder = ROOT / ".cache" / f"deployed-{key}"
    python, finished = folder / "bin" / "python", folder / "finished"
    if not finished.exists():
        for old in folder.parent.glob("deployed-*"):
            shutil.rmtree(old)
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
        pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-input"]
        subprocess.run([*pip, "-r", str(requirements)], check=True, env=dict(outer_environment))
        finished.touch()
    return python


@pytest.mark.timeout(300)
def test_app_indexes_with_its_requirements_alone(deployed_python: Path) -> None:
    """Every function is found in an environment that has requirements.txt and nothing else."""
    names = run(deployed_python, INDEX_BY_LIBRARY)["names"]

    assert names
    assert sorted(set(names)) == sorted(names)


@pytest.mark.timeout(300)
def test_deployed_app_loads_nothing_of_development(deployed_python: Path) -> None:
    """Indexing imports neither the local cloud nor the tests."""
    modules = run(deployed_python, INDEX_BY_LIBRARY)["modules"]

    assert set() == {module.split(".")[0] for module in modules} & {"localcloud", "tests", "bench", "pytest"}


@pytest.mark.timeout(300)
@pytest.mark.skipif(sys.version_info < (3, 13), reason="Microsoft's runtime library needs Python 3.13")
def test_microsofts_loader_finds_the_same_functions(deployed_python: Path) -> None:
    """The loader of Microsoft's own worker finds exactly the functions that the library lists."""
    expected = run(deployed_python, INDEX_BY_LIBRARY)["names"]

    assert sorted(expected) == sorted(run(Path(sys.executable), INDEX_BY_LOADER)["names"])
