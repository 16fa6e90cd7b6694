"""A row that cannot be read, damaged or of a newer version: nothing is lost by it, and it holds up nothing else."""

from datetime import timedelta

import pytest

from shared.connections import connection_key
from shared.errors import Unreachable
from shared.identifiers import receipt_id
from shared.keeping.contents import HELD
from shared.outbox.rows import TIMED_FIRST, entry_key, ulid_of, work_key
from shared.outbox.work import Status
from shared.ports import ANY, Delete, Insert, Update
from shared.receipts import DELIVER, REFETCH, ReceiptStatus, hash_of, receipt_key
from shared.send.batch import PAGE
from shared.times import to_key
from tests.fakes.intake import World
from tests.scenes.administration import Administration
from tests.scenes.delivering import Post
from tests.scenes.sending import Sending
from tests.unit.test_keeping import House
from tests.unit.test_keeping_deleted import blobs, incoming, outgoing
from tests.unit.test_send_aftercare import orphan

STRANGE = {"status": "of a newer version"}


def damage(house: House, identifier: str) -> None:
    """Let the receipt of a message say what this version does not understand."""
    key = receipt_key(hash_of(identifier))
    house.admin.tables.receipts.commit(house.connection.id, [Update(key, STRANGE, ANY)])


@pytest.fixture
def admin() -> Administration:
    """Return an administration in which Contoso has consented."""
    made = Administration()
    made.consented()
    return made


def test_content_whose_receipt_cannot_be_read_is_no_orphan() -> None:
    """The sweep leaves it alone: it may be mail that is still to be delivered."""
    house = House(retention_days=30)
    house.mail("strange")
    damage(house, "strange")
    house.days(5)

    assert house.blob("strange")


def test_content_goes_after_the_retention_whatever_its_receipt_says() -> None:
    """What was promised to be removed is removed."""
    house = House()
    house.mail("strange")
    damage(house, "strange")
    house.days(6)

    assert not house.blob("strange")


def test_content_that_was_held_goes_after_its_week_whatever_its_receipt_says() -> None:
    """The day under which it lies is not looked through again, so its receipt's own word leads to it."""
    house = House()
    house.mail("strange", work=True)
    house.days(4)
    assert house.blob("strange")
    damage(house, "strange")
    table, connection_id = house.admin.tables.receipts, house.connection.id
    (work,) = table.read(connection_id, f"{DELIVER}|", f"{DELIVER}~").rows
    table.commit(connection_id, [Delete(work.key)])
    house.days(8)

    assert not house.blob("strange")


def test_held_work_that_is_none_does_not_stop_housekeeping() -> None:
    """The day's other mail goes as ever."""
    house = House()
    house.mail("old")
    house.admin.tables.receipts.commit(house.connection.id, [Insert(f"{HELD}|nonsense|x", {})])
    house.days(4)

    assert not house.blob("old")


def test_a_receipt_that_cannot_be_read_is_forgotten_in_the_end() -> None:
    """After the time that receipts are kept no row of it is left."""
    house = House()
    house.mail("strange")
    damage(house, "strange")
    house.days(3)
    house.admin.clock.advance(timedelta(days=401).total_seconds())
    house.days(2)

    assert house.admin.tables.receipts.get(house.connection.id, receipt_key(hash_of("strange"))) is None


@pytest.mark.parametrize("row", [f"{DELIVER}|nonsense|x", f"{REFETCH}|nonsense|x", receipt_key(hash_of("open"))])
def test_a_deleted_connection_is_purged_whatever_its_rows_say(admin: Administration, row: str) -> None:
    """Work that is none is passed by; mail whose receipt is none counts as not taken."""
    connection = incoming(admin)
    table = admin.tables.receipts
    table.commit(connection.id, [Update(row, STRANGE, ANY) if row.startswith("m|") else Insert(row, {})])
    admin.changes.delete(connection.id, discard=True)
    admin.pass_time(901)

    assert 0 == blobs(admin)
    assert [] == [key for _, key in table.everything() if key == row and not row.startswith("m|")]


def test_progress_of_a_deleted_connection_that_cannot_be_read_holds_up_the_purge_for_a_day(
    admin: Administration,
) -> None:
    """Nobody can end such a mail; then its entry says that nobody knows."""
    connection, entry_id = outgoing(admin)
    entry = Update(entry_key(entry_id), {"status": "queued"}, ANY)
    admin.tables.outbox.commit(connection.id, [Insert(work_key(entry_id), STRANGE), entry])
    admin.changes.delete(connection.id, discard=True)
    admin.pass_time(3600)
    assert 2 == blobs(admin)
    admin.pass_time(timedelta(days=1).total_seconds())
    admin.pass_time(60)

    row = admin.tables.outbox.get(connection.id, entry_key(entry_id))
    assert row is not None
    assert (0, "outcome_unknown") == (blobs(admin), row.values["status"])


@pytest.mark.parametrize("row", ["its", "another"])
def test_a_scheduled_mail_that_cannot_be_read_holds_up_no_other(row: str) -> None:
    """Only its own sending waits, until somebody can read it."""
    world = Sending()
    strange = world.accept(send_at=world.clock() + timedelta(hours=1))
    other = world.accept(send_at=world.clock() + timedelta(hours=2))
    table, connection_id = world.tables.outbox, world.connection.id
    timed = f"{TIMED_FIRST}{to_key(world.clock() + timedelta(hours=1))}|{ulid_of(strange)}"
    before = table.get(connection_id, timed)
    assert before is not None
    rows = [Update(timed, STRANGE, ANY)] if row == "its" else [Insert("t|nonsense|x", {})]
    table.commit(connection_id, rows)
    now = world.accept()
    world.run(3 * 3600)
    assert {now, other} <= set(world.exchange.copies)

    if row == "its":
        table.commit(connection_id, [Update(timed, {"status": before.values["status"]}, ANY)])
    world.run(2 * 3600)
    assert {now, other, strange} == set(world.exchange.copies)


def test_progress_that_cannot_be_read_is_looked_at_again() -> None:
    """Once somebody has seen to it the mail goes, though no other mail wakes anyone."""
    world = Sending()
    entry_id = world.accept()
    table, connection_id, key = world.tables.outbox, world.connection.id, work_key(entry_id)
    table.commit(connection_id, [Update(key, STRANGE, ANY)])
    world.run(600)
    assert not world.exchange.copies
    table.commit(connection_id, [Update(key, {"status": Status.QUEUED.value}, ANY)])
    world.run(2 * 3600)

    assert {entry_id} == set(world.exchange.copies)


def test_a_page_that_nobody_can_read_does_not_hide_what_a_disabled_connection_has_to_give_up() -> None:
    """Who looks no further goes on later where nothing of the page tells when."""
    world = Sending()
    rows = [Insert(f"w|{number:04d}", STRANGE) for number in range(PAGE)]
    for first in range(0, PAGE, 100):
        world.tables.outbox.commit(world.connection.id, rows[first : first + 100])
    entry_id = world.accept()
    disabled = Update(connection_key(world.connection.id), {"enabled": False}, ANY)
    world.tables.connections.commit(world.connection.shard, [disabled])

    assert Status.FAILED == world.finish(entry_id).status


def test_deliver_work_that_cannot_be_read_is_looked_at_again() -> None:
    """Once somebody has seen to it the mail is delivered, though no other mail wakes anyone."""
    post = Post()
    post.store("a")
    (key,) = post.world.rows(post.key, "wd")
    table = post.world.tables.receipts
    table.commit(post.key, [Update(key, {"attempts": "many"}, ANY)])
    post.settle(600)
    assert [] == post.ids()
    table.commit(post.key, [Update(key, {"attempts": 0}, ANY)])
    post.settle(2 * 3600)

    assert [receipt_id(post.key, "a")] == post.ids()


def test_mail_to_fetch_again_whose_receipt_cannot_be_read_is_looked_at_again() -> None:
    """Once somebody has seen to it the mail is fetched."""
    world = World()
    key = world.connect()
    world.graph.arrive("a")
    world.graph.items["a"] = [Unreachable("5xx")]
    world.go(key)
    before = world.receipt(key, "a").status
    receipt = receipt_key(hash_of("a"))
    world.tables.receipts.commit(key, [Update(receipt, STRANGE, ANY)])
    for _ in range(3):
        world.go_on(key)
    assert 1 == len(world.rows(key, "wf"))
    world.tables.receipts.commit(key, [Update(receipt, {"status": before.value}, ANY)])
    for _ in range(30):
        world.go_on(key)

    assert (ReceiptStatus.STORED, []) == (world.receipt(key, "a").status, world.rows(key, "wf"))


def test_one_entry_that_cannot_be_read_does_not_keep_other_drafts_from_being_tidied() -> None:
    """Its own drafts stay, which may be evidence."""
    world = Sending(confirms=True)
    strange, other = world.accept(), world.accept()
    world.run(300)
    orphan(world, strange, "its")
    orphan(world, other, "another")
    world.tables.outbox.commit(world.connection.id, [Update(entry_key(strange), STRANGE, ANY)])
    world.run(60 * 3600)

    assert ["its"] == [draft.id for draft in world.exchange.drafts()]
