"""Housekeeping: one run for each connection and day, whatever exists; each leaves a due row for the next."""

import logging
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta

from shared.connections import Connection, Direction, connection_key
from shared.erasing import Erasing
from shared.errors import RowChanged, RowExists, RowMissing
from shared.identifiers import is_connection_id, shard_of
from shared.keep_rows import (
    EVERY,
    SYSTEM,
    Held,
    Keeping,
    Stage,
    begin_system,
    claim,
    end,
    keep_key,
    remove,
    save,
    shard_of_kept,
)
from shared.keeping.contents import Contents
from shared.keeping.deleted import Deleted
from shared.keeping.entries import Outgoing
from shared.keeping.rounds import LOG_DAYS, Round, days_after
from shared.keeping.system import System, emptied
from shared.ports import BlobStore, Tables, Wakeups
from shared.rows import decode
from shared.run_log import partition_of
from shared.schedule import DELIVER, Wakeup
from shared.waking import wake

log = logging.getLogger("mailgrant.keeping")

RUN_SECONDS = 60.0
AGAIN = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Keep:
    """Keeps house for the connection that a wake-up names, at most *RUN_SECONDS* at a time."""

    tables: Tables
    blobs: BlobStore
    erasing: Erasing
    wakeups: Wakeups
    monotonic: Callable[[], float] = time.monotonic

    def handle(self, wakeup: Wakeup) -> None:
        """Do what is due, unless another does. Raises `StorageError`: the host repeats, and the due row fires again."""
        if not is_connection_id(wakeup.id) and wakeup.id != SYSTEM:
            return
        with suppress(RowChanged, RowMissing, RowExists):  # another run took over
            held = claim(self.tables.connections, wakeup)
            if held is not None:
                self._work(held)

    def _work(self, held: Held) -> None:
        ends = self.monotonic() + RUN_SECONDS
        record, now = held.record, held.now

        def go_on() -> bool:
            return self.monotonic() < ends

        if record.connection_id == SYSTEM:
            after = System(self.tables, now, go_on).keep(record)
        elif record.stage is not Stage.LIVING:
            step = Deleted(self.tables, self.blobs, self.erasing, now, go_on).next(record)
            if step is not None:
                save(self.tables.connections, held, *step)
            else:
                end(self.tables.connections, record.due, record.connection_id)
            log.info("keeping.deleted connection_id=%s stage=%s", record.connection_id, record.stage.value)
            return
        else:
            living = self._living(held, go_on)
            if living is None:
                return
            after = living
        # A run that ended early goes on at once where it came further, else later: the same again would end as early.
        again = now if after != record else now + AGAIN
        save(self.tables.connections, held, after, now + EVERY if go_on() else again)

    def _living(self, held: Held, go_on: Callable[[], bool]) -> Keeping | None:
        """Keep house for a connection that there is; None where there is none."""
        record = held.record
        row = self.tables.connections.get(shard_of(record.connection_id), connection_key(record.connection_id))
        if row is None:
            # A deletion writes the record too, so one that nobody wrote since belongs to what is gone for good.
            remove(self.tables.connections, held)
            return None
        self._begin_system(held)
        connection = decode(Connection, row.values)
        work = Round(self.tables, self.blobs, connection, held.now, go_on)
        if connection.direction is Direction.INCOMING:
            return self._logs(work, self._incoming(work, record))
        outgoing = Outgoing(work)
        record = outgoing.sweep(outgoing.expire(record))
        outgoing.forget()
        outgoing.loops()
        return outgoing.uploads(self._logs(work, record))  # last, since a pass that ended begins anew

    def _incoming(self, work: Round, record: Keeping) -> Keeping:
        contents = Contents(work)
        record = contents.expire(record)
        if contents.warned:
            wake(self.wakeups, Wakeup(DELIVER, work.connection.id))
        if work.go_on():
            record = contents.sweep(record)
        contents.forget()
        return record

    def _logs(self, work: Round, record: Keeping) -> Keeping:
        """Remove the run log of days that are long past."""
        for day in days_after(record.logged_day, work.now - timedelta(days=LOG_DAYS + 1)):
            if not work.go_on() or not emptied(self.tables.log, partition_of(work.connection.id, day), work.go_on):
                return record
            record = replace(record, logged_day=day)
        return record

    def _begin_system(self, held: Held) -> None:
        """See that what belongs to no connection is kept too; whoever comes first makes its record."""
        shard = shard_of_kept(SYSTEM)
        if self.tables.connections.get(shard, keep_key(SYSTEM)) is None:
            begin_system(self.tables.connections, held.now)
