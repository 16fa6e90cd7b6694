"""Which events a destination gets, over HTTP: what it gets by itself, what it may ask for, and what is refused."""

from typing import Any

import pytest

from functions import connections_http
from functions.connections_http import ConnectionUseCases
from shared.connections import Connection
from shared.notices import EventType, Pending
from shared.rows import decode
from shared.schedule import NOTICE
from shared.signing import Signing
from tests.scenes.administration import WEBHOOK, Administration
from tests.scenes.calls import Caller

MAIL, CHANGED = EventType.MESSAGE_RECEIVED.value, EventType.CONNECTION_CHANGED.value


@pytest.fixture
def admin() -> Administration:
    """Return an administration in which Contoso has consented."""
    made = Administration()
    made.consented()
    return made


@pytest.fixture
def connection(admin: Administration) -> Connection:
    """Return an incoming connection that delivers to a webhook."""
    return admin.connection(admin.grants.all()[0])


@pytest.fixture
def caller(admin: Administration) -> Caller:
    """Return the routes of connections."""
    signing = Signing(admin.tables, admin.vault)
    use = ConnectionUseCases(admin.creation, admin.changes, admin.lists, admin.connection_checks, signing)
    return Caller(connections_http.blueprint(use, admin.settings))


def ask(caller: Caller, connection: Connection, **destination: Any) -> Any:
    """Set the destination and return the answer."""
    body = {"destination": {"type": "webhook", "url": WEBHOOK.url, **destination}}
    return caller.call("PATCH", f"connections/{connection.id}", body)


def events(caller: Caller, connection: Connection) -> list[str]:
    """Return the types that the destination gets, as GET shows them."""
    found: list[str] = caller.json("GET", f"connections/{connection.id}")["destination"]["events"]
    return found


def test_a_destination_gets_mail_and_word_of_what_could_not_be_had(caller: Caller, connection: Connection) -> None:
    """Nobody need ask for that."""
    assert [MAIL, EventType.MESSAGE_QUARANTINED] == events(caller, connection)


def test_types_are_asked_for_with_or_without_prefix_and_stay(caller: Caller, connection: Connection) -> None:
    """They are shown in full, and a new address of the same destination leaves them as they are."""
    assert 200 == ask(caller, connection, events=["message.received", CHANGED, CHANGED]).status_code
    assert [MAIL, CHANGED] == events(caller, connection)

    assert 200 == ask(caller, connection, url=f"{WEBHOOK.url}/2").status_code

    assert [MAIL, CHANGED] == events(caller, connection)


@pytest.mark.parametrize(
    ("asked", "pointer"),
    [
        (["message.received", "tick.missed"], "/destination/events/1"),
        (["message.received", "mail"], "/destination/events/1"),
        (["connection.failed"], "/destination/events"),
        ([], "/destination/events"),
    ],
)
def test_what_no_destination_gets_is_refused_by_name(
    caller: Caller, connection: Connection, asked: list[str], pointer: str
) -> None:
    """Unknown types, types of the whole installation, and a list without the mail itself."""
    answer = ask(caller, connection, events=asked)

    assert (422, True) == (answer.status_code, f'"{pointer}"' in answer.get_body().decode())


def test_a_change_is_told_to_who_asked_for_it(caller: Caller, admin: Administration, connection: Connection) -> None:
    """In the transaction of the change, with the names of what was set and no value."""
    ask(caller, connection, events=[MAIL, CHANGED])

    rows = {key: values for (_, key), values in admin.tables.connections.everything().items() if "|evt|" in key}
    (values,) = rows.values()
    assert CHANGED == values["type"]
    assert {"connection_id": connection.id, "version": 2, "enabled": True, "fields": ["destination"]} == decode(
        Pending, values
    ).data
    assert [connection.id] == [message.body["id"] for message in admin.wakeups.sent if message.body["kind"] == NOTICE]
