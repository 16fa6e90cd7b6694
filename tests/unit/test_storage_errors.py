"""What answers and silences of storage mean to the product: a network under the real client that plays them."""

import json
import math
from collections.abc import Callable
from datetime import UTC, datetime
from io import BytesIO
from typing import Any

import pytest
import requests
from azure.core.credentials import AccessToken
from azure.core.pipeline.transport import HttpTransport, RequestsTransport
from requests.adapters import BaseAdapter
from urllib3 import HTTPResponse
from urllib3.exceptions import ProtocolError, ReadTimeoutError

from shared.adapters.storage_account import StorageAccount
from shared.adapters.table_storage import StorageTable, StorageTables
from shared.errors import RowChanged, RowExists, RowMissing, StorageError, StorageUnavailable
from shared.ports import Delete, Insert, Operation, Update, Upsert
from shared.rows import Value

DATE = "Mon, 02 Mar 2026 09:30:15 GMT"
ACCOUNT = StorageAccount("AccountName=contoso;AccountKey=bm8gcmVhbCBrZXk=;EndpointSuffix=core.windows.net")
SIGNED = "TableEndpoint=https://contoso.table.core.windows.net/;SharedAccessSignature=sv=1&sig=a%2Bb"
Outcome = Exception | tuple[int, str]

REFUSED_CONNECTION = requests.ConnectTimeout()
RESET = requests.ConnectionError(ProtocolError("Connection aborted."))
SILENCE = requests.ReadTimeout()
UNREAD = requests.exceptions.ChunkedEncodingError("Connection broken: IncompleteRead(0 bytes read)")
HALF = requests.ConnectionError(ReadTimeoutError(None, "", "Read timed out."))  # type: ignore[arg-type]


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
        text = code if status in (202, 204) else json.dumps(error if code else {"value": []})
        body = text.encode()
        kind = 'multipart/mixed; boundary="b"' if status == 202 else "application/json"
        headers = {"Date": DATE, "Content-Type": kind, "Content-Length": str(len(body)), "ETag": "e"}
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
        return StorageTables(account, RequestsTransport(session=session, session_owner=False)).connections


def insert(table: StorageTable) -> object:
    """Write one row."""
    return table.commit("a", [Insert("row", {"secret": "hidden-value"})])


def transaction(table: StorageTable) -> object:
    """Write two rows at once."""
    return table.commit("a", [Upsert("row", {}), Delete("other")])


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(HttpTransport, "sleep", lambda _self, _duration: None)


@pytest.mark.parametrize("write", [insert, transaction])
@pytest.mark.parametrize(
    "outcome", [SILENCE, RESET, HALF, UNREAD, (500, "InternalError"), (503, "ServerBusy"), (408, "")], ids=repr
)
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


def parts(*answers: str) -> str:
    """Return the answer to a transaction that holds *answers* to its operations."""
    inner = "".join(f"--c\r\nContent-Type: application/http\r\n\r\nHTTP/1.1 {answer}\r\n" for answer in answers)
    return f"--b\r\nContent-Type: multipart/mixed; boundary=c\r\n\r\n{inner}--c--\r\n--b--\r\n"


def refusal(status: int, code: str) -> str:
    """Return the answer to a transaction whose second operation was refused."""
    error = {"odata.error": {"code": code, "message": {"lang": "en-US", "value": f"1:{code}"}}}
    return parts(f"{status} No\r\nContent-Type: application/json\r\n\r\n{json.dumps(error)}")


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
    [
        refusal(500, "OperationTimedOut"),
        parts("204 No Content\r\nETag: x\r\n\r\n"),
        refusal(412, "ConditionNotMet")[:60],
        "HTTP/1.1 204 No Content\r\nETag: x\r\n\r\n",
        "",
    ],
    ids=["500", "one of two", "half", "not in parts", "empty"],
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


@pytest.mark.parametrize(
    ("account", "authorization", "query"),
    [
        (ACCOUNT, "SharedKey contoso:", ""),
        (StorageAccount(name="contoso", credential=Identity()), "Bearer token for https://storage.azure.com/", ""),
        (StorageAccount(SIGNED), "", "sv=1&sig=a%2Bb"),
    ],
    ids=["key", "identity", "signature"],
)
def test_writes_are_signed_as_reads_are(account: StorageAccount, authorization: str, query: str) -> None:
    """A lone write and a transaction go to the account's own address, signed by whatever it has."""
    network = Network((204, ""), (202, parts(*["204 No Content\r\nETag: x\r\n\r\n"] * 2)))
    table = network.table(account)
    table.commit("a", [Update("row|1", {}, "e")])
    transaction(table)

    places = ["connections(PartitionKey='a',RowKey='row%7C1')", "$batch"]
    expected = [f"https://contoso.table.core.windows.net/{place}{'?' if query else ''}{query}" for place in places]
    assert expected == [str(request.url) for request in network.seen]
    for request in network.seen:
        assert str(request.headers.get("Authorization", "")).startswith(authorization)


def test_the_emulators_short_connection_string_is_understood() -> None:
    """What the SDK takes for reads serves writes as well."""
    network = Network((204, ""))
    session = requests.Session()
    session.mount("http://", network)
    tables = StorageTables(StorageAccount("UseDevelopmentStorage=true"), RequestsTransport(session=session))
    tables.connections.commit("a", [Delete("row")])

    assert str(network.seen[0].url).startswith("http://127.0.0.1:10002/devstoreaccount1/connections(")
    assert str(network.seen[0].headers["Authorization"]).startswith("SharedKey devstoreaccount1:")


def test_a_value_says_its_type_where_json_does_not() -> None:
    """Whole fractions, numbers beyond 32 bits and what is no number keep their type."""
    network = Network((204, ""))
    values: dict[str, Value] = {
        "whole": 2.0,
        "large": 2**40,
        "none": math.nan,
        "small": -7,
        "yes": True,
        "text": "\u00e4\r\n",
    }
    network.table().commit("a", [Upsert("row", values)])

    assert json.loads(str(network.seen[0].body)) == {
        "PartitionKey": "a",
        "RowKey": "row",
        "whole": 2.0,
        "whole@odata.type": "Edm.Double",
        "large": str(2**40),
        "large@odata.type": "Edm.Int64",
        "none": "NaN",
        "none@odata.type": "Edm.Double",
        "small": -7,
        "yes": True,
        "text": "\u00e4\r\n",
    }


def test_a_connection_string_without_key_is_refused() -> None:
    """What cannot sign is told at start, without its text."""
    with pytest.raises(ValueError, match="Connection string") as refused:
        StorageTables(StorageAccount("AccountName=contoso;TableEndpoint=https://secret.example"))

    assert "secret" not in str(refused.value)


def test_time_is_storages_own() -> None:
    """What was read or written when is told by the answer's head."""
    expected = datetime(2026, 3, 2, 9, 30, 15, tzinfo=UTC)
    done = parts(*["204 No Content\r\nETag: x\r\n\r\n"] * 2)

    assert expected == Network((200, "")).table().read("a", "b", "c").storage_time
    assert expected == Network((404, "TableNotFound")).table().read("a", "b", "c").storage_time
    assert expected == Network((204, "")).table().commit("a", [Insert("row", {})]).storage_time
    two: list[Operation] = [Upsert("row", {}), Delete("other")]
    assert expected == Network((202, done)).table().commit("a", two).storage_time


def test_a_table_is_made_on_the_first_write() -> None:
    """Reads of a table that is not there make none; a write makes it, even where another did so meanwhile."""
    network = Network((404, "TableNotFound"))
    assert (None, []) == (network.table().get("a", "row"), network.table().read("a", "b", "c").rows)
    assert ["GET", "GET"] == [request.method for request in network.seen]

    network = Network((404, "TableNotFound"), (409, "TableAlreadyExists"), (204, ""))
    assert ["e"] == network.table().commit("a", [Insert("row", {})]).etags
    assert ["connections", "Tables", "connections"] == [str(r.url).rpartition("/")[2] for r in network.seen]


def test_a_lone_delete_of_a_missing_row_is_told() -> None:
    """The row is named, as in a transaction."""
    with pytest.raises(RowMissing) as refused:
        Network((404, "ResourceNotFound")).table().commit("a", [Delete("gone")])

    assert "gone" == refused.value.key


def test_an_insert_wants_nothing_back() -> None:
    """An answer does not repeat the row, alone or in a transaction."""
    network = Network((204, ""), (202, parts(*["204 No Content\r\nETag: x\r\n\r\n"] * 2)))
    table = network.table()
    table.commit("a", [Insert("row", {})])
    table.commit("a", [Insert("row", {}), Insert("other", {})])

    alone, both = network.seen
    assert "return-no-content" == alone.headers["Prefer"]
    assert 2 == str(both.body).count("Prefer: return-no-content")


def test_what_only_a_fault_of_ours_can_cause_is_no_storage_error() -> None:
    """A malformed request is not retried and not told as an outage; values stay out of the text."""
    network = Network((400, "PropertyNameInvalid"))

    with pytest.raises(RuntimeError, match="PropertyNameInvalid") as refused:
        insert(network.table())

    assert 1 == network.sent
    assert "hidden-value" not in str(refused.value)
