"""Fetch and send under one mailbox: whoever waits comes next, whatever the order of wake-ups."""

from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import settings, strategies
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from shared.box import Box
from shared.connections import box_key
from shared.identifiers import box_hash, shard_of
from shared.ports import Operation
from shared.rows import decode
from shared.turns import Turn, Turns
from tests.fakes import MemoryTables, MovableClock

BOX = box_hash("client", "contoso", "mailbox")
LEASE = 60.0
OTHER = {"fetch": "send", "send": "fetch"}
WAKE_SECONDS = 1.9
"""How late a wake-up may come and still meet its reservation: three seconds, counted in storage's whole ones."""


def nothing(_claim_id: str) -> Sequence[Operation]:
    """Return no operations beside the turn row."""
    return []


class Mailbox:
    """Two kinds of work that never end, each of one wake-up at a time: on its queue, at work, or refused."""

    def __init__(self) -> None:
        self.clock = MovableClock()
        self.table = MemoryTables(self.clock).connections
        self.turns = Turns(self.table, LEASE, self.clock.monotonic)
        self.queued = {"fetch", "send"}
        self.promised: dict[str, float] = {}
        self.refused: set[str] = set()
        self.held: Turn | None = None
        self.served: Counter[str] = Counter()
        self.overtaken: Counter[str] = Counter()

    def come(self, kind: str) -> None:
        """Take the kind's wake-up off the queue: it gets the turn, or leaves word and is done with."""
        self.queued.remove(kind)
        turn = self.turns.claim(self.turns.look(BOX), kind, nothing)
        if turn is None:
            self.refused.add(kind)
            return
        self.held = turn
        self.served[kind] += 1
        self.promised.pop(kind, None)
        self.refused.discard(kind)
        self.overtaken[kind] = 0
        if OTHER[kind] in self.refused:
            self.overtaken[OTHER[kind]] += 1

    def finish(self) -> None:
        """Let go as fetch and send do when their portion is done: wake whom the release names, and one's own kind."""
        assert self.held is not None
        turn = self.held
        released = turn.release(yielding=True)
        assert released.done
        self.held = None
        self.queued.add(turn.kind)
        if released.wake:
            self.queued.add(released.wake)
            self.promised[released.wake] = self.clock.monotonic() + WAKE_SECONDS

    def box(self) -> Box:
        """Return the turn row as it stands."""
        row = self.table.get(shard_of(BOX), box_key(BOX))
        return decode(Box, row.values) if row else Box()


class FairnessMachine(RuleBasedStateMachine):
    """Wake-ups that come in any order, work that lasts any time below the lease."""

    @initialize()
    def begin(self) -> None:
        """Start with an unused mailbox and work of both kinds."""
        self.mailbox = Mailbox()
        self.work_ends = 0.0

    @precondition(lambda self: self.mailbox.queued)
    @rule(data=strategies.data())
    def come(self, data: strategies.DataObject) -> None:
        """Someone takes a wake-up from a queue."""
        mailbox = self.mailbox
        mailbox.come(data.draw(strategies.sampled_from(sorted(mailbox.queued))))
        self.work_ends = mailbox.clock.monotonic() + LEASE - 1

    @precondition(lambda self: self.mailbox.held)
    @rule()
    def finish(self) -> None:
        """The holder has done its portion."""
        self.mailbox.finish()

    @rule(seconds=strategies.sampled_from([0.1, 0.7, 1.8, 20.0]))
    def pass_time(self, seconds: float) -> None:
        """Let time pass: neither beyond a holder's lease, nor beyond the moment a promised wake-up has come by."""
        later = self.mailbox.clock.monotonic() + seconds
        promises = self.mailbox.promised.values()
        if (self.mailbox.held is None or later < self.work_ends) and all(later < moment for moment in promises):
            self.mailbox.clock.advance(seconds)

    @invariant()
    def nobody_is_overtaken(self) -> None:
        """Whoever was refused comes after at most one turn of the other kind, which may have been promised before."""
        if hasattr(self, "mailbox"):
            assert {0, 1} >= set(self.mailbox.overtaken.values())

    @invariant()
    def nobody_is_forgotten(self) -> None:
        """A refused kind stands on a queue, or its word stands where the next to let go will read it."""
        if not hasattr(self, "mailbox"):
            return
        mailbox, box = self.mailbox, self.mailbox.box()
        for kind in mailbox.refused - mailbox.queued:
            assert box.wanted(kind)
            assert mailbox.held is not None or OTHER[kind] in mailbox.queued

    def teardown(self) -> None:
        """From wherever chance has led, both kinds get the turn again and again."""
        if not hasattr(self, "mailbox"):
            return
        mailbox = self.mailbox
        before = mailbox.served.copy()
        for _ in range(8):
            if mailbox.held is not None:
                mailbox.finish()
            for kind in sorted(mailbox.queued):
                mailbox.come(kind)
            mailbox.clock.advance(1)
        assert min(mailbox.served[kind] - before[kind] for kind in OTHER) >= 3, mailbox.served - before


TestFairnessMachine = FairnessMachine.TestCase
TestFairnessMachine.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)


@pytest.mark.parametrize("kind", ["fetch", "send"])
def test_both_kinds_take_turns_under_constant_load(kind: str) -> None:
    """With endless work of both, and the one kind always quicker at its queue, each gets every second turn."""
    mailbox = Mailbox()
    for _ in range(20):
        for one in sorted(mailbox.queued, key=lambda one: one != kind):
            mailbox.come(one)
        mailbox.clock.advance(1)
        mailbox.finish()

    assert {"fetch": 10, "send": 10} == dict(mailbox.served)
