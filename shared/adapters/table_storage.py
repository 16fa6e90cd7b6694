"""Tables in Azure Table storage: range reads and transactions, with the errors that the port promises."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, cast

from azure.core import PipelineClient
from azure.core.credentials import TokenCredential
from azure.core.exceptions import HttpResponseError
from azure.core.pipeline import Pipeline
from azure.core.pipeline.policies import RetryPolicy, UserAgentPolicy
from azure.core.pipeline.transport import RequestsTransport
from azure.core.rest import HttpRequest, HttpResponse

from shared.adapters.storage_account import (
    NO_RETRIES,
    READ_RETRIES,
    TIMEOUTS,
    StorageAccount,
    call,
    code_of,
    refused,
    transport,
    trouble,
)
from shared.adapters.storage_signing import table_endpoint
from shared.adapters.table_rules import check_key, check_operations, check_range
from shared.adapters.table_wire import API_VERSION, JSON_TYPE, Part, read_batch, read_row, row_path, write_batch
from shared.errors import RowChanged, RowExists, RowMissing, StorageUnavailable
from shared.ports import Committed, Operation, Row, Rows
from shared.settings import Settings

_PAGE = 1000
_PROTOCOL = {"x-ms-version": API_VERSION, "DataServiceVersion": "3.0", "MaxDataServiceVersion": "3.0;NetFx"}
_NEXT = ("NextPartitionKey", "NextRowKey")


class StorageTable:
    """One table, see the port; makes the table itself where it is missing. Thread-safe."""

    def __init__(self, name: str, service: "TableService") -> None:
        self._name = name
        self._service = service

    def get(self, partition: str, key: str) -> Row | None:
        """Return the row, or None. Raises `StorageUnavailable`."""
        check_key(partition)
        check_key(key)
        try:
            answer = self._service.get(row_path(self._name, partition, key))
        except HttpResponseError as error:
            if error.status_code == 404:
                return None
            raise refused(error) from error
        return read_row(answer.json())

    def read(self, partition: str, first: str, last: str, limit: int | None = None) -> Rows:
        """Return a range in key order, following continuation. Raises `StorageUnavailable`."""
        check_range(partition, first, last, limit)
        condition = f"PartitionKey eq '{partition}' and RowKey ge '{first}' and RowKey lt '{last}'"
        found: list[Row] = []
        times: list[datetime] = []
        following: dict[str, str] | None = {}
        while following is not None and (limit is None or len(found) < limit):
            top = _PAGE if limit is None else min(_PAGE, limit - len(found))
            rows, following, time = self._page({"$filter": condition, "$top": str(top), **following})
            found += rows
            times.append(time)
        return Rows(found, times[0])  # of all pages the first counts: what ends later than that has not ended

    def commit(self, partition: str, operations: Sequence[Operation]) -> Committed:
        """Do all operations or none. Raises `RowExists`, `RowChanged`, `RowMissing`, `StorageUnavailable`."""
        check_operations(partition, operations)
        content_type, body = write_batch(self._service.endpoint, self._name, partition, operations)
        answer = self._service.batch(content_type, body)
        parts = read_batch(answer.text())
        if parts and parts[0].code == "TableNotFound":
            self._service.create(self._name)
            answer = self._service.batch(content_type, body)
            parts = read_batch(answer.text())
        failed = next((part for part in parts if part.status >= 400), None)
        if failed:
            raise _conflict(failed, operations[failed.index].key)
        if len(parts) != len(operations):
            raise StorageUnavailable("Storage's answer is not whole.", outcome_unknown=True)
        return Committed([part.etag for part in parts], _time(answer.headers))

    def _page(self, query: dict[str, str]) -> tuple[list[Row], dict[str, str] | None, datetime]:
        """Return the rows of one page, how to ask for the next one (None after the last), and storage's time."""
        try:
            answer = self._service.get(f"{self._name}()", query)
        except HttpResponseError as error:
            if code_of(error) == "TableNotFound":
                return [], None, _time(cast("HttpResponse", error.response).headers)
            raise refused(error) from error
        rows = [read_row(entity) for entity in answer.json()["value"]]
        following = {
            name: answer.headers[f"x-ms-continuation-{name}"]
            for name in _NEXT
            if f"x-ms-continuation-{name}" in answer.headers
        }
        return rows, following or None, _time(answer.headers)


class TableService:
    """Sends requests to the tables of one account: reads are repeated, writes are sent once. Connects on first use."""

    def __init__(self, account: StorageAccount, network: RequestsTransport | None = None) -> None:
        self.endpoint, signing = table_endpoint(account)
        policies = [UserAgentPolicy("mailgrant"), RetryPolicy(**READ_RETRIES), signing]
        self._client: PipelineClient[HttpRequest, HttpResponse] = PipelineClient(
            self.endpoint, pipeline=Pipeline(network or transport(), policies)
        )

    def get(self, path: str, query: dict[str, str] | None = None) -> HttpResponse:
        """Return the answer to a read. Raises `StorageUnavailable`, and `HttpResponseError` for the caller to judge."""
        return self._send(HttpRequest("GET", f"{self.endpoint}/{path}", params=query, headers={"Accept": JSON_TYPE}))

    def batch(self, content_type: str, body: bytes) -> HttpResponse:
        """Return the answer to a transaction. Raises `StorageUnavailable`."""
        headers = {"Content-Type": content_type, "Accept": JSON_TYPE}
        request = HttpRequest("POST", f"{self.endpoint}/$batch", content=body, headers=headers)
        try:
            return self._send(request, writing=True)
        except HttpResponseError as error:
            raise refused(error) from error

    def create(self, name: str) -> None:
        """Make a table unless it is there. Raises `StorageUnavailable`."""
        headers = {"Accept": JSON_TYPE, "Prefer": "return-no-content"}
        request = HttpRequest("POST", f"{self.endpoint}/Tables", json={"TableName": name}, headers=headers)
        try:
            self._send(request, writing=True)
        except HttpResponseError as error:
            if error.status_code != 409:
                raise refused(error) from error

    def _send(self, request: HttpRequest, *, writing: bool = False) -> HttpResponse:
        request.headers.update(_PROTOCOL)
        options: dict[str, Any] = {**TIMEOUTS, **(NO_RETRIES if writing else {})}

        def send() -> HttpResponse:
            answer = self._client.send_request(request, **options)
            if answer.status_code >= 400:
                raise HttpResponseError(response=answer)
            return answer

        return call(send, writing=writing)


class StorageTables:
    """The tables of the product in one storage account; connects on first use."""

    def __init__(self, account: StorageAccount) -> None:
        service = TableService(account)
        self.connections = StorageTable("connections", service)
        self.credentials = StorageTable("credentials", service)
        self.grants = StorageTable("grants", service)
        self.tickets = StorageTable("tickets", service)
        self.receipts = StorageTable("receipts", service)
        self.outbox = StorageTable("outbox", service)
        self.log = StorageTable("log", service)
        self.audit = StorageTable("audit", service)


def open_tables(settings: Settings, credential: TokenCredential | None) -> StorageTables:
    """Return the tables of the account that *settings* name; makes no call."""
    return StorageTables(StorageAccount.of(settings, credential))


def _time(headers: Mapping[str, str]) -> datetime:
    """Return storage's own time, in whole seconds."""
    return parsedate_to_datetime(headers["Date"]).astimezone(UTC)


def _conflict(failed: Part, key: str) -> Exception:
    match failed.code, failed.status:
        case "EntityAlreadyExists", _:
            return RowExists(key)
        case _, 412:
            return RowChanged(key)
        case (("ResourceNotFound" | "EntityNotFound"), _):
            return RowMissing(key)
        case _:
            return trouble(failed.status, failed.code, writing=True) or refused(failed.code)
