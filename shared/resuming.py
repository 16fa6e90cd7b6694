"""How the connections that waited for a grant or credential are woken once it works again."""

import logging
from dataclasses import dataclass, replace

from shared.connection_rows import Found, changed_run, find
from shared.connections import Direction
from shared.errors import NotFound, RowChanged, RowExists, RowMissing, StorageError
from shared.grants import Grant
from shared.ports import Delete, Operation, Tables, Upsert, Wakeups
from shared.registry import Registry
from shared.schedule import FETCH, QUEUES, SEND, DueRow, Wakeup
from shared.times import from_text, to_text

log = logging.getLogger("mailgrant.grants")

FORGOTTEN_SECONDS = 2.0
"""By then no process remembers that the grant or the credential did not work."""
TRIES = 5


@dataclass(frozen=True, slots=True)
class Resuming:
    """Makes the work of connections due; whoever is missed looks again by itself within a minute."""

    tables: Tables
    wakeups: Wakeups

    def wake(self, grant: Grant) -> int:
        """Make every connection of *grant* due now; return how many. Raises `StorageUnavailable`."""
        count = 0
        for _, connection_id, _ in Registry(self.tables).notes(grant.credential_id, grant.tenant):
            for _ in range(TRIES):
                try:
                    wakeup = self._due(find(self.tables, connection_id))
                except NotFound:
                    break
                except (RowChanged, RowExists):
                    continue
                if wakeup is not None:
                    self._put(wakeup)
                    count += 1
                break
        log.info("grants.resumed grant_id=%s connections=%d", grant.id, count)
        return count

    def _due(self, found: Found) -> Wakeup | None:
        """Write that the connection is due; None where nothing of it waits for this."""
        connection, run, now = found.connection, found.run, found.storage_time
        if not connection.enabled or run.stopped:
            return None
        outgoing = connection.direction is Direction.OUTGOING
        if outgoing and run.fault is None:
            return None  # nothing was tried, or it was sent
        if run.claim and run.next_at and from_text(run.next_at) > now:
            return None  # its holder is at work
        kind = SEND if outgoing else FETCH
        due = DueRow(now, kind, connection.id, run.seq + 1)
        after = replace(run, seq=run.seq + 1, next_at=to_text(now), due=due.key)
        operations: list[Operation] = [changed_run(found, after), Upsert(due.key, due.values)]
        old = run.due if run.due != due.key else ""
        try:
            self.tables.connections.commit(connection.shard, [*operations, *([Delete(old)] if old else [])])
        except RowMissing as error:
            if error.key != old:
                return None
            self.tables.connections.commit(connection.shard, operations)  # the tick has moved it on
        return Wakeup(kind, connection.id, after.seq, due.key)

    def _put(self, wakeup: Wakeup) -> None:
        try:
            self.wakeups.put(QUEUES[wakeup.kind], wakeup.to_body(), FORGOTTEN_SECONDS)
        except StorageError as error:  # the due row fires instead
            log.warning("grants.wake_failed id=%s code=%s", wakeup.id, error.code.value)
