"""Health: open to everyone in a word, in detail for administrators; ill only where somebody must act."""

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import azure.functions as func
import pytest

from functions import health_http
from shared.audit import Audit
from shared.codes import Code
from shared.connections import Run, run_key
from shared.credentials import Credential, GrantType
from shared.errors import CredentialFault
from shared.health import Health
from shared.identifiers import box_hash, new_connection_id, shard_of
from shared.poison import Poison
from shared.ports import Insert
from shared.proofs import AuthMethod
from shared.registry import Registry
from shared.rows import encode
from shared.schedule import FETCH, QUEUES, SHARDS, DueRow, Wakeup
from shared.tick import Tick
from shared.times import to_text
from shared.troubles import stopped_mark
from shared.version import VERSION
from tests.fakes import MemoryTables, MemoryVault, MemoryWakeups, MovableClock
from tests.scenes.administration import settings
from tests.scenes.calls import Caller

EMPTY = {"messages": 0, "oldest_seconds": None}
NONE = {"count": 0, "more": False, "records": []}
CREDENTIAL = Credential(
    "",
    "n",
    "c",
    GrantType.ADMIN_CONSENT,
    AuthMethod.SECRET,
    "global",
    "organizations",
    "s",
    "2026-01-01T00:00:00Z",
    status="ready",
)


class Scene:
    """The health routes on memory, just ticked."""

    def __init__(self) -> None:
        self.clock = MovableClock()
        self.tables, self.wakeups = MemoryTables(self.clock), MemoryWakeups(self.clock)
        self.vault = MemoryVault()
        self.tick = Tick(self.tables, self.wakeups, self.clock)
        health = Health(self.tables, self.wakeups, self.vault, self.clock)
        self.caller = Caller(health_http.blueprint(health, self.tick, Audit(self.tables.audit, self.clock), settings()))
        self.tick.run()

    def details(self) -> tuple[int, Any]:
        """Return status and body of the details."""
        answer = self.caller.call("GET", "health/details")
        return answer.status_code, json.loads(answer.get_body())


@pytest.fixture
def scene() -> Scene:
    """Return a product that is well."""
    return Scene()


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_anybody_may_ask_whether_it_is_up(scene: Scene, method: str) -> None:
    """One word and the version; no call to anything, so an outage of storage does not restart the app."""
    for table in (scene.tables.credentials, scene.tables.connections):
        table.failures.plan("get")
    answer: func.HttpResponse = scene.caller.call(method, "health", headers={})

    assert (200, {"status": "ok", "version": VERSION}) == (answer.status_code, json.loads(answer.get_body()))


def test_details_say_how_everything_is(scene: Scene) -> None:
    """Storage, vault, tick age, the length of each queue, and how much became poison."""
    scene.clock.advance(5)
    scene.wakeups.put("mail-fetch", {"kind": "fetch"})
    scene.clock.advance(7)
    scene.wakeups.put("mail-send-poison", {"kind": "send"})
    names = sorted(set(QUEUES.values()))

    assert (
        200,
        {
            "status": "ok",
            "version": VERSION,
            "checks": {
                "storage": {"tables": "ok", "queues": "ok"},
                "vault": "ok",
                "tick": {"state": "ok", "age_seconds": 12.0},
                "queues": dict.fromkeys(names, EMPTY) | {"mail-fetch": {"messages": 1, "oldest_seconds": 7.0}},
                "poison": {f"{name}-poison": int(name == "mail-send") for name in names},
                "poisoned": NONE,
                "due": {"late_seconds": 0.0},
                "stopped": NONE,
                "expiries": [],
            },
        },
    ) == scene.details()


def test_a_tick_is_missed_after_five_minutes(scene: Scene) -> None:
    """Not before; the tick by hand mends it."""
    scene.clock.advance(299)
    assert 200 == scene.details()[0]
    scene.clock.advance(1)
    status, body = scene.details()
    assert (503, "unhealthy", "missed") == (status, body["status"], body["checks"]["tick"]["state"])

    assert {"due": 0, "woken": 0} == scene.caller.json("POST", "tick", {})
    assert 200 == scene.details()[0]


def test_a_fresh_deployment_is_starting_and_then_ill(scene: Scene) -> None:
    """Its first tick may take a minute; without any for five, nothing would ever be fetched."""
    fresh = Health(MemoryTables(scene.clock), scene.wakeups, scene.vault, scene.clock, scene.clock.monotonic)

    scene.clock.advance(299)
    report = fresh.report()
    assert (True, {"state": "starting", "age_seconds": None}) == (report.healthy, report.checks["tick"])
    scene.clock.advance(1)
    report = fresh.report()
    assert (False, {"state": "missed", "age_seconds": None}) == (report.healthy, report.checks["tick"])


def test_a_timer_that_died_long_ago_is_missed_by_a_process_that_has_only_started(scene: Scene) -> None:
    """New instances come and go; none of them hides that no tick comes."""
    scene.clock.advance(301)
    health = Health(scene.tables, scene.wakeups, scene.vault, scene.clock, scene.clock.monotonic)

    assert (False, "missed") == ((report := health.report()).healthy, report.checks["tick"]["state"])  # type: ignore[index]


def test_overdue_work_is_measured(scene: Scene) -> None:
    """The most overdue row of any shard counts; what is not due, or of a newer version, does not."""
    for shard, kind, minutes in (("0", "fetch", 3), ("f", "send", 7), ("5", "harvest", 60), ("6", "fetch", -5)):
        due = DueRow(scene.clock() - timedelta(minutes=minutes), kind, "id")
        scene.tables.connections.commit(shard, [due.insert()])

    assert {"late_seconds": 420.0} == scene.details()[1]["checks"]["due"]


def test_credentials_near_their_end_are_named(scene: Scene) -> None:
    """The first to end first; those with time left, or of unknown end, are no news."""
    registry = Registry(scene.tables)
    for number, days in enumerate((400, 20, -1, None)):
        ends = None if days is None else to_text(scene.clock() + timedelta(days=days))
        registry.add_credential(replace(CREDENTIAL, id=f"cred_{number:026d}", secret_expires_at=ends))

    assert [
        {"credential_id": f"cred_{2:026d}", "state": "expired", "days": -1},
        {"credential_id": f"cred_{1:026d}", "state": "soon", "days": 20},
    ] == scene.details()[1]["checks"]["expiries"]


def test_what_health_costs_does_not_grow(scene: Scene) -> None:
    """Ten thousand connections, ten overdue in each shard: two reads per shard, and three more."""
    for shard in SHARDS:
        for number in range(0, 600, 60):
            rows = [
                DueRow(scene.clock() - timedelta(minutes=1), "fetch", f"c{n}").insert()
                for n in range(number, number + 60)
            ]
            scene.tables.connections.commit(shard, rows)
    before = scene.tables.calls()

    assert 200 == scene.details()[0]
    assert 2 * len(SHARDS) + 3 == scene.tables.calls() - before


def test_silent_tables_are_told_from_silent_queues(scene: Scene) -> None:
    """Each is tried by itself, and what still answers is shown."""
    scene.tables.credentials.failures.plan("read")
    status, body = scene.details()
    assert "unknown" == body["checks"]["tick"]["state"]
    assert (503, {"tables": "storage_unavailable", "queues": "ok"}) == (status, body["checks"]["storage"])

    scene.wakeups.failures.plan("length")
    status, body = scene.details()
    assert (503, {"tables": "ok", "queues": "storage_unavailable"}) == (status, body["checks"]["storage"])
    assert 0.0 == body["checks"]["tick"]["age_seconds"]


@pytest.mark.parametrize("code", [Code.VAULT_UNAVAILABLE, Code.VAULT_REFUSED])
def test_a_vault_that_refuses_is_named(scene: Scene, code: Code) -> None:
    """No secret can be read, so nothing can work for long."""
    scene.vault.failures.plan("check", CredentialFault("No.", code))
    status, body = scene.details()

    assert (503, code.value) == (status, body["checks"]["vault"])


def test_records_in_trouble_are_named(scene: Scene) -> None:
    """A poisoned and stopped connection is counted, with its id and since when; the product itself is well."""
    key = new_connection_id(box_hash("client", "contoso", "mailbox"))
    row = Insert(run_key(key), encode(Run(key, stopped=True)))
    scene.tables.connections.commit(shard_of(key), [row, stopped_mark(key, scene.clock())])
    Poison(scene.tables, scene.clock).found("mail-fetch", json.dumps(Wakeup(FETCH, key).to_body()).encode())
    status, body = scene.details()

    one = {"count": 1, "more": False, "records": [{"kind": FETCH, "id": key, "since": to_text(scene.clock())}]}
    assert (200, one, one) == (status, body["checks"]["poisoned"], body["checks"]["stopped"])


def test_poison_and_long_queues_are_no_illness(scene: Scene) -> None:
    """They are shown; a restart would not mend them."""
    for _ in range(100):
        scene.wakeups.put("mail-deliver-poison", {"kind": "deliver"})

    assert 200 == scene.details()[0]


def test_what_must_be_known_before_the_first_credential(scene: Scene) -> None:
    """The redirect URI, the rights to ask for, and the clouds."""
    body = scene.caller.json("GET", "system")

    assert "https://mail.example/api/consent/callback" == body["redirect_uri"]
    assert ["Mail.ReadWrite", "Mail.Send", "User.Read.All"] == body["required_permissions"]
    assert "login.microsoftonline.com" in {cloud["login_host"] for cloud in body["clouds"]}
