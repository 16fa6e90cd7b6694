"""What becomes of that which a deleted connection kept: content soon, keys after 30 days, whoever dies when."""

import pytest

from shared.connections import Connection, Direction
from shared.errors import StorageUnavailable
from shared.keep_rows import keep_key
from shared.outbox.moves import accept
from shared.outbox.rows import Entry, KeyUse, Upload, entry_key, key_key, upload_key
from shared.outbox.work import Status
from shared.ports import Delete, Insert
from shared.receipts import DELIVER, Receipt, ReceiptStatus, Work, hash_of, insertion, read_receipt, receipt_key
from shared.rows import encode
from shared.schedule import KEEP, Wakeup
from shared.times import to_text
from tests.scenes.administration import Administration

DAY = 86_400.0


def incoming(admin: Administration) -> Connection:
    """Return a connection with a delivered mail and an undelivered one."""
    connection = admin.connection(admin.grants.all()[0])
    now = admin.clock()
    for name, status in (("read", ReceiptStatus.DELIVERED), ("open", ReceiptStatus.STORED)):
        blob = f"{connection.grant_id}/{connection.id}/{now:%Y%m%d}/{hash_of(name)}/run-0.eml"
        admin.blobs.received.put(blob, b"mail")
        receipt = Receipt(hash_of(name), name, status, to_text(now), subject="Secret", sender="ann@x", blob=blob)
        work = [] if status is ReceiptStatus.DELIVERED else [Work(DELIVER, now, receipt.hash)]
        admin.tables.receipts.commit(connection.id, insertion(receipt, work))
    return connection


def outgoing(admin: Administration, *, uploads: int = 1) -> tuple[Connection, str]:
    """Return a connection with a mail that was sent, and the mail's id; *uploads* files that no mail named."""
    connection = admin.connection(admin.grants.all()[0], direction=Direction.OUTGOING)
    ulid = "01KJPY4K2R9R4WJC6AWCX5E772"
    entry_id, now = f"msg_{connection.id.removeprefix('conn_')}.{ulid}", to_text(admin.clock())
    payload = f"{connection.id}/{entry_id}/hash"
    entry = Entry(
        entry_id,
        connection.id,
        now,
        payload,
        subject="Secret",
        to=("ann@x",),
        key_hash="k" * 64,
        status=Status.SENT,
        finished_at=now,
    )
    admin.blobs.outbox.put(payload, b"mail")
    rows = [Insert(entry_key(entry_id), encode(entry)), Insert(key_key("k" * 64), encode(KeyUse(entry_id, "b", now)))]
    for number in range(uploads):
        name = f"{ulid[:-1]}{number}"
        upload = Upload(f"upl_{name}", "x", "text/plain", 1, "", f"{connection.id}/{name}", now)
        admin.blobs.uploads.put(upload.blob, b"file")
        rows.append(Insert(upload_key(upload.id), encode(upload)))
    admin.tables.outbox.commit(connection.id, rows)
    return connection, entry_id


def blobs(admin: Administration) -> int:
    """Return how many blobs there are."""
    return sum(len(box.contents) for box in (admin.blobs.received, admin.blobs.outbox, admin.blobs.uploads))


@pytest.fixture
def admin() -> Administration:
    """Return an administration in which Contoso has consented."""
    made = Administration()
    made.consented()
    return made


def test_content_goes_soon_and_keys_stay_for_30_days(admin: Administration) -> None:
    """Two purges leave the keys of messages; after the tombstone's end nothing names the connection any more."""
    connection = incoming(admin)
    admin.changes.delete(connection.id, discard=True)
    admin.pass_time(901)
    keys = [key for _, key in admin.tables.receipts.everything() if not key.startswith("d|")]
    texts = " ".join(str(values) for values in admin.tables.receipts.everything().values())
    assert (0, sorted(receipt_key(hash_of(name)) for name in ("read", "open"))) == (blobs(admin), sorted(keys))
    assert ("Secret" in texts, "ann@x" in texts) == (False, False)
    late = f"{connection.grant_id}/{connection.id}/20260302/x/run-1.eml"
    admin.blobs.received.put(late, b"by a writer that was late")
    admin.pass_time(301)
    assert 0 == blobs(admin)
    admin.pass_time(29 * DAY)
    assert 4 == len(admin.tables.receipts.everything())
    admin.pass_time(DAY)

    left = [key for _, key in admin.tables.connections.everything() if connection.id in key]
    assert ([], {}) == (left, admin.tables.receipts.everything())


def test_keys_stay_as_long_as_a_connection_goes_on_with_them(admin: Administration) -> None:
    """Who continues may be asked to walk the folder anew, even months later; with its own end all of it ends."""
    first = incoming(admin)
    admin.changes.delete(first.id, discard=True)
    heir = admin.connection(admin.grants.all()[0], continue_from=first.id)
    admin.pass_time(1000)
    admin.pass_time(400)
    admin.pass_time(31 * DAY)
    assert 4 == len(admin.tables.receipts.everything())
    admin.changes.delete(heir.id)
    for _ in range(5):
        admin.pass_time(31 * DAY)

    assert {} == admin.tables.receipts.everything()


def test_outgoing_mail_loses_bytes_and_recipients_and_keeps_its_outcome(admin: Administration) -> None:
    """Payloads, uploads, keys and addresses go; what became of a mail can be asked for 30 days."""
    connection, entry_id = outgoing(admin)
    admin.changes.delete(connection.id)
    admin.pass_time(901)
    rows = admin.tables.outbox.everything()

    assert (0, [entry_key(entry_id)]) == (blobs(admin), [key for _, key in rows])
    assert "sent" == next(iter(rows.values()))["status"]
    assert not any(word in str(rows) for word in ("Secret", "ann@x"))


def test_a_purge_waits_for_whoever_works(admin: Administration) -> None:
    """Until nobody can work any more who began before the deletion nothing goes, nor while sends are open."""
    connection, _ = outgoing(admin)
    work = accept("msg_x", "", admin.clock(), None)
    admin.tables.outbox.commit(connection.id, [Insert("w|x", encode(work))])
    admin.changes.delete(connection.id, discard=True)
    admin.pass_time(600)
    admin.pass_time(400)
    assert 2 == blobs(admin)
    admin.tables.outbox.commit(connection.id, [Delete("w|x")])
    admin.pass_time(60)

    assert 0 == blobs(admin)


def test_outgoing_mail_goes_after_the_retention(admin: Administration) -> None:
    """Unused uploads after a day, sent mail after 30 with the key that made repeats harmless; its outcome stays."""
    connection, entry_id = outgoing(admin)
    orphan = f"{connection.id}/{entry_id[:-1]}0/hash"
    admin.blobs.outbox.put(orphan, b"of a request that died")
    for _ in range(3):
        admin.pass_time(DAY + 1)
    assert (0, 1) == (len(admin.blobs.uploads.contents), len(admin.blobs.outbox.contents))
    for _ in range(30):
        admin.pass_time(DAY + 1)

    rows = {key: values for (_, key), values in admin.tables.outbox.everything().items()}
    assert ["c|open", entry_key(entry_id)] == sorted(rows)
    assert (0, "sent", "[]", "") == (
        blobs(admin),
        *(rows[entry_key(entry_id)][name] for name in ("status", "to", "subject")),
    )


@pytest.mark.parametrize("after_effect", [False, True])
@pytest.mark.parametrize("at", range(1, 36))
def test_a_deletion_that_dies_between_any_two_calls_ends_the_same(
    admin: Administration, at: int, after_effect: bool
) -> None:
    """Whatever call of deletion or purge dies: content goes, the keys stay."""
    connection = incoming(admin)
    seen = 0

    def fail(method: str, failures: object) -> None:
        nonlocal seen
        seen += 1
        if seen == at:
            failures.plan(method, after_effect=after_effect)  # type: ignore[attr-defined]

    fakes = (admin.tables.connections, admin.tables.receipts, admin.blobs.received)
    for fake in fakes:
        fake.failures.before = lambda method, failures=fake.failures: fail(method, failures)
    for step in range(8):
        try:
            if step < 2:
                admin.changes.delete(connection.id, discard=True)
            else:  # what a tick does is tried elsewhere
                admin.clock.advance(700)
                admin.keep.handle(Wakeup(KEEP, connection.id))
        except StorageUnavailable:
            continue

    for fake in fakes:
        fake.failures.before = None
    keys = sorted(key for _, key in admin.tables.receipts.everything() if not key.startswith("d|"))
    assert (0, sorted(receipt_key(hash_of(name)) for name in ("read", "open"))) == (blobs(admin), keys)
    assert admin.tables.connections.get(connection.shard, keep_key(connection.id)) is not None


def test_a_receipt_that_is_left_says_what_became_of_it(admin: Administration) -> None:
    """Hash, times and outcome are what the key keeps."""
    connection = incoming(admin)
    for row in admin.tables.receipts.read(connection.id, "wd|", "wd~").rows:
        admin.tables.receipts.commit(connection.id, [Delete(row.key)])
    admin.changes.delete(connection.id)
    admin.pass_time(901)
    found = admin.tables.receipts.get(connection.id, receipt_key(hash_of("read")))
    assert found is not None

    left = read_receipt(found.values)
    assert (hash_of("read"), ReceiptStatus.EXPIRED, "") == (left.hash, left.status, left.subject)
