"""What Key Vault and Table storage answer, told wrong below the real SDKs: tried again, and never taken for success."""

import json
from datetime import UTC, datetime

import pytest

from localcloud.fuzz.azure_answers import (
    ACCOUNT,
    BUNDLE,
    NOW,
    OPERATIONS,
    VAULT,
    VERSION,
    Identity,
    Script,
    network,
    waits,
)
from localcloud.fuzz.garbling import Answer, right
from shared.adapters.azure_network import MOST_WAIT_SECONDS
from shared.adapters.key_vault import KeyVault, vault_at
from shared.adapters.storage_account import Heard
from shared.adapters.table_storage import StorageTable, StorageTables
from shared.errors import CredentialFault, StorageUnavailable

BUSY = {"error": {"code": "Throttled", "message": "slow down"}}


def vault(*script: Answer) -> KeyVault:
    """Return a vault that answers so."""
    return vault_at(VAULT, Identity(), network(Script(list(script))))


def table(*script: Answer) -> StorageTable:
    """Return a table whose storage answers so."""
    return StorageTables(ACCOUNT, network(Script(list(script)))).receipts


@pytest.mark.parametrize(
    "body",
    [{**BUNDLE, "id": None}, {**BUNDLE, "id": f"{VAULT}/secrets/name"}, {**BUNDLE, "id": "x"}, {}, [], "x"],
)
def test_a_stored_secret_without_version_is_no_success(body: object) -> None:
    """A record would pin the version ``None``, under which nobody finds the secret."""
    with pytest.raises(CredentialFault) as caught:
        vault(right(body)).put("name", "value")

    assert caught.value.retryable


@pytest.mark.parametrize("content", [b"{}", b'{"value":""}', b"<html>", b"", b"[" * 20_000])
def test_a_secret_without_value_is_no_secret(content: bytes) -> None:
    """Signing by the empty key would be signing by one that everybody knows."""
    with pytest.raises(CredentialFault) as caught:
        vault(Answer(200, content, {"Content-Type": "application/json"})).get("name", VERSION)

    assert caught.value.retryable


@pytest.mark.parametrize(("text", "seconds"), [("²", None), ("soon", None), ("7", 7.0), ("86400", 86400.0)])
def test_a_vault_that_is_busy_says_when_to_come_back(text: str, seconds: float | None) -> None:
    """What says nothing is passed over; a day is for a due row to wait and not for the call."""
    answer = right(BUSY, 429)
    wire = network(Script([Answer(429, answer.content, {**answer.headers, "Retry-After": text})]))
    with waits() as waited, pytest.raises(CredentialFault) as caught:
        vault_at(VAULT, Identity(), wire).get("name", VERSION)

    assert (True, seconds) == (caught.value.retryable, caught.value.retry_after)
    assert sum(waited) <= 3 * MOST_WAIT_SECONDS


def test_storage_that_asks_to_wait_for_a_day_is_not_waited_for() -> None:
    """A read ends within its time."""
    wire = network(Script([Answer(503, b"", {"Retry-After": "86400", "Date": NOW})]))
    with waits() as waited, pytest.raises(StorageUnavailable):
        StorageTables(ACCOUNT, wire).receipts.get("p", "a")

    assert sum(waited) <= 3 * MOST_WAIT_SECONDS


@pytest.mark.parametrize("date", ["", "soon", "²", "Sun, 99 Nov 99999 07:00:30 GMT"])
def test_storage_that_does_not_tell_its_time_gave_no_answer(date: str) -> None:
    """Ownership is judged by storage's time; a write may have happened all the same."""
    read = Answer(200, b'{"value":[]}', {"Content-Type": "application/json", "Date": date})
    write = Answer(204, b"", {"ETag": "e", "Date": date})
    with pytest.raises(StorageUnavailable) as reading:
        table(read).read("p", "a", "b")
    with pytest.raises(StorageUnavailable) as writing:
        table(write).commit("p", OPERATIONS[:1])

    assert (False, True) == (reading.value.outcome_unknown, writing.value.outcome_unknown)


def test_a_date_without_zone_is_utc() -> None:
    """The zone of the machine changes no lease."""
    heard = Heard()
    heard._date = "Mon, 02 Mar 2026 09:30:15 -0000"

    assert datetime(2026, 3, 2, 9, 30, 15, tzinfo=UTC) == heard.time


ODD = {"PartitionKey": "p", "RowKey": "a", "odata.etag": "e", "n": "x", "n@odata.type": "Edm.Int64"}


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"{}", b"[]", b"null", b"<html>", b'{"value":{}}', b'{"value":[{}]}', b'{"value":[7]}'),
        json.dumps({"value": [ODD]}).encode(),
        b'{"value":' * 20_000,
    ],
    ids=lambda content: content[:16].decode(),
)
@pytest.mark.parametrize("kind", ["application/json", "text/html"])
def test_a_list_that_cannot_be_read_is_no_empty_list(content: bytes, kind: str) -> None:
    """Whoever took it for one would see no work, no receipt and no owner."""
    with pytest.raises(StorageUnavailable) as caught:
        table(Answer(200, content, {"Content-Type": kind, "Date": NOW})).read("p", "a", "b")

    assert not caught.value.outcome_unknown


def test_a_row_that_is_written_without_an_etag_was_perhaps_not_written() -> None:
    """Its owner could never change it on a condition again."""
    for script, operations in ((Answer(204, b"", {"Date": NOW}), OPERATIONS[:1]), (_bare(), OPERATIONS)):
        with pytest.raises(StorageUnavailable) as caught:
            table(script).commit("p", operations)
        assert caught.value.outcome_unknown


def _bare() -> Answer:
    """Return the answer to four operations of which none tells an etag."""
    parts = "HTTP/1.1 204 x\r\nA: b\r\n\r\n\r\n" * 4
    return Answer(202, f"\r\n{parts}".encode(), {"Date": NOW, "Content-Type": "multipart/mixed; boundary=b"})
