"""The rows of connections beyond those that a turn reads: membership in a grant, the fence, tokens, tombstones."""

from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from shared.aftercare import TIDY_AFTER
from shared.box import Box
from shared.codes import Code
from shared.connections import Connection, Delivery, Direction, Run, box_key, connection_key, delivery_key, run_key
from shared.errors import Conflict, InvalidRequest, NotFound, RowMissing
from shared.identifiers import box_of, is_connection_id, shard_of, split_grant_id
from shared.ports import ANY, Delete, Insert, Operation, Row, Tables, Update
from shared.registry import Registry, member_key
from shared.rows import decode, encode
from shared.schedule import SEND, DueRow
from shared.times import from_text, to_text

YOUNG = timedelta(minutes=10)
_BY_ITSELF = "all that was not delivered goes out by itself; ask again then for what was delivered before."


@dataclass(frozen=True, slots=True)
class Found:
    """A connection with its run and delivery, as one range read saw them; *rows* are all rows of its mailbox by key."""

    connection: Connection
    run: Run
    delivery: Delivery | None
    rows: dict[str, Row]
    storage_time: datetime

    def etag(self, key: str) -> str:
        """Return the etag of a row of the mailbox."""
        return self.rows[key].etag


@dataclass(frozen=True, slots=True)
class Tombstone:
    """
    What remains of a deleted connection for 30 days, so that a new one can continue where it stopped.

    *since* is the time before which its walk took nothing, *discarded* tells that open work was given up on purpose,
    *quiet_at* until when a delivery that was under way may last, *continued_by* which connection goes on for it.
    *light* and *resync* are those of its run.
    """

    connection_id: str
    deleted_at: str
    direction: str
    grant_id: str
    mailbox: str
    folder_id: str = ""
    cursor: str = ""
    walk: str = ""
    start: str = "now"
    since: str = ""
    discarded: bool = False
    quiet_at: str = ""
    continued_by: str = ""
    continues: tuple[str, ...] = ()
    light: bool = False
    resync: bool = False


def find(tables: Tables, connection_id: str) -> Found:
    """Return the connection. Raises `NotFound`."""
    missing = NotFound("There is no such connection. GET connections lists those there are.")
    if not is_connection_id(connection_id):
        raise missing
    box = box_of(connection_id)
    read = tables.connections.read(shard_of(box), f"b|{box}|", f"b|{box}~")
    rows = {row.key: row for row in read.rows}
    config, run = rows.get(connection_key(connection_id)), rows.get(run_key(connection_id))
    if config is None or run is None:
        raise missing
    delivery = rows.get(delivery_key(connection_id))
    return Found(
        decode(Connection, config.values),
        decode(Run, run.values),
        decode(Delivery, delivery.values) if delivery else None,
        rows,
        read.storage_time,
    )


def require_delivery(found: Found) -> None:
    """Raise `Conflict` or `InvalidRequest` where what is put in line would not be delivered now."""
    if found.connection.direction is not Direction.INCOMING:
        raise InvalidRequest("An outgoing connection delivers nothing.", code=Code.INVALID_REQUEST)
    if not found.connection.enabled:
        raise Conflict(f"The connection is disabled. Enable it, and {_BY_ITSELF}")
    if found.delivery is not None and found.delivery.disabled:
        raise Conflict(
            "The destination is disabled. PATCH the connection with its destination, or with enabled: true, and "
            f"{_BY_ITSELF}"
        )


def fence(box: str, rows: dict[str, Row]) -> Operation:
    """Return the operation that lets only one of several concurrent changes to a mailbox's connections through."""
    key = f"b|{box}|cfg"
    if key not in rows:
        return Insert(key, {"changes": 1})
    return Update(key, {"changes": int(rows[key].values.get("changes", 0)) + 1}, rows[key].etag)


def tombstone_key(connection_id: str) -> str:
    """Return the row key of a tombstone."""
    return f"b|{box_of(connection_id)}|gone|{connection_id}"


def tombstone(found: Found, *, discarded: bool = False) -> Tombstone:
    """Return what remains of a connection that is deleted now, by storage's time."""
    connection, run, delivery = found.connection, found.run, found.delivery
    since = run.since or {"now": connection.created_at, "all": ""}.get(connection.start, connection.start)
    return Tombstone(
        connection.id,
        to_text(found.storage_time),
        connection.direction.value,
        connection.grant_id,
        connection.mailbox,
        connection.folder_id,
        run.cursor,
        run.walk,
        connection.start,
        since,
        discarded,
        delivery.lease_until if delivery is not None and delivery.claim else "",
        continues=connection.continues,
        light=run.light,
        resync=run.resync,
    )


def refuse_fetching(found: Found) -> None:
    """
    Raise `Conflict` (work_pending) while somebody fetches for the connection.

    What a fetch has stored counts as taken only once its run is committed; but the mail may be moved or deleted in the
    mailbox by then, and a connection that comes after this one would look for it where it is no more. A fetch that
    begins later writes the run row, which a deletion is fenced by.
    """
    row = found.rows.get(box_key(found.connection.box))
    box = decode(Box, row.values) if row else Box()
    if found.run.claim and box.holder == found.run.claim and from_text(box.lease_until) > found.storage_time:
        detail = "Mail is fetched at this moment. Wait a little, or delete with ?discard=true to give up what it takes."
        raise Conflict(detail, Code.WORK_PENDING)


def woken_by(found: Found) -> DueRow:
    """Return the due row, due now, that speaks of no state of the run: who it wakes looks for himself."""
    return DueRow(found.storage_time, SEND, found.connection.id)


def tidying(found: Found) -> DueRow:
    """Return the due row by which the drafts of an outgoing connection that is deleted now are looked for once."""
    return DueRow(found.storage_time + TIDY_AFTER, SEND, found.connection.id)


def join_grant(tables: Tables, connection: Connection) -> None:
    """
    Note that the connection lives under its grant; from now on the grant cannot be deleted.

    Raises `NotFound` where the grant is gone.
    """
    credential_id, tenant = _grant_parts(connection.grant_id)
    operations: list[Operation] = [
        Insert(member_key(tenant, connection.id), {"created_at": connection.created_at}),
        Update(f"g|{tenant}", {"joined_at": connection.created_at}, ANY),
    ]
    try:
        tables.grants.commit(credential_id, operations)
    except RowMissing:
        raise NotFound("There is no such grant. GET grants lists those there are.") from None


def leave_grant(tables: Tables, connection_id: str, grant_id: str) -> None:
    """Take the note away; no error where it is gone."""
    credential_id, tenant = _grant_parts(grant_id)
    with suppress(RowMissing):
        tables.grants.commit(credential_id, [Delete(member_key(tenant, connection_id))])


def members(tables: Tables, credential_id: str, now: datetime, tenant: str = "") -> list[str]:
    """
    Return the ids of the connections under a credential or one grant of it.

    A note without a connection is left of a creation that died; it is taken away once it is old.
    """
    living = []
    for key, connection_id, created_at in Registry(tables).notes(credential_id, tenant):
        young = created_at and now - from_text(created_at) < YOUNG
        if young or tables.connections.get(shard_of(connection_id), connection_key(connection_id)) is not None:
            living.append(connection_id)
        else:
            with suppress(RowMissing):
                tables.grants.commit(credential_id, [Delete(key)])
    return living


def changed_run(found: Found, run: Run) -> Update:
    """Return the operation that writes the run unless a worker wrote it meanwhile."""
    key = run_key(found.connection.id)
    return Update(key, encode(run), found.etag(key))


def asked_now(run: Run, now: datetime, due: str) -> Run:
    """
    Return the run made due now by a person, whatever it waited for.

    A claim stays named, so that the next one looks for what its holder may have left undone.
    """
    if run.stopped:  # what has failed for a day gets a day more
        run = replace(run, stopped=False, failures=0, failing_since="")
    return replace(run, seq=run.seq + 1, next_at=to_text(now), due=due)


def parked(run: Run) -> Run:
    """Return the run with nothing due until a person enables its connection again; a claim stays named, see above."""
    return replace(run, seq=run.seq + 1, next_at="", due="")


def _grant_parts(grant_id: str) -> tuple[str, str]:
    parts = split_grant_id(grant_id)
    if parts is None:
        raise NotFound("There is no such grant. GET grants lists those there are.")
    return parts
