"""Destinations over HTTP: a test event, a rotated secret, mail delivered once more in bulk, and how it all is shown."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
import standardwebhooks

from functions import connections_http, destinations_http
from functions.connections_http import ConnectionUseCases
from functions.destinations_http import DestinationUseCases
from shared.adapters.webhooks import signature
from shared.codes import Code
from shared.connection_admin.redelivery import Redeliveries
from shared.connection_admin.signing import SecretRotation
from shared.connection_admin.trial import DestinationTrial
from shared.connections import Connection, Delivery, Destination, Direction, Redelivery, delivery_key
from shared.errors import Fault
from shared.events import EventMaker
from shared.ports import Answer, Upsert
from shared.rows import encode
from shared.signing import Signing
from shared.times import from_text
from tests.scenes.administration import WEBHOOK, Administration
from tests.scenes.calls import Caller


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
    """Return the routes of connections and their destinations; signatures are of this moment, as the library asks."""
    signing = Signing(admin.tables, admin.vault)
    events = EventMaker("https://mail.example", signing.link_key)
    trial = DestinationTrial(
        admin.tables,
        admin.webhooks,
        admin.wakeups,
        signing,
        signature,
        events,
        admin.audit,
        lambda: datetime.now(UTC),
        admin.clock.monotonic,
    )
    rotation = SecretRotation(admin.tables, signing, admin.wakeups, admin.audit)
    use = DestinationUseCases(trial, rotation, Redeliveries(admin.tables, admin.wakeups, admin.audit), admin.lists)
    connections = ConnectionUseCases(admin.creation, admin.changes, admin.lists, admin.connection_checks, signing)
    return Caller(
        destinations_http.blueprint(use, admin.settings), connections_http.blueprint(connections, admin.settings)
    )


def post(caller: Caller, connection: Connection, path: str, body: Any) -> tuple[int, Any]:
    """Return status and JSON of an administrator's request."""
    answer = caller.call("POST", f"connections/{connection.id}/{path}", body)
    return answer.status_code, json.loads(answer.get_body())


def shown(caller: Caller, connection: Connection) -> Any:
    """Return the connection as GET shows it."""
    return caller.json("GET", f"connections/{connection.id}")


def test_a_test_event_is_signed_and_posted_now(caller: Caller, admin: Administration, connection: Connection) -> None:
    """It verifies with the secret that is shown, and says that it is a test."""
    secret = post(caller, connection, "signing-secret/rotate", {})[1]["signing_secret"]
    admin.webhooks.answer = Answer(204)

    status, came = post(caller, connection, "destination/test", {})

    ((url, body, headers),) = admin.webhooks.got
    event = standardwebhooks.Webhook(secret).verify(body.decode(), headers)
    assert (200, True, 204, "", "") == (status, came["ok"], came["status"], came["code"], came["detail"])
    assert (WEBHOOK.url, "mailgrant.test", came["event_id"]) == (url, event["type"], event["id"])
    assert headers["webhook-id"] == came["event_id"]
    assert connection.id == event["data"]["connection_id"]


@pytest.mark.parametrize(
    ("answer", "status", "code"),
    [
        (Answer(500), 500, "destination_refused"),
        (Answer(302), 302, "destination_refused"),
        (Fault("No answer.", Code.DESTINATION_UNREACHABLE, retryable=True), None, "destination_unreachable"),
        (Fault("Not public.", Code.DESTINATION_FORBIDDEN), None, "destination_forbidden"),
    ],
)
def test_a_test_that_fails_says_why_and_counts_for_nothing(
    caller: Caller, admin: Administration, connection: Connection, answer: Any, status: int | None, code: str
) -> None:
    """200 all the same, as for the test of a connection."""
    admin.webhooks.answer = answer

    http, came = post(caller, connection, "destination/test", {})

    assert (200, False, status, code) == (http, came["ok"], came["status"], came["code"])
    assert came["detail"].endswith(".")
    assert "active" == shown(caller, connection)["destination"]["status"]


def test_a_test_of_a_queue_puts_a_message(caller: Caller, admin: Administration, connection: Connection) -> None:
    """Into the very queue that mail would go to."""
    admin.changes.change(connection.id, {"destination": Destination("queue", name="out-mail")})

    came = post(caller, connection, "destination/test", {})[1]

    assert (True, None) == (came["ok"], came["status"])
    (event,) = admin.wakeups.take("out-mail")
    assert ("mailgrant.test", came["event_id"]) == (event["type"], event["id"])


def test_a_rotated_secret_is_shown_once(caller: Caller, connection: Connection) -> None:
    """Together with how long the one before signs too; never again, and no number is skipped."""
    status, rotated = post(caller, connection, "signing-secret/rotate", {"overlap_hours": 2})
    destination = shown(caller, connection)["destination"]

    assert (200, True) == (status, rotated["signing_secret"].startswith("whsec_"))
    assert "signing_secret" not in shown(caller, connection)
    assert rotated["destination"] == destination
    rotated_at, until = (
        from_text(destination[name]) for name in ("signing_secret_rotated_at", "signing_overlap_until")
    )
    assert (7200.0, 2) == ((until - rotated_at).total_seconds(), destination["signing_version"])


@pytest.mark.parametrize("hours", [-1, 169])
def test_an_overlap_has_its_bounds(caller: Caller, connection: Connection, hours: int) -> None:
    """From at once to a week."""
    status, problem = post(caller, connection, "signing-secret/rotate", {"overlap_hours": hours})

    assert (422, "/overlap_hours") == (status, problem["errors"][0]["pointer"])


def test_a_redelivery_is_accepted_and_shown(caller: Caller, connection: Connection) -> None:
    """202 with what was started; the connection shows how far it is."""
    body = {"status": "failed", "since": "2026-01-01T00:00:00Z", "until": None}
    status, started = post(caller, connection, "redeliver", body)

    assert (202, "failed", "2026-01-01T00:00:00.000Z", None) == (
        status,
        started["status"],
        started["since"],
        started["until"],
    )
    assert started == shown(caller, connection)["redelivery"]


def test_a_dry_run_only_counts(caller: Caller, connection: Connection) -> None:
    """200, and nothing was started."""
    status, counted = post(caller, connection, "redeliver", {"status": "failed", "dry_run": True})

    assert (200, {"dry_run": True, "selected": 0, "without_content": 0, "exact": True}) == (status, counted)
    assert shown(caller, connection)["redelivery"] is None


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"status": "nonsense"}, "/status"),
        ({}, "/status"),
        ({"status": "failed", "since": "yesterday"}, "/since"),
        ({"status": "failed", "until": "2026-01-01T00:00:00"}, "/until"),
        ({"status": "failed", "from": "x"}, "/from"),
    ],
)
def test_a_redelivery_that_makes_no_sense_is_refused(
    caller: Caller, connection: Connection, body: dict[str, Any], pointer: str
) -> None:
    """Every fault is named."""
    status, problem = post(caller, connection, "redeliver", body)

    assert (422, pointer) == (status, problem["errors"][0]["pointer"])


def test_another_redelivery_waits_for_the_one_that_runs(caller: Caller, connection: Connection) -> None:
    """409, which says so."""
    post(caller, connection, "redeliver", {"status": "failed"})

    assert (409, "conflict") == (
        (again := post(caller, connection, "redeliver", {"status": "delivered"}))[0],
        again[1]["code"],
    )


def test_a_disabled_destination_is_shown_and_enabled(
    caller: Caller, admin: Administration, connection: Connection
) -> None:
    """The connection is stopped with a sentence; PATCH enabled makes it work again."""
    gone = Delivery(connection.id, disabled=True, redelivery=Redelivery("r", "failed", "", "", "2026-01-01T00:00:00Z"))
    admin.tables.connections.commit(connection.shard, [Upsert(delivery_key(connection.id), encode(gone))])
    before = shown(caller, connection)

    answer = caller.call("PATCH", f"connections/{connection.id}", {"enabled": True})

    after = json.loads(answer.get_body())
    assert ("stopped", "disabled") == (before["status"], before["destination"]["status"])
    assert ("active", "active") == (after["status"], after["destination"]["status"])


@pytest.fixture
def outgoing(admin: Administration) -> Connection:
    """Return an outgoing connection that tells nobody."""
    return admin.connection(admin.grants.all()[0], direction=Direction.OUTGOING, destination=None)


def patch(caller: Caller, connection: Connection, webhook: Any) -> tuple[int, Any]:
    """Set the status webhook; return status and JSON."""
    answer = caller.call("PATCH", f"connections/{connection.id}", {"status_webhook": webhook})
    return answer.status_code, json.loads(answer.get_body())


def test_a_status_webhook_is_set_tried_rotated_and_taken_away(
    caller: Caller, admin: Administration, outgoing: Connection
) -> None:
    """A test event verifies with the rotated secret; without a webhook there is none to rotate."""
    assert 422 == post(caller, outgoing, "signing-secret/rotate", {})[0]
    assert 200 == patch(caller, outgoing, {"url": WEBHOOK.url})[0]
    secret = post(caller, outgoing, "signing-secret/rotate", {})[1]["signing_secret"]
    admin.webhooks.answer = Answer(204)

    assert post(caller, outgoing, "destination/test", {})[1]["ok"]
    ((url, body, headers),) = admin.webhooks.got
    assert WEBHOOK.url == url
    assert "mailgrant.test" == standardwebhooks.Webhook(secret).verify(body.decode(), headers)["type"]
    status, gone = patch(caller, outgoing, None)
    assert (200, None) == (status, gone["status_webhook"])


def test_a_status_webhook_that_comes_back_signs_with_a_secret_of_its_own(caller: Caller, outgoing: Connection) -> None:
    """Secrets that were in use before are not taken up again."""
    used = set()
    for _ in range(3):
        patch(caller, outgoing, {"url": WEBHOOK.url})
        used.add(shown(caller, outgoing)["status_webhook"]["signing_version"])
        post(caller, outgoing, "signing-secret/rotate", {})
        used.add(shown(caller, outgoing)["status_webhook"]["signing_version"])
        patch(caller, outgoing, None)

    assert 6 == len(used)


@pytest.mark.parametrize(
    ("webhook", "pointer"),
    [
        ({"url": "https://example.invalid/x"}, "/status_webhook/url"),
        ({"url": ""}, "/status_webhook/url"),
        ({}, "/status_webhook/url"),
        ({"url": WEBHOOK.url, "type": "queue"}, "/status_webhook/type"),
    ],
)
def test_a_status_webhook_that_cannot_be_is_refused(
    caller: Caller, outgoing: Connection, webhook: Any, pointer: str
) -> None:
    """422 names the field, and nothing changes."""
    status, came = patch(caller, outgoing, webhook)

    assert (422, [pointer]) == (status, [error["pointer"] for error in came["errors"]])
    assert shown(caller, outgoing)["status_webhook"] is None


def test_webhooks_of_the_other_direction_are_refused(
    caller: Caller, connection: Connection, outgoing: Connection
) -> None:
    """Received mail has a destination, sent mail a status webhook."""
    wrong = [
        caller.call("PATCH", f"connections/{outgoing.id}", {"destination": {"type": "webhook", "url": WEBHOOK.url}}),
        caller.call("PATCH", f"connections/{connection.id}", {"status_webhook": {"url": WEBHOOK.url}}),
    ]

    pointers = [error["pointer"] for answer in wrong for error in json.loads(answer.get_body())["errors"]]
    assert ([422, 422], ["/destination", "/status_webhook"]) == ([item.status_code for item in wrong], pointers)
