"""Which mails of a mailbox are sent now: the holder of its turn drains all of its outgoing connections."""

import logging
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Protocol

from shared.connections import Connection, Direction, Run
from shared.errors import StorageError, StorageUnavailable, Throttled
from shared.notices import soon
from shared.outbox.rows import WORK_FIRST, WORK_LAST
from shared.outbox.work import Periods, Work
from shared.ports import BlobStore, GraphMailbox, GraphSending, GraphSent, Table, Wakeups
from shared.record_notices import sent_by_others
from shared.run_log import RunLine, note
from shared.schedule import FETCH, NOTICE, QUEUES, Wakeup
from shared.send.batch import Batch, wait_of
from shared.send.care import Care, usable
from shared.send.claim import Claim, ConnectionGone, Result, claim, extend, release
from shared.send.drafting import Drafting
from shared.send.gone import Gone
from shared.send.guard import Guard
from shared.send.late import Patience
from shared.send.pace import Pace
from shared.send.sender import Sender
from shared.send.storing import Writer
from shared.status_notices import StatusTelling, telling_of
from shared.times import from_text
from shared.turns import TurnLost, Turns
from shared.waking import wake

log = logging.getLogger("mailgrant.send")

YIELD_AFTER = timedelta(seconds=1)


class MailboxTokens(Protocol):
    """What a drain needs of the token module."""

    def graph_mailbox(self, grant_id: str, user: str) -> GraphMailbox:
        """Return the right to call Graph for *user*. Raises `CredentialFault`, `GrantFault`, `NotFound`."""

    def suspect(self, grant_id: str) -> None:
        """Have the grant checked soon; never raises."""


@dataclass(frozen=True, slots=True)
class Drain:
    """
    The send worker. *run_seconds* bounds one run; what is left then gets its own wake-up.

    In *runs* each run that sent something leaves a row per connection. By *sent* it learns what became of accepted
    mail, first after *confirm*.
    """

    turns: Turns
    outbox: Table
    blobs: BlobStore
    wakeups: Wakeups
    tokens: MailboxTokens
    graph: GraphSending
    periods: Periods
    run_seconds: float = 240.0
    runs: Table | None = None
    sent: GraphSent | None = None
    confirm: timedelta = timedelta(seconds=60)

    def run(self, wakeup: Wakeup) -> None:
        """
        Send whatever is due in the mailbox of the connection that *wakeup* names, if nobody else does so now.

        Raises `StorageUnavailable`; the due row of the claim covers what was begun.
        """
        if not wakeup.seq and not wakeup.due and self._is_empty(wakeup.id):
            return  # one of many wake-ups for mails that an earlier drain took along
        try:
            claimed = claim(self.turns, wakeup)
        except ConnectionGone as gone:
            parts = (self.turns, self.outbox, self.wakeups, self.sent, self.tokens.graph_mailbox)
            Gone(*parts).end(wakeup, gone.view)
            return
        if claimed is None:
            return
        try:
            _Run(self, claimed).run()
        except TurnLost:
            log.warning("send.turn_lost connection_id=%s", wakeup.id)

    def _is_empty(self, connection_id: str) -> bool:
        return not self.outbox.read(connection_id, WORK_FIRST, WORK_LAST, 1).rows


@dataclass
class _Run:
    """One invocation that holds a mailbox's turn."""

    drain: Drain
    claimed: Claim
    stopping: bool = False
    _started: datetime = field(init=False)
    _read_at: float = field(init=False)
    _guard: Guard = field(init=False)
    _care: Care = field(init=False)
    _tellings: dict[str, StatusTelling | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._started, self._read_at = self.claimed.view.storage_time, self.claimed.view.read_at
        self._guard = Guard(self.claimed.turn)
        died = any(run.claim for run in self.claimed.view.runs.values() if self._sends(run))
        parts = (self.drain.sent, self._guard, self.drain.confirm, self.now, self._writer, self._alarm, self._pause)
        self._care = Care(*parts, died)

    def now(self) -> datetime:
        """Return storage's time, as far as its last answer and our own ticking tell."""
        return self._started + timedelta(seconds=self.drain.turns.monotonic() - self._read_at)

    def run(self) -> None:
        turn = self.claimed.turn
        turn.scan_begins()
        results = self._scan({})
        self._tend_sent(results)
        while True:
            released, wakeups = release(self.claimed, self._cared(results), self.now())
            if released.done:
                break
            if not self.stopping:
                self.claimed.view = self.drain.turns.look(turn.box_hash)
            turn.scan_begins()  # word left during a run that must end is answered by the wake-up that it leaves
            results = results if self.stopping else self._scan(results)
        self._wake(wakeups, fetch=released.wake == FETCH)
        accepted = sum(result.accepted for result in results.values())
        self._note(results)
        log.info("send.drained connection_id=%s accepted=%d", self.claimed.connection_id, accepted)

    def _note(self, results: dict[str, Result]) -> None:
        seconds = round(self.drain.turns.monotonic() - self._read_at, 3)
        for key, result in results.items():
            if result.accepted and self.drain.runs is not None:
                note(self.drain.runs, key, RunLine("send", "", "done", seconds, accepted=result.accepted), self.now())

    def _scan(self, before: dict[str, Result]) -> dict[str, Result]:
        results = dict(before)
        for connection in self.claimed.outgoing():
            if self._waits(connection):
                continue
            result, known = self._one(connection), before.get(connection.id)
            if known is not None:
                worked, accepted = known.worked or result.worked, known.accepted + result.accepted
                result = replace(result, worked=worked, accepted=accepted)
            results[connection.id] = result
            self._care.drained(connection, self.claimed.view.runs.get(connection.id, Run(connection.id)), result)
        return results

    def _tend_sent(self, results: dict[str, Result]) -> None:
        """Learn what became of mail that was accepted, where that is due and nobody waits."""
        clear = [one for one in self.claimed.outgoing() if one.id in results and results[one.id].fault is None]
        if not self.stopping:
            self._care.tend([one for one in clear if self._usable(one.id)], lambda one: _Right(self, one)())

    def _cared(self, results: dict[str, Result]) -> dict[str, Result]:
        return {key: self._care.result(key, one, usable=self._usable(key)) for key, one in results.items()}

    def _usable(self, connection_id: str) -> bool:
        return usable(self.claimed.view.connections, self.claimed.view.runs, connection_id)

    def _sends(self, run: Run) -> bool:
        connection = self.claimed.view.connections.get(run.connection_id)
        return connection is not None and connection.direction == Direction.OUTGOING

    def _writer(self, connection: Connection) -> Writer:
        if connection.id not in self._tellings:
            table, wakeups = self.drain.turns.table, self.drain.wakeups
            self._tellings[connection.id] = telling_of(table, wakeups, connection, self.now)
        return Writer(self.drain.outbox, connection.id, self._tellings[connection.id])

    def _alarm(self, connection: Connection, work: Work) -> None:
        """Tell that a mail lies in Sent Items that nobody of ours has sent."""
        notice = sent_by_others(connection.id, work.id, self.now())
        table, shard = self.drain.turns.table, connection.shard
        table.commit(shard, [notice.in_box(connection.id), soon(connection.id, self.now())])
        wake(self.drain.wakeups, Wakeup(NOTICE, connection.id))

    def _pause(self, fault: Throttled, failures: int = 1) -> None:
        if self.paused_until() is not None:
            return  # Graph was not asked: two connections that only waited would put each other off for ever
        with suppress(StorageError):  # the connection itself waits in any case
            self.drain.turns.pause(self.claimed.turn.box_hash, self.now() + wait_of(fault, failures))

    def _waits(self, connection: Connection) -> bool:
        """Tell whether a connection beside the woken one has a back-off of its own to wait for."""
        run = self.claimed.view.runs.get(connection.id)
        if run is None or connection.id == self.claimed.connection_id or run.fault is None:
            return False
        return bool(run.due and run.next_at) and from_text(run.next_at) > self.now()

    def _one(self, connection: Connection) -> Result:
        if self.stopping:
            return Result(self.now())
        view, drain = self.claimed.view, self.drain
        run = view.runs.get(connection.id, Run(connection.id))
        writer = self._writer(connection)
        patience = Patience(writer, connection.hold_hours)
        pace = Pace(self.claimed.turn, connection.send_rate, self.now)
        batch = Batch(
            writer,
            patience,
            pace,
            self._mailbox_of(connection, run),
            lambda mailbox: Sender(
                writer,
                Drafting(drain.graph, drain.blobs, self._guard, pace, mailbox, connection),
                patience,
                drain.periods,
                self.now,
            ),
            self.now,
            self._tend,
            lambda: drain.tokens.suspect(connection.grant_id),
            run.failures,
        )
        result = batch.run()
        self.stopping = batch.stopped
        if isinstance(batch.fault, Throttled):
            self._pause(batch.fault, run.failures + 1)
        return result

    def _mailbox_of(self, connection: Connection, run: Run) -> "_Right | None":
        if not connection.enabled or run.stopped:
            return None
        return _Right(self, connection)

    def paused_until(self) -> datetime | None:
        """Return until when Graph asked everyone to leave this mailbox alone, None where that is over."""
        until = self.claimed.turn.box.paused_until
        return from_text(until) if until and from_text(until) > self.now() else None

    def _tend(self) -> bool:
        """Keep the claim's due row ahead; return whether to stop: for the time, for a change, or for whoever waits."""
        before, changed = self.claimed.view.connections, False
        try:
            changed = extend(self.claimed, self.now()) and before != self.claimed.view.connections
        except StorageUnavailable:
            log.warning("send.not_extended connection_id=%s", self.claimed.connection_id)
        waiting = self.claimed.turn.box.wanted(FETCH)
        kind_waits = bool(waiting) and from_text(waiting) + YIELD_AFTER <= self.now()
        return changed or kind_waits or self.drain.turns.monotonic() - self._read_at >= self.drain.run_seconds

    def _wake(self, wakeups: list[tuple[Wakeup, float]], *, fetch: bool) -> None:
        """Put the messages; a lost one is covered by its due row."""
        view = self.claimed.view
        waiting = [one for one in view.connections.values() if fetch and one.direction == Direction.INCOMING]
        others = [(Wakeup(FETCH, one.id, view.runs[one.id].seq), 0.0) for one in waiting if one.id in view.runs]
        for telling in self._tellings.values():
            if telling is not None:
                telling.wake()
        for wakeup, delay in [*wakeups, *others]:
            try:
                self.drain.wakeups.put(QUEUES[wakeup.kind], wakeup.to_body(), delay)
            except StorageUnavailable:
                log.warning("send.wakeup_lost connection_id=%s", wakeup.id)


@dataclass(frozen=True, slots=True)
class _Right:
    """The right to call Graph for a connection, taken when the first mail is due."""

    run: _Run
    connection: Connection

    def __call__(self) -> GraphMailbox:
        until = self.run.paused_until()
        if until is not None:
            left = (until - self.run.now()).total_seconds()
            raise Throttled("Graph asked to leave this mailbox alone for a while.", retry_after=left)
        return self.run.drain.tokens.graph_mailbox(self.connection.grant_id, self.connection.mailbox)
