"""What is beyond a connection's limits: the receipt is kept, the body stays in the mailbox, the event tells."""

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest

from shared.connections import Action, AfterFetch, Limits, Run
from shared.events import EventMaker
from shared.fetch import room
from shared.ports import GraphMailbox
from shared.receipts import ReceiptStatus
from shared.schedule import DELIVER
from shared.stored_mail import read_mail
from tests.fakes.graph_reading import mime_of
from tests.fakes.intake import BOX, World
from tests.scenes.delivering import Post

MB = 1024 * 1024
LIMITS = Limits(max_message_mb=2, max_stored_mb_per_day=5)


@pytest.fixture
def world() -> World:
    """Return a fresh mailbox."""
    return World()


def mails_of(world: World, sizes: dict[str, int], told: list[int] | None = None) -> None:
    """Let mails of these sizes arrive whose size the list does not tell; *told* collects the bytes that went."""

    def stream(mailbox: GraphMailbox, message_id: str) -> Iterator[bytes]:
        for _ in range(sizes[message_id] * 4):
            if told is not None:
                told.append(MB // 4)
            yield b"x" * (MB // 4)

    world.graph.content_stream = stream  # type: ignore[method-assign]
    for name in sizes:
        world.graph.arrive(name, size=None)


def event_of(world: World, key: str, name: str) -> Any:
    """Return the event of a mail."""
    receipt = world.receipt(key, name)
    mail = read_mail(world.blobs.received, receipt)
    assert mail is not None
    connection = world.turns.look(BOX).connections[key]
    return EventMaker("https://mail.example", lambda: b"k" * 32).message_received(connection, receipt, mail)


@pytest.mark.parametrize("size", [2 * MB + 1, None])
def test_a_mail_over_the_limit_keeps_its_receipt_only(world: World, size: int | None) -> None:
    """Whether the list told its size or not; it is not marked or moved, and is announced as not stored."""
    key = world.connect(limits=LIMITS, after_fetch=AfterFetch(Action.DELETE))
    mails_of(world, {"big": 3})
    world.graph.change("big", lambda item: replace(item, size=size))
    world.go(key)
    receipt = world.receipt(key, "big")
    assert (ReceiptStatus.STORED, "", room.MESSAGE_LIMIT) == (receipt.status, receipt.blob, receipt.not_stored)
    assert {} == world.blobs.received.contents
    assert (1, 0, []) == (len(world.rows(key, "wd")), len(world.rows(key, "wa")), world.graph.moves)
    assert [key] == [body["id"] for body in world.woken(DELIVER)]
    data = event_of(world, key, "big")["data"]
    assert ("not_stored", room.MESSAGE_LIMIT, None, []) == (
        data["content"],
        data["content_reason"],
        data["raw"],
        data["attachments"],
    )
    assert ("subject of big", "partial") == (data["message"]["subject"], data["message"]["parsed"])


def test_a_download_ends_at_the_limit(world: World) -> None:
    """A mail that is larger than was told is not read to its end, and counts for nothing."""
    key = world.connect(limits=LIMITS)
    went: list[int] = []
    mails_of(world, {"endless": 1000}, went)
    world.go(key)
    assert sum(went) <= 2 * MB + MB // 4
    assert 0 == world.run(key).stored_bytes


def test_a_day_brings_no_more_than_its_limit(world: World) -> None:
    """The sum is kept over runs, by storage's day, and a new day begins at nothing."""
    key = world.connect(limits=LIMITS)
    for name in "abc":
        mails_of(world, {name: 2})
        world.go_on(key)
    assert ["", "", room.DAY_LIMIT] == [world.receipt(key, name).not_stored for name in "abc"]
    assert ("2026-03-02", 4 * MB) == (world.run(key).stored_day, world.run(key).stored_bytes)
    world.graph.arrive("small", size=400)
    world.go_on(key)
    assert "" == world.receipt(key, "small").not_stored
    world.clock.advance(86400)
    mails_of(world, {"d": 2})
    world.go_on(key)
    assert ("", 2 * MB) == (world.receipt(key, "d").not_stored, world.run(key).stored_bytes)


def test_small_mails_count_too(world: World) -> None:
    """What came by batch is summed up; a broken put takes nothing of the day."""
    key = world.connect(limits=LIMITS)
    world.graph.arrive("a", "b")
    world.go(key)
    assert len(mime_of("a")) + len(mime_of("b")) == world.run(key).stored_bytes


def test_a_day_that_ends_short_gives_back_what_failed() -> None:
    """An error of the source, of storage, or a reader that stops, leaves the sum as it was."""
    run = Run("conn_x")
    counter = room.Room(LIMITS, run, World().clock())
    chunks = counter.through(iter([b"x" * MB, b"x" * MB]))
    next(chunks)
    chunks.close()  # type: ignore[attr-defined]
    with suppress(OSError), counter.counted(MB) as limit:
        assert "" == limit
        raise OSError
    assert run == counter.noted(run)
    assert ["", room.MESSAGE_LIMIT] == [counter.beyond(2 * MB), counter.beyond(2 * MB + 1)]


def test_what_is_not_stored_is_announced_once() -> None:
    """The receiver gets the event, and the receipt is delivered with its reason."""
    post = Post(limits=LIMITS)
    post.world.graph.arrive("big", size=3 * MB)
    post.world.go(post.key)
    post.go()
    ((_, body, _),) = post.receiver.got
    data = json.loads(body)["data"]
    assert ("not_stored", room.MESSAGE_LIMIT, "subject of big") == (
        data["content"],
        data["content_reason"],
        data["message"]["subject"],
    )
    receipt = post.world.receipt(post.key, "big")
    assert (ReceiptStatus.DELIVERED, room.MESSAGE_LIMIT) == (receipt.status, receipt.not_stored)
