"""Where the storage account lies, and what holds for every call to it."""

from pathlib import Path

import pytest
from requests import Request

from shared.adapters.storage_account import StorageAccount, transport
from shared.settings import Settings


def test_every_call_has_our_timeouts() -> None:
    """A client's own timeouts never reach a transport that was made outside it, so the transport has them."""
    config = transport().connection_config

    assert (5, 20) == (config.timeout, config.read_timeout)


def test_a_netrc_changes_no_signature(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A request leaves as the SDK signed it, whatever logins the machine keeps for others."""
    netrc = tmp_path / "netrc"
    netrc.write_text("default login somebody password else\n")
    monkeypatch.setenv("NETRC", str(netrc))
    signed = Request("PUT", "https://x.table.core.windows.net/t", headers={"Authorization": "SharedKey x"}, data=b"{}")
    session = transport().session
    assert session is not None

    prepared = session.prepare_request(signed)

    assert ("SharedKey x", "2") == (prepared.headers["Authorization"], prepared.headers["Content-Length"])


@pytest.mark.parametrize("name", ["https_proxy", "HTTP_PROXY", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_the_environment_is_asked_only_where_it_says_something(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy or a certificate of the machine's own counts; without any, no call looks for them."""
    for other in ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "requests_ca_bundle", "curl_ca_bundle"):
        monkeypatch.delenv(other, raising=False)
        monkeypatch.delenv(other.upper(), raising=False)
    silent = transport().session
    monkeypatch.setenv(name, "http://proxy.example:3128")
    told = transport().session
    assert silent is not None
    assert told is not None

    assert (False, True) == (silent.trust_env, told.trust_env)


@pytest.mark.parametrize(
    ("vault", "host"),
    [
        ("https://x.vault.azure.net", "contoso.table.core.windows.net"),
        ("https://x.vault.usgovcloudapi.net", "contoso.table.core.usgovcloudapi.net"),
        ("https://x.vault.azure.cn", "contoso.table.core.chinacloudapi.cn"),
    ],
)
def test_an_account_by_name_lies_in_the_vaults_cloud(vault: str, host: str) -> None:
    """With an account name alone, the cloud is that of the vault."""
    environment = {
        "MAIL_STORAGE__accountName": "contoso",
        "KEY_VAULT_URL": vault,
        "PUBLIC_BASE_URL": "https://m.example",
    }
    account = StorageAccount.of(Settings.from_environment(environment), None)

    assert f"https://{host}" == account.url("table")


def test_a_connection_string_does_not_show() -> None:
    """An account's text, in a traceback say, holds no key."""
    assert "bm8gcmVhbCBrZXk" not in repr(StorageAccount("AccountName=contoso;AccountKey=bm8gcmVhbCBrZXk=", "contoso"))
