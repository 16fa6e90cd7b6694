"""Many connections at once: each operation by itself, in their order, and a dry run that writes nothing."""

import json
from typing import Any

import pytest

from functions import connections_bulk_http, connections_http
from functions.connections_http import ConnectionUseCases
from shared.connections import Direction
from shared.errors import StorageUnavailable
from shared.signing import Signing
from tests.scenes.administration import ANN, BOX, WEBHOOK, Administration
from tests.scenes.calls import Caller


@pytest.fixture(name="admin")
def _admin() -> Administration:
    return Administration()


@pytest.fixture(name="caller")
def _caller(admin: Administration) -> Caller:
    signing = Signing(admin.tables, admin.vault)
    use = ConnectionUseCases(admin.creation, admin.changes, admin.lists, admin.connection_checks, signing)
    blueprints = (
        connections_http.blueprint(use, admin.settings),
        connections_bulk_http.blueprint(use, admin.settings),
    )
    return Caller(*blueprints)


def asked(grant_id: str, **changes: Any) -> dict[str, Any]:
    """Return the body that makes a connection of Box."""
    destination = {"type": "webhook", "url": WEBHOOK.url}
    common = {"direction": "incoming", "grant_id": grant_id, "mailbox": BOX.address, "name": "Box"}
    return {**common, "destination": destination, **changes}


def bulk(caller: Caller, *operations: dict[str, Any], dry_run: bool = False) -> dict[str, Any]:
    """Ask for *operations*."""
    body = {"operations": list(operations), "dry_run": dry_run}
    found: dict[str, Any] = caller.json("POST", "connections/bulk", body)
    return found


def test_each_operation_succeeds_or_fails_by_itself(admin: Administration, caller: Caller) -> None:
    """A wrong one in the middle keeps nothing from the others, and says what is wrong as its own route would."""
    grant = admin.consented()
    out = admin.connection(grant, direction=Direction.OUTGOING, mailbox=ANN.address)
    done = bulk(
        caller,
        {"op": "create", "connection": asked(grant.id)},
        {"op": "create", "connection": asked(grant.id, interval_minutes=0)},
        {"op": "patch", "id": out.id, "connection": {"name": "Ann sends"}, "version": 9},
        {"op": "patch", "id": out.id, "connection": {"name": "Ann sends"}, "version": out.version},
        {"op": "disable", "id": out.id},
        {"op": "enable", "id": "conn_x"},
        {"op": "delete", "id": out.id},
        {"op": "delete", "id": out.id},
    )
    results = done["results"]

    assert (False, 5, 3) == (done["dry_run"], done["succeeded"], done["failed"])
    assert [201, 422, 412, 200, 200, 404, 204, 204] == [result["status"] for result in results]
    assert list(range(8)) == [result["index"] for result in results]
    assert results[0]["connection"]["signing_secret"].startswith("whsec_")
    assert "/interval_minutes" == results[1]["problem"]["errors"][0]["pointer"]
    assert ("Ann sends", False) == (results[3]["connection"]["name"], results[4]["connection"]["enabled"])
    assert [results[0]["id"]] == [item["id"] for item in caller.json("GET", "connections")["data"]]


def test_a_dry_run_says_the_same_and_writes_nothing(admin: Administration, caller: Caller) -> None:
    """What would be refused is refused; what would work leaves no row and no word in the audit log."""
    grant = admin.consented()
    standing = admin.connection(grant)
    before = (admin.tables.connections.everything(), admin.tables.audit.everything())
    done = bulk(
        caller,
        {"op": "create", "connection": asked(grant.id, mailbox=ANN.address)},
        {"op": "create", "connection": asked(grant.id, after_fetch={"action": "read"})},
        {"op": "create", "connection": asked(grant.id, mailbox="nobody@contoso.example")},
        {"op": "patch", "id": standing.id, "connection": {"interval_minutes": 15}},
        {"op": "patch", "id": standing.id, "connection": {"mailbox": ANN.address}},
        {"op": "disable", "id": standing.id},
        {"op": "delete", "id": standing.id},
        dry_run=True,
    )

    assert [200, 409, 422, 200, 409, 200, 200] == [result["status"] for result in done["results"]]
    assert "folder_in_use" == done["results"][1]["problem"]["code"]
    assert before == (admin.tables.connections.everything(), admin.tables.audit.everything())


def test_storage_that_fails_fails_one_operation(admin: Administration, caller: Caller) -> None:
    """Its result says so, and the others are done."""
    grant = admin.consented()
    first, second = admin.connection(grant), admin.connection(grant, mailbox=ANN.address)
    admin.tables.connections.failures.plan("read", StorageUnavailable("down"))
    done = bulk(caller, {"op": "disable", "id": first.id}, {"op": "disable", "id": second.id})

    assert [503, 200] == [result["status"] for result in done["results"]]


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "create"},
        {"op": "create", "id": "conn_x", "connection": {}},
        {"op": "patch", "connection": {}},
        {"op": "enable", "id": "conn_x", "connection": {}},
        {"op": "delete", "id": "conn_x", "version": 1},
        {"op": "enable", "id": "conn_x", "discard": True},
        {"op": "rename", "id": "conn_x"},
    ],
)
def test_an_operation_that_makes_no_sense_is_named(caller: Caller, operation: dict[str, Any]) -> None:
    """Nothing is done then: the request as a whole is refused."""
    answer = caller.call("POST", "connections/bulk", {"operations": [{"op": "enable", "id": "conn_y"}, operation]})

    assert 422 == answer.status_code
    assert "/operations/1" in json.loads(answer.get_body())["errors"][0]["pointer"]


@pytest.mark.parametrize("count", [0, 101])
def test_there_are_1_to_100_operations(caller: Caller, count: int) -> None:
    """More go in a further request."""
    operations = [{"op": "enable", "id": "conn_x"}] * count

    assert 422 == caller.call("POST", "connections/bulk", {"operations": operations}).status_code
