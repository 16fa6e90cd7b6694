"""The cloud as a process, and the clients of Microsoft's own making that run against it unmodified."""

from __future__ import annotations

import argparse
import json
import os
import signal
import ssl
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import msal
import pytest
import requests

from localcloud.cloud import LocalCloud, add_arguments
from localcloud.control.client import ControlClient
from localcloud.gateway.proxy import loopback_socket, port_of
from tests.localcloud.conftest import echo_mail

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.enable_socket

ROOT = Path(__file__).parents[2]
SCOPE = ["https://graph.microsoft.com/.default"]

# Runs with nothing but the cloud's variables: the shipped SDKs, on production URLs.
SDK_PROGRAM = """
import json, os
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from azure.identity import DefaultAzureCredential, ManagedIdentityCredential
from azure.keyvault.secrets import SecretClient
import httpx, msal

vault = SecretClient(os.environ["KEY_VAULT_URL"], DefaultAzureCredential())
versions = [vault.set_secret("mg-1", value).properties.version for value in ("one", "two")]
seen = [vault.get_secret("mg-1").value, vault.get_secret("mg-1", versions[0]).value]
vault.update_secret_properties("mg-1", versions[1], tags={"k": "v"})
listed = len(list(vault.list_properties_of_secret_versions("mg-1")))
deleted = vault.begin_delete_secret("mg-1", _polling_interval=0.01).result().name
try:
    vault.set_secret("mg-1", "three")
except HttpResponseError as error:
    conflict = error.status_code
recovered = vault.begin_recover_deleted_secret("mg-1", _polling_interval=0.01).result().name
try:
    vault.get_secret("never")
except ResourceNotFoundError as error:
    missing = error.status_code

assertion = ManagedIdentityCredential(client_id=os.environ["LOCALCLOUD_IDENTITY_CLIENT_ID"])
app = msal.ConfidentialClientApplication(
    os.environ["CLIENT_ID"],
    authority="https://login.microsoftonline.com/contoso.example",
    client_credential={"client_assertion": lambda: assertion.get_token("api://AzureADTokenExchange/.default").token},
)
token = app.acquire_token_for_client(["https://graph.microsoft.com/.default"])
answer = httpx.get("https://graph.microsoft.com/v1.0/users", headers={"Authorization": token["access_token"]})
print(json.dumps({"seen": seen, "listed": listed, "deleted": deleted, "conflict": conflict, "recovered": recovered,
    "missing": missing, "host": answer.json()["host"]}))
"""


class Cloud:
    """A cloud on the real clock, with one consented tenant, and sessions through its gateway."""

    def __init__(self, cloud: LocalCloud) -> None:
        self.cloud = cloud
        self.environment = cloud.environment()
        self.contoso = cloud.world.add_tenant("contoso.example", "Contoso")
        self.app = cloud.world.add_registration(cloud.home, "Mailgrant", [])
        self.secret_id, self.secret = self.app.add_secret(time.time() + 3600)
        cloud.world.consent(self.contoso, self.app)

    def msal_app(self, secret: str, tenant: str = "contoso.example") -> Any:
        """Return msal's own client as the product makes it."""
        session = requests.Session()
        session.trust_env = False
        session.proxies = {"https": self.environment["HTTPS_PROXY"]}
        session.verify = self.environment["REQUESTS_CA_BUNDLE"]
        authority = f"https://login.microsoftonline.com/{tenant}"
        return msal.ConfidentialClientApplication(self.app.client_id, secret, authority=authority, http_client=session)


@pytest.fixture(scope="module")
def real() -> Iterator[Cloud]:
    """Run one cloud on the real clock."""
    with LocalCloud(mail=echo_mail) as running:
        yield Cloud(running)


def test_msal_token(real: Cloud) -> None:
    """Unmodified msal gets a token and then keeps it, having named the tenant by its domain."""
    app = real.msal_app(real.secret)
    first, second = app.acquire_token_for_client(SCOPE), app.acquire_token_for_client(SCOPE)

    assert ("identity_provider", "cache") == (first["token_source"], second["token_source"])
    assert first["access_token"] == second["access_token"]


def test_msal_error(real: Cloud) -> None:
    """Msal returns a wrong secret as Entra's error, having asked for the list of login hosts along the way."""
    result = real.msal_app("wrong").acquire_token_for_client(SCOPE)

    assert ("invalid_client", [7000215]) == (result["error"], result["error_codes"])


def test_msal_unknown_tenant(real: Cloud) -> None:
    """Msal refuses an authority that discovery does not know."""
    with pytest.raises(ValueError, match="Unable to get authority configuration"):
        real.msal_app(real.secret, "nobody.example")


def test_sdks_unmodified(real: Cloud) -> None:
    """The Key Vault, identity, msal and httpx clients run on environment variables alone."""
    entry = {"subject": real.cloud.user_identity.principal_id, "audience": "api://AzureADTokenExchange"}
    issuer = f"https://login.microsoftonline.com/{real.cloud.home.id}/v2.0"
    real.app.federated_subjects.append({**entry, "issuer": issuer})
    environment = {**real.environment, "CLIENT_ID": real.app.client_id, "PATH": os.environ["PATH"]}
    done = subprocess.run(
        [sys.executable, "-c", SDK_PROGRAM], env=environment, capture_output=True, text=True, timeout=110, check=False
    )

    assert ("", 0) == (done.stderr, done.returncode)
    expected = {"seen": ["two", "one"], "listed": 2, "deleted": "mg-1", "conflict": 409, "recovered": "mg-1"}
    assert {**expected, "missing": 404, "host": "graph.microsoft.com"} == json.loads(done.stdout)


def test_taken_port() -> None:
    """A port that is taken fails the start, and nothing is left behind."""
    with loopback_socket() as taken, pytest.raises(OSError, match="Address already in use"):
        LocalCloud(http_port=port_of(taken), mail=echo_mail).start()


PROCESS = "import argparse, sys; from localcloud import cloud; p = argparse.ArgumentParser(); cloud.add_arguments(p); "
PROCESS += "sys.exit(cloud.run(p.parse_args()))"


@pytest.fixture
def start(outer_environment: Any) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Return a function that starts the cloud as a process of its own, ended with the test."""
    processes: list[subprocess.Popen[str]] = []

    def started(*options: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", PROCESS, *options]
        environment = {"PATH": outer_environment["PATH"], "PYTHONPATH": str(ROOT)}
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment, cwd=ROOT)
        processes.append(process)
        return process

    yield started
    for process in processes:
        process.terminate()
        process.wait(60)
        if process.stdout is not None:
            process.stdout.close()


def _lines_until_ready(process: subprocess.Popen[str]) -> dict[str, str]:
    assert process.stdout is not None
    environment: dict[str, str] = {}
    for line in process.stdout:
        if line == "# ready\n":
            return environment
        name, _, value = line.rstrip("\n").partition("=")
        environment[name] = value
    raise AssertionError("the cloud ended before it was ready")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_process(start: Callable[..., subprocess.Popen[str]], tmp_path: Path, number: signal.Signals) -> None:
    """The process prints what a shell needs, serves, and on a signal ends by itself and leaves no file."""
    file = tmp_path / "cloud.env"
    process = start("--seed", "demo", "--env-file", str(file))
    environment = _lines_until_ready(process)
    with ControlClient(environment["LOCALCLOUD_CONTROL_URL"], environment["LOCALCLOUD_CONTROL_TOKEN"]) as control:
        domains = [tenant["domain"] for tenant in control.tenants()]
    written = dict(line.partition("=")[::2] for line in file.read_text().splitlines())
    mode = stat.S_IMODE(file.stat().st_mode)
    process.send_signal(number)
    code = process.wait(30)

    assert ["operator.example", "contoso.example", "fabrikam.example"] == domains
    assert (environment, 0o600) == (written, mode)
    assert {"HTTPS_PROXY", "NO_PROXY", "KEY_VAULT_URL", "LOCALCLOUD_CLIENT_SECRET"} <= environment.keys()
    assert 0 == code
    assert [False, False] == [file.exists(), Path(environment["SSL_CERT_FILE"]).parent.exists()]


def test_mail_through_control(start: Callable[..., subprocess.Popen[str]]) -> None:
    """A mail put into a mailbox by the control endpoint is what Graph shows to an app that was granted its reading."""
    process = start("--seed", "demo", "--json")
    assert process.stdout is not None
    environment = json.loads(process.stdout.readline())
    raw = b"From: a@x.example\r\nTo: ann@contoso.example\r\nSubject: Hello\r\nMessage-ID: <1@x.example>\r\n\r\nBody\r\n"
    with ControlClient(environment["LOCALCLOUD_CONTROL_URL"], environment["LOCALCLOUD_CONTROL_TOKEN"]) as control:
        control.consent("contoso.example", environment["LOCALCLOUD_CLIENT_ID"])
        first = control.deliver_mime("ann@contoso.example", raw)
        more = control.deliver_many("ann@contoso.example", [raw, raw])
        messages = control.mailbox("ann@contoso.example")["messages"]
        token_form = {"grant_type": "client_credentials", "scope": SCOPE[0]}
        token_form |= {"client_id": environment["LOCALCLOUD_CLIENT_ID"]}
        token_form |= {"client_secret": environment["LOCALCLOUD_CLIENT_SECRET"]}
        with httpx.Client(
            proxy=environment["HTTPS_PROXY"],
            verify=ssl.create_default_context(cafile=environment["SSL_CERT_FILE"]),
            trust_env=False,
        ) as client:
            url = "https://login.microsoftonline.com/contoso.example/oauth2/v2.0/token"
            token = client.post(url, data=token_form).json()["access_token"]
            url = f"https://graph.microsoft.com/v1.0/users/ann@contoso.example/messages/{first}/$value"
            mime = client.get(url, headers={"Authorization": f"Bearer {token}"})

    assert sorted([first, *more]) == sorted(message["immutable_id"] for message in messages)
    assert (200, True) == (mime.status_code, b"Subject: Hello" in mime.content)


def test_arguments() -> None:
    """Ports are free ones unless named."""
    parser = argparse.ArgumentParser()
    add_arguments(parser)

    expected = {"port": 0, "http_port": 0, "seed": None, "env_file": None, "json": False}
    assert expected == vars(parser.parse_args([]))
