"""Key Vault's and storage's answers, told wrong below the real SDKs: never taken for success, never another error."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any
from unittest.mock import patch

import requests
from azure.core.credentials import AccessToken
from hypothesis import strategies as st
from requests.adapters import BaseAdapter
from urllib3 import HTTPResponse

from localcloud.fuzz.garbling import DATES, SECRET, STATUSES, Answer, answers, damaged, right
from localcloud.fuzz.graph_answers import Heard
from shared.adapters.azure_network import AzureNetwork
from shared.adapters.key_vault import vault_at
from shared.adapters.storage_account import StorageAccount
from shared.adapters.table_storage import StorageTables
from shared.errors import CredentialFault, RowChanged, RowExists, RowMissing, StorageUnavailable
from shared.ports import Committed, Delete, Insert, Row, Rows, Update, Upsert

MOST_REQUESTS = 40
MOST_WAITED = 40.0
VAULT = "https://v.vault.azure.net"
VERSION = "0123456789abcdef0123456789abcdef"
ACCOUNT = StorageAccount("AccountName=contoso;AccountKey=bm8gcmVhbCBrZXk=;EndpointSuffix=core.windows.net")
NOW = "Mon, 02 Mar 2026 09:30:15 GMT"
BUNDLE = {
    "value": f"{SECRET} ~",
    "id": f"{VAULT}/secrets/name/{VERSION}",
    "attributes": {"enabled": True, "created": 1, "updated": 1},
}
OPERATIONS = (Insert("a", {"x": 1}), Upsert("b", {}), Update("c", {}, "e"), Delete("d", "*"))


@contextmanager
def waits() -> Iterator[list[float]]:
    """Let the SDK's waits take no time; yields how long each would have taken."""
    waited: list[float] = []
    with patch("time.sleep", waited.append):
        yield waited


@dataclass
class Script(BaseAdapter):
    """Gives answers out in order, the last one for ever."""

    script: list[Answer]
    asked: list[requests.PreparedRequest] = field(default_factory=list)

    def send(self, request: requests.PreparedRequest, **_: Any) -> requests.Response:  # type: ignore[override]
        """Answer as the script says."""
        assert len(self.asked) < MOST_REQUESTS, "a reader asks without end"
        chosen = self.script[min(len(self.asked), len(self.script) - 1)]
        self.asked.append(request)
        answer = requests.Response()
        answer.status_code, answer.request, answer.url, answer.reason = chosen.status, request, str(request.url), "x"
        answer.headers.update(chosen.headers)
        answer.raw = HTTPResponse(BytesIO(chosen.content), dict(chosen.headers), chosen.status, preload_content=False)
        return answer

    def close(self) -> None:
        """Hold nothing."""


def network(script: Script) -> AzureNetwork:
    """Return the network under an SDK that *script* answers on."""
    session = requests.Session()
    session.mount("https://", script)
    session.trust_env = False
    return AzureNetwork(session=session, session_owner=False)


class Identity:
    """Has a token at once."""

    def get_token(self, *_scopes: str, **_: Any) -> AccessToken:
        """Return a token that lasts."""
        return AccessToken(SECRET, 2**40)


@st.composite
def vault_cases(draw: st.DrawFn) -> tuple[str, list[Answer]]:
    """Draw a call and what the vault answers, now and then a challenge first."""
    refusal = right({"error": {"code": "Forbidden", "message": f"{SECRET} ~", "innererror": {"code": "x"}}}, 403)
    script = [
        draw(answers(draw(st.sampled_from([right(BUNDLE), right(BUNDLE), refusal]))))
        for _ in range(draw(st.integers(1, 2)))
    ]
    if draw(st.booleans()):
        challenge = draw(st.sampled_from(_CHALLENGES))
        script.insert(0, Answer(401, b"{}", {"WWW-Authenticate": challenge}))
    return draw(st.sampled_from(["get", "put", "delete", "check"])), script


_CHALLENGES = (
    'Bearer authorization="https://login.microsoftonline.com/t", resource="https://vault.azure.net"',
    'Bearer authorization="https://login.microsoftonline.com/t", resource="https://evil.example"',
    'Bearer authorization="x", resource="²"', "Bearer", "Bearer a=b=c, ,", "", "Basic x", 'Bearer authorization="https://[::1", resource="//"',
)  # fmt: skip


def check_vault(case: tuple[str, list[Answer]]) -> None:
    """Let Key Vault answer a call; what it returns was in an answer, and anything else is a `CredentialFault`."""
    kind, script = case
    wire = Script(script)
    vault = vault_at(VAULT, Identity(), network(wire))
    calls: dict[str, Callable[[], Any]] = {
        "get": lambda: vault.get("name", VERSION),
        "put": lambda: vault.put("name", SECRET),
        "delete": lambda: vault.delete("name"),
        "check": vault.check,
    }
    found = _outcome(calls[kind], CredentialFault)
    if isinstance(found, CredentialFault):
        return
    if kind in ("get", "put"):
        assert isinstance(found, str), "a secret or version that is no text"
        assert found not in ("", "None"), "a secret or version that is none"
        assert any(200 <= answer.status < 300 for answer in script), "a refusal taken for success"


def _json(answer: Answer) -> Any:
    try:
        return json.loads(answer.content.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        return None


def _outcome(call: Callable[[], Any], *expected: type[Exception]) -> Any:
    """Return what *call* returns or which *expected* error it raises, if none of its words are secret."""
    heard, logger = Heard(), logging.getLogger()
    logger.addHandler(heard)
    try:
        with waits() as waited:
            try:
                found = call()
            finally:
                assert sum(waited) <= MOST_WAITED, "a call waits for long"
    except expected as error:
        found = error
        assert SECRET not in f"{error!r} {error}", "an error shows a secret"  # noqa: PT017 - a target is no test
    finally:
        logger.removeHandler(heard)
    assert SECRET not in heard.text, "a log line shows a secret"
    return found


def _batch(statuses: list[tuple[int, str]]) -> bytes:
    parts = [
        f"--c\r\nContent-Type: application/http\r\nContent-Transfer-Encoding: binary\r\n\r\nHTTP/1.1 {status} x\r\n"
        f"Content-ID: {number}\r\n{f'ETag: W/{etag}' if etag else 'X-A: b'}\r\n\r\n{_error(number) if status >= 300 else ''}\r\n"
        for number, (status, etag) in enumerate(statuses)
    ]
    head = "--b\r\nContent-Type: multipart/mixed; boundary=c\r\n\r\n"
    return (head + "".join(parts) + "--c--\r\n--b--\r\n").encode()


def _error(number: int) -> str:
    return json.dumps({"odata.error": {"code": "EntityAlreadyExists", "message": {"value": f"{number}:{SECRET}"}}})


@st.composite
def _batches(draw: st.DrawFn) -> Answer:
    """Draw the answer to a transaction: whole, with parts lost, doubled, swapped or refused, or with damaged bytes."""
    parts = [(204, "a"), (204, "b"), (204, "c"), (204, "")]
    content = _batch(parts)
    match draw(st.sampled_from(["good", "cut", "lost", "double", "swap", "refused", "damaged", "bytes"])):
        case "cut":
            content = content[: draw(st.integers(0, len(content)))]
        case "lost":
            content = _batch(parts[: draw(st.integers(0, 3))])
        case "double":
            content = _batch([*parts, draw(st.sampled_from(parts))])
        case "swap":
            content = _batch(draw(st.permutations(parts)))
        case "refused":
            number = draw(st.integers(0, 3))
            status = draw(st.sampled_from([400, 404, 409, 412, 429, 500, 503, 999]))
            content = _batch([(status, "") if at == number else part for at, part in enumerate(parts)])
        case "damaged":
            content = draw(damaged(content))
        case "bytes":
            content = draw(st.binary(max_size=200))
    status = draw(st.sampled_from([202, 202, 202, 202, *STATUSES]))
    return Answer(
        status,
        content,
        {"Date": draw(st.sampled_from([NOW, NOW, *DATES])), "Content-Type": "multipart/mixed; boundary=b"},
    )


@st.composite
def table_cases(draw: st.DrawFn) -> tuple[str, list[Answer]]:
    """Draw a call and what storage answers."""
    kind = draw(st.sampled_from(["get", "read", "one", "all", "all"]))
    if kind == "all":
        return kind, [draw(_batches())]
    row = {"PartitionKey": "p", "RowKey": "a", "odata.etag": "W/e", "x": SECRET, "n": "5", "n@odata.type": "Edm.Int64"}
    error = {"odata.error": {"code": "TableNotFound", "message": {"value": SECRET}}}
    good = {"get": right(row), "read": right({"value": [row, row]}), "one": Answer(204, b"", {"ETag": "W/e"})}[kind]
    script = []
    for _ in range(draw(st.integers(1, 2))):
        answer = draw(answers(draw(st.sampled_from([good, good, right(error, 404), right(error, 409)]))))
        headers = {"Date": draw(st.sampled_from([NOW, *DATES])), **answer.headers}
        if draw(st.booleans()):
            headers["x-ms-continuation-NextPartitionKey"] = draw(st.sampled_from(["1!4!cA--", "²", "x" * 3000, ""]))
            headers["x-ms-continuation-NextRowKey"] = draw(st.sampled_from(["1!4!YQ--", "", "\x7f"]))
        script.append(Answer(answer.status, answer.content, {name: _latin(value) for name, value in headers.items()}))
    return kind, [*script, right({"value": []}) if kind == "read" else script[-1]]


def _latin(text: str) -> str:
    return text.encode("latin-1", "ignore").decode("latin-1")


def check_tables(case: tuple[str, list[Answer]]) -> None:
    """Let storage answer a call; a write counts as done only where a whole answer says so."""
    kind, script = case
    table = StorageTables(ACCOUNT, network(Script(script))).receipts
    calls: dict[str, Callable[[], Any]] = {
        "get": lambda: table.get("p", "a"),
        "read": lambda: table.read("p", "a", "b"),
        "one": lambda: table.commit("p", OPERATIONS[:1]),
        "all": lambda: table.commit("p", OPERATIONS),
    }
    try:
        found = _outcome(calls[kind], StorageUnavailable, RowExists, RowChanged, RowMissing)
    except RuntimeError as error:
        if "storage refused a request of ours" in str(error) and SECRET not in str(error):
            return  # what only a fault of ours brings about
        raise
    if isinstance(found, StorageUnavailable):
        assert (
            kind not in ("one", "all")
            or found.outcome_unknown
            or any(a.status in (401, 403) for a in script)
            or _refused(script)
        ), "a write that may have happened"
    elif isinstance(found, Committed):
        assert len(found.etags) == (4 if kind == "all" else 1), "etags of other operations"
        assert all(found.etags[:3]), "a row without an etag"
        assert script[-1].status in (201, 202, 204) or len(script) > 1
        if kind == "all":
            assert len(re.findall(rb"HTTP/1.1 2", script[-1].content)) == 4, "an answer that is not whole"
    else:
        assert isinstance(found, (Row, Rows, RowExists, RowChanged, RowMissing)) or found is None


def _refused(script: list[Answer]) -> bool:
    return any(answer.status in (408, 429) or answer.status >= 500 for answer in script)
