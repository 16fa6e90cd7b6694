"""What one run of the drain does, beside sending, for mail that it or earlier runs have sent, and when again."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from shared.aftercare import Aftercare
from shared.connections import Connection, Run
from shared.errors import Fault, NotFound, StorageError, Throttled
from shared.following import Following
from shared.outbox.work import Work
from shared.ports import GraphMailbox, GraphSent
from shared.send.claim import Result
from shared.send.confirming import Confirming, Kept
from shared.send.guard import Guard
from shared.send.orphans import Orphans
from shared.send.storing import Writer
from shared.times import to_text
from shared.turns import TurnLost

log = logging.getLogger("mailgrant.send")

EARLY = timedelta(seconds=1)  # storage's time has whole seconds
AGAIN = timedelta(hours=24)


@dataclass
class Care:
    """
    The aftercare of a mailbox's connections during one run; *first* is the first wait before a list.

    *graph* is None where nothing can be learned. *alarm* is told of a connection's mail that others sent, *pause* of
    Graph's wish to be left alone.
    """

    graph: GraphSent | None
    guard: Guard
    first: timedelta
    now: Callable[[], datetime]
    writer: Callable[[Connection], Writer]
    alarm: Callable[[Connection, Work], None]
    pause: Callable[[Throttled], None]
    died: bool
    known: dict[str, Aftercare] = field(default_factory=dict)

    def drained(self, connection: Connection, run: Run, result: Result) -> None:
        """Note what a drain of one connection leaves to be done; a run before that *died* may have left the same."""
        care = self.known.get(connection.id, run.aftercare)
        if self.graph is not None and (self.died or result.finished):
            care = care.after_accepting(self.first, self.now())
        if self.graph is not None and (self.died or result.worked):
            care = care.after_working(self.now())
        self.known[connection.id] = care

    def tend(self, connections: list[Connection], right: Callable[[Connection], GraphMailbox]) -> None:
        """Do what is due for these *connections*, which may all be worked for. Raises as `Confirming.check`."""
        groups: dict[tuple[str, str], list[Connection]] = {}
        for connection in connections:
            groups.setdefault((connection.grant_id, connection.mailbox), []).append(connection)
        for group in groups.values():
            try:
                self._group(group, right)
            except (TurnLost, StorageError):
                raise
            except Exception:
                log.exception("send.care_broken connection_id=%s", group[0].id)
                self._later(group)  # whatever our own fault is, mail goes on being sent

    def result(self, connection_id: str, result: Result, *, usable: bool) -> Result:
        """Return *result* with what is to be done, and when; a connection in trouble waits for its own time first."""
        care = self.known.get(connection_id)
        due = care.next_at() if care and usable and result.fault is None else None
        times = [at for at in (result.next_at, due) if at is not None]
        return replace(result, aftercare=care, next_at=min(times) if times else None)

    def _group(self, group: list[Connection], right: Callable[[Connection], GraphMailbox]) -> None:
        soon = self.now() + EARLY
        checks = any(self.known[one.id].checks_by(soon) for one in group)
        tidies = any(self.known[one.id].tidies_by(soon) for one in group)
        if self.graph is None or not (checks or tidies):
            return
        try:
            mailbox = right(group[0])
        except (Fault, NotFound) as fault:
            self._failed(fault)
            self._later(group)
            return
        if not mailbox.may_draft:  # without Mail.ReadWrite there is nothing that could be listed
            self.known |= {one.id: Aftercare() for one in group}
            return
        if checks:
            confirming = Confirming(
                self.graph, self.guard, mailbox, self.first, self.now, self._alarmed(group), self._failed
            )
            self.known |= confirming.check({one.id: self._kept(one) for one in group if self.known[one.id].check_at})
        if tidies:
            orphans = Orphans(self.writer(group[0]).table, self.graph, self.guard, mailbox, self.now, self._failed)
            orphans.tidy(group[0].box)
            self.known |= {one.id: self._tidied(self.known[one.id]) for one in group}

    def _kept(self, connection: Connection) -> Kept:
        writer = self.writer(connection)
        told = {"told": writer.told} if writer.told else {}
        following = Following(writer.table, connection.id, **told)
        return Kept(following, writer, self.known[connection.id])

    def _later(self, group: list[Connection]) -> None:
        for one in group:
            care = self.known[one.id]
            later = care.after_check(self.first, self.now()) if care.check_at else care
            self.known[one.id] = replace(later, tidy_at=to_text(self.now() + AGAIN) if care.tidy_at else "")

    def _tidied(self, care: Aftercare) -> Aftercare:
        """Return it after tidying: again a day later while mail that was sent lately is followed."""
        return replace(care, tidy_at=to_text(self.now() + AGAIN) if care.check_at else "")

    def _alarmed(self, group: list[Connection]) -> Callable[[Work], None]:
        def alarm(work: Work) -> None:
            self.alarm(next(one for one in group if work.id.startswith(_prefix(one))), work)

        return alarm

    def _failed(self, fault: Exception) -> None:
        if isinstance(fault, Throttled):
            self.pause(fault)


def usable(connections: Mapping[str, Connection], runs: Mapping[str, Run], connection_id: str) -> bool:
    """Tell whether a connection is there, enabled and not stopped."""
    connection, run = connections.get(connection_id), runs.get(connection_id)
    return connection is not None and connection.enabled and not (run is not None and run.stopped)


def _prefix(connection: Connection) -> str:
    return f"msg_{connection.id.removeprefix('conn_')}."
