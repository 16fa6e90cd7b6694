"""Does Graph mail work for an unmodified client through the real gateway, scripted resets included."""

import ssl
from collections.abc import Iterator

import httpx
import pytest

from localcloud.cloud import LocalCloud
from localcloud.entra.tokens import TokenIssuer
from localcloud.world import GRAPH_APP_ROLES, Fault, Registration, World

pytestmark = pytest.mark.enable_socket
INBOX = "https://graph.microsoft.com/v1.0/users/ann@contoso.example/mailFolders/inbox"


@pytest.fixture(scope="module")
def cloud() -> Iterator[LocalCloud]:
    """Run one cloud with its mail part."""
    with LocalCloud(World()) as running:
        tenant = running.world.add_tenant("contoso.example", "Contoso")
        running.world.add_user(tenant, "ann@contoso.example", "Ann")
        yield running


@pytest.fixture
def client(cloud: LocalCloud) -> Iterator[httpx.Client]:
    """Return a client with a token, whose requests go through the gateway."""
    tenant = cloud.world.find_tenant("contoso.example")
    assert tenant is not None
    issuer: TokenIssuer = cloud.issuer
    token = issuer.issue_app_token(tenant, Registration("app", tenant.id, "App", []), roles=set(GRAPH_APP_ROLES))
    environment = cloud.environment()
    trust = ssl.create_default_context(cafile=environment["SSL_CERT_FILE"])
    headers = {"Authorization": f"Bearer {token}"}
    with httpx.Client(
        proxy=environment["HTTPS_PROXY"], verify=trust, trust_env=False, headers=headers, timeout=30
    ) as opened:
        yield opened
    cloud.world.faults.clear()


def test_graph_answers_on_its_production_url(client: httpx.Client) -> None:
    """An ordinary request gets an ordinary answer, dated by the server."""
    answer = client.get(INBOX)

    assert (200, "Inbox") == (answer.status_code, answer.json()["displayName"])
    assert answer.headers["date"]


def test_scripted_reset_breaks_the_connection(cloud: LocalCloud, client: httpx.Client) -> None:
    """The client of a reset request sees a broken connection, the next request works."""
    cloud.world.faults.add(Fault("graph", "folders.get", {"kind": "reset"}))

    with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
        client.get(INBOX)
    assert 200 == client.get(INBOX).status_code


def test_refusal_of_a_large_body_leaves_the_connection_usable(client: httpx.Client) -> None:
    """A body over 4 MB gets 413, and the connection can be used again."""
    messages = "https://graph.microsoft.com/v1.0/users/ann@contoso.example/messages"

    assert 413 == client.post(messages, content=b"x" * (4 * 1024 * 1024 + 1)).status_code
    assert 200 == client.get(INBOX).status_code
