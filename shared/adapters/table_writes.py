"""
Writes to Table storage, put into words here: the SDK starts three thread pools for each transaction of its own.

Source: Learn, "Insert Entity", "Merge Entity", "Delete Entity", "Performing entity group transactions", and "Authorize
with Shared Key" (Shared Key for the Table service).
"""

import hashlib
import hmac
import json
import math
import re
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote, urlsplit
from wsgiref.handlers import format_date_time

from azure.core.credentials import AzureNamedKeyCredential, AzureSasCredential, TokenCredential
from azure.core.exceptions import HttpResponseError
from azure.core.pipeline import Pipeline, PipelineRequest
from azure.core.pipeline.policies import (
    AzureSasCredentialPolicy,
    BearerTokenCredentialPolicy,
    SansIOHTTPPolicy,
    UserAgentPolicy,
)
from azure.core.pipeline.transport import RequestsTransport
from azure.core.rest import HttpRequest, HttpResponse

from shared.adapters.storage_account import Heard
from shared.identifiers import new_ulid
from shared.ports import Delete, Insert, Operation, Update
from shared.rows import Value
from shared.times import now_utc

Credential = AzureNamedKeyCredential | AzureSasCredential | TokenCredential
_SCOPE = "https://storage.azure.com/.default"
_HEADERS = {
    "Accept": "application/json",
    "DataServiceVersion": "3.0",
    "MaxDataServiceVersion": "3.0;NetFx",
    "x-ms-version": "2019-02-02",
}
_INT32 = 2**31
_NOT_FINITE = {math.inf: "Infinity", -math.inf: "-Infinity"}
_PART = re.compile(r"(?:\A|\r\n)HTTP/1\.1 (\d{3})[^\r\n]*\r\n((?:[^\r\n]+\r\n)*)\r\n([^\r]*)")
_ETAG = re.compile(r"^ETag: *([^\r\n]+)", re.IGNORECASE | re.MULTILINE)


class RefusedOperation(HttpResponseError):
    """Storage refused the operation at *index*, and with it the whole transaction."""

    def __init__(self, status: int, code: str, index: int) -> None:
        super().__init__(message=code)
        self.status_code = status
        self.error_code = code
        self.index = index


class TableWrites:
    """
    Writes to the tables of one storage account, which lie under *url*; each request is sent once. Thread-safe.

    *credential* is what the SDK made of the account: its key, a shared access signature, or the app's identity.
    """

    def __init__(self, url: str, credential: Credential, network: RequestsTransport) -> None:
        self._url = url.partition("?")[0].rstrip("/")
        policies: list[Any] = [UserAgentPolicy("mailgrant"), _Dated(), _signing(credential)]
        self._pipeline: Pipeline[HttpRequest, HttpResponse] = Pipeline(network, policies)

    def one(self, table: str, partition: str, operation: Operation, heard: Heard) -> str | None:
        """Do one operation, which costs less than a transaction of one; return as `all` does."""
        method, url, headers, body = _request(f"{self._url}/{table}", partition, operation)
        answer = self._send(HttpRequest(method, url, headers={**_HEADERS, **headers}, content=body or None), heard)
        if answer.status_code not in (201, 204):
            raise HttpResponseError(response=answer)
        etag = str(answer.headers.get("ETag", ""))
        return etag if _is_answer(operation, etag) else None

    def all(self, table: str, partition: str, operations: Sequence[Operation], heard: Heard) -> list[str] | None:
        """
        Do all *operations* or none and return their etags ('' for deletes); None where the answer is not whole.

        Raises `RefusedOperation`, and `AzureError` where the transaction as a whole was refused or not answered.
        """
        name = new_ulid()
        body = _body(f"{self._url}/{table}", partition, operations, name)
        headers = {**_HEADERS, "Content-Type": f"multipart/mixed; boundary=batch_{name}"}
        answer = self._send(HttpRequest("POST", f"{self._url}/$batch", headers=headers, content=body), heard)
        if answer.status_code != 202:
            raise HttpResponseError(response=answer)
        etags = _etags(answer.content.decode(errors="replace"), len(operations))
        return etags if etags is not None and all(map(_is_answer, operations, etags)) else None

    def _send(self, request: HttpRequest, heard: Heard) -> HttpResponse:
        answer = self._pipeline.run(request)
        heard(answer)
        return answer.http_response


def _entity(partition: str, key: str, values: Mapping[str, Value]) -> dict[str, Any]:
    """Return the JSON object of a row; what JSON alone does not tell, a type beside the value does."""
    made: dict[str, Any] = {"PartitionKey": partition, "RowKey": key}
    for name, value in values.items():
        made[name], kind = _typed(value)
        if kind:
            made[f"{name}@odata.type"] = kind
    return made


def _typed(value: Value) -> tuple[Any, str]:
    if isinstance(value, float):
        return (value if math.isfinite(value) else _NOT_FINITE.get(value, "NaN")), "Edm.Double"
    if isinstance(value, int) and not isinstance(value, bool) and not -_INT32 <= value < _INT32:
        return str(value), "Edm.Int64"
    return value, ""


def _body(table_url: str, partition: str, operations: Sequence[Operation], name: str) -> bytes:
    parts = [f"--batch_{name}\r\nContent-Type: multipart/mixed; boundary=changeset_{name}\r\n\r\n"]
    for number, operation in enumerate(operations):
        method, url, headers, body = _request(table_url, partition, operation)
        head = ["Content-Type: application/http", "Content-Transfer-Encoding: binary", f"Content-ID: {number}", ""]
        told = [f"{key}: {value}" for key, value in headers.items()]
        asked = [f"{method} {url} HTTP/1.1", "Accept: application/json", "DataServiceVersion: 3.0", *told]
        parts.append("\r\n".join([f"--changeset_{name}", *head, *asked, "", body, ""]))
    parts.append(f"--changeset_{name}--\r\n\r\n--batch_{name}--\r\n")
    return "".join(parts).encode()


def _request(table_url: str, partition: str, operation: Operation) -> tuple[str, str, dict[str, str], str]:
    """Return method, URL, headers and body of one operation."""
    place = f"{table_url}(PartitionKey='{quote(partition)}',RowKey='{quote(operation.key)}')"
    if isinstance(operation, Delete):
        return "DELETE", place, {"If-Match": operation.etag}, ""
    body = json.dumps(_entity(partition, operation.key, operation.values))
    headers = {"Content-Type": "application/json", "Content-Length": str(len(body))}
    if isinstance(operation, Insert):  # else its answer repeats the whole row
        return "POST", table_url, {**headers, "Prefer": "return-no-content"}, body
    return "PATCH", place, {**headers, **({"If-Match": operation.etag} if isinstance(operation, Update) else {})}, body


def _is_answer(operation: Operation, etag: str) -> bool:
    """Tell whether an answer can be one to *operation*: every row that is written gets an etag."""
    return bool(etag) or isinstance(operation, Delete)


def _etags(text: str, count: int) -> list[str] | None:
    """Return the etags of *count* answers, or None where there are fewer; raises `RefusedOperation`."""
    parts = _PART.findall(text)
    for status, _, body in parts:
        if not 200 <= int(status) < 300:
            raise _refusal(int(status), body)
    if len(parts) != count:
        return None
    return [found[1] if (found := _ETAG.search(headers)) else "" for _, headers, _ in parts]


def _refusal(status: int, body: str) -> RefusedOperation:
    """Return what a part says: its code, and before a colon the number of the operation."""
    try:
        error = json.loads(body)["odata.error"]
        code, number = str(error["code"]), str(error["message"]["value"]).partition(":")[0]
    except (ValueError, KeyError, TypeError):
        code, number = "", ""
    return RefusedOperation(status, code, int(number) if number.isascii() and number.isdigit() else 0)


class _Dated(SansIOHTTPPolicy[HttpRequest, HttpResponse]):
    """Says when a request is made."""

    def on_request(self, request: PipelineRequest[HttpRequest]) -> None:
        request.http_request.headers["x-ms-date"] = format_date_time(now_utc().timestamp())


class _SharedKey(SansIOHTTPPolicy[HttpRequest, HttpResponse]):
    """Signs with the account's key."""

    def __init__(self, key: AzureNamedKeyCredential) -> None:
        self._key = key

    def on_request(self, request: PipelineRequest[HttpRequest]) -> None:
        made, known = request.http_request, self._key.named_key
        signed = [made.method, "", made.headers.get("Content-Type", ""), made.headers["x-ms-date"]]
        text = "\n".join([*signed, f"/{known.name}{urlsplit(made.url).path}"])
        digest = hmac.new(b64decode(known.key), text.encode(), hashlib.sha256).digest()
        made.headers["Authorization"] = f"SharedKey {known.name}:{b64encode(digest).decode()}"


def _signing(credential: Credential) -> Any:
    """Return the policy that signs with *credential*, as the SDK would."""
    if isinstance(credential, AzureNamedKeyCredential):
        return _SharedKey(credential)
    if isinstance(credential, AzureSasCredential):
        return AzureSasCredentialPolicy(credential)
    return BearerTokenCredentialPolicy(credential, _SCOPE)
