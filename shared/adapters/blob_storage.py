"""Blobs in Azure Blob storage: written once, streamed in bounded memory."""

import hashlib
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from typing import Any

from azure.core import MatchConditions
from azure.core.credentials import TokenCredential
from azure.core.exceptions import HttpResponseError, ResourceExistsError, ResourceModifiedError, ResourceNotFoundError
from azure.storage.blob import BlobBlock, BlobClient, BlobServiceClient, ContainerClient, StorageStreamDownloader

from shared.adapters.storage_account import TIMEOUTS, StorageAccount, call, code_of, refused, transport
from shared.identifiers import new_ulid
from shared.ports import StoredBlob
from shared.settings import Settings

BLOCK_BYTES = 4 * 1024 * 1024
_WRITER = "writer"
# A repeated write is safe here: a blob is only ever made, and its maker is written on it.
_RETRIES = {"retry_total": 3, "initial_backoff": 1, "increment_base": 2, "random_jitter_range": 1}


class StorageBlobs:
    """One container, see the port; makes the container itself where it is missing. Thread-safe."""

    def __init__(self, container: ContainerClient) -> None:
        self._container = container

    def put(self, path: str, content: bytes) -> bool:
        """Write a blob unless one is there; return whether this call made it. Raises `StorageUnavailable`."""
        writer = new_ulid()
        upload = partial(self._container.upload_blob, path, content, overwrite=False, metadata={_WRITER: writer})
        made = self._make(path, writer, upload)
        if made is None:
            # Only blocks of a broken stream wait there: the emulator takes them for a blob, a block list does not.
            client = self._container.get_blob_client(path)
            made = self._commit(client, writer, [self._stage(client, writer, 0, content)])
        return made

    def put_stream(self, path: str, chunks: Iterator[bytes]) -> StoredBlob:
        """Write a blob from *chunks* in blocks of 4 MiB unless one is there. Raises `StorageUnavailable`."""
        writer, digest, size = new_ulid(), hashlib.sha256(), 0
        client = self._container.get_blob_client(path)
        staged: list[BlobBlock] = []
        last = b""
        for block in _blocks(chunks):
            if last:
                staged.append(self._stage(client, writer, len(staged), last))
            digest.update(block)
            size += len(block)
            last = block
        if staged:
            staged.append(self._stage(client, writer, len(staged), last))
            self._commit(client, writer, staged)
        else:
            self.put(path, last)
        return StoredBlob(size, digest.hexdigest())

    def get(self, path: str) -> bytes | None:
        """Return the content, or None where there is no such blob. Raises `StorageUnavailable`."""
        found = self._download(path, None, None)
        return None if found is None else bytes(call(found.readall))

    def chunks(self, path: str, first: int = 0, last: int | None = None) -> Iterator[bytes] | None:
        """Return a range in chunks of at most 4 MiB, or None if there is no blob. Raises `StorageUnavailable`."""
        try:
            found = self._download(path, first, None if last is None else last - first + 1)
        except _RangeBeyondEndError:
            return iter(())
        return None if found is None else _guarded(found)

    def delete(self, path: str) -> None:
        """Remove the blob; no error where there is none. Raises `StorageUnavailable`."""
        try:
            call(partial(self._container.delete_blob, path), writing=True)
        except ResourceNotFoundError:
            return
        except HttpResponseError as error:
            raise refused(error) from error

    def names(self, prefix: str) -> Iterator[str]:
        """Yield the paths that begin with *prefix*. Raises `StorageUnavailable`."""
        found = self._container.list_blob_names(name_starts_with=prefix)
        try:
            while (name := call(partial(next, found, None))) is not None:
                yield str(name)
        except ResourceNotFoundError:
            return  # no container yet
        except HttpResponseError as error:
            raise refused(error) from error

    def _make(self, path: str, writer: str, write: Callable[[], Any]) -> bool | None:
        """
        Tell whether *write* made the blob, even where only a repeat after a lost answer said that it is there.

        None: the write was refused, and yet there is no blob.
        """
        try:
            self._prepared(write)
        except (ResourceExistsError, ResourceModifiedError):
            found = self._writer(path)
            return None if found is None else found == writer
        except HttpResponseError as error:
            raise refused(error) from error
        return True

    def _commit(self, client: BlobClient, writer: str, blocks: list[BlobBlock]) -> bool:
        condition = MatchConditions.IfMissing
        commit = partial(client.commit_block_list, blocks, metadata={_WRITER: writer}, match_condition=condition)
        return bool(self._make(client.blob_name, writer, commit))

    def _writer(self, path: str) -> str | None:
        client = self._container.get_blob_client(path)
        try:
            return str(call(client.get_blob_properties).metadata.get(_WRITER, ""))
        except ResourceNotFoundError:
            return None

    def _stage(self, client: BlobClient, writer: str, number: int, content: bytes) -> BlobBlock:
        # Blocks of another writer of the same path wait beside ours, so their names must differ.
        name = b64encode(f"{writer}{number:06d}".encode()).decode()
        try:
            self._prepared(partial(client.stage_block, name, content))
        except HttpResponseError as error:
            raise refused(error) from error
        return BlobBlock(block_id=name)

    def _download(self, path: str, first: int | None, length: int | None) -> StorageStreamDownloader[bytes] | None:
        try:
            return call(lambda: self._container.download_blob(path, offset=first, length=length))
        except ResourceNotFoundError:
            return None
        except HttpResponseError as error:
            if error.status_code == 416:
                raise _RangeBeyondEndError from error
            raise refused(error) from error

    def _prepared(self, write: Callable[[], Any]) -> Any:
        """Return what *write* returns; make the container and write again where there is none."""
        try:
            return call(write, writing=True)
        except ResourceNotFoundError as error:
            if code_of(error) != "ContainerNotFound":
                raise
            with suppress(ResourceExistsError):
                call(self._container.create_container, writing=True)
            return call(write, writing=True)


class StorageBlobStore:
    """The containers of the product in one storage account; connects on first use."""

    def __init__(self, account: StorageAccount) -> None:
        service = blob_service(account)
        self.received = StorageBlobs(service.get_container_client("received"))
        self.outbox = StorageBlobs(service.get_container_client("outbox"))
        self.uploads = StorageBlobs(service.get_container_client("uploads"))


def open_blobs(settings: Settings, credential: TokenCredential | None) -> StorageBlobStore:
    """Return the containers of the account that *settings* name; makes no call."""
    return StorageBlobStore(StorageAccount.of(settings, credential))


def blob_service(account: StorageAccount) -> BlobServiceClient:
    """Return a client of *account*'s blobs; makes no call."""
    options: dict[str, Any] = {
        "transport": transport(),
        "max_single_get_size": BLOCK_BYTES,
        "max_chunk_get_size": BLOCK_BYTES,
        "max_block_size": BLOCK_BYTES,
        **TIMEOUTS,
        **_RETRIES,
    }
    if account.connection_string:
        return BlobServiceClient.from_connection_string(account.connection_string, **options)
    return BlobServiceClient(account.url("blob"), credential=account.credential, **options)


def _blocks(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Yield *chunks* cut anew into blocks of 4 MiB, the last one shorter."""
    waiting = bytearray()
    for chunk in chunks:
        waiting += chunk
        while len(waiting) >= BLOCK_BYTES:
            yield bytes(waiting[:BLOCK_BYTES])
            del waiting[:BLOCK_BYTES]
    if waiting:
        yield bytes(waiting)


def _guarded(found: StorageStreamDownloader[bytes]) -> Iterator[bytes]:
    chunks = found.chunks()
    while (chunk := call(partial(next, chunks, None))) is not None:
        yield chunk


class _RangeBeyondEndError(Exception):
    """The range begins where the blob has ended."""
