"""Which mails of one connection are due, worked on by a few threads, and when the next will be."""

import logging
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial

from shared.codes import Code
from shared.connections import Back
from shared.errors import (
    CredentialFault,
    Fault,
    GrantFault,
    MailboxFault,
    NotFound,
    StorageUnavailable,
    Throttled,
    Unreachable,
)
from shared.outbox.rows import ACTIVE_LAST, WORK_FIRST, tracked
from shared.outbox.work import OPEN, Phase, Status
from shared.ports import GraphMailbox, Row
from shared.rows import LOOK_AGAIN
from shared.send.claim import Result
from shared.send.late import Patience
from shared.send.pace import LaterError, Pace
from shared.send.scheduled import bring_forward
from shared.send.sender import MAILBOX_WIDE, Pause, Sender
from shared.send.storing import Held, RaceLost, Writer
from shared.times import from_text, to_text
from shared.turns import TurnLost

log = logging.getLogger("mailgrant.send")

THREADS = 6  # two more than there are permits, so that storage is written while Graph answers
PAGE = 200
UNREACHABLE_IN_A_ROW = 6
AFTER_STORAGE = timedelta(seconds=10)
AFTER_RACE = timedelta(seconds=60)
EARLY = timedelta(seconds=1)  # storage's time has whole seconds

_WAITS: tuple[tuple[type[Fault], Back], ...] = (
    (Throttled, Back(10, 300)),
    (CredentialFault, Back(60, 600)),
    (GrantFault, Back(60, 600)),
    (MailboxFault, Back(60, 3600)),
    (Fault, Back(10, 300)),
)


@dataclass
class Batch:
    """
    One connection's share of a drain.

    *mailbox* gives the right to call Graph, or raises a fault of the credential, grant or mailbox; None where no call
    may be made and only what has waited too long is given up. *tend* is called every few seconds and says whether to
    stop, *suspect* once Graph has refused what the grant should allow. *failures* is how often in a row the
    connection has failed before.
    """

    writer: Writer
    patience: Patience
    pace: Pace
    mailbox: Callable[[], GraphMailbox] | None
    sender: Callable[[GraphMailbox], Sender]
    now: Callable[[], datetime]
    tend: Callable[[], bool]
    suspect: Callable[[], None]
    failures: int = 0
    fault: Fault | None = None
    _stopped: bool = False
    _smoothed: bool = False
    _lost: bool = False
    _accepted: int = 0
    _worked: int = 0
    _finished: bool = False
    _unreachable: int = 0
    _given_up: int = 0
    _next: datetime | None = None
    _done: list[Held] = field(default_factory=list)
    _sender: Sender | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def run(self) -> Result:
        """Work on all that is due; raises `TurnLost` where another holds the mailbox now."""
        if (upcoming := bring_forward(self.writer, self.now() + EARLY)) is not None:
            self._due(upcoming)
        with ThreadPoolExecutor(THREADS, "send") as pool:
            for page, more in self._pages():
                given_up = self._given_up
                self._page(pool, page)
                if self._smoothed:  # what comes later in the outbox waits as well
                    break
                if not self._sends and self._given_up == given_up and _tells_of_later(page):
                    if more and self.mailbox is not None:
                        self._due(self.now())
                    break
        self._finish(0)
        if self._lost:
            raise TurnLost
        if self.fault is None:
            return Result(self._next, worked=self._worked > 0, accepted=self._accepted, finished=self._finished)
        pause = wait_of(self.fault, self.failures + 1)
        recorded = self.fault.recorded(to_text(self.now()))
        return Result(self.now() + pause, recorded, pause, True, self._accepted, self._finished)

    @property
    def stopped(self) -> bool:
        """Whether it ended before everything due was tried."""
        return self._stopped

    def _pages(self) -> Iterator[tuple[list[Held], bool]]:
        """Yield what waits, oldest first, a page at a time, and whether there may be more."""
        first = WORK_FIRST
        while True:
            rows = self.writer.table.read(self.writer.partition, first, ACTIVE_LAST, PAGE).rows
            known = [held for row in rows if (held := _readable(row)) is not None]
            if len(known) < len(rows):
                self._due(self.now() + LOOK_AGAIN)
            yield known, len(rows) == PAGE
            if len(rows) < PAGE:
                return
            first = f"{rows[-1].key}-"

    def _page(self, pool: ThreadPoolExecutor, page: list[Held]) -> None:
        under_way: set[Future[None]] = set()
        for held in page:
            if held.work.status not in OPEN:
                self._done.append(held)
            elif not held.work.due(self.now() + EARLY):
                self._note(held)
            elif (sender := self._ready()) is None:
                self._settle(held, self._end)
            elif held.work.phase in (Phase.NONE, Phase.REFUSED) and not self.pace.take():
                self._smoothed = True
                self._due(self.pace.next_at())
            else:
                under_way.add(pool.submit(self._settle, held, partial(self._advance, sender)))
        while under_way:
            finished, under_way = wait(under_way, timeout=5, return_when=FIRST_COMPLETED)
            for future in finished:
                future.result()
            if self.tend():
                self._stopped = True
            self._finish(self.writer.at_once)

    def _ready(self) -> Sender | None:
        """Return what sends, or None where nothing may be sent any more in this run."""
        if self._stopped or self.mailbox is None:
            return None
        if self._sender is None:
            try:
                self._sender = self.sender(self.mailbox())
            except Fault as fault:
                self._block(fault)
            except NotFound as error:  # the grant was deleted under the connection
                self._block(GrantFault(error.detail, Code.GRANT_NOT_USABLE))
        return self._sender

    def _settle(self, held: Held, step: Callable[[Held], Held]) -> None:
        """Take one *step* with a mail and note when it is due next; runs in a thread."""
        try:
            self._note(step(held))
        except TurnLost:
            self._lost = self._stopped = True
        except StorageUnavailable:
            self._stopped = True
            self._due(self.now() + AFTER_STORAGE)
        except LaterError as later:
            self._due(later.at)
        except RaceLost:
            self._due(self.now() + AFTER_RACE)  # whoever wrote it sees to it; this is in case of their death

    @property
    def _sends(self) -> bool:
        """Whether anything may be sent any more in this run."""
        return self.mailbox is not None and not self._stopped

    def _end(self, held: Held) -> Held:
        ended = self.patience.end(held, self.now())
        if ended is not None:
            with self._lock:
                self._given_up += 1
        return ended or held

    def _advance(self, sender: Sender, held: Held) -> Held:
        if self._stopped:
            return self._end(held)
        try:
            after = sender.advance(held)
        except Pause as pause:
            after = pause.held
            self._block(Throttled("Graph accepted the mail and asked to slow down.", retry_after=pause.seconds))
        except MAILBOX_WIDE as fault:
            self._block(fault)
            if isinstance(fault, GrantFault) or fault.code == Code.MAILBOX_ACCESS_DENIED:
                self.suspect()
            return held
        except (TurnLost, RaceLost, StorageUnavailable, LaterError):
            raise
        except Exception:
            log.exception("send.broken entry_id=%s", held.work.id)
            after = sender.broken(held)
        self._count(after)
        return after

    def _count(self, after: Held) -> None:
        fault = after.work.fault
        silent = after.work.status in OPEN and fault is not None and fault.code == Code.GRAPH_UNAVAILABLE.value
        with self._lock:
            self._worked += 1
            self._unreachable = self._unreachable + 1 if silent else 0
            block = self._unreachable >= UNREACHABLE_IN_A_ROW
        if block:
            self._block(Unreachable("Graph gave no usable answer several times in a row. It is tried again by itself."))

    def _block(self, fault: Fault) -> None:
        with self._lock:
            self.fault = self.fault or fault
            self._stopped = True
        log.info("send.blocked connection_id=%s code=%s", self.writer.partition, fault.code)

    def _note(self, held: Held) -> None:
        if held.work.status in OPEN and self.mailbox is None:
            self._due(max(held.work.held_until(self.patience.hold), self.now() + AFTER_RACE))
        elif held.work.status in OPEN:
            self._due(from_text(held.work.next_at) if held.work.next_at else self.now())
        elif held.work.status == Status.ACCEPTED:
            with self._lock:
                self._done.append(held)
                self._accepted += 1
        elif tracked(held.work):
            self._finished = True

    def _due(self, moment: datetime) -> None:
        with self._lock:
            self._next = moment if self._next is None else min(self._next, moment)

    def _finish(self, least: int) -> None:
        """Move accepted mails out of the way, in batches, once there are *least* of them."""
        while len(self._done) >= max(least, 1):
            with self._lock:
                batch, self._done = self._done[: self.writer.at_once], self._done[self.writer.at_once :]
            self._finished = True
            if self.writer.finish(batch):
                self._due(self.now() + AFTER_STORAGE)


def wait_of(fault: Fault, failures: int) -> timedelta:
    """Return how long a connection waits after its n-th *fault* in a row."""
    back = next(back for kind, back in _WAITS if isinstance(fault, kind))
    return back.after(failures, fault.retry_after)


def _tells_of_later(page: list[Held]) -> bool:
    """Tell whether something waits from its acceptance on, so that what comes later has waited for less."""
    return any(held.work.status in OPEN and not held.work.not_before for held in page)


def _readable(row: Row) -> Held | None:
    try:
        return Held.of(row)
    except ValueError:
        log.warning("send.unreadable_row key=%s", row.key)
        return None
