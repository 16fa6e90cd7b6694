"""The purge of a revoked grant: all of the tenant goes, others keep theirs, whoever dies between any two steps."""

from datetime import timedelta

import pytest

from shared.connections import Connection, Direction
from shared.errors import Conflict, NotFound, StorageUnavailable
from shared.grants import Grant
from shared.ports import ANY, Insert, Update
from shared.purge import Purged
from shared.times import to_text
from tests.scenes.administration import ANN, CONTOSO, FABRIKAM, Administration


def keep_mail(admin: Administration, connection: Connection, number: int) -> None:
    """Store what *number* fetched mails, or mails to send, leave behind."""
    incoming = connection.direction is Direction.INCOMING
    table = admin.tables.receipts if incoming else admin.tables.outbox
    for index in range(number):
        table.commit(connection.id, [Insert(f"m|{index}", {"subject": "x"}), Insert(f"d|{index}", {})])
        path = f"{connection.id}/{index}"
        if incoming:
            admin.blobs.received.put(f"{connection.grant_id}/{path}", b"mail")
        else:
            admin.blobs.outbox.put(path, b"mail")
            admin.blobs.uploads.put(path, b"file")


def revoked(admin: Administration) -> Grant:
    """Return Contoso's grant, revoked, with three connections, one of them deleted, and Fabrikam's untouched beside."""
    credential = admin.credential(tenant="organizations")
    other = admin.consented(credential, FABRIKAM, expected_tenant=FABRIKAM)
    keep_mail(admin, admin.connection(other, mailbox=ANN.address), 2)
    admin.consented(credential, CONTOSO, expected_tenant=CONTOSO)
    grant = next(grant for grant in admin.grants.all() if grant.tenant == CONTOSO)
    gone = admin.connection(grant, mailbox=ANN.address)
    keep_mail(admin, gone, 1)
    admin.changes.delete(gone.id, discard=True)
    keep_mail(admin, admin.connection(grant), 120)
    keep_mail(admin, admin.connection(grant, direction=Direction.OUTGOING), 3)
    del admin.entra.grants[CONTOSO]
    return admin.checks.verify(grant.id)


def rows_of(admin: Administration) -> list[str]:
    """Return the partition and key of each row of mail, and of each that names a connection of any kind."""
    tables = (admin.tables.receipts, admin.tables.outbox, admin.tables.connections)
    found = [f"{partition} {key}" for table in tables for partition, key in table.everything()]
    return [row for row in found if " due|" not in row]


def finish(admin: Administration, grant: Grant, minutes: int = 20) -> Purged:
    """Let time pass until the purge has ended."""
    for _ in range(minutes):
        if admin.purge.report(grant.id).finished_at:
            break
        admin.pass_time(60)
    return admin.purge.report(grant.id)


def counts(purged: Purged) -> tuple[int, int, int, int, int]:
    """Return what the report says."""
    return purged.connections, purged.mails, purged.entries, purged.rows, purged.blobs


EVERYTHING = (3, 121, 3, 248, 127)


def test_a_purge_erases_one_tenant_and_counts_what_it_erased() -> None:
    """Rows, blobs, connections, tombstones and the grant are gone; what the other tenant has stands."""
    admin = Administration()
    grant = revoked(admin)
    others = [row for row in rows_of(admin) if FABRIKAM in row]

    admin.purge.start(grant.id)
    admin.work()
    purged = finish(admin, grant)

    mine = [row for row in rows_of(admin) if grant.id in row]
    assert EVERYTHING == counts(purged)
    assert ([], []) == (mine, [path for path in admin.blobs.received.contents if CONTOSO in path])
    assert [FABRIKAM] == [left.tenant for left in admin.grants.all()]
    assert 2 == len(admin.blobs.received.contents)
    assert 0 == len(admin.blobs.outbox.contents) + len(admin.blobs.uploads.contents)
    assert 4 == sum(1 for partition, _ in admin.tables.receipts.everything())
    assert others == [row for row in rows_of(admin) if FABRIKAM in row]


@pytest.mark.parametrize("container", ["received", "outbox", "uploads"])
@pytest.mark.parametrize("at", [1, 2, 60])
def test_a_purge_that_dies_between_two_blobs_is_finished_by_its_due_row(container: str, at: int) -> None:
    """The next run goes on where it was, and the report counts everything once."""
    admin = Administration()
    grant = revoked(admin)
    deletes = 0

    def die(method: str) -> None:
        nonlocal deletes
        deletes += method == "delete"
        if deletes == at:
            deletes += 1
            getattr(admin.blobs, container).failures.plan("delete")

    getattr(admin.blobs, container).failures.before = die
    _run_until_done(admin, grant)

    assert EVERYTHING == counts(admin.purge.report(grant.id))
    assert [] == [path for path in admin.blobs.received.contents if CONTOSO in path]


@pytest.mark.parametrize("table", ["grants", "connections", "receipts", "outbox"])
@pytest.mark.parametrize("at", range(1, 12))
def test_a_purge_that_dies_before_any_write_is_finished_by_its_due_row(table: str, at: int) -> None:
    """The n-th transaction of each table fails once: still all is erased, and counted once."""
    admin = Administration()
    grant = revoked(admin)
    admin.purge.start(grant.id)
    commits = 0

    def die(method: str) -> None:
        nonlocal commits
        commits += method == "commit"
        if commits == at:
            commits += 1
            getattr(admin.tables, table).failures.plan("commit")

    getattr(admin.tables, table).failures.before = die
    _run_until_done(admin, grant)

    assert EVERYTHING == counts(admin.purge.report(grant.id))
    assert [FABRIKAM] == [left.tenant for left in admin.grants.all()]
    assert 4 == sum(1 for _ in admin.tables.receipts.everything())


def _run_until_done(admin: Administration, grant: Grant) -> None:
    for _ in range(30):
        try:
            if admin.purge.start(grant.id).finished_at:
                return
            admin.pass_time(130)
        except StorageUnavailable:
            continue
    raise AssertionError("the purge never ended")


def test_only_a_revoked_grant_can_be_purged() -> None:
    """What works still is not erased; what never was is not found; without purge its connections protect it."""
    admin = Administration()
    grant = admin.consented()
    admin.connection(grant)
    with pytest.raises(Conflict):
        admin.purge.start(grant.id)
    with pytest.raises(NotFound):
        admin.purge.report(grant.id)
    with pytest.raises(NotFound):
        admin.purge.start(grant.id.replace(CONTOSO, FABRIKAM))

    del admin.entra.grants[CONTOSO]
    admin.checks.verify(grant.id)
    with pytest.raises(Conflict):
        admin.grants.delete(grant.id)

    assert "" == admin.purge.start(grant.id).finished_at


def test_a_repeated_purge_is_the_same_purge() -> None:
    """Asked twice, even after its end, it erases once; a tenant that returns can be purged again."""
    admin = Administration()
    grant = revoked(admin)
    first = admin.purge.start(grant.id)
    assert first == admin.purge.start(grant.id)
    finished = finish(admin, grant)
    assert finished == admin.purge.start(grant.id)

    admin.consented(admin.credentials.all()[0], CONTOSO, expected_tenant=CONTOSO)
    del admin.entra.grants[CONTOSO]
    admin.checks.verify(grant.id)
    again = admin.purge.start(grant.id)

    assert ("", 0) == (again.finished_at, again.mails)
    assert (0, 0) == counts(finish(admin, grant))[:2]


def test_a_purge_waits_for_whoever_is_at_work_in_a_mailbox() -> None:
    """While a mailbox's turn is held, its mail stands; when the lease has ended, it goes."""
    admin = Administration()
    grant = revoked(admin)
    for partition, key in admin.tables.connections.everything():
        if key.endswith("|box"):
            held = {"holder": "somebody", "lease_until": to_text(admin.clock() + timedelta(seconds=90))}
            admin.tables.connections.commit(partition, [Update(key, held, ANY)])
    admin.purge.start(grant.id)
    admin.work()
    early = admin.purge.report(grant.id)

    assert (0, "") == (early.mails, early.finished_at)
    assert EVERYTHING == counts(finish(admin, grant))
