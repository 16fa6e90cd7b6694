"""What every form of the `Entra` port promises: the in-memory one that unit tests use, and msal against Entra ID."""

import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from localcloud.cloud import LocalCloud
from localcloud.world import Fault, World
from shared.adapters.entra import MsalEntra, unverified_claims
from shared.adapters.entra_errors import MEANINGS, fault_of
from shared.adapters.http_client import environment_client
from shared.codes import Code
from shared.errors import CredentialFault, GrantFault, MailgrantError, Throttled, Unreachable
from shared.ports import AccessToken, Entra
from tests.fakes.entra import ALL_ROLES, MemoryEntra

pytestmark = pytest.mark.enable_socket

LOGIN = "login.microsoftonline.com"
SCOPE = "https://graph.microsoft.com/.default"


@dataclass
class Scene:
    """One form of Entra with a tenant that consented, one that did not, and a secret of each kind."""

    entra: Entra
    contoso: str
    fabrikam: str
    domain: str
    client_id: str
    secret: str
    expired: str
    consent: Callable[[str, set[str] | None], None]

    def token(self, tenant: str = "", secret: str = "", *, fresh: bool = False) -> AccessToken:
        """Ask for a token as the product does."""
        return self.entra.token(
            login_host=LOGIN,
            tenant=tenant or self.contoso,
            client_id=self.client_id,
            secret=secret or self.secret,
            scope=SCOPE,
            fresh=fresh,
        )


def memory_scene() -> Scene:
    """Return the scene on the fake."""
    contoso, fabrikam = str(uuid.uuid4()), str(uuid.uuid4())
    entra = MemoryEntra({contoso: ALL_ROLES}, {"contoso.example": contoso}, {"right-secret"}, {"old-secret"})

    def consent(tenant: str, roles: set[str] | None) -> None:
        entra.grants[tenant] = ALL_ROLES if roles is None else tuple(sorted(roles))

    return Scene(
        entra,
        contoso,
        fabrikam,
        "contoso.example",
        str(uuid.uuid4()),
        "right-secret",
        "old-secret",
        consent,
    )


def msal_scene(cloud: LocalCloud, monkeypatch: pytest.MonkeyPatch) -> tuple[Scene, Callable[[], None]]:
    """Return the scene on msal as production makes it, pointed at the simulated cloud by environment alone."""
    for name, value in cloud.environment().items():
        monkeypatch.setenv(name, value)
    world, mark = cloud.world, uuid.uuid4().hex[:8]
    contoso = world.add_tenant(f"contoso-{mark}.example", "Contoso")
    fabrikam = world.add_tenant(f"fabrikam-{mark}.example", "Fabrikam")
    app = world.add_registration(cloud.home, "Mailgrant", ["https://mail.example/api/consent/callback"])
    world.consent(contoso, app)
    client = environment_client()

    def consent(tenant: str, roles: set[str] | None) -> None:
        found = world.find_tenant(tenant)
        assert found is not None
        world.consent(found, app, roles)

    return Scene(
        MsalEntra(client),
        contoso.id,
        fabrikam.id,
        contoso.domain,
        app.client_id,
        app.add_secret(world.clock() + 3600)[1],
        app.add_secret(world.clock() - 1)[1],
        consent,
    ), client.close


@pytest.fixture
def world(microsoft_cloud: LocalCloud) -> Iterator[World]:
    """Return the world behind the simulated cloud, without faults."""
    microsoft_cloud.world.faults.clear()
    yield microsoft_cloud.world
    microsoft_cloud.world.faults.clear()
    for name in list(microsoft_cloud.world.modes):
        microsoft_cloud.world.reset_mode(name)


@pytest.fixture
def real(world: World, microsoft_cloud: LocalCloud, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    """Return msal's scene."""
    scene, close = msal_scene(microsoft_cloud, monkeypatch)
    yield scene
    close()


@pytest.fixture(params=["memory", "msal"])
def scene(request: pytest.FixtureRequest) -> Scene:
    """Return a scene of each kind."""
    if request.param == "memory":
        return memory_scene()
    found: Scene = request.getfixturevalue("real")
    return found


def test_a_token_tells_its_roles(scene: Scene) -> None:
    """What the tenant granted stands in the token, with its life in seconds."""
    token = scene.token()

    assert set(ALL_ROLES) == set(token.roles or ())
    assert 3000 < token.expires_in <= 3600
    assert scene.contoso == token.tenant


def test_a_cached_token_is_used_again(scene: Scene) -> None:
    """Only a fresh token is another one, and it is used from then on."""
    first = scene.token()
    assert first.value == scene.token().value

    fresh = scene.token(fresh=True)

    assert first.value != fresh.value
    assert fresh.value == scene.token().value


def test_a_fresh_token_shows_what_was_granted_since(scene: Scene) -> None:
    """A cached token hides a later consent; a fresh one does not, and the cache forgets the old one."""
    scene.consent(scene.contoso, {"Mail.Send"})
    assert ("Mail.Send",) == scene.token(fresh=True).roles
    scene.consent(scene.contoso, None)

    assert set(ALL_ROLES) == set(scene.token(fresh=True).roles or ())
    assert set(ALL_ROLES) == set(scene.token().roles or ())


def test_a_token_without_roles_is_a_token(scene: Scene) -> None:
    """Nothing granted is told by an empty list, not by an error."""
    scene.consent(scene.contoso, set())

    assert () == scene.token(fresh=True).roles


@pytest.mark.parametrize("fresh", [True, False])
def test_a_wrong_secret_belongs_to_the_credential(scene: Scene, fresh: bool) -> None:
    """Wrong and expired are told apart, with Microsoft's code."""
    for secret, code, number in (
        ("wrong-secret", Code.SECRET_WRONG, "AADSTS7000215"),
        (scene.expired, Code.SECRET_EXPIRED, "AADSTS7000222"),
    ):
        with pytest.raises(CredentialFault) as refused:
            scene.token(secret=secret, fresh=fresh)
        assert (code, number, False) == (refused.value.code, refused.value.microsoft.code, refused.value.retryable)


def test_a_missing_consent_belongs_to_the_tenant_and_ends_at_once(scene: Scene) -> None:
    """An app that the tenant does not know is no fault of the credential; the next call sees a consent given then."""
    with pytest.raises(GrantFault) as refused:
        scene.token(scene.fabrikam)
    assert (Code.APP_NOT_CONSENTED, "AADSTS700016") == (refused.value.code, refused.value.microsoft.code)

    scene.consent(scene.fabrikam, None)

    assert set(ALL_ROLES) == set(scene.token(scene.fabrikam).roles or ())


def test_a_domain_stands_for_its_tenant(scene: Scene) -> None:
    """A domain and the id itself both give the id."""
    assert scene.contoso == scene.entra.tenant_of(login_host=LOGIN, name=scene.domain)
    assert scene.contoso == scene.entra.tenant_of(login_host=LOGIN, name=scene.contoso)


def test_an_unknown_domain_stands_for_nothing(scene: Scene) -> None:
    """What names no tenant is told as that."""
    with pytest.raises(GrantFault) as refused:
        scene.entra.tenant_of(login_host=LOGIN, name="nowhere.example")

    assert Code.TENANT_UNKNOWN is refused.value.code


def test_an_unknown_tenant_is_told(real: Scene) -> None:
    """Discovery refuses before a token is asked for; the words are those of a tenant that is not there."""
    with pytest.raises(GrantFault) as refused:
        real.token(str(uuid.uuid4()))

    assert (Code.TENANT_UNKNOWN, "AADSTS90002") == (refused.value.code, refused.value.microsoft.code)


@pytest.mark.parametrize("operation", ["discovery", "token"])
@pytest.mark.parametrize(
    ("effect", "kind", "wait"),
    [
        ({"kind": "status", "status": 429, "headers": {"Retry-After": "7"}}, Throttled, 7.0),
        ({"kind": "status", "status": 429, "headers": {"Retry-After": "2.5"}}, Throttled, 2.5),
        ({"kind": "status", "status": 429}, Throttled, None),
        ({"kind": "status", "status": 503, "headers": {"Retry-After": "3"}}, Unreachable, 3.0),
        ({"kind": "html", "status": 502}, Unreachable, None),
        ({"kind": "html", "status": 200}, Unreachable, None),
        ({"kind": "html", "status": 403}, Unreachable, None),
        ({"kind": "reset", "when": "before"}, Unreachable, None),
    ],
)
def test_every_unusable_answer_is_an_outage_that_passes(
    real: Scene, world: World, operation: str, effect: dict[str, object], kind: type[MailgrantError], wait: float | None
) -> None:
    """429, 5xx, HTML and a reset, at discovery and at the token: folded, retryable, and over with the next call."""
    world.faults.add(Fault("entra", operation, effect, key=real.contoso))

    with pytest.raises(kind) as refused:
        real.token()

    assert (True, wait) == (refused.value.retryable, refused.value.retry_after)  # type: ignore[attr-defined]
    assert set(ALL_ROLES) == set(real.token().roles or ())


def test_an_outage_during_a_proactive_refresh_fails_nobody(real: Scene, world: World) -> None:
    """Past `refresh_in`, msal asks again; a 5xx then must give the token that is still good."""
    world.modes["refresh_in"] = 0
    first = real.token()
    for status in (503, 429):
        world.faults.add(Fault("entra", "token", {"kind": "status", "status": status}, key=real.contoso))

    assert first.value == real.token().value
    assert first.value == real.token().value


def test_a_cached_token_costs_no_request(real: Scene, world: World) -> None:
    """The cache of msal answers without a call."""
    real.token()
    world.faults.add(Fault("entra", "token", {"kind": "status", "status": 500}, key=real.contoso, times=9))

    assert real.token().value


@pytest.mark.parametrize("number", sorted(MEANINGS))
def test_every_known_code_has_a_sentence_that_says_what_to_do(number: int) -> None:
    """Each documented AADSTS code maps to one fault with code, sentence and Microsoft's ids."""
    body = {"error": "x", "error_codes": [number], "trace_id": "t-1", "correlation_id": "c-1"}
    fault = fault_of(body)

    assert (f"AADSTS{number}", "t-1", "c-1") == (
        fault.microsoft.code,
        fault.microsoft.trace_id,
        fault.microsoft.correlation_id,
    )
    assert fault.detail.endswith(".")
    assert MEANINGS[number].retryable == fault.retryable


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ({"error": "invalid_client", "error_codes": [1]}, CredentialFault),
        ({"error": "temporarily_unavailable"}, Unreachable),
        ({"error": "something_new", "error_codes": [99999]}, GrantFault),
        ({"error_codes": "no list"}, GrantFault),
        ({}, GrantFault),
    ],
)
def test_an_unknown_code_never_stops_every_tenant(body: dict[str, object], kind: type[MailgrantError]) -> None:
    """Only Entra's own word invalid_client blames the credential; anything else new belongs to the one tenant."""
    assert kind is type(fault_of(body))


@pytest.mark.parametrize("token", ["", "opaque", "a.b.c", "a.W10.c", "a.!!!.c"])
def test_a_token_that_is_no_jwt_is_unreadable(token: str) -> None:
    """Microsoft may change the form of Graph's tokens at any time; that is no error."""
    assert unverified_claims(token) is None
