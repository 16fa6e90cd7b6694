"""One mail erased on request: content, names and work go, and its key keeps it from ever coming back."""

import pytest

from shared.erasure import Erasure
from shared.errors import NotFound, StorageUnavailable
from shared.receipts import ReceiptStatus, hash_of, public_id, receipt_key
from tests.fakes.intake import World


@pytest.fixture
def world() -> World:
    """Return a mailbox with two messages."""
    made = World()
    made.graph.arrive("a", "b")
    return made


def erasure(world: World) -> Erasure:
    """Return the use case on the fakes."""
    return Erasure(world.tables, world.blobs.received)


def test_an_erased_mail_leaves_its_key_alone(world: World) -> None:
    """Nothing personal and no work is left of it, the other mail stands, a repeat is no error, no walk takes it."""
    key = world.connect()
    world.go(key)
    receipt_id = public_id(key, hash_of("a"))
    erasure(world).erase(receipt_id)
    erasure(world).erase(receipt_id)
    world.graph.generation += 1
    world.go_on(key)

    receipt = world.receipt(key, "a")
    assert (ReceiptStatus.EXPIRED, "", "", "", "") == (
        receipt.status,
        receipt.blob,
        receipt.subject,
        receipt.sender,
        receipt.graph_id,
    )
    assert [hash_of("b")] == [path.split("/")[3] for path in world.blobs.received.contents]
    assert [hash_of("b")] == [row.rpartition("|")[2] for row in world.rows(key, "wd")]


@pytest.mark.parametrize("table", ["receipts", "blobs"])
@pytest.mark.parametrize("at", range(1, 8))
def test_an_erasure_that_dies_is_repeated(world: World, table: str, at: int) -> None:
    """Whatever call dies, the repeat finds the mail and finishes."""
    key = world.connect()
    world.go(key)
    fake = world.tables.receipts.failures if table == "receipts" else world.blobs.received.failures
    seen = 0

    def fail(method: str) -> None:
        nonlocal seen
        seen += 1
        if seen == at:
            fake.plan(method)

    fake.before = fail
    for _ in range(2):
        try:
            erasure(world).erase(public_id(key, hash_of("a")))
        except StorageUnavailable:
            continue
    fake.before = None

    assert ("", 1) == (world.receipt(key, "a").blob, len(world.blobs.received.contents))
    assert [hash_of("b")] == [row.rpartition("|")[2] for row in world.rows(key, "wd")]


def test_what_never_was_cannot_be_erased(world: World) -> None:
    """An unknown or malformed id is not found."""
    key = world.connect()
    for wrong in (public_id(key, hash_of("zzz")), "rcv_x", "", receipt_key(hash_of("a"))):
        with pytest.raises(NotFound):
            erasure(world).erase(wrong)
