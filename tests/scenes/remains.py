"""Everything that a run of the product left behind, as text that can be searched."""

import re
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

from azure.data.tables import TableServiceClient
from azure.storage.blob import BlobServiceClient
from azure.storage.queue import QueueServiceClient, TextBase64DecodePolicy

Text = tuple[str, str]
"""Where a text stood, and the text."""

# What is secret by its form, whoever made it: a signed token or assertion, and a key in PEM.
SHAPES = {"token": re.compile(r"eyJ[\w-]{8,}\.eyJ[\w-]{8,}"), "private key": re.compile("PRIVATE KEY")}
_LOOK_SECONDS = 0.2


def rows(storage: str) -> Iterator[Text]:
    """Return every row of every table."""
    with TableServiceClient.from_connection_string(storage) as service:
        for table in service.list_tables():
            for entity in service.get_table_client(table.name).list_entities():
                yield f"table {table.name}", repr(dict(entity))


def blobs(storage: str) -> Iterator[Text]:
    """Return every blob of every container, its name and metadata in front."""
    with BlobServiceClient.from_connection_string(storage) as service:
        for container in service.list_containers():
            client = service.get_container_client(container.name)
            for blob in client.list_blobs(include=["metadata"]):
                content = client.download_blob(blob.name).readall().decode("utf-8", "replace")
                yield f"blob {container.name}", f"{blob.name} {blob.metadata} {content}"


@contextmanager
def queues_watched(storage: str) -> Iterator[set[Text]]:
    """Fill the set that is lent with the messages that can be seen in any queue, decoded, until the block ends."""
    seen: set[Text] = set()
    stopping = threading.Event()
    with QueueServiceClient.from_connection_string(storage) as service:
        names = [queue.name for queue in service.list_queues()]
        decoded = TextBase64DecodePolicy()
        clients = [service.get_queue_client(name, message_decode_policy=decoded) for name in names]

        def watch() -> None:
            while not stopping.wait(_LOOK_SECONDS):
                for client in clients:
                    found = client.peek_messages(max_messages=32)
                    seen.update((f"queue {client.queue_name}", str(message.content)) for message in found)

        thread = threading.Thread(target=watch, name="queues", daemon=True)
        thread.start()
        try:
            yield seen
        finally:
            stopping.set()
            thread.join()


def places(values: Mapping[str, str], texts: Iterable[Text]) -> dict[str, set[str]]:
    """Return the names of those *values* that stand somewhere in *texts*, with where they stand."""
    found: dict[str, set[str]] = {}
    for place, text in texts:
        for name, value in values.items():
            if value in text:
                found.setdefault(name, set()).add(place)
    return found


def shapes(texts: Iterable[Text]) -> set[tuple[str, str]]:
    """Return what in *texts* has the form of a secret, with where it stands."""
    return {(name, place) for place, text in texts for name, shape in SHAPES.items() if shape.search(text)}
