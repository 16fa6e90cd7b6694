"""Messages that were given up: told once, and fetched again when a person asks."""

from dataclasses import replace
from datetime import timedelta

import pytest

from shared.connections import connection_key
from shared.errors import Conflict, ItemFault, MailboxFault, NotFound, StorageUnavailable, Unreachable
from shared.identifiers import shard_of
from shared.notices import EventType
from shared.ports import Update, Upsert
from shared.receipts import REFETCH, ReceiptStatus, Work, hash_of, public_id
from shared.refetching import Refetching
from shared.rows import encode
from shared.schedule import DELIVER
from tests.fakes.graph_reading import mime_of
from tests.fakes.intake import BOX, World


@pytest.fixture
def world() -> World:
    """Return a fresh mailbox."""
    return World()


def given_up(world: World) -> str:
    """Return a connection with one quarantined message, ``a``, and one stored, ``b``."""
    key = world.connect()
    world.graph.arrive("a", "b")
    world.graph.items["a"] = [Unreachable("HTTP 500") for _ in range(20)]
    world.go(key)
    for _ in range(8):
        world.clock.advance(6 * 3600)
        world.go(key)
    assert ReceiptStatus.QUARANTINED == world.receipt(key, "a").status
    world.graph.items.clear()
    return key


def refetching(world: World) -> Refetching:
    """Return the service on the fakes."""
    return Refetching(world.tables, world.wakeups)


def told(world: World, key: str, partition: str, prefix: str) -> list[str]:
    """Return the types of the notices that stand in rows."""
    table = world.tables.receipts if partition == key else world.tables.connections
    return [str(row.values["type"]) for row in table.read(partition, prefix, prefix + "~").rows if "type" in row.values]


def test_a_message_given_up_is_told_once_and_named(world: World) -> None:
    """The notice stands in the receipt's own transaction; the deliverer is woken, and its due row made sure of."""
    key = given_up(world)
    rows = world.tables.receipts.read(key, "we|", "we~").rows
    (row,) = rows
    assert (EventType.MESSAGE_QUARANTINED.value, public_id(key, hash_of("a"))) == (
        row.values["type"],
        row.values["subject"],
    )
    assert [key, key] == [body["id"] for body in world.woken(DELIVER)]
    assert DELIVER in {due.kind for due in world.due_rows()}


def test_a_person_has_it_fetched_again(world: World) -> None:
    """At once, with the same receipt, and delivered like any other."""
    key = given_up(world)
    refetching(world).retry(public_id(key, hash_of("a")))
    assert ReceiptStatus.RETRYING == world.receipt(key, "a").status
    world.go(key)
    receipt = world.receipt(key, "a")
    assert (ReceiptStatus.STORED, mime_of("a")) == (receipt.status, world.blobs.received.contents[receipt.blob])
    assert ([], 2, False) == (world.rows(key, "wf"), len(world.rows(key, "wd")), world.run(key).pending)


def test_a_retry_that_fails_again_has_all_its_tries_anew(world: World) -> None:
    """And is given up again, and told again, only after them."""
    key = given_up(world)
    world.graph.items["a"] = [Unreachable("HTTP 500") for _ in range(20)]
    refetching(world).retry(public_id(key, hash_of("a")))
    world.go(key)
    assert ReceiptStatus.RETRYING == world.receipt(key, "a").status
    for _ in range(8):
        world.clock.advance(6 * 3600)
        world.go(key)
    assert ReceiptStatus.QUARANTINED == world.receipt(key, "a").status
    assert 2 == len(world.rows(key, "we"))


def test_a_retry_brings_forward_what_waits(world: World) -> None:
    """There is one work row, whoever asked for it, so that nothing is fetched twice."""
    key = world.connect()
    world.graph.arrive("a")
    world.graph.items["a"] = [Unreachable("HTTP 500")]
    world.go(key)
    for _ in range(2):
        refetching(world).retry(public_id(key, hash_of("a")))
    assert 1 == len(world.rows(key, "wf"))
    world.go(key)
    assert ReceiptStatus.STORED == world.receipt(key, "a").status
    assert 1 == len(world.blobs.received.contents)


def test_a_retry_that_died_halfway_is_made_up_for_by_a_repeat(world: World) -> None:
    """The receipt says retrying, but nobody was told to look; asking again tells them."""
    key = given_up(world)
    world.tables.connections.failures.plan("commit")
    with pytest.raises(StorageUnavailable):
        refetching(world).retry(public_id(key, hash_of("a")))
    refetching(world).retry(public_id(key, hash_of("a")))
    world.go(key)
    assert ReceiptStatus.STORED == world.receipt(key, "a").status


def test_work_for_mail_that_is_stored_is_dropped(world: World) -> None:
    """Its receipt has decided; a second content is never put in the place of the first."""
    key = given_up(world)
    refetching(world).retry(public_id(key, hash_of("a")))
    row = world.rows(key, "wf")[0]
    world.go(key)
    before = world.receipt(key, "a")
    world.tables.receipts.commit(key, [Upsert(row, {"attempts": 0})])
    run = world.run(key)
    values = encode(replace(run, pending=True))
    world.tables.connections.commit(shard_of(BOX), [Update(f"b|{BOX}|run|{key}", values, "*")])
    world.go_on(key)
    assert (before, []) == (world.receipt(key, "a"), world.rows(key, "wf"))


def test_what_cannot_be_fetched_again_is_said(world: World) -> None:
    """Stored mail, unknown mail, and a disabled connection."""
    key = given_up(world)
    service = refetching(world)
    with pytest.raises(Conflict, match="redeliver"):
        service.retry(public_id(key, hash_of("b")))
    for unknown in (public_id(key, hash_of("none")), "rcv_nothing", public_id(key[:-1] + "0", hash_of("a"))):
        with pytest.raises(NotFound):
            service.retry(unknown)
    connection = world.turns.look(BOX).connections[key]
    values = encode(replace(connection, enabled=False))
    world.tables.connections.commit(shard_of(BOX), [Update(connection_key(key), values, "*")])
    with pytest.raises(Conflict, match="Enable"):
        service.retry(public_id(key, hash_of("a")))


def test_a_connection_that_fails_for_a_day_and_one_that_works_again_are_told(world: World) -> None:
    """Once each, in the transaction of the run's record."""
    key = world.connect()
    prefix = f"b|{BOX}|evt|{key}|"
    for _ in range(50):
        world.graph.failures.plan("page", MailboxFault("denied"))
    while not world.run(key).stopped:
        world.go_on(key)
    types = told(world, key, shard_of(BOX), prefix)
    assert ([EventType.CONNECTION_FAILED.value], True) == (types, world.run(key).alarmed)
    assert key in [body["id"] for body in world.woken(DELIVER)]
    world.graph.failures = type(world.graph.failures)()
    while world.run(key).stopped:
        world.go_on(key)
    assert [EventType.CONNECTION_FAILED.value, EventType.CONNECTION_RECOVERED.value] == sorted(
        told(world, key, shard_of(BOX), prefix)
    )
    world.go_on(key)
    assert 2 == len(told(world, key, shard_of(BOX), prefix))


def test_a_message_that_is_gone_is_no_alarm(world: World) -> None:
    """Somebody deleted it before it could be fetched."""
    key = world.connect()
    world.graph.arrive("a")
    world.graph.items["a"] = [ItemFault("gone") for _ in range(20)]
    world.go(key)
    for _ in range(8):
        world.clock.advance(6 * 3600)
        world.go(key)
    assert (ReceiptStatus.SKIPPED, []) == (world.receipt(key, "a").status, world.rows(key, "we"))


def test_however_many_wait_to_be_fetched_again_a_retry_reads_no_more_than_it_may(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message's own work is sought among those due first, a page at a time; one behind them does no harm."""
    monkeypatch.setattr("shared.refetching.PAGE", 10)
    monkeypatch.setattr("shared.refetching.SOUGHT", 30)
    key = world.connect()
    world.graph.arrive("a")
    world.graph.items["a"] = [Unreachable("HTTP 500")]
    world.go(key)
    assert ReceiptStatus.RETRYING == world.receipt(key, "a").status
    reads = []
    for first in (0, 100):
        for number in range(first, first + 100):
            work = Work(REFETCH, world.clock() + timedelta(seconds=30 * (number % 2)), hash_of(f"m{number}"), 1)
            world.tables.receipts.commit(key, [work.insert()])
        before = world.tables.receipts.calls["read"]
        refetching(world).retry(public_id(key, hash_of("a")))
        reads.append(world.tables.receipts.calls["read"] - before)
        world.clock.advance(1)
    assert [3, 3] == reads
    for _ in range(3):
        world.clock.advance(3600)
        world.go_on(key)

    assert (ReceiptStatus.STORED, []) == (world.receipt(key, "a").status, world.rows(key, "wf"))
