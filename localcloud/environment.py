"""What a local run of the product finds in its environment, and what it finds in its storage account."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping, Sequence

from azure.core.exceptions import ResourceExistsError
from azure.data.tables import TableServiceClient
from azure.storage.blob import BlobServiceClient
from azure.storage.queue import QueueServiceClient

WORK_QUEUES = ("mail-fetch", "mail-deliver", "mail-send", "consent-check")
QUEUES = (*WORK_QUEUES, *(f"{name}-poison" for name in WORK_QUEUES))
CONTAINERS = ("received", "outbox", "uploads")
TABLES = ("connections", "credentials", "grants", "tickets", "receipts", "outbox", "log", "audit", "counters")
THREADS = "32"
# A tick every five seconds, where production has one a minute.
TICK_SCHEDULE = "*/5 * * * * *"
_KEPT = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "VIRTUAL_ENV", "PYTHONDONTWRITEBYTECODE", "PYTHONWARNINGS")


def stripped_environment(source: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return the few variables of *source* that a child may inherit: no setting or credential of a real cloud."""
    return {name: source[name] for name in _KEPT if name in source}


def product_environment(
    storage: str,
    cloud: Mapping[str, str],
    public_base_url: str,
    *,
    delivery_allow: Sequence[str] = (),
    changes: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """
    Return the whole environment of the product for a local run.

    *storage* is Azurite's connection string, *cloud* what `python -m localcloud cloud` printed, *public_base_url* the
    URL of the host without `/api`. *delivery_allow* lists as `host:port` what webhooks may reach besides public
    addresses; *changes* come last and win.
    """
    return {
        **stripped_environment(),
        **cloud,
        "FUNCTIONS_WORKER_RUNTIME": "python",
        "AzureWebJobsStorage": storage,
        "MAIL_STORAGE": storage,
        "PUBLIC_BASE_URL": public_base_url,
        "ADMIN_AUTH": "key",
        "TICK_SCHEDULE": TICK_SCHEDULE,
        "DELIVERY_ALLOW": ",".join(delivery_allow),
        "PYTHON_THREADPOOL_THREAD_COUNT": THREADS,
        **(changes or {}),
    }


def create_storage(connection_string: str) -> None:
    """Create the queues, containers and tables that Bicep creates in production; those that exist stay as they are."""
    with QueueServiceClient.from_connection_string(connection_string) as queues:
        for name in QUEUES:
            with contextlib.suppress(ResourceExistsError):
                queues.create_queue(name)
    with BlobServiceClient.from_connection_string(connection_string) as blobs:
        for name in CONTAINERS:
            with contextlib.suppress(ResourceExistsError):
                blobs.create_container(name)
    with TableServiceClient.from_connection_string(connection_string) as tables:
        for name in TABLES:
            tables.create_table_if_not_exists(name)
