"""How stored mail is read from real storage: in a stream, once, and any part from any byte on."""

import base64
import hashlib
import uuid
from collections.abc import Iterator
from dataclasses import replace

import pytest

from shared import stored_mail
from shared.adapters.blob_storage import BLOCK_BYTES, open_blobs
from shared.mail import parsing
from shared.mail.parsed import Mail
from shared.ports import Blobs
from shared.receipts import Receipt, ReceiptStatus
from shared.settings import Settings
from shared.stored_mail import INDEX_SUFFIX, read_attachment, read_mail
from tests.fakes import MemoryBlobStore

pytestmark = pytest.mark.enable_socket

MB = 1024 * 1024
CONTENT = bytes(range(256)) * 4096 * 9
HEAD = (
    b"Subject: big\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nhello\r\n"
    b"--b\r\nContent-Type: a/b; name=big.bin\r\nContent-Transfer-Encoding: base64\r\n\r\n"
)


@pytest.fixture(scope="module", params=["memory", "storage"])
def receipt(request: pytest.FixtureRequest) -> Iterator[tuple[Blobs, Receipt]]:
    """Return a container of each kind with a streamed mail of 12 MB in it, and let that count as a large one."""
    blobs: Blobs = MemoryBlobStore().received
    if request.param == "storage":
        settings: Settings = request.getfixturevalue("storage_settings")
        blobs = open_blobs(settings, None).received
    mime = HEAD + base64.encodebytes(CONTENT).replace(b"\n", b"\r\n") + b"--b--\r\n"
    path = f"grant_1/conn_a/20260302/{uuid.uuid4().hex}/1-0.eml"
    stored = blobs.put_stream(path, (mime[start : start + 300_001] for start in range(0, len(mime), 300_001)))
    assert (len(mime), hashlib.sha256(mime).hexdigest()) == (stored.size, stored.sha256)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parsing, "MAX_WHOLE_BYTES", MB)
        patch.setattr(stored_mail, "MAX_WHOLE_BYTES", MB)
        yield blobs, Receipt("h", "g", ReceiptStatus.STORED, "", blob=path, sha256=stored.sha256, size=stored.size)


def test_a_large_mail_is_taken_apart_once(receipt: tuple[Blobs, Receipt]) -> None:
    """What was found stands beside the mail; where it is missing or damaged it is found again, the same."""
    blobs, mine = receipt
    index = mine.blob + INDEX_SUFFIX
    found = read_mail(blobs, mine)
    assert isinstance(found, Mail)
    assert ("big", "", ("larger_than_25_mb",)) == (found.subject, found.text, found.problems)
    assert ["", "big.bin"] == [item.name for item in found.attachments]
    assert found == read_mail(blobs, mine)
    blobs.delete(index)
    blobs.put(index, b"{damaged")
    assert found == read_mail(blobs, mine)
    blobs.delete(index)


@pytest.mark.parametrize("first", [0, 1, BLOCK_BYTES - 1, BLOCK_BYTES + 5, 9 * MB - 4])
def test_any_piece_of_an_attachment_is_read_alone(receipt: tuple[Blobs, Receipt], first: int) -> None:
    """Wherever it begins, over blocks and checkpoints."""
    blobs, mine = receipt
    mail = read_mail(blobs, mine)
    assert mail is not None
    part = mail.attachments[1]
    assert (len(CONTENT), hashlib.sha256(CONTENT).hexdigest()) == (part.size, part.sha256)
    piece = b"".join(read_attachment(blobs, mine, part, first, first + MB) or ())
    assert CONTENT[first : first + MB + 1] == piece


def test_mail_that_is_gone_has_no_parts(receipt: tuple[Blobs, Receipt]) -> None:
    """Nothing is made up where the blob was removed."""
    blobs, mine = receipt
    mail = read_mail(blobs, mine)
    assert mail is not None
    assert read_attachment(blobs, replace(mine, blob="elsewhere"), mail.attachments[1], 0, 9) is None
