"""
Who drains a mailbox's outgoing mail, and when next: the run rows and due rows of its outgoing connections.

The claim stands on the connection that was woken; its due row fires if the worker dies and leads to all of them.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from shared.aftercare import Aftercare
from shared.connections import Connection, Direction, Run, failed, run_key
from shared.errors import RecordedFault, RowChanged, RowMissing
from shared.identifiers import box_of, shard_of
from shared.ports import ANY, Delete, Insert, Operation, Update, Upsert
from shared.rows import Value, encode
from shared.schedule import SEND, DueRow, Wakeup
from shared.times import from_text, to_text
from shared.turns import Released, Turn, Turns, View

LONGEST_CLAIM = timedelta(seconds=120)
_EARLY = timedelta(seconds=1)  # storage's Date header has whole seconds, so a wake-up may seem early by one
_CLAIM_MARK, _NEXT_MARK, _AGAIN_MARK = 503_000, 504_000, 505_000  # never a whole minute: those are accepted mails'
_TRIES = 4


class ConnectionGone(Exception):
    """The connection was deleted; *view* is what stands of its mailbox."""

    def __init__(self, view: View) -> None:
        super().__init__("gone")
        self.view = view


@dataclass
class Claim:
    """A held turn, what it saw, and the due row that stands for it."""

    turn: Turn
    view: View
    connection_id: str
    due: DueRow
    seq: int

    def outgoing(self) -> list[Connection]:
        """Return the mailbox's outgoing connections, the woken one first."""
        found = [one for one in self.view.connections.values() if one.direction == Direction.OUTGOING]
        return sorted(found, key=lambda one: (one.id != self.connection_id, one.id))


@dataclass(frozen=True, slots=True)
class Result:
    """
    How draining one connection ended: when it is due next, its fault or progress; *accepted* counts mails.

    *finished* tells that accepted mails were moved out of the way, *aftercare* what is to be done for them.
    """

    next_at: datetime | None = None
    fault: RecordedFault | None = None
    wait: timedelta = field(default_factory=timedelta)
    worked: bool = False
    accepted: int = 0
    finished: bool = False
    aftercare: Aftercare | None = None


def claim(turns: Turns, wakeup: Wakeup) -> Claim | None:
    """
    Take the turn for the connection of *wakeup*; None where there is nothing to do, or somebody else does it.

    Raises `ConnectionGone`; the due row that fired stands then.
    """
    gone: set[str] = set()
    for _ in range(_TRIES):
        view = turns.look(box_of(wakeup.id))
        if view.is_strange(wakeup.id):
            return None  # its due row fires until it can be read
        if wakeup.id not in view.connections:
            raise ConnectionGone(view)
        if not _is_wanted(view, wakeup):
            _drop_stray(turns, view, wakeup)
            return None
        run = view.runs.get(wakeup.id, Run(wakeup.id))
        due = DueRow(_marked(view.storage_time + claim_length(turns), _CLAIM_MARK), SEND, wakeup.id, run.seq + 1)
        try:
            turn = turns.claim(view, SEND, _claiming(view, run, due, _replaced(run, wakeup) - gone))
        except RowMissing as error:
            gone.add(error.key)  # the tick has moved this due row on
        except RowChanged:
            continue
        else:
            if turn is None:
                fire_after_lease(turns, view, wakeup)
            return Claim(turn, view, wakeup.id, due, run.seq + 1) if turn else None
    return None


def claim_length(turns: Turns) -> timedelta:
    """Return after what time a claim's due row fires, should its worker die: once the lease is over, within 2 min."""
    return min(timedelta(seconds=1.5 * turns.lease_seconds + 1), LONGEST_CLAIM)


def fire_after_lease(turns: Turns, view: View, wakeup: Wakeup) -> None:
    """Have the due row that fired too early fire again when the holder, should it be dead, has lost the mailbox."""
    if not wakeup.due:
        return
    ends = [from_text(end) for end in (view.box.lease_until, view.box.reserved_until) if end]
    at = _marked(max([view.storage_time, *ends]) + _EARLY, _AGAIN_MARK)
    due = DueRow(at, SEND, wakeup.id, wakeup.seq)
    with suppress(RowMissing):
        turns.table.commit(shard_of(wakeup.id), [Delete(wakeup.due), Upsert(due.key, due.values)])


def drop_due(turns: Turns, wakeup: Wakeup) -> None:
    """Remove the due row that fired."""
    if wakeup.due:
        with suppress(RowMissing):
            turns.table.commit(shard_of(wakeup.id), [Delete(wakeup.due)])


def extend(claimed: Claim, now: datetime) -> bool:
    """
    Move the claim's due row on while the work goes on, once less than half of its time is left; tell whether it was.

    The claim's view is read anew then.
    """
    length = claim_length(claimed.turn.turns)
    if claimed.due.at - now > length / 2:
        return False
    claimed.turn.renew()
    due = replace(claimed.due, at=_marked(now + length, _CLAIM_MARK))
    values: dict[str, Value] = {"next_at": to_text(due.at), "due": due.key}
    base: list[Operation] = [Update(run_key(claimed.connection_id), values, ANY), Upsert(due.key, due.values)]
    table, shard = claimed.turn.turns.table, shard_of(claimed.connection_id)
    try:
        table.commit(shard, [*base, Delete(claimed.due.key)])
    except RowMissing as error:
        if error.key == claimed.due.key:
            with suppress(RowMissing):
                table.commit(shard, base)
    claimed.due = due
    claimed.view = claimed.turn.turns.look(claimed.turn.box_hash)
    return True


def release(claimed: Claim, results: dict[str, Result], now: datetime) -> tuple[Released, list[tuple[Wakeup, float]]]:
    """
    Give the turn up and write what is due next, in one transaction.

    Returns whether that happened (not where new word was left) and the wake-ups to put, each with its delay in seconds.
    """
    gone: set[str] = set()
    while True:
        operations: list[Operation] = []
        wakeups: list[tuple[Wakeup, float]] = []
        for connection_id, result in results.items():
            if run_key(connection_id) not in gone:
                run, made = _committing(claimed, connection_id, result, now, gone)
                operations += made
                wakeups += _soon(run, now)
        try:
            return claimed.turn.release(operations), wakeups
        except RowMissing as error:
            if error.key in gone:
                raise
            gone.add(error.key)


def _is_wanted(view: View, wakeup: Wakeup) -> bool:
    connection, run = view.connections.get(wakeup.id), view.runs.get(wakeup.id)
    if connection is None or connection.direction != Direction.OUTGOING:
        return False
    if run is None:
        return True
    later = bool(run.next_at and run.due) and from_text(run.next_at) > view.storage_time + _EARLY
    held = not view.box.free_for(SEND, view.storage_time)
    if wakeup.seq:  # it speaks of a state of the record, and counts only while that holds
        return wakeup.seq >= run.seq and not later
    return held or run.fault is None or not later


def _drop_stray(turns: Turns, view: View, wakeup: Wakeup) -> None:
    run = view.runs.get(wakeup.id)
    if not wakeup.due or (run is not None and wakeup.due == run.due):
        return
    if not view.box.free_for(SEND, view.storage_time):
        return  # should the holder die, this row may be the one that wakes the next
    drop_due(turns, wakeup)


def _replaced(run: Run, wakeup: Wakeup) -> set[str]:
    """Return the due rows that a claim replaces; the one that the tick names stands in for the run's."""
    return {wakeup.due} if wakeup.due and wakeup.seq else {wakeup.due, run.due}


def _claiming(view: View, run: Run, due: DueRow, old: set[str]) -> Callable[[str], Sequence[Operation]]:
    key = run_key(run.connection_id)

    def operations(claim_id: str) -> Sequence[Operation]:
        taken = replace(run, seq=due.seq, claim=claim_id, next_at=to_text(due.at), due=due.key)
        values = _some(taken, "seq", "claim", "next_at", "due")
        write = Update(key, values, view.etags[key]) if key in view.etags else Insert(key, encode(taken))
        return [write, Upsert(due.key, due.values), *(Delete(row) for row in sorted(old - {"", due.key}))]

    return operations


def _committing(
    claimed: Claim, connection_id: str, result: Result, now: datetime, gone: set[str]
) -> tuple[Run, list[Operation]]:
    """Return the run after *result* and the operations that write it; none where nothing changes."""
    run = claimed.view.runs.get(connection_id, Run(connection_id))
    own = connection_id == claimed.connection_id
    if not own and not result.worked and not run.due and result.next_at is None:
        return run, []
    seq = claimed.seq if own else run.seq + 1
    due = DueRow(_marked(result.next_at, _NEXT_MARK), SEND, connection_id, seq) if result.next_at else None
    after = replace(_judged(run, result, now), seq=seq, claim="", next_at=to_text(due.at) if due else "")
    after = replace(after, due=due.key if due else "", aftercare=result.aftercare or run.aftercare)
    names = ("seq", "claim", "next_at", "due", "failures", "failing_since", "fault", "last_run_at", "last_success_at")
    operations: list[Operation] = [Update(run_key(connection_id), _some(after, *names, "taken", "aftercare"), ANY)]
    if due:
        operations.append(Upsert(due.key, due.values))
    old = {claimed.due.key} if own else {run.due}
    operations += [Delete(key) for key in sorted(old - gone - {"", after.due})]
    return after, operations


def _judged(run: Run, result: Result, now: datetime) -> Run:
    if result.fault is not None:
        return failed(run, result.fault, result.wait, now)
    moment = to_text(now)
    known = replace(run, failures=0, failing_since="", fault=None, last_run_at=moment, last_success_at=moment)
    return replace(known, taken=run.taken + result.accepted)


def _soon(run: Run, now: datetime) -> list[tuple[Wakeup, float]]:
    """Return the hidden message for what is due within 5 minutes; the due row stands behind it."""
    if not run.next_at:
        return []
    delay = (from_text(run.next_at) - now).total_seconds()
    return [(Wakeup(SEND, run.connection_id, run.seq), max(0.0, delay))] if delay <= 300 else []


def _marked(moment: datetime, mark: int) -> datetime:
    """Return the next moment from *moment* on whose fraction is *mark*, so that its due row is never another's."""
    marked = moment.replace(microsecond=mark)
    return marked if marked >= moment else marked + timedelta(seconds=1)


def _some(run: Run, *names: str) -> dict[str, Value]:
    values = encode(run)
    return {name: values[name] for name in names}
