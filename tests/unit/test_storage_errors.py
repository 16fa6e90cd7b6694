"""What answers and silences of storage mean to the product: a network under the real client that plays them."""

import json
from collections.abc import Callable
from dataclasses import replace
from io import BytesIO
from typing import Any

import pytest
import requests
from azure.core.credentials import AccessToken
from azure.core.pipeline.transport import RequestsTransport
from requests.adapters import BaseAdapter
from urllib3 import HTTPResponse
from urllib3.exceptions import ProtocolError

from shared.adapters.storage_account import StorageAccount
from shared.adapters.table_storage import StorageTable, TableService
from shared.errors import RowChanged, RowExists, RowMissing, StorageError, StorageUnavailable
from shared.ports import Delete, Insert, Upsert
from shared.settings import Settings

DATE = "Mon, 02 Mar 2026 09:30:15 GMT"
ACCOUNT = StorageAccount("AccountName=contoso;AccountKey=bm8gcmVhbCBrZXk=;EndpointSuffix=core.windows.net")
Outcome = Exception | tuple[int, str]

REFUSED_CONNECTION = requests.ConnectTimeout()
RESET = requests.ConnectionError(ProtocolError("Connection aborted."))
SILENCE = requests.ReadTimeout()


class Network(BaseAdapter):
    """Plays outcomes in order, the last one for ever, and counts what was sent."""

    def __init__(self, *outcomes: Outcome) -> None:
        super().__init__()
        self.outcomes = list(outcomes)
        self.sent = 0
        self.seen: list[requests.PreparedRequest] = []

    def send(self, request: requests.PreparedRequest, **_: Any) -> requests.Response:  # type: ignore[override]
        """Answer, or fail."""
        self.sent += 1
        self.seen.append(request)
        outcome = self.outcomes.pop(0) if len(self.outcomes) > 1 else self.outcomes[0]
        if isinstance(outcome, Exception):
            raise outcome
        status, code = outcome
        error = {"odata.error": {"code": code, "message": {"lang": "en-US", "value": "1:no"}}}
        body = (code if status == 202 else json.dumps(error if code else {"value": []})).encode()
        headers = {"Date": DATE, "Content-Type": "application/json", "Content-Length": str(len(body)), "ETag": "e"}
        answer = requests.Response()
        answer.status_code, answer.request, answer.url = status, request, str(request.url)
        answer.headers.update(headers)
        answer.raw = HTTPResponse(BytesIO(body), headers=headers, status=status, preload_content=False)
        return answer

    def close(self) -> None:
        """Keep nothing."""

    def table(self, account: StorageAccount = ACCOUNT) -> StorageTable:
        """Return a table behind this network."""
        session = requests.Session()
        session.trust_env = False
        session.mount("https://", self)
        network = RequestsTransport(session=session, session_owner=False)
        return StorageTable("connections", TableService(account, network))


def insert(table: StorageTable) -> object:
    """Write one row."""
    return table.commit("a", [Insert("row", {"secret": "hidden-value"})])


def transaction(table: StorageTable) -> object:
    """Write two rows at once."""
    return table.commit("a", [Upsert("row", {}), Delete("other")])


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RequestsTransport, "sleep", lambda _self, _duration: None)


@pytest.mark.parametrize("write", [insert, transaction])
@pytest.mark.parametrize("outcome", [SILENCE, RESET, (500, "InternalError"), (503, "ServerBusy"), (408, "")], ids=repr)
def test_a_write_without_answer_may_have_happened(write: Callable[[StorageTable], object], outcome: Outcome) -> None:
    """A write is sent once: repeated blindly, it would meet its own success and call it a conflict."""
    network = Network(outcome, (204, ""))

    with pytest.raises(StorageUnavailable) as refused:
        write(network.table())

    assert (True, 1) == (refused.value.outcome_unknown, network.sent)


@pytest.mark.parametrize("outcome", [REFUSED_CONNECTION, (403, "AuthorizationPermissionMismatch")], ids=repr)
def test_a_write_that_never_arrived_did_not_happen(outcome: Outcome) -> None:
    """Where no connection came about or the app has no right, the outcome is known."""
    with pytest.raises(StorageUnavailable) as refused:
        insert(Network(outcome).table())

    assert not refused.value.outcome_unknown


def test_a_missing_right_says_what_to_do() -> None:
    """Whoever operates the app reads which roles it needs."""
    with pytest.raises(StorageUnavailable, match="Storage Table Data Contributor"):
        insert(Network((403, "AuthorizationPermissionMismatch")).table())


@pytest.mark.parametrize("outcome", [SILENCE, RESET, REFUSED_CONNECTION, (503, "ServerBusy")], ids=repr)
def test_a_read_bridges_a_short_silence(outcome: Outcome) -> None:
    """Reads are repeated, and give up in the end."""
    assert [] == Network(outcome, outcome, (200, "")).table().read("a", "b", "c").rows
    network = Network(outcome)

    with pytest.raises(StorageUnavailable) as refused:
        network.table().get("a", "row")

    assert (False, 4) == (refused.value.outcome_unknown, network.sent)


def refusal(status: int, code: str) -> str:
    """Return the answer to a transaction whose second operation was refused."""
    error = {"odata.error": {"code": code, "message": {"lang": "en-US", "value": f"1:{code}"}}}
    return f"--b\r\n\r\n--c\r\n\r\nHTTP/1.1 {status} No\r\nContent-Type: x\r\n\r\n{json.dumps(error)}\r\n--c--\r\n--b--"


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        (409, "EntityAlreadyExists", RowExists),
        (412, "UpdateConditionNotSatisfied", RowChanged),
        (412, "ConditionNotMet", RowChanged),
        (404, "ResourceNotFound", RowMissing),
        (404, "EntityNotFound", RowMissing),
    ],
)
def test_a_refused_operation_is_named(status: int, code: str, expected: type[StorageError]) -> None:
    """The service's own code decides, and its index names the row."""
    table = Network((202, refusal(status, code))).table()
    with pytest.raises(expected) as refused:
        transaction(table)

    assert "other" == vars(refused.value)["key"]


@pytest.mark.parametrize(
    "answer",
    [refusal(500, "OperationTimedOut"), "HTTP/1.1 204 No Content\r\nETag: x\r\n\r\n", ""],
    ids=["500", "half", "empty"],
)
def test_trouble_within_a_transaction_is_trouble(answer: str) -> None:
    """A 5xx of one part leaves the outcome open, as does an answer that breaks off."""
    with pytest.raises(StorageUnavailable) as refused:
        transaction(Network((202, answer)).table())

    assert refused.value.outcome_unknown


def test_a_part_that_only_a_fault_of_ours_can_cause_is_no_storage_error() -> None:
    """A malformed operation is a fault of the program."""
    with pytest.raises(RuntimeError, match="PropertyNameInvalid"):
        transaction(Network((202, refusal(400, "PropertyNameInvalid"))).table())


class Identity:
    """The app's identity."""

    def get_token(self, *scopes: str, **_: Any) -> AccessToken:
        """Return a token that tells its scope."""
        return AccessToken(f"token for {' '.join(scopes)}", 2**33)


def test_the_apps_identity_signs() -> None:
    """With an account name, requests bear a token for storage."""
    network = Network((200, ""))
    network.table(StorageAccount(name="contoso", credential=Identity())).read("a", "b", "c")

    assert ["Bearer token for https://storage.azure.com/.default"] == [r.headers["Authorization"] for r in network.seen]
    assert str(network.seen[0].url).startswith("https://contoso.table.core.windows.net/connections()?")


def test_a_shared_access_signature_signs() -> None:
    """A connection string may hold a signature in place of a key."""
    network = Network((200, ""))
    text = "TableEndpoint=https://contoso.table.core.windows.net/;SharedAccessSignature=sv=2024&sig=abc"
    network.table(StorageAccount(text)).read("a", "b", "c")

    assert str(network.seen[0].url).endswith("sv=2024&sig=abc")
    assert "Authorization" not in network.seen[0].headers


def test_a_connection_string_without_key_is_refused() -> None:
    """What cannot sign is told at start, without its text."""
    with pytest.raises(ValueError, match="MAIL_STORAGE") as refused:
        TableService(StorageAccount("AccountName=contoso;TableEndpoint=https://secret.example"))

    assert "secret" not in str(refused.value)


def test_what_only_a_fault_of_ours_can_cause_is_no_storage_error() -> None:
    """A malformed request is not retried and not told as an outage; values stay out of the text."""
    network = Network((400, "PropertyNameInvalid"))

    with pytest.raises(RuntimeError, match="PropertyNameInvalid") as refused:
        insert(network.table())

    assert 1 == network.sent
    assert "hidden-value" not in str(refused.value)


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
    assert "bm8gcmVhbCBrZXk" not in repr(replace(ACCOUNT, name="contoso"))
