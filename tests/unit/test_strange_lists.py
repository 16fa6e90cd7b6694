"""A list of which one row cannot be read shows all others, and goes on behind it."""

from datetime import timedelta

import pytest

from shared.outbox.rows import entry_key, work_key
from shared.outbox.work import Status
from shared.ports import ANY, Update
from shared.received import Received, Wanted
from shared.run_lists import RunLists
from shared.run_log import partition_of
from shared.send.entries import Entries
from shared.send.entries import Wanted as WantedEntries
from tests.fakes.intake import World
from tests.scenes.sending import Sending

STRANGE = {"status": "of a newer version"}


def entries_of(world: Sending, wanted: WantedEntries) -> list[str]:
    """Return the ids on all pages of a list."""
    found: list[str] = []
    for _ in range(9):
        page = Entries(world.tables.outbox, world.clock).page(world.connection.id, wanted)
        found += [entry.id for entry in page.entries]
        if page.next_cursor is None:
            return found
        wanted = WantedEntries(wanted.limit, page.next_cursor, wanted.status, subject=wanted.subject)
    raise AssertionError("a list without end")


@pytest.mark.parametrize(
    ("wanted", "field"),
    [
        (WantedEntries(limit=2), "to"),
        (WantedEntries(limit=2, status=Status.QUEUED), "to"),
        (WantedEntries(limit=2, subject="a"), "to"),
    ],
)
def test_an_entry_that_cannot_be_read_is_left_out(wanted: WantedEntries, field: str) -> None:
    """Whatever the list is asked for, it holds the others, each once."""
    world = Sending()
    ids = [world.accept() for _ in range(5)]
    subject = world.entry(ids[0]).subject
    wanted = WantedEntries(wanted.limit, status=wanted.status, subject=subject[:1] if wanted.subject else "")
    world.tables.outbox.commit(world.connection.id, [Update(entry_key(ids[2]), {field: "no list"}, ANY)])

    assert sorted({*ids} - {ids[2]}) == sorted(entries_of(world, wanted))


def test_an_entry_whose_progress_cannot_be_read_is_shown_as_it_was() -> None:
    """Its own row says enough; among those of one status it is left out."""
    world = Sending()
    ids = [world.accept() for _ in range(3)]
    world.tables.outbox.commit(world.connection.id, [Update(work_key(ids[1]), STRANGE, ANY)])

    assert sorted(ids) == sorted(entries_of(world, WantedEntries(limit=2)))
    assert sorted({ids[0], ids[2]}) == sorted(entries_of(world, WantedEntries(limit=2, status=Status.QUEUED)))


@pytest.fixture
def intake() -> tuple[World, str]:
    """Return a mailbox of which three mails were fetched in three runs, and its connection's id."""
    world = World()
    key = world.connect()
    for name in "abc":
        world.graph.arrive(name)
        world.go_on(key)
        world.clock.advance(timedelta(minutes=10).total_seconds())
    return world, key


def test_a_run_that_cannot_be_read_is_left_out(intake: tuple[World, str]) -> None:
    """The log shows the others."""
    world, key = intake
    lists = RunLists(world.tables, world.clock)
    before = len(lists.page(key, 50).items)
    partition = partition_of(key, f"{world.clock():%Y%m%d}")
    row = world.tables.log.read(partition, "0", "~").rows[1]
    world.tables.log.commit(partition, [Update(row.key, {"fault": "[" * 2000}, ANY)])

    assert (3, 2) == (before, len(lists.page(key, 50).items))


def test_received_mail_that_cannot_be_read_is_left_out(intake: tuple[World, str]) -> None:
    """The list shows the others."""
    world, key = intake
    received = Received(
        world.tables, world.blobs.received, world.wakeups, lambda: b"k", "https://x.example", world.clock
    )
    before = len(received.page(key, 50, "", Wanted()).items)
    row = world.tables.receipts.read(key, "m|", "m~").rows[0]
    world.tables.receipts.commit(key, [Update(row.key, STRANGE, ANY)])

    assert (3, 2) == (before, len(received.page(key, 50, "", Wanted()).items))
