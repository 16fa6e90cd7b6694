"""A connection that goes on for a deleted one: nothing between the two is lost, and nothing is taken twice."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from shared.codes import Code
from shared.connection_admin.rules import NewConnection
from shared.connection_rows import Tombstone, find, tombstone_key
from shared.connections import Connection, delivery_key
from shared.errors import Conflict, InvalidRequest, StorageUnavailable
from shared.fetch.run import Fetch
from shared.ports import ANY, Delete, Update
from shared.receipts import DELIVER, Receipt, ReceiptStatus, Work, hash_of, insertion, receipt_key
from shared.rows import decode
from shared.schedule import FETCH, Wakeup
from shared.times import to_text
from shared.turns import Turns
from tests.fakes.graph_reading import MemoryGraphReading
from tests.fakes.intake import Access
from tests.scenes.administration import ANN, Administration, asked_connection


class Mailbox:
    """A mailbox of Contoso, its connections, and fetch, on one set of fakes."""

    def __init__(self) -> None:
        self.admin = Administration()
        self.grant = self.admin.consented()
        self.graph = MemoryGraphReading()

    def fetch(self, connection: Connection) -> None:
        """Let a connection fetch as soon as it is due."""
        tables = self.admin.tables
        run = find(tables, connection.id).run
        turns = Turns(tables.connections, 60.0, monotonic=self.admin.clock.monotonic)
        fetch = Fetch(tables, self.admin.blobs, self.admin.wakeups, turns, Access(), self.graph)
        fetch.run(Wakeup(FETCH, connection.id, run.seq, run.due))

    def fetch_later(self, connection: Connection, seconds: float = 600) -> None:
        """Let time pass, then a fetch."""
        self.admin.clock.advance(seconds)
        self.fetch(connection)

    def taken(self, connection: Connection) -> set[str]:
        """Return the hashes of the messages that the connection took and has to deliver, or delivered."""
        rows = self.admin.tables.receipts.read(connection.id, "wd|", "wd~").rows
        return {row.key.rpartition("|")[2] for row in rows}

    def delivered(self, connection: Connection) -> None:
        """Have everything that the connection took delivered."""
        table, now = self.admin.tables.receipts, to_text(self.admin.clock())
        for row in table.read(connection.id, "wd|", "wd~").rows:
            key = receipt_key(row.key.rpartition("|")[2])
            table.commit(connection.id, [Update(key, {"status": "delivered", "delivered_at": now}, ANY)])
        for work in ("wd", "wa"):
            for row in table.read(connection.id, f"{work}|", f"{work}~").rows:
                table.commit(connection.id, [Delete(row.key)])

    def heir(self, connection: Connection, **changes: object) -> Connection:
        """Create a connection that continues *connection*."""
        return self.admin.creation.create(asked(self, continue_from=connection.id, **changes), {})

    def stone(self, connection: Connection) -> Tombstone:
        """Return the tombstone."""
        row = self.admin.tables.connections.get(connection.shard, tombstone_key(connection.id))
        assert row is not None
        return decode(Tombstone, row.values)


def asked(mailbox: Mailbox, **changes: object) -> NewConnection:
    """Return what an administrator asks for."""
    return asked_connection(mailbox.grant.id, **changes)


def hashes(*identifiers: str) -> set[str]:
    """Return the hashes of messages."""
    return {hash_of(identifier) for identifier in identifiers}


def stored(mailbox: Mailbox, connection: Connection, identifier: str, seconds: float = 0) -> None:
    """Let a fetch that was under way store a message for the connection, *seconds* from now, though it is deleted."""
    at = mailbox.admin.clock() + timedelta(seconds=seconds)
    receipt = Receipt(hash_of(identifier), identifier, ReceiptStatus.STORED, to_text(at), blob="x")
    work = Work(DELIVER, at, receipt.hash)
    mailbox.admin.tables.receipts.commit(connection.id, insertion(receipt, [work]))


@pytest.fixture
def mailbox() -> Mailbox:
    """Return a mailbox with two messages."""
    made = Mailbox()
    made.graph.arrive("a", "b")
    return made


@pytest.fixture
def gone(mailbox: Mailbox) -> Connection:
    """Return a connection that delivered both messages and was deleted."""
    connection = mailbox.admin.connection(mailbox.grant, start="all")
    mailbox.fetch(connection)
    mailbox.delivered(connection)
    mailbox.admin.changes.delete(connection.id)
    return connection


def test_exactly_the_mail_since_the_deletion_is_taken(mailbox: Mailbox, gone: Connection) -> None:
    """The heir goes on at the cursor, says what it continues, and takes neither old mail nor skips new."""
    mailbox.graph.arrive("c")
    heir = mailbox.heir(gone)
    mailbox.fetch(heir)

    assert hashes("c") == mailbox.taken(heir)
    assert (gone.id,) == heir.continues
    assert heir.id == mailbox.stone(gone).continued_by


def test_mail_whose_fetch_never_finished_is_not_taken_twice(mailbox: Mailbox) -> None:
    """Messages were stored and delivered, but the cursor was never committed: their keys tell."""
    connection = mailbox.admin.connection(mailbox.grant, start="all")
    mailbox.admin.tables.connections.failures.before = _fail_nth(mailbox, "commit", 2)
    with pytest.raises(StorageUnavailable):
        mailbox.fetch(connection)
    mailbox.delivered(connection)
    mailbox.admin.clock.advance(120)
    mailbox.admin.changes.delete(connection.id)
    mailbox.graph.arrive("c")

    heir = mailbox.heir(connection)
    mailbox.admin.clock.advance(120)
    mailbox.fetch(heir)

    assert hashes("c") == mailbox.taken(heir)


def test_a_connection_is_not_deleted_under_a_fetch(mailbox: Mailbox) -> None:
    """What the fetch stores is moved in the mailbox before anybody delivers it: an heir would look for it in vain."""
    connection = mailbox.admin.connection(mailbox.grant, start="all")
    refused: list[Code] = []

    def delete(method: str) -> None:
        if method == "contents":
            with pytest.raises(Conflict) as error:
                mailbox.admin.changes.delete(connection.id)
            refused.append(error.value.code)

    mailbox.graph.failures.before = delete
    mailbox.fetch(connection)

    assert Code.WORK_PENDING in refused
    assert hashes("a", "b") == mailbox.taken(connection)


def test_a_fetch_that_begins_while_the_deletion_looks_refuses_it_too(mailbox: Mailbox) -> None:
    """Nothing was open when it looked; its transaction is fenced by the record that the fetch has written since."""
    connection = mailbox.admin.connection(mailbox.grant, start="all")
    begun: list[str] = []

    def fetch(method: str) -> None:
        if method == "commit" and not begun:
            begun.append(method)
            mailbox.fetch(connection)

    mailbox.admin.tables.connections.failures.before = fetch
    with pytest.raises(Conflict):
        mailbox.admin.changes.delete(connection.id)

    assert hashes("a", "b") == mailbox.taken(connection)


def test_who_gives_up_what_is_open_may_delete_under_a_fetch(mailbox: Mailbox) -> None:
    """With discard nothing is waited for; the fetch loses its record and writes nothing more."""
    connection = mailbox.admin.connection(mailbox.grant, start="all")

    def delete(method: str) -> None:
        if method == "contents":
            mailbox.admin.changes.delete(connection.id, discard=True)

    mailbox.graph.failures.before = delete
    mailbox.fetch(connection)

    assert mailbox.stone(connection).discarded


def _fail_nth(mailbox: Mailbox, method: str, number: int, *, after_effect: bool = False) -> Callable[[str], None]:
    seen = 0

    def fail(called: str) -> None:
        nonlocal seen
        seen += called == method
        if called == method and seen == number:
            mailbox.admin.tables.connections.failures.plan(method, after_effect=after_effect)

    return fail


@pytest.mark.parametrize("discard", [False, True])
def test_mail_stored_at_the_moment_of_the_deletion_is_taken(mailbox: Mailbox, discard: bool) -> None:
    """What a fetch stored after the deletion nobody delivers, so the heir does."""
    connection = mailbox.admin.connection(mailbox.grant)
    mailbox.admin.changes.delete(connection.id, discard=discard)
    stored(mailbox, connection, "late", seconds=5)
    mailbox.graph.arrive("late", received_at="2026-03-02T09:31:00Z")

    heir = mailbox.heir(connection)
    mailbox.fetch(heir)

    assert hashes("late") == mailbox.taken(heir)


def test_mail_that_was_given_up_is_not_taken_again(mailbox: Mailbox) -> None:
    """Open work refuses the deletion; who discards it has it neither from the old connection nor from the heir."""
    connection = mailbox.admin.connection(mailbox.grant, start="all")
    mailbox.fetch(connection)
    with pytest.raises(Conflict):
        mailbox.admin.changes.delete(connection.id)
    mailbox.admin.changes.delete(connection.id, discard=True)
    mailbox.graph.arrive("c")

    heir = mailbox.heir(connection)
    mailbox.fetch(heir)

    assert hashes("c") == mailbox.taken(heir)


def test_an_heir_waits_for_a_delivery_under_way(mailbox: Mailbox) -> None:
    """While the old connection's deliverer may still post, nothing is fetched; afterwards it goes on by itself."""
    connection = mailbox.admin.connection(mailbox.grant, start="all")
    until = mailbox.admin.clock() + timedelta(seconds=60)
    claimed = {"claim": "x", "lease_until": to_text(until)}
    mailbox.admin.tables.connections.commit(connection.shard, [Update(delivery_key(connection.id), claimed, ANY)])
    mailbox.admin.changes.delete(connection.id)
    stored(mailbox, connection, "a", seconds=1)

    heir = mailbox.heir(connection)
    mailbox.fetch(heir)
    early = mailbox.taken(heir)
    assert to_text(until) == find(mailbox.admin.tables, heir.id).run.next_at
    mailbox.fetch_later(heir, 61)

    assert (set(), hashes("a", "b")) == (early, mailbox.taken(heir))


def test_a_resync_and_a_returning_message_bring_nothing_back(mailbox: Mailbox, gone: Connection) -> None:
    """Neither a walk anew nor a message listed once more is taken again, over two generations of heirs."""
    mailbox.graph.arrive("c")
    first = mailbox.heir(gone)
    mailbox.fetch(first)
    mailbox.delivered(first)
    mailbox.admin.changes.delete(first.id)
    second = mailbox.heir(first)
    mailbox.graph.arrive("a", "c", "d")
    mailbox.fetch(second)
    mailbox.graph.generation += 1
    mailbox.fetch_later(second)

    assert (gone.id, first.id) == second.continues
    assert hashes("d") == mailbox.taken(second)


def test_only_the_same_folder_of_the_same_mailbox_can_be_continued_and_once(mailbox: Mailbox, gone: Connection) -> None:
    """A refusal names the field, and leaves neither a connection nor a note in the grant."""
    living = mailbox.admin.connection(mailbox.grant, folder="Done")
    for wrong in ({"folder": "deleteditems"}, {"mailbox": ANN.address}, {"continue_from": "conn_unknown"}):
        wish = asked_connection(mailbox.grant.id, **{"continue_from": gone.id, **wrong})
        with pytest.raises(InvalidRequest) as refused:
            mailbox.admin.creation.create(wish, {})
        assert ["/start/continue_from"] == [fault.pointer for fault in refused.value.faults]
    with pytest.raises(Conflict):
        mailbox.heir(living)
    mailbox.heir(gone)
    with pytest.raises(Conflict):
        mailbox.heir(gone)

    assert 2 == len([key for _, key in mailbox.admin.tables.grants.everything() if key.startswith("c|")])


@pytest.mark.parametrize("after_effect", [False, True])
@pytest.mark.parametrize("method", ["commit", "read"])
@pytest.mark.parametrize("at", range(1, 5))
def test_a_death_between_two_calls_makes_no_second_heir_and_loses_nothing(
    mailbox: Mailbox, gone: Connection, method: str, at: int, after_effect: bool
) -> None:
    """Whatever call of the creation or of the first fetch dies: one heir stands, and it takes exactly the new mail."""
    mailbox.graph.arrive("c")
    mailbox.admin.tables.connections.failures.before = _fail_nth(mailbox, method, at, after_effect=after_effect)
    for _ in range(3):
        try:
            mailbox.heir(gone)
        except StorageUnavailable:
            continue
        except Conflict:
            break
    failures = mailbox.admin.tables.connections.failures
    planned, failures.before = failures.before, None
    heir = find(mailbox.admin.tables, mailbox.stone(gone).continued_by).connection
    failures.before = planned
    for _ in range(3):
        try:
            mailbox.fetch_later(heir)
        except StorageUnavailable:
            continue

    assert hashes("c") == mailbox.taken(heir)
