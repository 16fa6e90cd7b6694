"""Administrators who sign in: nobody's header counts until the app has tried, over its public address, to forge one."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from localcloud.administrator import wait_until
from localcloud.easy_auth import COOKIE, EasyAuth
from localcloud.processes import HostProcess
from localcloud.stack import Stack
from localcloud.story import Organisation, Story
from shared.principals import Role, header_of

pytestmark = pytest.mark.enable_socket

TENANT = "8a7c0c3e-0000-4000-8000-000000000001"
WORKERS = ("fetch_run", "deliver_run", "send_drain", "consent_check", "tick")


def signed_in(role: str, name: str, tenant: str = TENANT) -> str:
    """Return the header of a person."""
    return header_of([{"typ": kind, "val": value} for kind, value in (("tid", tenant), ("oid", name), ("roles", role))])


class Site:
    """A second host of the running product, on the same storage, where people sign in at a front of its own."""

    def __init__(self, stack: Stack) -> None:
        self.front = EasyAuth()
        self.front.start()
        self.front.sessions = {
            "ada": signed_in(Role.ADMIN, "ada"),
            "vic": signed_in(Role.VIEWER, "vic"),
            "eve": signed_in(Role.ADMIN, "eve", "8a7c0c3e-0000-4000-8000-000000000002"),
        }
        idle = {f"AzureWebJobs.{name}.Disabled": "true" for name in WORKERS}
        public = {"ADMIN_AUTH": "easyauth", "ADMIN_TENANT": TENANT, "PUBLIC_BASE_URL": self.front.url}
        self.host = HostProcess({**stack.environment, **idle, **public})
        self.front.behind = self.host.url

    def call(self, who: str, path: str, method: str = "GET", headers: dict[str, str] | None = None) -> httpx.Response:
        """Make a request as a person's browser does, with or without a session."""
        marked = {"X-Mailgrant-Request": "1", "Content-Type": "application/json", **(headers or {})}
        cookies = {"Cookie": f"{COOKIE}={who}"} if who else {}
        body = None if method == "GET" else b"{}"
        url = f"{self.front.url}/api/{path}"
        return httpx.request(method, url, headers={**marked, **cookies}, content=body, trust_env=False, timeout=30)

    def close(self) -> None:
        """Stop all."""
        self.host.close()
        self.front.stop()


@pytest.fixture
def site(story: Story) -> Iterator[Site]:
    """Return the site, started."""
    made = Site(story.stack)
    try:
        made.host.start()
        yield made
    finally:
        made.close()


def verdict(answer: httpx.Response) -> tuple[int, str]:
    """Return status and problem code."""
    return answer.status_code, str(answer.json().get("code", "")) if answer.content else ""


def test_roles_behind_easy_auth(story: Story, consented: Organisation, site: Site) -> None:
    """An administrator may all and stands in the audit log, a viewer reads what is no mail, others get nothing."""
    forged = {"X-MS-CLIENT-PRINCIPAL": signed_in(Role.ADMIN, "mallory")}
    connection = story.connect_incoming(consented, "box")["id"]

    assert (401, "sign_in_required") == verdict(site.call("", "system", headers=forged))
    assert ["admin", "viewer"] == [site.call(who, "system").json()["role"] for who in ("ada", "vic")]
    assert 202 == site.call("ada", f"connections/{connection}/fetch", "POST").status_code
    assert (200, "") == verdict(site.call("vic", "connections", headers=forged))
    assert (403, "not_admitted") == verdict(site.call("vic", f"connections/{connection}/fetch", "POST"))
    assert (403, "not_admitted") == verdict(site.call("vic", "received/rcv_x/raw"))
    assert (403, "not_admitted") == verdict(site.call("eve", "connections"))
    assert 200 == site.call("", "health").status_code
    written: list[dict[str, Any]] = story.stack.admin.get("audit", limit=200)["data"]
    assert any(entry["actor"] == "principal:ada" for entry in written)


def test_a_front_that_strips_nothing_opens_nothing(story: Story, site: Site) -> None:
    """Whoever is signed in is refused, the operator is told once, and it heals by itself."""
    alarms = story.stack.alarms
    before = len(alarms.of_type("mailgrant.easyauth.unproven"))
    site.front.on = False
    forged = {"X-MS-CLIENT-PRINCIPAL": signed_in(Role.ADMIN, "mallory")}

    first = site.call("", "connections", headers=forged)
    again = site.call("", "received/rcv_x/raw", headers=forged)

    assert [(503, "easy_auth_not_proven")] * 2 == [verdict(first), verdict(again)]
    assert 1 <= int(first.headers["Retry-After"]) <= 20
    assert 200 == site.call("", "health").status_code
    wait_until("the alarm is there", lambda: len(alarms.of_type("mailgrant.easyauth.unproven")) == before + 1)

    site.front.on = True
    site.host.restart()
    assert 200 == site.call("ada", "connections").status_code
    assert before + 1 == len(alarms.of_type("mailgrant.easyauth.unproven"))
