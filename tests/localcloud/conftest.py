"""A running local cloud without its mail part, and the people and apps that its tests meet in it."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from localcloud.cloud import LocalCloud, MailServices
from localcloud.world import GLOBAL_ADMINISTRATOR, Registration, Tenant, User, World

if TYPE_CHECKING:
    from collections.abc import Iterator

    from localcloud.entra.tokens import TokenIssuer

START = 1_800_000_000.0
CALLBACK = "https://mailgrant.example/consent/callback"


class ManualClock:
    """Epoch seconds that stand still until moved."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> float:
        """Return the current moment."""
        return self.now


def echo_mail(_world: World, _issuer: TokenIssuer) -> MailServices:
    """Stand in for Graph and uploads: say which host and path was asked for."""

    async def echo(request: Request) -> JSONResponse:
        return JSONResponse({"host": request.headers["host"], "path": request.url.path})

    app = Starlette(routes=[Route("/{path:path}", echo)])
    return MailServices(app, app, [])


@dataclass
class Scene:
    """One test's own tenants and app in a cloud that outlives it. Contoso has consented, Fabrikam was never asked."""

    cloud: LocalCloud
    clock: ManualClock
    contoso: Tenant = field(init=False)
    fabrikam: Tenant = field(init=False)
    app: Registration = field(init=False)
    admin: User = field(init=False)
    member: User = field(init=False)
    secret_id: str = field(init=False)
    secret: str = field(init=False)

    def __post_init__(self) -> None:
        """Add the cast."""
        world = self.cloud.world
        self.contoso = world.add_tenant("contoso.example", "Contoso")
        self.fabrikam = world.add_tenant("fabrikam.example", "Fabrikam")
        self.admin = world.add_user(
            self.contoso, "admin@contoso.example", "Ada", administrator_roles=(GLOBAL_ADMINISTRATOR,)
        )
        self.member = world.add_user(self.contoso, "ann@contoso.example", "Ann")
        self.app = world.add_registration(self.cloud.home, "Mailgrant", [CALLBACK])
        self.secret_id, self.secret = self.app.add_secret(self.clock.now + 3600)
        world.consent(self.contoso, self.app)

    @property
    def world(self) -> World:
        """Return the world behind the cloud."""
        return self.cloud.world


@pytest.fixture(scope="module")
def clock() -> ManualClock:
    """Return the clock of the module's cloud."""
    return ManualClock()


@pytest.fixture(scope="module")
def cloud(clock: ManualClock) -> Iterator[LocalCloud]:
    """Run one cloud per module."""
    with LocalCloud(World(clock), mail=echo_mail) as running:
        yield running


@pytest.fixture(scope="module")
def trust(cloud: LocalCloud) -> ssl.SSLContext:
    """Return a context that trusts the cloud's own authority and nobody else."""
    return ssl.create_default_context(cafile=cloud.environment()["SSL_CERT_FILE"])


@pytest.fixture(scope="module")
def http(cloud: LocalCloud, trust: ssl.SSLContext) -> Iterator[httpx.Client]:
    """Return a client whose requests go through the gateway."""
    proxy = cloud.environment()["HTTPS_PROXY"]
    with httpx.Client(proxy=proxy, verify=trust, trust_env=False, timeout=10) as client:
        yield client


@pytest.fixture
def scene(cloud: LocalCloud, clock: ManualClock) -> Iterator[Scene]:
    """Return the cast of one test; what it changed in the world is undone afterwards."""
    clock.now = START
    yield Scene(cloud, clock)
    world = cloud.world
    world.tenants = {cloud.home.id: cloud.home}
    cloud.home.principals.clear()
    world.registrations.clear()
    world.faults.clear()
    world.reset_counters()
    for name in list(world.modes):
        world.reset_mode(name)
