"""What is told of mail that was to be sent: each end it comes to, in the same transaction as the change."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from shared.connection_rows import find
from shared.connections import Connection, Direction
from shared.errors import NotFound
from shared.notices import EventType, Notice, marked_id, soon
from shared.outbox.work import Status, Work
from shared.ports import Operation, Table, Tables, Wakeups
from shared.schedule import NOTICE, Wakeup
from shared.waking import wake

Tellings = Callable[[str], "StatusTelling | None"]

ENDS = frozenset({Status.SENT, Status.BOUNCED, Status.FAILED, Status.OUTCOME_UNKNOWN, Status.CANCELLED})
"""What is told. ``accepted`` is not, since ``sent`` follows it, but where nothing more can be learned of the mail."""


@dataclass
class StatusTelling:
    """
    Tells of the mails of one connection that has a status webhook; *connections* is the table of its due rows.

    The due row of the minute is written first, so that a notice is found whoever dies.
    """

    connections: Table
    wakeups: Wakeups
    connection: Connection
    now: Callable[[], datetime]
    _sure: str = field(default="", init=False)
    _told: bool = field(default=False, init=False)

    def __call__(self, work: Work) -> Sequence[Operation]:
        """Return the row that tells how *work* stands, if that is told. Raises `StorageUnavailable`."""
        if work.status not in ENDS and not (work.direct and work.status == Status.ACCEPTED):
            return ()
        due = soon(self.connection.id, self.now())
        if due.key != self._sure:
            self.connections.commit(self.connection.shard, [due])
            self._sure = due.key
        self._told = True
        return [_notice(self.connection.id, work, self.now()).in_outbox(self.connection.id)]

    def wake(self) -> None:
        """Have told what was written; where nobody hears, the due row fires."""
        if self._told:
            self._told = False
            wake(self.wakeups, Wakeup(NOTICE, self.connection.id))


def telling_of(
    connections: Table, wakeups: Wakeups, connection: Connection, now: Callable[[], datetime]
) -> StatusTelling | None:
    """Return what tells of the connection's mails, None where nobody wants to know."""
    wanted = connection.direction is Direction.OUTGOING and connection.destination is not None
    return StatusTelling(connections, wakeups, connection, now) if wanted else None


def tellings(tables: Tables, wakeups: Wakeups, now: Callable[[], datetime]) -> Tellings:
    """Return what finds out who is told of a connection's mails, for whoever has no more than its id."""

    def telling(connection_id: str) -> StatusTelling | None:
        try:
            connection = find(tables, connection_id).connection
        except NotFound:
            return None
        return telling_of(tables.connections, wakeups, connection, now)

    return telling


def _notice(connection_id: str, work: Work, now: datetime) -> Notice:
    fault = work.fault
    data = {
        "connection_id": connection_id,
        "message_id": work.id,
        "status": work.status.value,
        "internet_message_id": work.internet_message_id or None,
        "attempts": work.attempt,
        "bounced_recipients": len(work.bounces),
        "code": fault.code if fault else None,
        "detail": fault.detail if fault else None,
    }
    mark = marked_id("message.status", work.id, work.status.value, work.moves[-1].at if work.moves else "")
    return Notice(EventType.MESSAGE_STATUS, work.id, data, now, mark)
