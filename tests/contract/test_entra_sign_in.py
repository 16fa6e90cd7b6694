"""The sign-in through real msal against the simulated Entra: what proves a person, and what does not."""

import uuid
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import httpx
import jwt
import pytest

from localcloud.cloud import LocalCloud
from localcloud.world import GLOBAL_ADMINISTRATOR, Fault, Registration, Tenant
from shared.adapters.entra_sign_in import MsalSignIn, nonce_claim
from shared.adapters.http_client import environment_client
from shared.codes import Code
from shared.errors import CredentialFault, GrantFault, MailgrantError, Unreachable
from shared.ports import SignedIn

pytestmark = pytest.mark.enable_socket

LOGIN = "login.microsoftonline.com"
CALLBACK = "https://mail.example/api/consent/callback"
VERIFIER, NONCE = "v" * 43, "n" * 43


@dataclass
class Scene:
    """A multitenant app, a tenant with an administrator, and a browser."""

    cloud: LocalCloud
    client: httpx.Client
    tenant: Tenant
    app: Registration
    secret: str
    address: str

    def code(self, **changes: str) -> str:
        """Sign in and return the code that comes back; *changes* to what the way out names."""
        challenge = urlsafe_b64encode(sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()
        query = {"client_id": self.app.client_id, "redirect_uri": CALLBACK, "response_type": "code", "state": "s2"}
        query |= {"scope": "openid profile", "nonce": nonce_claim(NONCE), "response_mode": "query"}
        query |= {"code_challenge": challenge, "code_challenge_method": "S256", **changes}
        url = f"https://{LOGIN}/organizations/oauth2/v2.0/authorize?{urlencode(query)}"
        answer = self.client.post(url, data={"user": self.address, "action": "accept"})
        return dict(parse_qsl(urlsplit(answer.headers["location"]).query))["code"]

    def redeem(self, code: str, now: float | None = None, **changes: str) -> SignedIn:
        """Redeem *code* as the product does; *changes* to what is named, *now* instead of the time."""
        named = {"login_host": LOGIN, "client_id": self.app.client_id, "secret": self.secret}
        named |= {"redirect_uri": CALLBACK, "verifier": VERIFIER, "nonce": NONCE, **changes}
        clock = self.cloud.world.clock if now is None else lambda: now
        return MsalSignIn(self.client, clock).redeem(code=code, **named)

    def refusal(self, code: str, now: float | None = None, **changes: str) -> MailgrantError:
        """Return why *code* is refused."""
        with pytest.raises(MailgrantError) as refused:
            self.redeem(code, now, **changes)
        return refused.value


@pytest.fixture
def scene(microsoft_cloud: LocalCloud, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    """Return the scene, reached by environment alone."""
    for name, value in microsoft_cloud.environment().items():
        monkeypatch.setenv(name, value)
    world, domain = microsoft_cloud.world, f"signs-in-{uuid.uuid4().hex[:8]}.example"
    world.faults.clear()
    tenant = world.add_tenant(domain, "Contoso")
    world.add_user(tenant, f"ada@{domain}", "Ada", administrator_roles=(GLOBAL_ADMINISTRATOR,))
    app = world.add_registration(microsoft_cloud.home, "Mailgrant", [CALLBACK], multitenant=True)
    with environment_client() as client:
        secret = app.add_secret(world.clock() + 3600)[1]
        yield Scene(microsoft_cloud, client, tenant, app, secret, f"ada@{domain}")
    world.faults.clear()
    for name in list(world.modes):
        world.reset_mode(name)


def test_a_code_tells_who_signed_in(scene: Scene) -> None:
    """Tenant, person, address and the directory roles held."""
    person = scene.redeem(scene.code())

    assert (scene.tenant.id, scene.address) == (person.tenant, person.address)
    assert GLOBAL_ADMINISTRATOR in person.roles


def test_without_the_claim_nobody_holds_a_role(scene: Scene) -> None:
    """A registration that does not ask for ``wids`` gets none."""
    scene.cloud.world.modes["id_token_without_wids"] = True

    assert () == scene.redeem(scene.code()).roles


def test_a_code_is_good_once(scene: Scene) -> None:
    """The second redemption is refused, with Microsoft's code."""
    code = scene.code()
    scene.redeem(code)
    fault = scene.refusal(code)

    assert isinstance(fault, GrantFault)
    assert (Code.SIGN_IN_REFUSED, "AADSTS54005") == (fault.code, fault.microsoft.code)


def test_another_trips_verifier_is_refused(scene: Scene) -> None:
    """PKCE binds the code to the trip that it was made for."""
    assert Code.SIGN_IN_REFUSED is scene.refusal(scene.code(), verifier="w" * 43).code


@pytest.mark.parametrize("nonce", [nonce_claim("other"), NONCE, ""])
def test_a_token_for_another_nonce_proves_nothing(scene: Scene, nonce: str) -> None:
    """Whoever injects a code of another trip is noticed; the error does not repeat what the token says."""
    fault = scene.refusal(scene.code(nonce=nonce))

    assert Code.SIGN_IN_REFUSED is fault.code
    assert "nonce" in fault.detail
    assert scene.address not in fault.detail


def test_a_wrong_secret_is_the_credentials_fault(scene: Scene) -> None:
    """It leaves the code good, so that another secret may be tried."""
    code = scene.code()

    assert isinstance(scene.refusal(code, secret="wrong-secret"), CredentialFault)
    assert scene.tenant.id == scene.redeem(code).tenant


@pytest.mark.parametrize("seconds", [-4000, 4000])
def test_a_token_of_another_time_proves_nothing(scene: Scene, seconds: float) -> None:
    """Neither one that ended nor one that has not begun; five minutes of difference between clocks are allowed."""
    code = scene.code()

    assert Code.SIGN_IN_REFUSED is scene.refusal(code, scene.cloud.world.clock() + seconds).code


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"iss": f"https://{LOGIN}/9188040d-6c67-4c5b-b112-36a304b66dad/v2.0"}, "iss"),
        ({"iss": "https://login.example/{tid}/v2.0"}, "iss"),
        ({"aud": "another-app"}, "aud"),
        ({"aud": ["another-app"]}, "aud"),
        ({"tid": "not-a-guid"}, "tid"),
        ({"oid": ""}, "oid"),
        ({"exp": "soon"}, "exp"),
        ({"nbf": "later"}, "nbf"),
    ],
)
def test_each_claim_must_hold(scene: Scene, changes: dict[str, Any], named: str) -> None:
    """Issuer of the very tenant, our audience, ids that are ids, times that are numbers: msal checks none of these."""
    now = scene.cloud.world.clock()
    claims: dict[str, Any] = {
        "tid": scene.tenant.id,
        "iss": f"https://{LOGIN}/{scene.tenant.id}/v2.0",
        "aud": scene.app.client_id,
        "oid": str(uuid.uuid4()),
        "nonce": nonce_claim(NONCE),
        "iat": now,
        "nbf": now,
        "exp": now + 3600,
        "sub": "x",
    }
    token = {name: jwt.encode(values, "k" * 32) for name, values in (("good", claims), ("bad", claims | changes))}
    sign_in = MsalSignIn(scene.client, scene.cloud.world.clock)

    assert scene.tenant.id == sign_in._person(token["good"], LOGIN, scene.app.client_id, NONCE).tenant
    with pytest.raises(GrantFault) as refused:
        sign_in._person(token["bad"], LOGIN, scene.app.client_id, NONCE)
    assert named in refused.value.detail


@pytest.mark.parametrize("effect", ["html", "throttled", "down"])
def test_an_outage_is_an_outage(scene: Scene, effect: str) -> None:
    """A proxy's page, a 429 or a 503 say nothing about the person, nor about the secret."""
    code = scene.code()
    effects: dict[str, dict[str, Any]] = {
        "html": {"kind": "html", "status": 200},
        "throttled": {"kind": "status", "status": 429, "body": {"error": "too_many_requests"}, "when": "before"},
        "down": {"kind": "status", "status": 503, "body": {"error": "temporarily_unavailable"}, "when": "before"},
    }
    scene.cloud.world.faults.add(Fault("entra", "token", effects[effect]))
    fault = scene.refusal(code)

    assert Code.SIGN_IN_UNAVAILABLE is fault.code
    assert fault.retryable or isinstance(fault, Unreachable)
