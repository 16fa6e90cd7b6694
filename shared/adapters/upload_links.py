"""Links by which a caller puts one new blob straight into storage, and parts for where storage is private."""

import base64
from datetime import datetime, timedelta
from functools import partial

from azure.core.credentials import TokenCredential
from azure.core.exceptions import HttpResponseError, ResourceExistsError, ResourceNotFoundError
from azure.storage.blob import (
    BlobBlock,
    BlobClient,
    BlobSasPermissions,
    BlobServiceClient,
    UserDelegationKey,
    generate_blob_sas,
)

from shared.adapters.blob_storage import blob_service
from shared.adapters.storage_account import StorageAccount, call, code_of, refused
from shared.ports import Clock
from shared.settings import Settings
from shared.times import now_utc

_CONTAINER = "uploads"
_SKEW = timedelta(minutes=5)  # a link is valid at once even where clocks differ
_KEY_HOURS = timedelta(hours=6)


class StorageUploadLinks:
    """
    The `UploadLinks` port on Blob storage.

    With an account key links are signed by it; with the app's identity by a user delegation key, which is kept until
    it has an hour left.
    """

    def __init__(self, service: BlobServiceClient, now: Clock = now_utc) -> None:
        self._service = service
        self._now = now
        self._key: tuple[UserDelegationKey, datetime] | None = None
        self._ready = False

    def link(self, path: str, seconds: float) -> str:
        """Return a URL that may create and write this one blob for *seconds*. Raises `StorageUnavailable`."""
        self._prepare()
        blob, now = self._blob(path), self._now()
        account_key = getattr(self._service.credential, "account_key", None)
        signature = generate_blob_sas(
            str(self._service.account_name),
            _CONTAINER,
            path,
            account_key=account_key,
            user_delegation_key=None if account_key else self._delegation_key(now),
            permission=BlobSasPermissions(create=True, write=True),
            start=now - _SKEW,
            expiry=now + timedelta(seconds=seconds),
            protocol="https" if blob.url.startswith("https:") else None,
        )
        return f"{blob.url}?{signature}"

    def stage(self, path: str, number: int, content: bytes) -> None:
        """Put one part; parts of one blob are ordered by their number. Raises `StorageUnavailable`."""
        self._prepare()
        try:
            call(partial(self._blob(path).stage_block, _block_id(number), content), writing=True)
        except HttpResponseError as error:
            raise refused(error) from error

    def complete(self, path: str, size: int) -> int | None:
        """Return how many bytes are there, after joining the staged parts if they are *size* bytes together."""
        there = self._size(path)
        if there:
            return there
        blob = self._blob(path)
        try:
            staged = call(partial(blob.get_block_list, "uncommitted"))[1]
            if sum(block.size for block in staged) != size:
                return sum(block.size for block in staged) or there
            names = sorted(str(block.id) for block in staged)
            call(partial(blob.commit_block_list, [BlobBlock(block_id=name) for name in names]), writing=True)
        except ResourceNotFoundError:
            return there
        except HttpResponseError as error:
            raise refused(error) from error
        return self._size(path)

    def _size(self, path: str) -> int | None:
        try:
            return int(call(self._blob(path).get_blob_properties).size)
        except ResourceNotFoundError:
            return None

    def _blob(self, path: str) -> BlobClient:
        return self._service.get_blob_client(_CONTAINER, path)

    def _prepare(self) -> None:
        """Make the container; a link to a missing one would fail in the caller's hands."""
        if self._ready:
            return
        try:
            call(partial(self._service.create_container, _CONTAINER), writing=True)
        except ResourceExistsError:
            pass
        except HttpResponseError as error:
            if code_of(error) != "ContainerAlreadyExists":
                raise refused(error) from error
        self._ready = True

    def _delegation_key(self, now: datetime) -> UserDelegationKey:
        if self._key is None or self._key[1] < now + timedelta(hours=2):
            until = now + _KEY_HOURS
            self._key = (call(partial(self._service.get_user_delegation_key, now - _SKEW, until)), until)
        return self._key[0]


def open_upload_links(settings: Settings, credential: TokenCredential | None) -> StorageUploadLinks:
    """Return the links of the account that *settings* name; makes no call."""
    return StorageUploadLinks(blob_service(StorageAccount.of(settings, credential)))


def _block_id(number: int) -> str:
    """Return a name that sorts by *number*; all of a blob's must have one length."""
    return base64.b64encode(f"part-{number:08d}".encode()).decode()
