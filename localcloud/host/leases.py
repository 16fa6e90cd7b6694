"""Who may fire a timer: the one host that holds the timer's blob lease."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import uuid
from typing import TYPE_CHECKING

from azure.core.exceptions import AzureError, HttpResponseError, ResourceExistsError, ResourceNotFoundError
from azure.storage.blob import BlobLeaseClient

if TYPE_CHECKING:
    from azure.storage.blob import ContainerClient

log = logging.getLogger("localcloud.host.leases")


class BlobLease:
    """
    Hold a lease of *seconds* (15 to 60) on the blob *name*, under an id that follows from *instance_id*.

    A host that was killed and comes back under the same instance id takes its own lease up again at once; a host with
    another id waits until the lease has run out.
    """

    def __init__(self, container: ContainerClient, name: str, instance_id: str, seconds: int) -> None:
        self._container = container
        self._name = name
        self._seconds = seconds
        lease_id = str(uuid.uuid5(uuid.NAMESPACE_URL, f"{instance_id}/{name}"))
        self._lease = BlobLeaseClient(container.get_blob_client(name), lease_id=lease_id)

    @property
    def retry_seconds(self) -> float:
        """Return how long to wait before asking again for a lease that another host holds."""
        return self._seconds / 5

    async def acquire(self) -> bool:
        """Try to take the lease, creating the blob when it is missing; return whether it is ours now."""
        try:
            return await asyncio.to_thread(self._acquire)
        except AzureError as error:
            log.warning("lease on %s: %s", self._name, type(error).__name__)
            return False

    async def keep(self) -> None:
        """Renew the lease until that fails for as long as the lease lasts; returning means that it is lost."""
        loop = asyncio.get_running_loop()
        held_until = loop.time() + self._seconds
        while loop.time() < held_until:
            await asyncio.sleep(self._seconds / 3)
            try:
                await asyncio.to_thread(self._lease.renew)
            except HttpResponseError:
                break
            except AzureError:
                continue
            held_until = loop.time() + self._seconds
        log.warning("lease on %s is lost", self._name)

    async def release(self) -> None:
        """Give the lease back, so that another host need not wait for its end."""
        with contextlib.suppress(AzureError):
            await asyncio.to_thread(self._lease.release)

    def _acquire(self) -> bool:
        try:
            self._lease.acquire(lease_duration=self._seconds)
        except ResourceNotFoundError:
            self._create_blob()
            self._lease.acquire(lease_duration=self._seconds)
        except HttpResponseError as error:
            if error.status_code == 409:
                return False
            raise
        return True

    def _create_blob(self) -> None:
        with contextlib.suppress(ResourceExistsError):
            self._container.create_container()
        with contextlib.suppress(ResourceExistsError):
            self._container.upload_blob(self._name, b"")
