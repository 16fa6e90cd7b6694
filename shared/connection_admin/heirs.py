"""Where a new connection begins: at its start, or where a deleted connection of the same folder stopped."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from shared.connection_admin.rules import START_ALL, START_NOW
from shared.connection_rows import Tombstone, tombstone_key
from shared.connections import Connection, Run, connection_key
from shared.errors import Conflict, FieldFault, InvalidRequest
from shared.identifiers import box_of, is_connection_id
from shared.ports import Operation, Row, Update
from shared.rows import decode
from shared.times import from_text, to_text

_POINTER = "/start/continue_from"
_CLOCKS = timedelta(minutes=5)
"""By how much the clock of whoever asks may be ahead."""


@dataclass(frozen=True, slots=True)
class Heir:
    """A new connection with its first run, and what must be written in the same transaction."""

    connection: Connection
    run: Run
    operations: Sequence[Operation] = ()


def first_run(connection: Connection, now: datetime) -> Run:
    """
    Return the run of a connection that continues none; *now* is storage's time, not the host's.

    Raises `InvalidRequest` for a start in the future: mail that comes before it would be taken like any that is new.
    """
    return Run(connection.id, since=_since(connection, now))


def heir_of(connection: Connection, continue_from: str, rows: Mapping[str, Row]) -> Heir:
    """
    Return the connection as the one that goes on where *continue_from* stopped; *rows* are those of its mailbox.

    Its tombstone takes the new id in the same transaction, so that only one can ever continue it. Raises
    `InvalidRequest` where mailbox or folder differ or nothing is left of it, `Conflict` where another continues it.
    """
    same_mailbox = is_connection_id(continue_from) and box_of(continue_from) == connection.box
    if same_mailbox and connection_key(continue_from) in rows:
        raise Conflict("The connection to continue from still exists. Delete it first, or change it instead.")
    row = rows.get(tombstone_key(continue_from)) if same_mailbox else None
    if row is None:
        message = "no connection of this mailbox was deleted under this id in the last 30 days"
        raise _refusal("not_found", message)
    stone = decode(Tombstone, row.values)
    if stone.direction != connection.direction.value or stone.folder_id != connection.folder_id:
        message = "the deleted connection read another folder; choose the same folder, or another start"
        raise _refusal("other_folder", message)
    if stone.continued_by:
        raise Conflict(f"The deleted connection is continued already, by {stone.continued_by}.")
    connection = replace(connection, start=stone.start, continues=(*stone.continues, stone.connection_id))
    run = Run(connection.id, cursor=stone.cursor, since=stone.since, recheck=True, unsettled=True)
    run = replace(run, light=stone.light, resync=stone.resync)
    return Heir(connection, run, [Update(row.key, {"continued_by": connection.id}, row.etag)])


def _refusal(code: str, message: str) -> InvalidRequest:
    return InvalidRequest(f"The new connection cannot continue: {message}.", [FieldFault(_POINTER, code, message)])


def _since(connection: Connection, now: datetime) -> str:
    """Return the time before which nothing is taken, '' where everything is; *now* is storage's, not the host's."""
    if connection.start == START_ALL:
        return ""
    if connection.start == START_NOW:
        return to_text(now)
    moment = from_text(connection.start)
    if moment > now + _CLOCKS:
        message = 'start lies in the future; "now" takes what comes from now on'
        raise InvalidRequest(f"The connection cannot be made: {message}.", [FieldFault("/start", "in_future", message)])
    return to_text(moment)
