"""Tables in Azure Table storage: range reads and transactions, with the errors that the port promises."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from itertools import islice
from typing import Any, TypeVar

from azure.core.credentials import TokenCredential
from azure.core.exceptions import HttpResponseError, ResourceExistsError
from azure.core.pipeline.transport import RequestsTransport
from azure.data.tables import (
    EntityProperty,
    TableClient,
    TableEntity,
    TableServiceClient,
)

from shared.adapters.storage_account import (
    NO_RETRIES,
    READ_RETRIES,
    Heard,
    StorageAccount,
    broken_off,
    call,
    code_of,
    refused,
    transport,
)
from shared.adapters.table_rules import check_key, check_operations, check_range
from shared.adapters.table_writes import Credential, RefusedOperation, TableWrites
from shared.errors import RowChanged, RowExists, RowMissing
from shared.ports import Committed, Operation, Row, Rows
from shared.settings import Settings

_PAGE = 1000
_OWN = ("PartitionKey", "RowKey")
Result = TypeVar("Result")


class StorageTable:
    """One table, see the port; makes the table itself on the first write. Thread-safe."""

    def __init__(self, client: TableClient, writes: TableWrites) -> None:
        self._client = client
        self._writes = writes

    def get(self, partition: str, key: str) -> Row | None:
        """Return the row, or None. Raises `StorageUnavailable`."""
        check_key(partition)
        check_key(key)
        try:
            return call(lambda: _row(self._client.get_entity(partition, key)))
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
        heard = Heard(writing=True)
        send = partial(self._one if len(operations) == 1 else self._all, partition, operations, heard)
        try:
            etags = self._prepared(send)
        except HttpResponseError as error:
            index = error.index if isinstance(error, RefusedOperation) and error.index < len(operations) else 0
            raise _conflict(error, operations[index].key) from error
        return Committed(etags, heard.time)

    def _one(self, partition: str, operations: Sequence[Operation], heard: Heard) -> list[str]:
        etag = self._writes.one(self._client.table_name, partition, operations[0], heard)
        if etag is None:
            raise broken_off(writing=True)
        return [etag]

    def _all(self, partition: str, operations: Sequence[Operation], heard: Heard) -> list[str]:
        etags = self._writes.all(self._client.table_name, partition, operations, heard)
        if etags is None:
            raise broken_off(writing=True)
        return etags

    def _prepared(self, write: Callable[[], Result]) -> Result:
        """Return what *write* returns; make the table and call it again where there is none."""
        try:
            return call(write, writing=True)
        except HttpResponseError as error:
            if code_of(error) != "TableNotFound":
                raise
        with suppress(ResourceExistsError):
            call(partial(self._client.create_table, **NO_RETRIES), writing=True)
        return call(write, writing=True)


class StorageTables:
    """The tables of the product in one storage account; connects on first use."""

    def __init__(self, account: StorageAccount, network: RequestsTransport | None = None) -> None:
        network = network or transport()
        service = _service(account, network)
        writes = TableWrites(service.url, _credential(service), network)

        def table(name: str) -> StorageTable:
            return StorageTable(service.get_table_client(name), writes)

        self.connections = table("connections")
        self.credentials = table("credentials")
        self.grants = table("grants")
        self.tickets = table("tickets")
        self.receipts = table("receipts")
        self.outbox = table("outbox")
        self.log = table("log")
        self.audit = table("audit")


def open_tables(settings: Settings, credential: TokenCredential | None) -> StorageTables:
    """Return the tables of the account that *settings* name; makes no call."""
    return StorageTables(StorageAccount.of(settings, credential))


def _service(account: StorageAccount, network: RequestsTransport) -> TableServiceClient:
    options: dict[str, Any] = {"transport": network, **READ_RETRIES}
    if account.connection_string:
        return TableServiceClient.from_connection_string(account.connection_string, **options)
    return TableServiceClient(account.url("table"), credential=account.credential, **options)


def _credential(service: TableServiceClient) -> Credential:
    """Return what *service* signs with. Raises ValueError where there is nothing."""
    if service.credential is None:
        raise ValueError("storage needs a connection string or the app's identity")
    return service.credential


def _row(entity: TableEntity) -> Row:
    values = {
        name: value.value if isinstance(value, EntityProperty) else value
        for name, value in entity.items()
        if name not in _OWN
    }
    return Row(entity["RowKey"], values, entity.metadata["etag"] or "")


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
