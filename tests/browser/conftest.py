"""A real browser on a running product. Skipped where the machine has none, unless it is demanded (as in CI)."""

import itertools
from collections.abc import Iterator, Mapping

import pytest

from localcloud.chromium import ABSENT, Chromium, Visit, chromium, find_chromium
from localcloud.stack import Stack
from localcloud.story import Organisation, Story

DEMANDED = "BROWSER_TESTS"
_numbers = itertools.count(1)


@pytest.fixture(scope="session", autouse=True)
def _browser_at_hand(outer_environment: Mapping[str, str]) -> None:
    if find_chromium() is None:
        if outer_environment.get(DEMANDED) == "required":
            pytest.fail(f"{DEMANDED}=required, but {ABSENT}")
        pytest.skip(ABSENT)


@pytest.fixture(scope="package")
def _stack(_browser_at_hand: None) -> Iterator[Stack]:
    with Stack() as stack:
        yield stack


@pytest.fixture(scope="package")
def _chromium(_stack: Stack) -> Iterator[Chromium]:
    with chromium(_stack.cloud["HTTPS_PROXY"]) as browser:
        yield browser


@pytest.fixture
def story(_stack: Stack) -> Story:
    """Return the story on the running product."""
    return Story(_stack)


@pytest.fixture
def organisation(story: Story) -> Organisation:
    """Return a tenant that was never asked for consent, with its app registered and its credential created."""
    fresh = story.found(f"margie{next(_numbers)}.example", "Margie's Travel")
    story.register(fresh)
    return fresh


@pytest.fixture
def visit(_chromium: Chromium) -> Iterator[Visit]:
    """Return a fresh window as wide as a desk's."""
    with _chromium.visit() as window:
        yield window


@pytest.fixture
def windows(_chromium: Chromium) -> Chromium:
    """Return the browser itself, for windows of another kind."""
    return _chromium


@pytest.fixture
def consented(story: Story, organisation: Organisation) -> Organisation:
    """Return a tenant whose administrator has consented and whose grant is active."""
    story.accept(organisation)
    story.await_status(organisation, "active")
    return organisation
