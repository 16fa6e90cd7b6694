"""Health: open to everyone in a word, in detail for administrators; ill only where somebody must act."""

import json
from typing import Any

import azure.functions as func
import pytest

from functions import health_http
from shared.audit import Audit
from shared.codes import Code
from shared.errors import CredentialFault
from shared.health import Health
from shared.schedule import QUEUES
from shared.tick import Tick
from shared.version import VERSION
from tests.fakes import MemoryTables, MemoryVault, MemoryWakeups, MovableClock
from tests.scenes.administration import settings
from tests.scenes.calls import Caller


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
    scene.clock.advance(12)
    scene.wakeups.put("mail-fetch", {"kind": "fetch"})
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
                "queues": {name: int(name == "mail-fetch") for name in names},
                "poison": {f"{name}-poison": int(name == "mail-send") for name in names},
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


def test_a_product_that_never_ticked_is_ill(scene: Scene) -> None:
    """Nothing would ever be fetched."""
    fresh = Health(MemoryTables(scene.clock), scene.wakeups, scene.vault, scene.clock).report()

    assert (False, {"state": "missed", "age_seconds": None}) == (fresh.healthy, fresh.checks["tick"])


def test_silent_tables_are_told_from_silent_queues(scene: Scene) -> None:
    """Each is tried by itself, and what still answers is shown."""
    scene.tables.credentials.failures.plan("get")
    status, body = scene.details()
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
