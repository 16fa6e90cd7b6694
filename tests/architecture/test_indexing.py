"""
The deployed app is found by the Functions host, function by function, with nothing but its pinned requirements.

An import error at start means zero functions and a 404 everywhere, while the deployment looks fine; so the package that
is deployed is unpacked and indexed here in a virtual environment made from its requirements.txt alone, and once more by
Microsoft's own loader.
"""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from localcloud import package
from tests.functions.test_surface import HTTP, WORK

# Connecting is refused, since building the app must reach nothing: the platform gives it 30 seconds.
PREAMBLE = """
import json, socket, sys
def refuse(*arguments): raise RuntimeError("the app connects to something while it is being indexed")
socket.socket.connect = socket.getaddrinfo = refuse
"""
INDEX_BY_LIBRARY = """
import function_app
names, lines = [], []
for function in function_app.app.get_functions():
    name, trigger = function.get_function_name(), json.loads(function.get_function_json())["bindings"][0]
    names.append(name)
    if trigger["type"] == "httpTrigger":
        methods = [getattr(method, "value", method) for method in trigger["methods"]]
        lines += [f"{name} {method} {trigger['route']} {trigger['authLevel'].lower()}" for method in methods]
    else:
        lines.append(f"{name} {trigger['type']} {trigger.get('queueName') or trigger['schedule']}")
print(json.dumps({"names": names, "lines": lines, "modules": sorted(sys.modules)}))
"""
INDEX_BY_LOADER = """
from azure_functions_runtime.loader import index_function_app
print(json.dumps({"names": [function.get_function_name() for function in index_function_app("function_app.py")]}))
"""


def run(python: Path, folder: Path, script: str) -> dict[str, list[str]]:
    """Run *script* in *folder* with *python* and the settings alone; return the JSON that it prints last."""
    environment = {"PATH": os.defpath, "PYTHONDONTWRITEBYTECODE": "", **package.SETTINGS}
    done = subprocess.run(
        [python, "-c", PREAMBLE + script], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    answer: dict[str, list[str]] = json.loads(done.stdout.splitlines()[-1])
    return answer


@pytest.fixture(name="deployed_python", scope="module")
def _deployed_python(outer_environment: Mapping[str, str]) -> Path:
    return package.clean_python(outer_environment)


@pytest.fixture(name="deployed", scope="module")
def _deployed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with what the package holds."""
    folder = tmp_path_factory.mktemp("deployed")
    package.write(folder.with_suffix(".zip"))
    package.unpack(folder.with_suffix(".zip"), folder)
    return folder


@pytest.mark.timeout(300)
def test_app_indexes_with_its_requirements_alone(deployed_python: Path, deployed: Path) -> None:
    """Every function is found in an environment that has requirements.txt and nothing else."""
    names = run(deployed_python, deployed, INDEX_BY_LIBRARY)["names"]

    assert names
    assert sorted(set(names)) == sorted(names)


@pytest.mark.timeout(300)
def test_the_package_is_the_table(deployed_python: Path, deployed: Path) -> None:
    """Name, methods, route and level, or trigger and queue, of each function of the package stand in one table."""
    http = [text.split() for text in HTTP.strip().splitlines()]
    expected = [
        f"{name} {method} {route} {'function' if caller == 'admin' else 'anonymous'}"
        for name, methods, route, caller in http
        for method in methods.split(",")
    ] + [" ".join(text.split()) for text in WORK.strip().splitlines()]

    assert sorted(expected) == sorted(run(deployed_python, deployed, INDEX_BY_LIBRARY)["lines"])


@pytest.mark.timeout(300)
def test_deployed_app_loads_nothing_of_development(deployed_python: Path, deployed: Path) -> None:
    """Indexing imports neither the local cloud nor the tests."""
    modules = run(deployed_python, deployed, INDEX_BY_LIBRARY)["modules"]

    assert set() == {module.split(".")[0] for module in modules} & {"localcloud", "tests", "bench", "pytest"}


@pytest.mark.timeout(300)
@pytest.mark.skipif(sys.version_info < (3, 13), reason="Microsoft's runtime library needs Python 3.13")
def test_microsofts_loader_finds_the_same_functions(deployed_python: Path, deployed: Path) -> None:
    """The loader of Microsoft's own worker finds exactly the functions that the library lists."""
    expected = run(deployed_python, deployed, INDEX_BY_LIBRARY)["names"]

    assert sorted(expected) == sorted(run(Path(sys.executable), deployed, INDEX_BY_LOADER)["names"])
