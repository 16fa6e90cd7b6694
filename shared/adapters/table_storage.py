"""Tables in Azure Table storage: range reads, conditional writes and transactions, with the errors that the port promises."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar

from azure.core import MatchConditions
from azure.core.credentials import TokenCredential
from azure.core.exceptions import HttpResponseError, ResourceExistsError
from azure.core.pipeline.transport import RequestsTransport
from azure.data.tables import EdmType, EntityProperty, TableClient, TableEntity, TableTransactionError

from shared.adapters.storage_account import (
    NO_RETRIES,
    READ_RETRIES,
    TIMEOUTS,
    Heard,
    StorageAccount,
    call,
    code_of,
    refused,
    transport,
)
from shared.adapters.table_rules import check_key, check_operations
from shared.errors import RowChanged, RowExists, RowMissing
from shared.ports import ANY, Committed, Delete, Insert, Operation, Row, Rows, Update
from shared.rows import Value
from shared.settings import Settings

_PAGE = 1000
_INT32 = 2**31
_OWN = ("PartitionKey", "RowKey")
Result = TypeVar("Result")


class StorageTable:
    """One table, see the port; makes the table itself where it is missing. Thread-safe."""

    def __init__(self, account: StorageAccount, name: str, transport: RequestsTransport) -> None:
        options: dict[str, Any] = {"transport": transport, **TIMEOUTS, **READ_RETRIES}
        if account.connection_string:
            self._client = TableClient.from_connection_string(account.connection_string, name, **options)
        else:
            self._client = TableClient(account.url("table"), name, credential=account.credential, **options)

    def get(self, partition: str, key: str) -> Row | None:
        """Return the row, or None. Raises `StorageUnavailable`."""
        check_key(partition)
        check_key(key)
        try:
            return _row(self._prepared(partial(self._client.get_entity, partition, key)))
        except HttpResponseError as error:
            if error.status_code == 404:
                return None
            raise refused(error) from error

    def read(self, partition: str, first: str, last: str, limit: int | None = None) -> Rows:
        """Return a range in key order, following continuation. Raises `StorageUnavailable`."""
        for key in (partition, first, last):
            check_key(key)
        condition = f"PartitionKey eq '{partition}' and RowKey ge '{first}' and RowKey lt '{last}'"
        heard = Heard()

        def collect() -> list[Row]:
            found: list[Row] = []
            entities = self._client.query_entities(
                condition, results_per_page=min(limit or _PAGE, _PAGE), raw_response_hook=heard
            )
            for entity in entities:
                found.append(_row(entity))
                if limit is not None and len(found) >= limit:
                    break
            return found

        try:
            return Rows(self._prepared(collect), heard.time)
        except HttpResponseError as error:
            raise refused(error) from error

    def commit(self, partition: str, operations: Sequence[Operation]) -> Committed:
        """Do all operations or none. Raises `RowExists`, `RowChanged`, `RowMissing`, `StorageUnavailable`."""
        check_operations(partition, operations)
        heard = Heard()
        steps = [_step(partition, operation) for operation in operations]
        try:
            if len(steps) == 1:
                etags = self._prepared(partial(self._commit_one, steps[0], heard), writing=True)
            else:
                submit = partial(self._client.submit_transaction, steps, raw_response_hook=heard, **NO_RETRIES)
                etags = [str(answer.get("etag", "")) for answer in self._prepared(submit, writing=True)]
        except HttpResponseError as error:
            index = error.index if isinstance(error, TableTransactionError) else 0
            raise _conflict(error, operations[index].key) from error
        if heard.status == 404:  # the SDK is silent about a lone delete of a row that is gone
            raise RowMissing(operations[0].key)
        return Committed(etags, heard.time)

    def _commit_one(self, step: tuple[str, dict[str, Any], dict[str, Any]], heard: Heard) -> list[str]:
        verb, entity, options = step
        write = getattr(self._client, f"{verb}_entity")
        quiet = {"response_preference": "return-no-content"} if verb == "create" else {}
        answer = write(entity, **options, **quiet, **NO_RETRIES, raw_response_hook=heard)
        return ["" if answer is None else str(answer["etag"])]

    def _prepared(self, function: Callable[[], Result], *, writing: bool = False) -> Result:
        """Return what *function* returns; make the table and call it again where there is none."""
        try:
            return call(function, writing=writing)
        except HttpResponseError as error:
            if code_of(error) != "TableNotFound":
                raise
            with suppress(ResourceExistsError):
                call(partial(self._client.create_table, **NO_RETRIES), writing=True)
            return call(function, writing=writing)


class StorageTables:
    """The tables of the product in one storage account; connects on first use."""

    def __init__(self, account: StorageAccount) -> None:
        shared = transport()
        self.connections = StorageTable(account, "connections", shared)
        self.credentials = StorageTable(account, "credentials", shared)
        self.grants = StorageTable(account, "grants", shared)
        self.tickets = StorageTable(account, "tickets", shared)
        self.receipts = StorageTable(account, "receipts", shared)
        self.outbox = StorageTable(account, "outbox", shared)
        self.log = StorageTable(account, "log", shared)
        self.audit = StorageTable(account, "audit", shared)


def open_tables(settings: Settings, credential: TokenCredential | None) -> StorageTables:
    """Return the tables of the account that *settings* name; makes no call."""
    return StorageTables(StorageAccount.of(settings, credential))


def _row(entity: TableEntity) -> Row:
    values = {
        name: value.value if isinstance(value, EntityProperty) else value
        for name, value in entity.items()
        if name not in _OWN
    }
    return Row(entity["RowKey"], values, entity.metadata["etag"] or "")


def _step(partition: str, operation: Operation) -> tuple[str, dict[str, Any], dict[str, Any]]:
    """Return the SDK's verb, entity and options for *operation*."""
    entity: dict[str, Any] = {"PartitionKey": partition, "RowKey": operation.key}
    if not isinstance(operation, Delete):
        entity.update({name: _property(value) for name, value in operation.values.items()})
    match operation:
        case Insert():
            return "create", entity, {}
        case Update(etag=etag):
            return "update", entity, _condition(etag)
        case Delete(etag=etag):
            return "delete", entity, _condition(etag)
        case _:
            return "upsert", entity, {}


def _condition(etag: str) -> dict[str, Any]:
    return {} if etag == ANY else {"etag": etag, "match_condition": MatchConditions.IfNotModified}


def _property(value: Value) -> Any:
    if isinstance(value, int) and not isinstance(value, bool) and not -_INT32 <= value < _INT32:
        return EntityProperty(value, EdmType.INT64)
    return value


def _conflict(error: HttpResponseError, key: str) -> Exception:
    match code_of(error), error.status_code:
        case "EntityAlreadyExists", _:
            return RowExists(key)
        case _, 412:
            return RowChanged(key)
        case (("ResourceNotFound" | "EntityNotFound"), _):
            return RowMissing(key)
        case _:
            return refused(error)
