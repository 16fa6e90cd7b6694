"""The control endpoint through its client: every change shows in the world, and nobody without the token gets in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx
import pytest

from localcloud.control.client import ControlClient
from localcloud.world import GLOBAL_ADMINISTRATOR

if TYPE_CHECKING:
    from collections.abc import Iterator

    from localcloud.cloud import LocalCloud
    from tests.localcloud.conftest import Scene

pytestmark = pytest.mark.enable_socket


@pytest.fixture
def control(cloud: LocalCloud) -> Iterator[ControlClient]:
    """Return a client with the right token."""
    environment = cloud.environment()
    with ControlClient(environment["LOCALCLOUD_CONTROL_URL"], environment["LOCALCLOUD_CONTROL_TOKEN"]) as client:
        yield client


@pytest.mark.parametrize("token", [None, "guess"])
def test_token_needed(cloud: LocalCloud, token: str | None) -> None:
    """Without the token printed at start, every control route answers 401."""
    url = cloud.environment()["LOCALCLOUD_CONTROL_URL"]
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    with httpx.Client(trust_env=False) as client:
        assert [401, 401] == [client.get(f"{url}{path}", headers=headers).status_code for path in ("/tenants", "/no")]


def test_directory(control: ControlClient, scene: Scene) -> None:
    """Tenants and people can be made, changed, seen and removed."""
    tenant = control.add_tenant("tailspin.example", "Tailspin")
    user = control.add_user(
        "tailspin.example", "t@tailspin.example", "Tea", administrator_roles=["global_administrator"]
    )
    changed = control.change_user(tenant["id"], "t@tailspin.example", mailbox_state="none")
    seen = control.tenant("tailspin.example")
    control.remove_user(tenant["id"], user["id"])

    assert [[GLOBAL_ADMINISTRATOR], "none"] == [user["administrator_roles"], changed["mailbox_state"]]
    assert [changed] == seen["users"]
    assert {} == scene.world.tenants[tenant["id"]].users
    control.remove_tenant(tenant["id"])
    assert tenant["id"] not in {entry["id"] for entry in control.tenants()}


def test_registration(control: ControlClient, scene: Scene) -> None:
    """A registration comes with a secret that is shown once; it can be changed and removed."""
    app = control.add_registration("contoso.example", "Second", ["http://127.0.0.1/cb"], multitenant=False)
    stored = scene.world.registrations[app["client_id"]]
    control.change_registration(app["client_id"], redirect_uris=["http://127.0.0.1/other"])
    listed = {entry["client_id"]: entry for entry in control.registrations()}[app["client_id"]]

    assert {app["secret"]["value"]: app["secret"]["expires_at"]} == stored.secrets
    assert ([app["secret"]["secret_id"]], ["http://127.0.0.1/other"]) == (
        list(listed["secrets"]),
        listed["redirect_uris"],
    )
    assert (False, scene.contoso.id) == (stored.multitenant, stored.home_tenant)
    assert set() == scene.contoso.principals[app["client_id"]].roles
    control.remove_registration(app["client_id"])
    assert (False, False) == (
        app["client_id"] in scene.world.registrations,
        app["client_id"] in scene.contoso.principals,
    )


def test_secrets(control: ControlClient, scene: Scene) -> None:
    """Secrets can be added, expired and removed one by one."""
    added = control.add_secret(scene.app.client_id, expires_in_seconds=60)
    control.expire_secret(scene.app.client_id, scene.secret_id)

    assert {scene.secret: scene.clock.now, added["value"]: scene.clock.now + 60} == scene.app.secrets
    control.remove_secret(scene.app.client_id, added["secret_id"])
    assert [scene.secret] == list(scene.app.secrets)


def test_consent(control: ControlClient, scene: Scene) -> None:
    """Consent can be given in part, the principal disabled, and all of it revoked."""
    client_id = scene.app.client_id
    control.consent("fabrikam.example", client_id, ["Mail.Send"])
    control.disable_principal("fabrikam.example", client_id)
    principal = scene.fabrikam.principals[client_id]

    assert ({"Mail.Send"}, False) == (principal.roles, principal.enabled)
    control.revoke("fabrikam.example", client_id)
    assert {} == scene.fabrikam.principals


def test_identities(control: ControlClient, scene: Scene) -> None:
    """A second user-assigned identity can be made."""
    made = control.add_identity("contoso.example", "second")

    assert [None, "mailgrant-credential", "second"] == [entry["name"] for entry in control.identities()]
    assert scene.contoso.id == made["tenant_id"]
    scene.world.identities.pop()


def test_modes(control: ControlClient, scene: Scene) -> None:
    """Modes are set together, and null takes one back to its default."""
    control.set_modes(latency_ms=5, second_send_delivers=True)
    seen = control.set_modes(latency_ms=None, second_send_delivers=None, propagation_seconds=3)

    assert scene.world.modes == seen
    assert {"latency_ms": 0.0, "propagation_seconds": 3, "token_seconds": 3599} == control.modes()


def test_one_fault_can_be_forgotten(control: ControlClient) -> None:
    """The others stay, and forgetting it again is no error."""
    first, second = (control.add_fault("entra", "token", {"kind": "reset"}) for _ in range(2))
    for _ in range(2):
        control.remove_fault(first)

    assert [second] == [fault["id"] for fault in control.faults()["waiting"]]
    control.clear_faults()


def test_faults(control: ControlClient, scene: Scene) -> None:
    """Faults wait in order, are shown, and can be forgotten."""
    identifier = control.add_fault("entra", "token", {"kind": "reset"}, key="t", skip=1, times=2)
    (waiting,) = control.faults()["waiting"]

    assert (identifier, 1, 2, "t") == (waiting["id"], waiting["skip"], waiting["times"], waiting["key"])
    control.clear_faults()
    assert None is scene.world.faults.take("entra", "token", "t")


def test_counters(control: ControlClient, scene: Scene) -> None:
    """Counters are read and begun anew."""
    scene.world.counters["entra.token"] = 4

    assert 4 == control.counters()["entra.token"]
    control.reset_counters()
    assert {} == control.counters()


def test_recording(control: ControlClient, scene: Scene) -> None:
    """Traffic is kept only while recording is on, and recording begins with an empty list."""
    scene.world.record({"path": "/before"})
    control.record_traffic(on=True)
    scene.world.record({"path": "/while"})

    assert [{"path": "/while"}] == control.traffic()
    control.record_traffic(on=False)
    assert [] == control.traffic()


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "words"),
    [
        ("POST", "/tenants", {"domain": "x.example"}, 400, "display_name"),
        ("GET", "/tenants/nobody.example", None, 404, "unknown tenant"),
        ("POST", "/registrations", {"home_tenant": "nobody.example"}, 404, "unknown home tenant"),
        ("POST", "/faults", {"service": "entra", "operation": "token", "effect": {}}, 400, "kind"),
        ("POST", "/faults", {"service": "e", "operation": "t", "effect": {"kind": "status"}}, 400, "needs status"),
        ("POST", "/faults", {"effect": {"kind": "reset"}, "color": 1}, 400, "unknown fields: color"),
        ("DELETE", "/registrations/unknown", None, 404, "unknown registration"),
        ("PUT", "/modes", [], 400, "list"),
    ],
)
def test_bad_input(cloud: LocalCloud, method: str, path: str, body: Any, status: int, words: str) -> None:
    """What cannot be done is refused in words that name the fault."""
    environment = cloud.environment()
    headers = {"Authorization": f"Bearer {environment['LOCALCLOUD_CONTROL_TOKEN']}"}
    url = f"{environment['LOCALCLOUD_CONTROL_URL']}{path}"
    with httpx.Client(trust_env=False, headers=headers) as client:
        response = client.request(method, url, json=body)

    assert (status, True) == (response.status_code, words in response.json()["error"])


def test_client_repeats_the_words(control: ControlClient) -> None:
    """The client's error says what the endpoint said."""
    with pytest.raises(httpx.HTTPStatusError, match=r"404 from /control/tenants/nobody: .*unknown tenant"):
        control.tenant("nobody")
