"""Credentials, grants, connections and tokens over HTTP: forms of answers, faults named, marks demanded."""

import json
from datetime import timedelta
from typing import Any

import azure.functions as func
import pytest

from functions import connection_tokens_http, connections_http, consent_queue, credentials_http, grants_http
from functions.connections_http import ConnectionUseCases
from shared.codes import Code
from shared.errors import CredentialFault
from shared.signing import Signing
from shared.times import to_text
from tests.fakes.entra import ALL_ROLES
from tests.scenes.administration import BOX, CLIENT_ID, CONTOSO, SECRET, Administration
from tests.scenes.calls import ADMIN, Caller

CREDENTIAL: dict[str, Any] = {
    "name": "Contoso",
    "client_id": CLIENT_ID,
    "grant_type": "admin_consent",
    "auth_method": "secret",
    "cloud": "global",
    "tenant": CONTOSO,
    "client_secret": SECRET,
}


@pytest.fixture
def admin() -> Administration:
    """Return an administration in which Contoso would grant everything."""
    made = Administration()
    made.entra.grants[CONTOSO] = ALL_ROLES
    return made


@pytest.fixture
def caller(admin: Administration) -> Caller:
    """Return the admin routes."""
    use = ConnectionUseCases(
        admin.creation, admin.changes, admin.lists, admin.connection_checks, Signing(admin.tables, admin.vault)
    )
    return Caller(
        credentials_http.blueprint(admin.credentials, admin.checks, admin.links, admin.settings),
        grants_http.blueprint(admin.grants, admin.checks, admin.purge, admin.settings),
        connections_http.blueprint(use, admin.settings),
        connection_tokens_http.blueprint(admin.connection_tokens, admin.lists, admin.settings),
    )


@pytest.fixture
def incoming(admin: Administration) -> dict[str, Any]:
    """Return a request for an incoming connection of Box."""
    return {
        "direction": "incoming",
        "grant_id": admin.consented().id,
        "mailbox": BOX.address,
        "name": "Box",
        "folder": "inbox",
        "interval_minutes": 1,
        "start": "all",
        "after_fetch": {"action": "read"},
        "destination": {"type": "webhook", "url": "https://hooks.example/in"},
    }


def test_a_credential_is_shown_without_its_secret(caller: Caller) -> None:
    """201 with Location; the answer has everything that the portal needs, and no secret."""
    answer = caller.call("POST", "credentials", CREDENTIAL)
    body = caller.json("GET", "credentials")["data"][0]

    assert 201 == answer.status_code
    assert f"https://mail.example/api/credentials/{body['id']}" == answer.headers["Location"]
    assert SECRET not in answer.get_body().decode()
    assert {
        "provider": "microsoft365",
        "account_type": "single_tenant",
        "status": "ready",
        "redirect_uri": "https://mail.example/api/consent/callback",
        "token_endpoint_url": f"https://login.microsoftonline.com/{CONTOSO}/oauth2/v2.0/token",
        "auth_endpoint_url": f"https://login.microsoftonline.com/{CONTOSO}/v2.0/adminconsent",
        "secret_expires_at": None,
        "fault": None,
    }.items() <= body.items()


def test_where_nothing_is_to_authorize_there_is_no_auth_endpoint(caller: Caller) -> None:
    """Consent in the portal needs no page of ours."""
    body = caller.json(
        "POST", "credentials", CREDENTIAL | {"grant_type": "client_credentials", "tenant": "organizations"}
    )

    assert (None, "multitenant") == (body["auth_endpoint_url"], body["account_type"])


@pytest.mark.parametrize(
    ("change", "pointer", "code"),
    [
        ({"client_secret": "0f6e1f9a-7d5e-4c3b-9a51-6a1f4e0c2b11"}, "/client_secret", "secret_id_instead_of_value"),
        ({"tenant": "common"}, "/tenant", "personal_accounts_unsupported"),
        ({"auth_method": "telepathy"}, "/auth_method", "enum"),
        ({"surprise": 1}, "/surprise", "extra_forbidden"),
        ({"name": 5}, "/name", "string_type"),
    ],
)
def test_each_fault_has_pointer_and_code(caller: Caller, change: dict[str, Any], pointer: str, code: str) -> None:
    """422 with the field and a stable code; nothing is stored."""
    answer = caller.call("POST", "credentials", CREDENTIAL | change)
    body = caller.json("POST", "credentials", CREDENTIAL | change)

    assert (422, "application/problem+json") == (answer.status_code, answer.mimetype)
    assert (pointer, code) in {(fault["pointer"], fault["code"]) for fault in body["errors"]}
    assert [] == caller.json("GET", "credentials")["data"]


@pytest.mark.parametrize("missing", sorted(ADMIN))
def test_a_write_that_a_foreign_page_could_make_is_refused(caller: Caller, missing: str) -> None:
    """JSON, our own header and our own host, all three."""
    headers = {name: value for name, value in ADMIN.items() if name != missing}
    answer = caller.call("POST", "credentials", CREDENTIAL, headers)

    assert answer.status_code in (403, 415)
    assert [] == caller.json("GET", "credentials")["data"]


def test_a_change_with_an_old_etag_is_refused(caller: Caller) -> None:
    """ETag and If-Match keep two administrators from overwriting each other."""
    identifier = caller.json("POST", "credentials", CREDENTIAL)["id"]
    etag = caller.call("GET", f"credentials/{identifier}").headers["ETag"]
    first = caller.call("PATCH", f"credentials/{identifier}", {"name": "A"}, {**ADMIN, "If-Match": etag})
    second = caller.call("PATCH", f"credentials/{identifier}", {"name": "B"}, {**ADMIN, "If-Match": etag})

    assert ('"1"', 200, '"2"', 412) == (etag, first.status_code, first.headers["ETag"], second.status_code)


def test_links_are_made_listed_and_withdrawn(caller: Caller) -> None:
    """The address is shown once, the list has none."""
    identifier = caller.json("POST", "credentials", CREDENTIAL)["id"]
    path = f"credentials/{identifier}/consent-links"
    made = caller.json("POST", path, {"label": "for Ann", "expires_in_hours": 1})
    deleted = caller.call("DELETE", f"{path}/{made['id']}")
    listed = caller.json("GET", path)["data"]

    assert made["url"].startswith("https://mail.example/api/consent/start/mg_ticket_")
    assert 204 == deleted.status_code
    assert [("for Ann", "withdrawn", False)] == [(link["label"], link["status"], "url" in link) for link in listed]


def test_a_secret_is_rotated(admin: Administration, caller: Caller) -> None:
    """The answer tells whether the new secret was proven, and shows neither."""
    admin.consented(admin.credential())
    identifier = admin.credentials.all()[0].id
    admin.entra.good.add("new-secret~value")
    body = caller.json("POST", f"credentials/{identifier}/secret", {"client_secret": "new-secret~value"})

    assert (True, False) == (body["proven"], body["unproven_secret"])
    assert "new-secret" not in str(body)


def test_a_refused_secret_bears_microsofts_ids(admin: Administration, caller: Caller) -> None:
    """409 with our code and Microsoft's."""
    admin.consented(admin.credential())
    body = caller.json(
        "POST", f"credentials/{admin.credentials.all()[0].id}/secret", {"client_secret": "wrong-secret~value"}
    )

    assert (409, "secret_wrong", "AADSTS7000215") == (body["status"], body["code"], body["microsoft"]["code"])


def test_verify_makes_a_grant_where_consent_is_given_in_the_portal(caller: Caller) -> None:
    """One call, and the grant with its roles is the answer."""
    identifier = caller.json("POST", "credentials", CREDENTIAL | {"grant_type": "client_credentials"})["id"]
    body = caller.json("POST", f"credentials/{identifier}/verify", {})

    assert ("active", sorted(ALL_ROLES), []) == (
        body["status"],
        sorted(body["roles"]["granted"]),
        body["roles"]["missing"],
    )
    assert [body["id"]] == [grant["id"] for grant in caller.json("GET", "grants")["data"]]


def test_a_grant_is_shown_verified_confirmed_and_deleted(admin: Administration, caller: Caller) -> None:
    """Each has its route."""
    grant = admin.consented(admin.credential(tenant="organizations"))
    path = f"grants/{grant.id}"

    assert ("unconfirmed", False) == (caller.json("GET", path)["status"], caller.json("GET", path)["usable"])
    assert "active" == caller.json("POST", f"{path}/confirm", {})["status"]
    assert "active" == caller.json("POST", f"{path}/verify", {})["status"]
    assert 204 == caller.call("DELETE", path).status_code
    assert 404 == caller.call("GET", path).status_code


def test_a_connection_is_made_and_its_signing_secret_shown_once(caller: Caller, incoming: dict[str, Any]) -> None:
    """201 with the secret for webhooks; later answers have none."""
    made = caller.json("POST", "connections", incoming)
    shown = caller.json("GET", f"connections/{made['id']}")

    assert made["signing_secret"].startswith("whsec_")
    assert "signing_secret" not in shown
    assert ("active", "microsoft_graph_oauth2", {"id": BOX.id, "address": BOX.address, "name": "Box"}) == (
        shown["status"],
        shown["mode"],
        shown["mailbox"],
    )
    assert ({"id": "F-inbox", "name": "Inbox"}, "all", 1) == (
        shown["folder"],
        shown["start"],
        shown["interval_minutes"],
    )


def test_a_vault_that_is_away_stops_the_creation_before_anything_is_made(
    admin: Administration, caller: Caller, incoming: dict[str, Any]
) -> None:
    """A secret that could not be shown would be lost."""
    admin.vault.failures.plan("put", CredentialFault("No answer.", Code.VAULT_UNAVAILABLE, retryable=True))

    assert 503 == caller.call("POST", "connections", incoming).status_code
    assert [] == caller.json("GET", "connections")["data"]


def test_a_queue_needs_no_signing_secret(caller: Caller, incoming: dict[str, Any]) -> None:
    """A storage queue is our own account's."""
    made = caller.json("POST", "connections", incoming | {"destination": {"type": "queue", "name": "out-mail"}})

    assert ("out-mail", False) == (made["destination"]["name"], "signing_secret" in made)


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"interval_minutes": 0}, "/interval_minutes"),
        ({"interval_minutes": "5"}, "/interval_minutes"),
        ({"start": "yesterday"}, "/start"),
        ({"start": {"since": "yesterday"}}, "/start"),
        ({"destination": {"type": "pigeon"}}, "/destination/type"),
        ({"mailbox": "nobody@contoso.example"}, "/mailbox"),
        ({"hold_hours": 3}, "/hold_hours"),
        ({"after_fetch": {"action": "move"}}, "/after_fetch/folder"),
    ],
)
def test_each_fault_of_a_connection_is_named(
    caller: Caller, incoming: dict[str, Any], change: dict[str, Any], pointer: str
) -> None:
    """422 with a pointer to the field."""
    body = caller.json("POST", "connections", incoming | change)

    assert 422 == body["status"]
    assert pointer in {fault["pointer"] for fault in body["errors"]}


def test_a_connection_changes_and_keeps_what_it_must(caller: Caller, incoming: dict[str, Any]) -> None:
    """Merge patch; what is kept for life answers 409 with what to do."""
    path = f"connections/{caller.json('POST', 'connections', incoming)['id']}"
    changed = caller.json("PATCH", path, {"name": "Support", "enabled": False, "after_fetch": None})
    refused = caller.json("PATCH", path, {"folder": "Done"})

    assert ("Support", "disabled", "none", 2) == (
        changed["name"],
        changed["status"],
        changed["after_fetch"]["action"],
        changed["version"],
    )
    assert (409, True) == (refused["status"], "create it anew" in refused["detail"])
    assert 422 == caller.call("PATCH", path, {"destination": None}).status_code


def test_limits_are_merged_checked_and_shown(caller: Caller, incoming: dict[str, Any]) -> None:
    """What is not named stays as it is, null is the default, and a fault names the member."""
    path = f"connections/{caller.json('POST', 'connections', {**incoming, 'limits': {'max_message_mb': 50}})['id']}"
    shown = [caller.json("GET", path)["limits"]]
    changes: tuple[dict[str, int | None] | None, ...] = ({"max_stored_mb_per_day": 100}, {"max_message_mb": None}, None)
    shown += [caller.json("PATCH", path, {"limits": change})["limits"] for change in changes]
    named = [(item["max_message_mb"], item["max_stored_mb_per_day"]) for item in shown]
    assert [(50, 10_240), (50, 100), (250, 100), (250, 10_240)] == named
    for limits, pointer in (({"max_message_mb": 0}, "max_message_mb"), ({"max_stored_mb_per_day": "x"}, "max_stored_")):
        refused = caller.call("PATCH", path, {"limits": limits})
        assert 422 == refused.status_code
        assert f'"/limits/{pointer}'.encode() in refused.get_body()


def test_a_connection_is_tested_fetched_and_deleted(caller: Caller, incoming: dict[str, Any]) -> None:
    """200 with every check, 202 for the fetch, 204 and again 204 for the deletion."""
    path = f"connections/{caller.json('POST', 'connections', incoming)['id']}"

    assert [True, True, True, True] == [check["ok"] for check in caller.json("POST", f"{path}/test", {})["checks"]]
    assert 202 == caller.call("POST", f"{path}/fetch", {}).status_code
    assert [204, 204] == [caller.call("DELETE", path).status_code for _ in range(2)]
    assert 404 == caller.call("GET", path).status_code


def test_connections_of_a_revoked_grant_wait_with_its_sentence(
    admin: Administration, caller: Caller, incoming: dict[str, Any]
) -> None:
    """What the tenant did stands on each of its connections."""
    caller.json("POST", "connections", incoming)
    admin.entra.grants[CONTOSO] = ()
    admin.directory.closed = True
    caller.json("POST", f"grants/{incoming['grant_id']}/verify", {})
    shown = caller.json("GET", "connections")["data"][0]

    assert "waiting" == shown["status"]
    assert "taken its consent back" in shown["fault"]["detail"]


def test_tokens_are_made_listed_and_revoked(caller: Caller, incoming: dict[str, Any]) -> None:
    """The text is shown once."""
    sender = caller.json(
        "POST",
        "connections",
        {"direction": "outgoing", "grant_id": incoming["grant_id"], "mailbox": BOX.id, "name": "out", "send_rate": 0},
    )
    path = f"connections/{sender['id']}/tokens"
    made = caller.json("POST", path, {"scope": "send"})
    listed = caller.json("GET", path)["data"]

    assert made["token"].startswith("mg_send_")
    assert [(made["id"], False)] == [(token["id"], "token" in token) for token in listed]
    assert 204 == caller.call("DELETE", f"{path}/{made['id']}").status_code
    assert [] == caller.json("GET", path)["data"]
    assert 422 == caller.call("POST", path, {"scope": "admin"}).status_code


def test_mailboxes_and_folders_can_be_chosen_from(caller: Caller, incoming: dict[str, Any]) -> None:
    """The pickers need a grant, and say so."""
    grant = incoming["grant_id"]

    assert [BOX.address] == [m["address"] for m in caller.json("GET", f"mailboxes?grant_id={grant}&search=box")["data"]]
    assert 3 == len(caller.json("GET", f"folders?grant_id={grant}&mailbox={BOX.id}")["data"])
    assert "?grant_id" == caller.json("GET", "mailboxes")["errors"][0]["pointer"]


def test_pages_of_a_list_have_a_limit(caller: Caller) -> None:
    """A limit from 1 to 200, and a cursor until the end."""
    for number in range(3):
        caller.json("POST", "credentials", CREDENTIAL | {"name": str(number)})
    first = caller.json("GET", "credentials?limit=2")
    second = caller.json("GET", f"credentials?limit=2&cursor={first['next_cursor']}")

    assert (2, 1, None) == (len(first["data"]), len(second["data"]), second["next_cursor"])
    assert 422 == caller.call("GET", "credentials?limit=0").status_code


def test_every_route_needs_an_administrator(caller: Caller) -> None:
    """None of them is open, none begins with a word that the host keeps for itself."""
    assert {"function"} == {level.lower() for level in caller.levels().values()}
    assert not [name for name in caller.functions if name.startswith(("admin", "runtime"))]


def test_the_queue_checks_what_it_is_told(admin: Administration) -> None:
    """A wake-up that the use case put is read again, and one that is none goes to poison."""
    app = func.FunctionApp()
    app.register_functions(consent_queue.blueprint(admin.consent, admin.checks, admin.upkeep, admin.purge, admin.keep))
    check = app.get_functions()[0].get_user_function()
    trip, query = admin.trip(admin.credential())
    admin.answer({"admin_consent": "True", "tenant": CONTOSO, "state": query["state"]}, {trip.cookie_name: trip.cookie})
    for body in admin.wakeups.take("consent-check"):
        check(func.QueueMessage(body=json.dumps(body).encode()))

    assert "active" == admin.grants.all()[0].status.value
    with pytest.raises(ValueError, match="not a wake-up"):
        check(func.QueueMessage(body=b"{}"))


def test_a_credential_shows_when_it_ends(admin: Administration, caller: Caller) -> None:
    """Typed in it is forecast; left out it is unknown; a managed identity has no end."""
    ends = {"secret_expires_at": to_text(admin.clock() + timedelta(days=20, hours=1))}
    identity = {"auth_method": "federated", "managed_identity_client_id": "11111111-2222-4333-8444-000000000000"}
    without = {name: value for name, value in CREDENTIAL.items() if name != "client_secret"}
    answers = [caller.json("POST", "credentials", body) for body in (CREDENTIAL | ends, CREDENTIAL, without | identity)]

    shown = [(body["expires_at"], body["expires_in_days"], body["expiry"]) for body in answers]
    assert [(ends["secret_expires_at"], 20, "soon"), (None, None, "unknown"), (None, None, "ok")] == shown
    assert identity["managed_identity_client_id"] == answers[2]["managed_identity_client_id"]


def test_a_change_with_a_proof_rotates_it_in(admin: Administration, caller: Caller) -> None:
    """PATCH with another method's proof: refused while Microsoft refuses it, and an old version changes nothing."""
    grant = admin.consented()
    identity = {"auth_method": "federated", "managed_identity_client_id": "11111111-2222-4333-8444-000000000000"}
    path = f"credentials/{grant.credential_id}"
    refused = caller.call("PATCH", path, identity)
    stale = caller.call("PATCH", path, {"client_secret": "good-secret~value"}, {**ADMIN, "If-Match": '"99"'})
    admin.entra.good.add("good-secret~value")
    done = caller.json("PATCH", path, {"client_secret": "good-secret~value", "name": "Renamed"})

    assert (409, 412) == (refused.status_code, stale.status_code)
    assert ("secret", "Renamed", False) == (done["auth_method"], done["name"], done["unproven_secret"])
    after = admin.credentials.all()[0]
    assert "good-secret~value" == admin.vault.get(after.secret_name, after.active_version)
