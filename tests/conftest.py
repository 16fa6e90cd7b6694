"""
What holds for every test: no network, a clean environment, the same examples in CI each time.

Sockets are blocked by default (pyproject.toml). A test that needs them says `enable_socket` and then reaches loopback
only; under tests/unit, tests/functions and tests/architecture even that is refused.
"""

import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import hypothesis
import pytest
import pytest_socket

from shared.settings import SETTINGS

TESTS = Path(__file__).parent
WITHOUT_SOCKETS = ("unit", "functions", "architecture")
NEED_HOST = ("browser", "journeys")  # the functions host runs on Microsoft's runtime library, which needs Python 3.13
BROWSER = "tests/browser/"
LOOPBACK = ["127.0.0.1", "::1"]

# Whatever of the person's own shell would reach the product under test, beside its settings.
STRIPPED_PREFIXES = ("AZURE_", "FUNCTIONS_WORKER", "IDENTITY_", "MSI_", "WEBSITE_")
STRIPPED_NAMES = ("ALL_PROXY", "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE")

hypothesis.settings.register_profile("person", deadline=None)
hypothesis.settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "person")

_outer = MappingProxyType(dict(os.environ))


def pytest_configure() -> None:
    """Take the settings of the person's own shell away before any fixture of any scope sees them."""
    for name in _outer:
        if _is_stripped(name):
            del os.environ[name]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Refuse sockets where none may be, and skip what this Python cannot run."""
    for item in items:
        folder = item.path.relative_to(TESTS).parts[0]
        if folder in WITHOUT_SOCKETS and item.get_closest_marker("enable_socket"):
            message = f"{item.nodeid}: tests that need sockets live outside {', '.join(WITHOUT_SOCKETS)}"
            raise pytest.UsageError(message)
        if folder in NEED_HOST and sys.version_info < (3, 13):
            item.add_marker(pytest.mark.skip(reason="the functions host needs Python 3.13"))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Keep each file in one process, and the browser's files in one: every process starts a product of its own."""
    if config.getvalue("dist") != "loadfile":
        return None
    from xdist.scheduler import LoadFileScheduling  # noqa: PLC0415 - only a run in processes needs it

    class ByStack(LoadFileScheduling):  # type: ignore[misc] # pytest-xdist has no types
        def _split_scope(self, nodeid: str) -> str:
            file = str(super()._split_scope(nodeid))
            return BROWSER if file.startswith(BROWSER) else file

    return ByStack(config, log)


@pytest.fixture(autouse=True)
def _same_environment_afterwards() -> Iterator[None]:
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture(autouse=True)
def _loopback_only(request: pytest.FixtureRequest) -> None:
    if request.node.get_closest_marker("enable_socket"):
        pytest_socket.socket_allow_hosts(LOOPBACK, allow_unix_socket=True)


@pytest.fixture(scope="session")
def outer_environment() -> Mapping[str, str]:
    """Return the environment that the tests were started in, for programs such as pip that belong to the machine."""
    return _outer


def _is_stripped(name: str) -> bool:
    settings = [setting.name for setting in SETTINGS]
    return (
        name.upper() in STRIPPED_NAMES
        or name.startswith(STRIPPED_PREFIXES)
        or any(name == setting or name.startswith(f"{setting}__") for setting in settings)
    )
