"""One running product for all journeys; each journey founds a tenant of its own."""

import itertools
from collections.abc import Iterator
from typing import Any

import pytest

from localcloud.children import ReservedPort
from localcloud.stack import Stack
from localcloud.story import Organisation, Story
from tests.scenes import graph_contract
from tests.scenes.graph_contract import faults_in

_numbers = itertools.count(1)


@pytest.fixture(scope="package")
def receiver_port() -> Iterator[int]:
    """Return a port that webhooks may reach, for a receiver that a test starts as a process of its own."""
    port = ReservedPort()
    yield port.number
    port.close()


@pytest.fixture(scope="package")  # no longer: its threads and timers must not run beside tests without sockets
def _stack(receiver_port: int) -> Iterator[Stack]:
    with Stack(alarmed=True, allow=[f"127.0.0.1:{receiver_port}"]) as stack:
        stack.control.record_traffic(on=True)
        yield stack
        assert [] == breaches_of_contract(stack.control.traffic())[:5]


@pytest.fixture
def story(_stack: Stack) -> Iterator[Story]:
    """Return the story on the running product, with a receiver that answers well and no faults in the cloud."""
    _stack.control.clear_faults()
    _stack.receiver.status = 204
    yield Story(_stack)
    _stack.control.clear_faults()


@pytest.fixture
def organisation(story: Story) -> Organisation:
    """Return a tenant that was never asked for consent, with its app registered and its credential created."""
    fresh = story.found(f"tailspin{next(_numbers)}.example", "Tailspin")
    story.register(fresh)
    return fresh


@pytest.fixture
def consented(story: Story, organisation: Organisation) -> Organisation:
    """Return a tenant whose administrator has consented and whose grant is active."""
    story.accept(organisation)
    story.await_status(organisation, "active")
    return organisation


def breaches_of_contract(traffic: list[dict[str, Any]]) -> list[str]:
    """Return what of the recorded traffic does not satisfy Microsoft's types; nothing where they are not at hand."""
    known = graph_contract.validators()
    return [fault for exchange in traffic for fault in faults_in(exchange, known)] if known else []
