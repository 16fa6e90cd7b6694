"""One running product for all journeys; each journey founds a tenant of its own."""

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from localcloud.stack import Stack
from localcloud.story import Organisation, Story

SCHEMA = Path(__file__).parents[3] / "shared" / "contract" / "graph-mail.schema.json"
_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def _stack() -> Iterator[Stack]:
    with Stack() as stack:
        stack.control.record_traffic(on=True)
        yield stack
        breaches = breaches_of_contract(stack.control.traffic())
        assert [] == breaches[:5]


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
    if not SCHEMA.is_file():
        return []
    definitions = json.loads(SCHEMA.read_text())["$defs"]
    found = []
    for exchange in traffic:
        for kind, body in typed_parts(exchange):
            validator = jsonschema.Draft202012Validator({"$defs": definitions, "$ref": f"#/$defs/{kind}"})
            found += [f"{exchange['operation']}: {error.message[:200]}" for error in validator.iter_errors(body)]
    return found


def typed_parts(exchange: dict[str, Any]) -> list[tuple[str, Any]]:
    """Return the parts of an exchange that have a type in the contract, with that type's name."""
    kind = {
        "users": "graph.user",
        "folders": "graph.mailFolder",
        "messages": "graph.message",
        "attachments": "graph.fileAttachment",
    }.get(exchange["operation"].split(".")[0])
    answer = exchange.get("response_body")
    if not kind or not isinstance(answer, dict) or "error" in answer or exchange["status"] >= 400:
        return []
    items = answer.get("value", [answer])
    return [(kind, item) for item in items if isinstance(item, dict)]
