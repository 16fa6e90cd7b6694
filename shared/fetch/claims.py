"""How fetch claims a connection, and commits what became of it: one transaction each, fenced by the record's etag."""

import logging
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta

from shared.connections import Run, run_key
from shared.errors import RowChanged, RowMissing, StorageUnavailable
from shared.fetch.job import (
    WALK_LASTS,
    Job,
    claim_operations,
    claimed,
    commit_operations,
    due_connections,
    scheduled,
)
from shared.fetch.positions import is_position
from shared.identifiers import shard_of
from shared.ports import ANY, Delete, Operation, Table, Upsert
from shared.rows import readable
from shared.schedule import FETCH, DueRow, Wakeup
from shared.times import from_text
from shared.turns import Released, Turn, Turns, View

log = logging.getLogger("mailgrant.fetch")


class FetchClaims:
    """Claims and commits in the *table* of connections, under the turns of *turns*."""

    def __init__(self, table: Table, turns: Turns) -> None:
        self._table = table
        self._turns = turns

    def drop(self, view: View, wakeup: Wakeup) -> None:
        """Leave a wake-up alone, and remove the due row that fired it unless it is all that the record has."""
        run = view.runs.get(wakeup.id)
        if not wakeup.due or (run is not None and run.due == wakeup.due) or view.is_strange(wakeup.id):
            return
        shard = shard_of(wakeup.id)
        fired = self._table.get(shard, wakeup.due)
        if fired is None:
            return
        # Whoever wrote that row anew since *view* was read wrote its record with it; whoever will changes its etag.
        record = self._table.get(shard, run_key(wakeup.id))
        now = readable(Run, record.key, record.values) if record else None
        if record is not None and (now is None or now.due == wakeup.due):
            return
        # The tick moves a due row before it wakes anyone, so the record may name a row that now has another key.
        if now is not None and now.due and self._table.get(shard, now.due) is None:
            return
        with suppress(RowMissing, RowChanged):
            self._table.commit(shard, [Delete(wakeup.due, fired.etag)])

    def follow(self, view: View, wakeup: Wakeup) -> None:
        """
        Move the due row that the tick fired to the end of the turn's lease, so that a death is noticed soon after it.

        The tick left it five minutes on. Where the record still has a due row of its own, or anew, it is removed.
        """
        run, shard = view.runs.get(wakeup.id), shard_of(wakeup.id)
        if not wakeup.due or (run is not None and run.due == wakeup.due):
            return
        if run is None or not run.due or self._table.get(shard, run.due) is not None:
            self.drop(view, wakeup)
            return
        ends = max(view.storage_time, from_text(view.box.lease_until) if view.box.lease_until else view.storage_time)
        due = DueRow(ends + timedelta(seconds=self._turns.lease_seconds / 2), FETCH, wakeup.id, run.seq)
        if due.key == wakeup.due:
            return
        with suppress(RowMissing):  # whoever claimed since has removed it
            self._table.commit(shard, [Upsert(due.key, due.values), Delete(wakeup.due, ANY)])

    def claim(self, view: View, connection_id: str, fired: str, skip: str) -> Job | None:
        """
        Take the mailbox's turn and the connection in one transaction, or return None where another holds the turn.

        Raises `RowChanged` where the record changed, `RowMissing` where a due row is gone: claim again but *skip* it.
        """
        before = view.runs[connection_id]
        etag, lease = view.etags[run_key(connection_id)], self._turns.lease_seconds
        runs: dict[str, Run] = {}

        def operations(claim_id: str) -> list[Operation]:
            runs["after"] = claimed(before, claim_id, view.storage_time, lease)
            return claim_operations(before, runs["after"], etag, fired, skip)

        turn = self._turns.claim(view, FETCH, operations)
        if turn is None:
            return None
        return self._job(view, before, runs["after"], turn, turn.etags[run_key(connection_id)])

    def following(self, view: View, turn: Turn, done: set[str]) -> Job | None:
        """Claim another due connection of the mailbox, not of *done*, under the same turn; None if there is none."""
        for key in due_connections(view, ""):
            if key in done:
                continue
            done.add(key)
            before = view.runs[key]
            after = claimed(before, turn.claim_id, view.storage_time, self._turns.lease_seconds)
            operations = claim_operations(before, after, view.etags[run_key(key)], "", "")
            try:
                turn.renew()
                etag = self._table.commit(shard_of(key), operations).etags[0]
            except (RowChanged, RowMissing):
                continue  # someone wrote it since: its own due row or wake-up will bring it here again
            return self._job(view, before, after, turn, etag)
        return None

    def commit(self, job: Job, *, release: bool) -> Released:
        """
        Write the record with its due rows, and give up the turn with it where *release* says so, at once if send waits.

        Where the record was changed or deleted meanwhile nothing of this run is written.
        """
        job.run = scheduled(job.room.noted(job.run))
        skip = ""
        while True:
            operations = commit_operations(job, skip)
            try:
                released = job.turn.release(operations, yielding=True) if release else Released(done=False, wake="")
                if not released.done:
                    self._table.commit(job.connection.shard, operations)
            except (RowMissing, RowChanged) as error:
                if isinstance(error, RowChanged) or error.key == skip or error.key != job.claim_due:
                    return self._abandon(job, release=release)
                skip = error.key
            except StorageUnavailable:
                return self._look_for(job)
            else:
                log.info("fetch.done connection_id=%s taken=%d more=%s", job.connection.id, job.taken, job.more)
                return released

    def _abandon(self, job: Job, *, release: bool) -> Released:
        log.info("fetch.fenced connection_id=%s", job.connection.id)
        job.more = False
        return job.turn.release(yielding=True) if release else Released(done=False, wake="")

    def _look_for(self, job: Job) -> Released:
        """Look whether a commit without an answer was done; raises the trouble again where it was not."""
        view = self._turns.look(job.turn.box_hash)
        run = view.runs.get(job.connection.id)
        if run is None or run.seq != job.run.seq or run.due != job.run.due:
            raise StorageUnavailable("The commit of a fetch got no answer and was not done.")
        done = view.box.holder != job.turn.claim_id
        return Released(done=done, wake=view.box.reserved_for if done else "")

    def _job(self, view: View, before: Run, run: Run, turn: Turn, etag: str) -> Job:
        def now() -> datetime:
            return view.storage_time + timedelta(seconds=self._turns.monotonic() - view.read_at)

        unfinished = before.claim != ""
        ages = before.walk and not is_position(before.walk)  # times, unlike Graph's links, do not
        stale = ages and (not before.last_run_at or now() - from_text(before.last_run_at) > WALK_LASTS)
        if stale:
            run = replace(run, walk="")
        recheck = unfinished or before.recheck or bool(stale)
        # Whatever becomes of this run, its record goes on saying what an earlier one has left.
        run = replace(run, pending=before.pending or unfinished, recheck=recheck)
        job = Job(view.connections[run.connection_id], run, etag, run.due, turn, now, recheck, seen=unfinished)
        if run.pending:
            job.wait_for(now())
        return job
