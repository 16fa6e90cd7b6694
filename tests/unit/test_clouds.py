"""Each Microsoft cloud by its own hosts: what the portal shows is accepted, and every call goes where it belongs."""

import httpx
import pytest

from shared.adapters.graph_directory import HttpGraphDirectory
from shared.adapters.graph_http import GraphHttp
from shared.clouds import CLOUDS
from shared.connections import Direction
from shared.credentials import ORGANIZATIONS, examine
from shared.ports import GraphMailbox
from tests.fakes.clock import MovableClock
from tests.scenes.administration import CONTOSO, Administration, asked_credential

PORTAL = {
    "global": ("login.microsoftonline.com", "https://graph.microsoft.com"),
    "us_gov_l4": ("login.microsoftonline.us", "https://graph.microsoft.us"),
    "us_gov_l5": ("login.microsoftonline.us", "https://dod-graph.microsoft.us"),
    "china": ("login.partner.microsoftonline.cn", "https://microsoftgraph.chinacloudapi.cn"),
}


def test_the_table_is_what_microsoft_documents() -> None:
    """Login host and Graph root of each cloud; the scope is the root's."""
    assert PORTAL == {name: (cloud.login_host, cloud.graph_root) for name, cloud in CLOUDS.items()}
    assert {f"{root}/.default" for _, root in PORTAL.values()} == {cloud.scope for cloud in CLOUDS.values()}


@pytest.mark.parametrize(("cloud", "host"), [(name, host) for name, one in CLOUDS.items() for host in one.login_hosts])
@pytest.mark.parametrize("tenant", [CONTOSO, ORGANIZATIONS])
def test_endpoint_urls_are_accepted_as_the_portal_shows_them(cloud: str, host: str, tenant: str) -> None:
    """Every login host leads to its cloud; of the two US ones, which share theirs, to L4."""
    asked = asked_credential(
        cloud=None,
        tenant=None,
        token_endpoint_url=f"https://{host}/{tenant}/oauth2/v2.0/token",
        auth_endpoint_url=f"https://{host}/{tenant}/oauth2/v2.0/authorize",
    )

    place, faults = examine(asked, MovableClock()())

    assert ([], "us_gov_l4" if cloud == "us_gov_l5" else cloud, tenant) == (faults, place.cloud, place.tenant)


@pytest.mark.parametrize("cloud", CLOUDS)
def test_graph_is_asked_at_the_root_of_its_cloud(cloud: str) -> None:
    """A call of a mailbox goes to its cloud's Graph and to no other."""
    asked: list[str] = []

    def graph(request: httpx.Request) -> httpx.Response:
        asked.append(f"{request.url.scheme}://{request.url.host}")
        return httpx.Response(200, json={"id": "F", "displayName": "Inbox"})

    directory = HttpGraphDirectory(GraphHttp(httpx.Client(transport=httpx.MockTransport(graph))))
    directory.folder(GraphMailbox(CLOUDS[cloud].graph_root, "box", lambda _: "token"), "inbox")

    assert [PORTAL[cloud][1]] == asked


@pytest.mark.parametrize("cloud", CLOUDS)
def test_a_token_is_asked_for_at_the_login_host_of_its_cloud_with_its_scope(cloud: str) -> None:
    """Host, tenant and scope of the token request are the cloud's; the mailbox is opened at its Graph."""
    admin = Administration()
    asked: list[tuple[str, str]] = []
    original = admin.entra.token

    def token(**parts: object) -> object:
        asked.append((str(parts["login_host"]), str(parts["scope"])))
        return original(**parts)  # type: ignore[arg-type]

    admin.entra.token = token  # type: ignore[assignment,method-assign]
    grant = admin.consented(admin.credential(cloud=cloud))
    mailbox = admin.tokens.graph_mailbox(grant.id, "box")

    host, root = PORTAL[cloud]
    assert {(host, f"{root}/.default")} == set(asked)
    assert root == mailbox.root


def test_china_fetches_without_delta() -> None:
    """Its Graph has no delta query: the mailbox says so, and its folders are listed by time instead."""
    admin = Administration()
    china = admin.consented(admin.credential(cloud="china"))
    incoming = admin.connection(china)

    assert Direction.INCOMING is incoming.direction
    assert admin.tokens.graph_mailbox(china.id, "box").has_delta is False
    other = Administration()
    assert other.tokens.graph_mailbox(other.consented(other.credential()).id, "box").has_delta is True
