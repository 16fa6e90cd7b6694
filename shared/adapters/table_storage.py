"""Tables in Azure Table storage: range reads and transactions, with the errors that the port promises."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from http.client import HTTPException
from itertools import islice
from typing import Any, TypeVar

from azure.core import MatchConditions
from azure.core.credentials import TokenCredential
from azure.core.exceptions import HttpResponseError, ResourceExistsError
from azure.core.pipeline.transport import RequestsTransport
from azure.data.tables import (
    EdmType,
    EntityProperty,
    TableClient,
    TableEntity,
    TableServiceClient,
    TableTransactionError,
)
from requests import RequestException

from shared.adapters.storage_account import (
    NO_RETRIES,
    READ_RETRIES,
    Heard,
    StorageAccount,
    call,
    code_of,
    refused,
    transport,
)
from shared.adapters.table_rules import check_key, check_operations, check_range
from shared.errors import RowChanged, RowExists, RowMissing, StorageUnavailable
from shared.ports import ANY, Committed, Delete, Insert, Operation, Row, Rows, Update
from shared.rows import Value
from shared.settings import Settings

_PAGE = 1000
_INT32 = 2**31
_OWN = ("PartitionKey", "RowKey")
_NOTHING_BACK = {"headers": {"Prefer": "return-no-content"}}  # else an insert's answer repeats the whole row
# What the SDK lets through where an answer breaks off: it then looks at parts that are not there.
_UNREADABLE = (AttributeError, IndexError, ValueError, HTTPException, RequestException)
Step = tuple[str, dict[str, Any], dict[str, Any]]
Result = TypeVar("Result")


class StorageTable:
    """One table, see the port; makes the table itself on the first write. Thread-safe."""

    def __init__(self, client: TableClient) -> None:
        self._client = client

    def get(self, partition: str, key: str) -> Row | None:
        """Return the row, or None. Raises `StorageUnavailable`."""
        check_key(partition)
        check_key(key)
        try:
            return _row(call(partial(self._client.get_entity, partition, key)))
        except HttpResponseError as error:
            if error.status_code == 404:
                return None
            raise refused(error) from error

    def read(self, partition: str, first: str, last: str, limit: int | None = None) -> Rows:
        """Return a range in key order, following continuation. Raises `StorageUnavailable`."""
        check_range(partition, first, last, limit)
        condition = f"PartitionKey eq '{partition}' and RowKey ge '{first}' and RowKey lt '{last}'"
        heard = Heard()  # of all pages the first counts: what ends later than that has not ended
        entities = self._client.query_entities(
            condition, results_per_page=min(limit or _PAGE, _PAGE), raw_response_hook=heard
        )
        try:
            return Rows(call(lambda: [_row(entity) for entity in islice(entities, limit)]), heard.time)
        except HttpResponseError as error:
            if code_of(error) == "TableNotFound":
                return Rows([], heard.time)
            raise refused(error) from error

    def commit(self, partition: str, operations: Sequence[Operation]) -> Committed:
        """Do all operations or none. Raises `RowExists`, `RowChanged`, `RowMissing`, `StorageUnavailable`."""
        check_operations(partition, operations)
        heard = Heard()
        steps = [_step(partition, operation) for operation in operations]
        send = partial(self._one, steps[0], heard) if len(steps) == 1 else partial(self._all, steps, heard)
        try:
            etags = self._prepared(send)
        except HttpResponseError as error:
            index = error.index if isinstance(error, TableTransactionError) else 0
            raise _conflict(error, operations[index].key) from error
        if heard.status == 404:  # the SDK is silent about a lone delete of a row that is gone
            raise RowMissing(operations[0].key)
        return Committed(etags, heard.time)

    def _one(self, step: Step, heard: Heard) -> list[str]:
        """Return the etag of a lone write, which costs less than a transaction of one."""
        verb, entity, options = step
        answer = getattr(self._client, f"{verb}_entity")(entity, **options, **NO_RETRIES, raw_response_hook=heard)
        return ["" if answer is None else str(answer["etag"])]

    def _all(self, steps: list[Step], heard: Heard) -> list[str]:
        """Return the etags of a transaction."""
        answers = self._client.submit_transaction(steps, **NO_RETRIES, raw_response_hook=heard)
        if len(answers) != len(steps):
            raise _broken_off()
        return [str(answer.get("etag", "")) for answer in answers]

    def _prepared(self, write: Callable[[], Result]) -> Result:
        """Return what *write* returns; make the table and call it again where there is none."""
        try:
            return _written(write)
        except HttpResponseError as error:
            if code_of(error) != "TableNotFound":
                raise
        with suppress(ResourceExistsError):
            _written(partial(self._client.create_table, **NO_RETRIES))
        return _written(write)


class StorageTables:
    """The tables of the product in one storage account; connects on first use."""

    def __init__(self, account: StorageAccount, network: RequestsTransport | None = None) -> None:
        service = _service(account, network or transport())
        self.connections = StorageTable(service.get_table_client("connections"))
        self.credentials = StorageTable(service.get_table_client("credentials"))
        self.grants = StorageTable(service.get_table_client("grants"))
        self.tickets = StorageTable(service.get_table_client("tickets"))
        self.receipts = StorageTable(service.get_table_client("receipts"))
        self.outbox = StorageTable(service.get_table_client("outbox"))
        self.log = StorageTable(service.get_table_client("log"))
        self.audit = StorageTable(service.get_table_client("audit"))


def open_tables(settings: Settings, credential: TokenCredential | None) -> StorageTables:
    """Return the tables of the account that *settings* name; makes no call."""
    return StorageTables(StorageAccount.of(settings, credential))


def _service(account: StorageAccount, network: RequestsTransport) -> TableServiceClient:
    options: dict[str, Any] = {"transport": network, **READ_RETRIES}
    if account.connection_string:
        return TableServiceClient.from_connection_string(account.connection_string, **options)
    return TableServiceClient(account.url("table"), credential=account.credential, **options)


def _written(write: Callable[[], Result]) -> Result:
    """Return what *write* returns. Raises `StorageUnavailable`, and `HttpResponseError` for the caller to judge."""
    try:
        return call(write, writing=True)
    except _UNREADABLE as error:
        raise _broken_off() from error


def _broken_off() -> StorageUnavailable:
    detail = "Storage's answer is not whole. The work is tried again by itself."
    return StorageUnavailable(detail, outcome_unknown=True)


def _row(entity: TableEntity) -> Row:
    values = {
        name: value.value if isinstance(value, EntityProperty) else value
        for name, value in entity.items()
        if name not in _OWN
    }
    return Row(entity["RowKey"], values, entity.metadata["etag"] or "")


def _step(partition: str, operation: Operation) -> Step:
    """Return the SDK's verb, entity and options for *operation*."""
    entity: dict[str, Any] = {"PartitionKey": partition, "RowKey": operation.key}
    if not isinstance(operation, Delete):
        entity.update({name: _property(value) for name, value in operation.values.items()})
    match operation:
        case Insert():
            return "create", entity, _NOTHING_BACK
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
