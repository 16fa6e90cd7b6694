"""Every administrator's write leaves a line with the hash of the key; so does opening a mail."""

import hashlib
import json
from typing import Any

import pytest

from functions import audit_http, connection_tokens_http, connections_http, credentials_http, grants_http, health_http
from functions.connections_http import ConnectionUseCases
from shared.audit_log import AuditLog
from shared.health import Health
from shared.proofs import AuthMethod
from shared.signing import Signing
from tests.fakes.entra import ALL_ROLES
from tests.scenes.administration import ANN, CLIENT_ID, CONTOSO, SECRET, Administration
from tests.scenes.calls import ADMIN, Caller

KEY = "a-function-key"
ACTOR = f"key:{hashlib.sha256(KEY.encode()).hexdigest()[:8]}"


class Office:
    """The admin routes on memory, called with a key."""

    def __init__(self) -> None:
        self.admin = admin = Administration()
        admin.entra.grants[CONTOSO] = ALL_ROLES
        signing = Signing(admin.tables, admin.vault)
        use = ConnectionUseCases(admin.creation, admin.changes, admin.lists, admin.connection_checks, signing)
        health = Health(admin.tables, admin.wakeups, admin.vault, admin.clock)
        self.caller = Caller(
            credentials_http.blueprint(admin.credentials, admin.checks, admin.links, admin.settings),
            grants_http.blueprint(admin.grants, admin.checks, admin.purge, admin.settings),
            connections_http.blueprint(use, admin.settings),
            connection_tokens_http.blueprint(admin.connection_tokens, admin.lists, admin.settings),
            health_http.blueprint(health, admin.tick, admin.audit, admin.settings),
            audit_http.blueprint(AuditLog(admin.tables.audit, admin.clock), admin.settings),
        )

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """Make a request that succeeds, by header or by query, and return its JSON."""
        self.admin.clock.advance(1)
        answer = self.caller.call(method, path, body, {**ADMIN, "x-functions-key": KEY})
        assert answer.status_code < 300, answer.get_body()
        return self.json(answer)

    @staticmethod
    def json(answer: Any) -> Any:
        """Return the JSON of an answer, None where it has none."""
        return json.loads(answer.get_body()) if answer.get_body() else None

    def lines(self) -> list[dict[str, Any]]:
        """Return the audit log, oldest first."""
        return list(reversed(self.call("GET", "audit?limit=200")["data"]))


@pytest.fixture
def office() -> Office:
    """Return the admin routes."""
    return Office()


def test_every_write_is_told_with_its_actor_and_target(office: Office) -> None:
    """In order, with the ids; reading is not told; the key stands nowhere."""
    body = {"name": "C", "client_id": CLIENT_ID, "grant_type": "client_credentials", "cloud": "global"}
    body |= {"auth_method": AuthMethod.SECRET.value, "tenant": CONTOSO, "client_secret": SECRET}
    credential = office.call("POST", "credentials", body)["id"]
    office.call("PATCH", f"credentials/{credential}", {"name": "D"})
    office.admin.entra.good.add("another~secret-value")
    office.call("POST", f"credentials/{credential}/secret", {"client_secret": "another~secret-value"})
    grant = office.call("POST", f"credentials/{credential}/verify", {})["id"]
    office.call("POST", f"grants/{grant}/verify", {})
    office.call("POST", f"grants/{grant}/confirm", {})
    asked = {"direction": "incoming", "grant_id": grant, "mailbox": ANN.address, "name": "Ann"}
    asked |= {"folder": "inbox", "destination": {"type": "webhook", "url": "https://hooks.example/in"}}
    connection = office.call("POST", "connections", asked)["id"]
    office.call("POST", f"connections/{connection}/test", {})
    office.call("POST", f"connections/{connection}/fetch", {})
    office.call("PATCH", f"connections/{connection}", {"name": "Anna"})
    token = office.call("POST", f"connections/{connection}/tokens", {"scope": "receive"})["id"]
    office.call("DELETE", f"connections/{connection}/tokens/{token}")
    office.call("POST", "tick", {})
    office.call("DELETE", f"connections/{connection}?discard=true")
    office.call("DELETE", f"grants/{grant}")
    office.call("DELETE", f"credentials/{credential}")

    mine = [line for line in office.lines() if line["actor"] == ACTOR]
    told = [line["action"] for line in mine if line["action"] != "grant.check"]
    told_of_grants = ["grant.verify", "grant.verify", "grant.confirm"]
    told_of_connections = ["connection.create", "connection.test", "connection.fetch", "connection.change"]
    assert [
        *("credential.create", "credential.change", "credential.rotate"),
        *told_of_grants,
        *told_of_connections,
        *("token.create", "token.delete", "tick.run"),
        *("connection.delete", "grant.delete", "credential.delete"),
    ] == told
    assert all(line["targets"] for line in mine if line["action"] != "tick.run")
    assert KEY not in repr(office.lines())


def test_links_are_told(office: Office) -> None:
    """Made and withdrawn; the link's secret stands nowhere."""
    credential = office.admin.credential()
    path = f"credentials/{credential.id}/consent-links"
    link = office.call("POST", path, {})
    office.call("DELETE", f"{path}/{link['id']}")

    mine = [line for line in office.lines() if line["actor"] == ACTOR]
    assert ["consent_link.create", "consent_link.withdraw"] == [line["action"] for line in mine]
    assert [link["id"]] * 2 == [line["targets"]["link_id"] for line in mine]
    assert link["url"].split("_")[-2] not in repr(mine)


@pytest.mark.parametrize(
    ("query", "headers", "actor"),
    [("", {"x-functions-key": KEY}, ACTOR), (f"?code={KEY}", {}, ACTOR), ("", {}, "no_key")],
)
def test_the_key_is_known_by_header_and_by_query(
    office: Office, query: str, headers: dict[str, str], actor: str
) -> None:
    """As the host takes it; a host that asks for none leaves nobody to name."""
    office.caller.call("POST", f"tick{query}", {}, {**ADMIN, **headers})

    assert [actor] == [line["actor"] for line in office.lines()]


@pytest.mark.parametrize("query", ["since=yesterday", "until=2026-01-01", "limit=0", "cursor=x"])
def test_a_question_that_is_none_is_refused(office: Office, query: str) -> None:
    """With the parameter's name."""
    answer = office.caller.call("GET", f"audit?{query}")

    assert 422 == answer.status_code
    assert f"?{query.partition('=')[0]}" == office.json(answer)["errors"][0]["pointer"]
