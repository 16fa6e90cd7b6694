"""How a binding's connection setting becomes a storage client: connection string, or an identity-based prefix."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import requests
from azure.core.pipeline.transport import RequestsTransport
from azure.identity import DefaultAzureCredential
from azure.storage.blob import BlobServiceClient
from azure.storage.queue import QueueServiceClient
from requests.adapters import HTTPAdapter

from localcloud.host.errors import StartError

DEFAULT_CONNECTION = "AzureWebJobsStorage"
_CONCURRENT_REQUESTS = 64
# Azurite's published account; what `UseDevelopmentStorage=true` stands for.
_DEVELOPMENT_STORAGE = (
    "DefaultEndpointsProtocol=http;AccountName=devstoreaccount1;"
    "AccountKey=Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==;"
    "BlobEndpoint=http://127.0.0.1:10000/devstoreaccount1;QueueEndpoint=http://127.0.0.1:10001/devstoreaccount1;"
    "TableEndpoint=http://127.0.0.1:10002/devstoreaccount1;"
)


class Connections:
    """Make one storage client per connection and service, and keep it."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self._clients: dict[tuple[str, str], Any] = {}
        self._session = requests.Session()
        adapter = HTTPAdapter(pool_maxsize=_CONCURRENT_REQUESTS)
        self._session.mount("http://", adapter)
        self._session.mount("https://", adapter)

    def queues(self, connection: str | None) -> QueueServiceClient:
        """Return the queue service of *connection*; raises StartError where the connection is not set."""
        client: QueueServiceClient = self._client(connection, "queue", QueueServiceClient)
        return client

    def blobs(self, connection: str | None = None) -> BlobServiceClient:
        """Return the blob service of *connection*; raises StartError where the connection is not set."""
        client: BlobServiceClient = self._client(connection, "blob", BlobServiceClient)
        return client

    def close(self) -> None:
        """Close all connections."""
        self._session.close()

    def _client(self, connection: str | None, service: str, kind: Any) -> Any:
        name = connection or DEFAULT_CONNECTION
        if (name, service) not in self._clients:
            transport = RequestsTransport(session=self._session, session_owner=False)
            target = resolve(name, service, self._environ)
            if "endpoint" in target:
                made = kind(target["endpoint"], credential=_credential(target), transport=transport)
            else:
                made = _from_string(kind, target["connection_string"], name, transport)
            self._clients[name, service] = made
        return self._clients[name, service]


def resolve(connection: str, service: str, environ: Mapping[str, str]) -> dict[str, str]:
    """
    Find what *connection* names for *service* ("queue" or "blob").

    The setting itself or its twin with the prefix `AzureWebJobs` holds a connection string; else `__queueServiceUri`
    (or `__blobServiceUri`), `__serviceUri` or `__accountName` say where the account is, used with an identity.

    Raises:
        StartError: none of these is set.
    """
    for name in (f"AzureWebJobs{connection}", connection):
        if text := environ.get(name):
            text = _DEVELOPMENT_STORAGE if text.strip().lower() == "usedevelopmentstorage=true" else text
            return {"connection_string": text}
        endpoint = environ.get(f"{name}__{service}ServiceUri") or environ.get(f"{name}__serviceUri")
        if account := environ.get(f"{name}__accountName"):
            endpoint = endpoint or f"https://{account}.{service}.core.windows.net"
        if endpoint:
            return {"endpoint": endpoint, "client_id": environ.get(f"{name}__clientId", "")}
    raise StartError(f"the connection setting '{connection}' is missing (or has no {service} service)")


def _credential(target: Mapping[str, str]) -> DefaultAzureCredential:
    client_id = target["client_id"]
    return DefaultAzureCredential(managed_identity_client_id=client_id) if client_id else DefaultAzureCredential()


def _from_string(kind: Any, connection_string: str, name: str, transport: RequestsTransport) -> Any:
    try:
        return kind.from_connection_string(connection_string, transport=transport)
    except ValueError as error:
        raise StartError(f"the connection string in '{name}' is not complete") from error
