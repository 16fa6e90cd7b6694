"""What every form of the `UploadLinks` port promises: the in-memory one, and Blob storage with its signed links."""

import uuid
from dataclasses import dataclass
from datetime import timedelta

import httpx
import pytest

from shared.adapters.blob_storage import blob_service, open_blobs
from shared.adapters.storage_account import StorageAccount
from shared.adapters.upload_links import StorageUploadLinks, open_upload_links
from shared.ports import Blobs, UploadLinks
from shared.settings import Settings
from shared.times import now_utc
from tests.fakes import MemoryBlobs
from tests.fakes.links import MemoryLinks

pytestmark = pytest.mark.enable_socket

PUT = {"x-ms-blob-type": "BlockBlob"}


@dataclass
class Form:
    """One form of the port, and the container that the drain reads."""

    links: UploadLinks
    blobs: Blobs


@pytest.fixture(params=["memory", "storage"])
def form(request: pytest.FixtureRequest) -> Form:
    """Return each form of the port."""
    if request.param == "memory":
        blobs = MemoryBlobs()
        return Form(MemoryLinks(blobs), blobs)
    return stored(request.getfixturevalue("storage_settings"))


def stored(settings: Settings) -> Form:
    """Return the form on Blob storage."""
    return Form(open_upload_links(settings, None), open_blobs(settings, None).uploads)


@pytest.fixture
def path() -> str:
    """Return a path of the test's own."""
    return f"conn_a/{uuid.uuid4().hex}"


def test_nothing_is_there_before_it_was_put(form: Form, path: str) -> None:
    """An announced file is not a file."""
    form.links.link(path, 60)

    assert form.links.complete(path, 5) is None


def test_parts_are_joined_in_the_order_of_their_numbers(form: Form, path: str) -> None:
    """Whatever order they came in, and repeated as often as a caller likes."""
    for number, content in ((10, b"c"), (2, b"x"), (1, b"aa"), (2, b"bb")):
        form.links.stage(path, number, content)

    assert [5, 5] == [form.links.complete(path, 5) for _ in range(2)]
    assert b"aabbc" == form.blobs.get(path)


def test_parts_that_are_not_all_there_wait(form: Form, path: str) -> None:
    """The answer says how much there is; the rest may still come."""
    form.links.stage(path, 1, b"aa")
    assert 2 == form.links.complete(path, 5)
    form.links.stage(path, 2, b"bbb")

    assert 5 == form.links.complete(path, 5)
    assert b"aabbb" == form.blobs.get(path)


def test_a_link_puts_a_file_straight_into_storage(storage_settings: Settings, path: str) -> None:
    """One PUT by someone who knows nothing but the link."""
    form = stored(storage_settings)
    answer = httpx.put(form.links.link(path, 60), content=b"12345", headers=PUT, trust_env=False, timeout=30)

    assert 201 == answer.status_code, answer.text
    assert (5, b"12345") == (form.links.complete(path, 5), form.blobs.get(path))


def test_a_link_reads_and_lists_nothing_and_names_one_blob(storage_settings: Settings, path: str) -> None:
    """Its holder can do no more than what it was made for."""
    link = stored(storage_settings).links.link(path, 60)
    httpx.put(link, content=b"12345", headers=PUT, trust_env=False, timeout=30)

    refused = [
        httpx.get(link, trust_env=False, timeout=30),
        httpx.delete(link, trust_env=False, timeout=30),
        httpx.put(link.replace(path, f"{path}x"), content=b"1", headers=PUT, trust_env=False, timeout=30),
    ]
    assert [403, 403, 403] == [answer.status_code for answer in refused]


def test_a_link_ends(storage_settings: Settings, path: str) -> None:
    """After its time it is worth nothing."""
    service = blob_service(StorageAccount.of(storage_settings, None))
    yesterday = StorageUploadLinks(service, lambda: now_utc() - timedelta(days=1))

    answer = httpx.put(yesterday.link(path, 3600), content=b"1", headers=PUT, trust_env=False, timeout=30)
    assert 403 == answer.status_code
