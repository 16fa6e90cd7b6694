"""What a fetch does before it goes on for a deleted connection: waits for its last workers, sorts what they left."""

from dataclasses import replace
from datetime import datetime

from shared.connection_rows import Tombstone, tombstone_key
from shared.fetch.job import Job
from shared.leftovers import settle
from shared.ports import Tables
from shared.receipts import DELIVER, work_range
from shared.rows import decode
from shared.times import from_text


def settled(tables: Tables, job: Job) -> datetime | None:
    """
    Sort what the connection before left open; return the time until which its delivery may last, None once it is done.

    No fetch of it can be under way: the mailbox's turn is ours. Raises `StorageUnavailable`.
    """
    if not job.run.unsettled:
        return None
    row = tables.connections.get(job.connection.shard, tombstone_key(job.connection.continues[-1]))
    if row is not None:
        stone = decode(Tombstone, row.values)
        # Whoever still delivers for it does so by a work row: without any, there is nothing to wait for.
        busy = bool(stone.quiet_at) and from_text(stone.quiet_at) > job.now()
        if busy and tables.receipts.read(stone.connection_id, *work_range(DELIVER, None), 1).rows:
            return from_text(stone.quiet_at)
        job.turn.renew()
        settle(tables.receipts, stone)
    job.run = replace(job.run, unsettled=False)
    return None
