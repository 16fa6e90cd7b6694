"""Connections as an administrator keeps them: resolved, fenced, never two on one folder, deleted without loss."""

from dataclasses import replace
from typing import Any

import pytest

from shared.codes import Code
from shared.connection_admin.rules import AskedAction, NewConnection, faults_of
from shared.connection_admin.views import Shown, effective, view
from shared.connection_rows import Tombstone, tombstone_key
from shared.connections import (
    Action,
    Connection,
    Delivery,
    Destination,
    Direction,
    Run,
    Status,
    connection_key,
    run_key,
)
from shared.errors import (
    Conflict,
    CredentialFault,
    GrantFault,
    InvalidRequest,
    MailgrantError,
    NotFound,
    PreconditionFailed,
    RowChanged,
    StorageUnavailable,
)
from shared.grants import Grant
from shared.identifiers import box_hash
from shared.ports import Insert, Update
from shared.rows import decode, encode
from shared.schedule import FETCH
from tests.scenes.administration import (
    ANN,
    BOX,
    CLIENT_ID,
    CONTOSO,
    SECRET,
    WEBHOOK,
    Administration,
    AllowedWebhooks,
    asked_connection,
)

OUTGOING: dict[str, Any] = {"direction": Direction.OUTGOING, "destination": None}


@pytest.fixture
def admin() -> Administration:
    """Return an administration in which Contoso has consented."""
    made = Administration()
    made.consented()
    return made


@pytest.fixture
def grant(admin: Administration) -> Grant:
    """Return Contoso's grant."""
    return admin.grants.all()[0]


def run_of(admin: Administration, connection: Connection) -> Run:
    """Return the run row."""
    return admin.lists.get(connection.id).run


def fetch_dues(admin: Administration) -> list[str]:
    """Return the due rows of fetches."""
    return [key for key in admin.due_rows() if "|fetch|" in key]


def test_mailbox_and_folder_are_kept_by_id(admin: Administration, grant: Grant) -> None:
    """Names are labels; the id of the connection finds its partition from app, tenant and mailbox."""
    connection = admin.connection(grant, folder="inbox", after_fetch=AskedAction(Action.MOVE, "Done"))

    assert (BOX.id, BOX.address, "F-inbox", "Inbox") == (
        connection.mailbox,
        connection.address,
        connection.folder_id,
        connection.folder_name,
    )
    assert ("F-done", box_hash(CLIENT_ID, CONTOSO, BOX.id)) == (connection.after_fetch.folder_id, connection.box)


def test_an_incoming_connection_is_due_at_once(admin: Administration, grant: Grant) -> None:
    """Its run stands due, with a due row and a wake-up that names it."""
    connection = admin.connection(grant)
    run, sent = run_of(admin, connection), admin.wakeups.sent[-1]

    assert [run.due] == fetch_dues(admin)
    assert ("mail-fetch", FETCH, connection.id, 0, run.due) == (
        sent.queue,
        *(sent.body[k] for k in ("kind", "id", "seq", "due")),
    )


@pytest.mark.parametrize(
    ("start", "since"),
    [("now", "2026-03-02T09:30:15.000Z"), ("all", ""), ("2026-01-31T01:00:00+01:00", "2026-01-31T00:00:00.000Z")],
)
def test_a_start_says_what_is_taken(admin: Administration, grant: Grant, start: str, since: str) -> None:
    """From now on, everything, or everything since a time."""
    assert since == run_of(admin, admin.connection(grant, start=start)).since


def test_an_outgoing_connection_has_nothing_to_fetch(admin: Administration, grant: Grant) -> None:
    """It has a run row for its state, and neither due row nor delivery."""
    connection = admin.connection(grant, **OUTGOING)
    shown = admin.lists.get(connection.id)

    assert ([], None, "") == (fetch_dues(admin), shown.delivery, shown.run.next_at)
    with pytest.raises(InvalidRequest):
        admin.changes.fetch(connection.id)


@pytest.mark.parametrize(
    ("first", "second", "taken"),
    [
        (Action.NONE, Action.NONE, False),
        (Action.READ, Action.NONE, True),
        (Action.NONE, Action.DELETE, True),
    ],
)
def test_a_folder_is_read_once_unless_nobody_changes_it(
    admin: Administration, grant: Grant, first: Action, second: Action, taken: bool
) -> None:
    """Two connections that change mail would steal it from each other."""
    admin.connection(grant, after_fetch=AskedAction(first))
    if not taken:
        admin.connection(grant, after_fetch=AskedAction(second))
        return
    before = admin.tables.grants.everything()

    with pytest.raises(Conflict) as refused:
        admin.connection(grant, after_fetch=AskedAction(second))

    assert Code.FOLDER_IN_USE is refused.value.code
    assert set(before) == set(admin.tables.grants.everything())


def test_another_folder_or_direction_is_free(admin: Administration, grant: Grant) -> None:
    """Only the same folder is in the way."""
    admin.connection(grant, after_fetch=AskedAction(Action.READ))
    admin.connection(grant, after_fetch=AskedAction(Action.READ), folder="Done")
    admin.connection(grant, **OUTGOING)

    assert 3 == len(admin.lists.page(50, "").items)


def test_two_creations_at_once_cannot_both_take_a_folder(admin: Administration, grant: Grant) -> None:
    """The second to write sees the first, however close they are."""
    others: list[Connection] = []

    def other(method: str) -> None:
        if method == "commit" and not others:
            others.append(admin.connection(grant, after_fetch=AskedAction(Action.READ)))

    admin.tables.connections.failures.before = other
    with pytest.raises(Conflict):
        admin.connection(grant, after_fetch=AskedAction(Action.READ))

    assert [others[0].id] == [shown.connection.id for shown in admin.lists.page(50, "").items]


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"mailbox": "nobody@contoso.example"}, "/mailbox"),
        ({"folder": "Nirgends"}, "/folder"),
        ({"grant_id": "grant_x"}, "/grant_id"),
        ({"after_fetch": AskedAction(Action.MOVE, "inbox")}, "/after_fetch/folder"),
        ({"after_fetch": AskedAction(Action.MOVE, "nowhere")}, "/after_fetch/folder"),
    ],
)
def test_what_is_not_there_is_a_fault_of_the_field(
    admin: Administration, grant: Grant, changes: dict[str, Any], pointer: str
) -> None:
    """What Graph does not know is told at the field that names it; nothing is made."""
    with pytest.raises(InvalidRequest) as refused:
        admin.creation.create(replace(asked_connection(grant.id), **changes), {})

    assert [pointer] == [fault.pointer for fault in refused.value.faults]
    assert [] == admin.lists.page(50, "").items


def test_every_fault_is_named_together() -> None:
    """Range, start, action, destination and direction in one answer."""
    asked = NewConnection(
        direction=Direction.INCOMING,
        grant_id="g",
        mailbox="m",
        name="n",
        start="yesterday",
        after_fetch=AskedAction(Action.MOVE),
        destination=Destination("queue", name="mail-fetch"),
    )
    fields = {"interval_minutes": 61, "retention_days": 0, "hold_hours": 3}

    pointers = {fault.pointer for fault in faults_of(asked, fields, AllowedWebhooks())}

    assert {
        "/interval_minutes",
        "/retention_days",
        "/hold_hours",
        "/start",
        "/after_fetch/folder",
        "/destination/name",
    } == pointers


@pytest.mark.parametrize(
    ("destination", "pointer"),
    [
        (None, "/destination"),
        (Destination("webhook", url="https://example.invalid/x"), "/destination/url"),
        (Destination("webhook"), "/destination/url"),
        (Destination("queue", name="out-"), "/destination/name"),
        (Destination("queue", name="out-a--b"), "/destination/name"),
        (Destination("queue", name="OUT-mail"), "/destination/name"),
        (Destination("queue", url="https://x.example", name="out-mail"), "/destination/url"),
    ],
)
def test_a_destination_must_be_one(destination: Destination | None, pointer: str) -> None:
    """A webhook that may be called, or a queue of the out- family; never our own queues."""
    asked = asked_connection("g", destination=destination)

    assert [pointer] == [fault.pointer for fault in faults_of(asked, {}, AllowedWebhooks())]


def test_a_connection_needs_a_grant_that_works(admin: Administration, grant: Grant) -> None:
    """Under a revoked grant nothing can be resolved, and the grant's own sentence says why."""
    del admin.entra.grants[CONTOSO]
    admin.checks.verify(grant.id)

    with pytest.raises(GrantFault):
        admin.connection(grant)


def test_a_change_fences_a_running_fetch_off(admin: Administration, grant: Grant) -> None:
    """A commit with the etag that a fetch read before the change fails."""
    connection = admin.connection(grant)
    row = admin.tables.connections.get(connection.shard, run_key(connection.id))
    assert row is not None

    after = admin.changes.change(connection.id, {"name": "Support", "interval_minutes": 15})

    assert ("Support", 15, 2) == (after.name, after.interval_minutes, after.version)
    assert 2 == run_of(admin, connection).config_version
    with pytest.raises(RowChanged):
        admin.tables.connections.commit(connection.shard, [Update(run_key(connection.id), {"taken": 1}, row.etag)])


def test_what_is_kept_for_life_is_refused_with_what_to_do(admin: Administration, grant: Grant) -> None:
    """Mailbox, folder, grant and direction cannot change."""
    connection = admin.connection(grant)
    for name in ("direction", "grant_id", "mailbox", "folder", "start"):
        with pytest.raises(Conflict) as refused:
            admin.changes.change(connection.id, {name: "x"})
        assert "Delete the connection and create it anew" in refused.value.detail


def test_a_change_on_an_older_version_is_refused(admin: Administration, grant: Grant) -> None:
    """Two administrators do not overwrite each other unseen."""
    connection = admin.connection(grant)
    admin.changes.change(connection.id, {"name": "a"}, if_match=1)

    with pytest.raises(PreconditionFailed):
        admin.changes.change(connection.id, {"name": "b"}, if_match=1)


def test_a_change_names_its_faults(admin: Administration, grant: Grant) -> None:
    """The rules of creation hold for changes too."""
    connection = admin.connection(grant)
    changes = {"interval_minutes": 0, "send_rate": 5, "destination": None, "after_fetch": AskedAction(Action.MOVE)}

    with pytest.raises(InvalidRequest) as refused:
        admin.changes.change(connection.id, changes)

    pointers = {fault.pointer for fault in refused.value.faults}
    assert {"/interval_minutes", "/send_rate", "/destination", "/after_fetch/folder"} == pointers


def test_a_change_cannot_take_a_folder_that_is_shared_quietly(admin: Administration, grant: Grant) -> None:
    """Of two that only look, neither may begin to change mail."""
    connection = admin.connection(grant)
    admin.connection(grant)

    with pytest.raises(Conflict):
        admin.changes.change(connection.id, {"after_fetch": AskedAction(Action.READ)})


def test_fetch_makes_it_due_now_and_ends_a_stop(admin: Administration, grant: Grant) -> None:
    """A person's wish outweighs any back-off; the old due row goes, the new one stands."""
    connection = admin.connection(grant)
    _write_run(admin, connection, seq=7, next_at="", due="", stopped=True)
    admin.changes.fetch(connection.id)
    run = run_of(admin, connection)

    assert (8, False, "2026-03-02T09:30:15.000Z") == (run.seq, run.stopped, run.next_at)
    assert run.due in fetch_dues(admin)
    assert (8, run.due) == (admin.wakeups.sent[-1].body["seq"], admin.wakeups.sent[-1].body["due"])


@pytest.mark.parametrize(("changes", "kind"), [({}, "fetch"), (OUTGOING, "send")])
def test_what_is_enabled_again_is_due_at_once(
    admin: Administration, grant: Grant, changes: dict[str, Any], kind: str
) -> None:
    """What a disabled connection let pass is made up for."""
    connection = admin.connection(grant, enabled=False, **changes)
    admin.clock.advance(3600)
    admin.changes.change(connection.id, {"enabled": True})
    sent = admin.wakeups.sent[-1]

    assert (kind, connection.id) == (sent.body["kind"], sent.body["id"])
    assert sent.body["due"] in admin.due_rows()


def test_fetch_leaves_a_running_fetch_alone(admin: Administration, grant: Grant) -> None:
    """What is under way is not thrown away for being asked for again."""
    connection = admin.connection(grant)
    _write_run(admin, connection, claim="somebody", next_at="2026-03-02T09:31:00.000Z")
    before = run_of(admin, connection)

    admin.changes.fetch(connection.id)

    assert before == run_of(admin, connection)


def _write_run(admin: Administration, connection: Connection, **changes: Any) -> None:
    run = replace(run_of(admin, connection), **changes)
    admin.tables.connections.commit(connection.shard, [Update(run_key(connection.id), encode(run), "*")])


def test_deletion_leaves_a_tombstone_and_nothing_else(admin: Administration, grant: Grant) -> None:
    """Mailbox, folder and cursor are kept for who continues, and a purge is due; all else goes; again is no error."""
    connection = admin.connection(grant)
    _write_run(admin, connection, cursor="https://graph/delta")
    admin.connection_tokens.create(connection.id, "receive")

    admin.changes.delete(connection.id)
    admin.changes.delete(connection.id)

    row = admin.tables.connections.get(connection.shard, tombstone_key(connection.id))
    assert row is not None
    stone = decode(Tombstone, row.values)
    assert (BOX.id, "F-inbox", "https://graph/delta") == (stone.mailbox, stone.folder_id, stone.cursor)
    rest = [key for _, key in admin.tables.connections.everything() if connection.id in key and "gone" not in key]
    assert ["due", "keep"] == sorted(key.partition("|")[0] for key in rest if "keep" in key)
    assert [] == [key for key in rest if "keep" not in key]
    assert [] == [key for _, key in admin.tables.grants.everything() if key.startswith("c|")]


@pytest.mark.parametrize(("table", "key"), [("receipts", "wd|x|y"), ("outbox", "w|x")])
def test_work_stands_in_the_way_of_deletion(admin: Administration, grant: Grant, table: str, key: str) -> None:
    """Undelivered mail and open sends are counted; only a discard gives them up."""
    connection = admin.connection(grant)
    getattr(admin.tables, table).commit(connection.id, [Insert(key, {})])

    with pytest.raises(Conflict) as refused:
        admin.changes.delete(connection.id)
    assert (Code.WORK_PENDING, True) == (refused.value.code, "1 " in refused.value.detail)

    admin.changes.delete(connection.id, discard=True)
    with pytest.raises(NotFound):
        admin.lists.get(connection.id)


def test_deletion_copes_with_a_due_row_that_the_tick_moved(admin: Administration, grant: Grant) -> None:
    """The due row that the record names may have moved on meanwhile."""
    connection = admin.connection(grant)
    admin.clock.advance(60)
    admin.tick.run()

    admin.changes.delete(connection.id)

    with pytest.raises(NotFound):
        admin.lists.get(connection.id)


def test_a_creation_that_died_does_not_hold_its_grant_for_ever(admin: Administration, grant: Grant) -> None:
    """A note without a connection counts while it is young, and is taken away once it is old."""
    admin.tables.connections.failures.plan("commit")
    with pytest.raises(StorageUnavailable):
        admin.connection(grant)

    with pytest.raises(Conflict):
        admin.grants.delete(grant.id)
    admin.clock.advance(601)
    admin.grants.delete(grant.id)

    assert [] == admin.grant_rows()


def test_a_grant_deleted_meanwhile_takes_no_connection(admin: Administration, grant: Grant) -> None:
    """Of a deletion and a creation at the same time, the second to write gives way."""
    deleted: list[bool] = []

    def delete(method: str) -> None:
        if method == "commit" and not deleted:
            deleted.append(True)
            admin.grants.delete(grant.id)

    admin.tokens.access_token(grant.id)
    admin.tables.grants.failures.before = delete
    with pytest.raises(NotFound):
        admin.connection(grant)

    assert [] == admin.grant_rows()


def test_pages_are_stable_while_connections_are_made(admin: Administration, grant: Grant) -> None:
    """Newest first; a cursor goes on where it stopped, whatever came since."""
    made = []
    for number in range(5):
        admin.clock.advance(1)
        made.append(admin.connection(grant, name=str(number)).id)
    first = admin.lists.page(2, "")
    admin.connection(grant)
    second = admin.lists.page(2, first.next_cursor or "")
    third = admin.lists.page(2, second.next_cursor or "")

    seen = [shown.connection.id for page in (first, second, third) for shown in page.items]
    assert sorted(made) == sorted(seen)
    assert 5 == len(set(seen))
    assert third.next_cursor is None


@pytest.mark.parametrize("cursor", ["%", "äö", "x"])
def test_a_foreign_cursor_is_refused(admin: Administration, cursor: str) -> None:
    """A cursor that we did not make names no place."""
    with pytest.raises(InvalidRequest):
        admin.lists.page(2, cursor)


def shown(**changes: Any) -> Shown:
    """Return a healthy connection with *changes* to run, delivery, enabled or standing."""
    connection = Connection("conn_x", Direction.INCOMING, "n", "g", "t", "m", "a", "2026-03-02T09:30:15.000Z")
    return Shown(
        replace(connection, enabled=changes.get("enabled", True), destination=WEBHOOK),
        changes.get("run", Run("conn_x")),
        changes.get("delivery", Delivery("conn_x")),
        changes.get("standing"),
    )


FAULT = CredentialFault("The secret has expired.", Code.SECRET_EXPIRED).recorded("2026-03-02T09:30:15.000Z")


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({}, Status.ACTIVE),
        ({"enabled": False, "standing": GrantFault("x")}, Status.DISABLED),
        ({"standing": GrantFault("x"), "run": Run("c", stopped=True)}, Status.WAITING),
        ({"run": Run("c", stopped=True, fault=FAULT)}, Status.STOPPED),
        ({"run": Run("c", failures=2, fault=FAULT, next_at="2026-03-02T10:00:00.000Z")}, Status.BACKING_OFF),
        ({"delivery": Delivery("c", paused=True, fault=FAULT)}, Status.BACKING_OFF),
        ({"delivery": Delivery("c", disabled=True, fault=FAULT)}, Status.STOPPED),
    ],
)
def test_the_first_reason_not_to_work_is_shown(changes: dict[str, Any], status: Status) -> None:
    """A person's wish, then credential and grant, then the connection's own trouble."""
    assert status is effective(shown(**changes)).status


def test_a_waiting_connection_says_why() -> None:
    """The sentence of the credential or grant stands on each of its connections."""
    body = view(shown(standing=GrantFault("The tenant has taken its consent back.", Code.APP_NOT_CONSENTED)))

    assert ("waiting", "The tenant has taken its consent back.", "app_not_consented") == (
        body["status"],
        body["fault"]["detail"],
        body["fault"]["code"],
    )


def test_who_sends_after_a_deleted_connection_looks_for_its_drafts(admin: Administration, grant: Grant) -> None:
    """The second stands due a day later even if nothing is sent from it; the first of a mailbox does not."""
    first = admin.connection(grant, **OUTGOING)
    before = [key for key in admin.due_rows() if "|send|" in key]
    admin.changes.delete(first.id)
    second = admin.connection(grant, **OUTGOING)
    run = decode(Run, admin.tables.connections.everything()[second.shard, run_key(second.id)])

    assert [] == before
    assert run.due in admin.due_rows()
    assert run.aftercare.tidy_at == run.next_at != ""


def test_a_connection_test_tells_each_step(admin: Administration, grant: Grant) -> None:
    """All is tried, also past a failure; the draft that a test makes is removed again."""
    connection = admin.connection(grant, **OUTGOING)
    assert ["token", "mailbox", "read", "draft", "send_as"] == [
        c.name for c in admin.connection_checks.run(connection.id) if c.ok
    ]
    assert [] == admin.drafts.standing

    admin.directory.persons.remove(BOX)
    checks = {check.name: check for check in admin.connection_checks.run(connection.id)}

    assert (False, "mailbox_not_found", True) == (checks["mailbox"].ok, checks["mailbox"].code, checks["draft"].ok)


def test_a_connection_test_under_a_broken_credential_says_so(admin: Administration, grant: Grant) -> None:
    """Without a token there is nothing more to try."""
    connection = admin.connection(grant)
    admin.entra.good.discard(SECRET)
    admin.checks.verify(grant.id)

    assert [("token", False, "secret_wrong")] == [
        (c.name, c.ok, c.code) for c in admin.connection_checks.run(connection.id)
    ]


def test_mailboxes_and_folders_can_be_chosen_from(admin: Administration, grant: Grant) -> None:
    """The pickers show what Graph knows."""
    assert [ANN] == admin.lists.people(grant.id, "ann", 10)
    assert ["Inbox", "Deleted Items", "Done"] == [f.name for f in admin.lists.folders(grant.id, BOX.id, None)]


@pytest.mark.parametrize("identifier", ["conn_x", "", "conn_" + "0" * 42, "conn_../..", "rcv_x"])
def test_an_unknown_connection_is_not_found(admin: Administration, identifier: str) -> None:
    """Whatever its form, an id that is none is not found."""
    for call in (admin.lists.get, admin.connection_checks.run, admin.changes.fetch, admin.connection_tokens.of):
        with pytest.raises(MailgrantError) as refused:
            call(identifier)
        assert Code.NOT_FOUND is refused.value.code


def test_rows_of_a_newer_version_survive_a_change(admin: Administration, grant: Grant) -> None:
    """A property that this version does not know is kept by every write."""
    connection = admin.connection(grant)
    key = connection_key(connection.id)
    admin.tables.connections.commit(connection.shard, [Update(key, {"new_in_v9": "x"}, "*")])

    admin.changes.change(connection.id, {"name": "Support"})

    row = admin.tables.connections.get(connection.shard, key)
    assert row is not None
    assert "x" == row.values["new_in_v9"]
