"""How the right to use a mailbox is taken, kept and given up, whoever else wants it and whatever answer is lost."""

import threading
from collections.abc import Sequence
from datetime import timedelta

import pytest
from hypothesis import settings, strategies
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from shared.box import Box
from shared.connections import Run, box_key, run_key
from shared.errors import RowChanged, StorageUnavailable
from shared.identifiers import box_hash, new_connection_id, shard_of
from shared.ports import ANY, Delete, Insert, Operation, Update
from shared.rows import decode, encode
from shared.times import to_text
from shared.turns import Permits, Released, Turn, TurnLost, Turns, View
from tests.fakes import MemoryTables, MovableClock

BOX = box_hash("client", "contoso", "mailbox")
SHARD = shard_of(BOX)
KEY = box_key(BOX)
LEASE = 60.0


def nothing(_claim_id: str) -> Sequence[Operation]:
    """Return no operations beside the turn row."""
    return []


class Scene:
    """One mailbox and its turns under one clock."""

    def __init__(self) -> None:
        self.clock = MovableClock()
        self.table = MemoryTables(self.clock).connections
        self.turns = Turns(self.table, LEASE, self.clock.monotonic)

    def claim(self, kind: str = "fetch") -> Turn | None:
        """Look and claim."""
        return self.turns.claim(self.turns.look(BOX), kind, nothing)

    def claimed(self, kind: str = "fetch") -> Turn:
        """Look and claim a turn that is free."""
        turn = self.claim(kind)
        assert turn is not None
        return turn

    def box(self) -> Box:
        """Return the turn row as it stands."""
        row = self.table.get(SHARD, KEY)
        assert row is not None
        return decode(Box, row.values)


@pytest.fixture
def scene() -> Scene:
    """Return a mailbox that nobody has used."""
    return Scene()


def test_a_free_turn_is_taken_with_its_work(scene: Scene) -> None:
    """The claim and the operations of its holder are one transaction, made for the claim id."""
    connection = new_connection_id(BOX)
    turn = scene.turns.claim(
        scene.turns.look(BOX),
        "fetch",
        lambda claim: [Insert(run_key(connection), encode(Run(connection, claim=claim)))],
    )

    assert turn is not None
    assert (turn.claim_id, LEASE) == (scene.box().holder, turn.remaining())
    assert turn.claim_id == scene.turns.look(BOX).runs[connection].claim


def test_a_held_turn_is_wanted(scene: Scene) -> None:
    """Whoever finds the turn held leaves word once, and gets nothing."""
    turn = scene.claimed("fetch")
    scene.clock.advance(2)

    assert [None, None] == [scene.claim("send"), scene.claim("send")]

    wanted = to_text(scene.clock())
    assert (turn.claim_id, wanted, "") == (scene.box().holder, scene.box().wanted_send, scene.box().wanted_fetch)


def test_leaving_word_costs_one_write(scene: Scene) -> None:
    """A second one who waits finds the word left and writes nothing."""
    scene.claimed()
    scene.claim()
    before = scene.table.calls["commit"]
    scene.claim()

    assert before == scene.table.calls["commit"]


def test_of_two_who_claim_one_wins(scene: Scene) -> None:
    """Two that saw the turn free cannot both have it; the loser leaves word."""
    seen = scene.turns.look(BOX)
    first = scene.turns.claim(seen, "fetch", nothing)
    second = scene.turns.claim(seen, "fetch", nothing)

    assert (True, None) == (first is not None, second)
    assert scene.box().wanted_fetch


def test_a_turn_released_meanwhile_is_taken(scene: Scene) -> None:
    """A holder that lets go just before word is left is not waited for: the wake-up would be lost."""
    holder = scene.claimed()

    def let_go(method: str) -> None:
        if method == "commit":
            scene.table.failures.before = None
            assert Released(done=True, wake="") == holder.release()

    view = scene.turns.look(BOX)
    scene.table.failures.before = let_go
    turn = scene.turns.claim(view, "fetch", nothing)

    assert turn is not None
    assert turn.claim_id == scene.box().holder


def test_others_rows_that_changed_are_the_claimers_concern(scene: Scene) -> None:
    """A claim whose work was changed meanwhile is refused whole, by the row that changed."""
    scene.table.commit(SHARD, [Insert("run", {})])
    view = scene.turns.look(BOX)

    with pytest.raises(RowChanged) as refused:
        scene.turns.claim(view, "fetch", lambda _: [Update("run", {}, 'W/"0"')])

    assert "run" == refused.value.key
    assert scene.table.get(SHARD, KEY) is None


@pytest.mark.parametrize("known", [True, False])
def test_a_lost_answer_to_a_claim_is_looked_up(scene: Scene, known: bool) -> None:
    """A claim whose answer was lost is held where the row names it, and open where it does not."""
    if known:
        scene.claimed().release()
    scene.table.failures.plan("commit", after_effect=True)
    turn = scene.claimed()
    assert turn.claim_id == scene.box().holder
    turn.release()

    scene.table.failures.plan("commit", after_effect=False)
    with pytest.raises(StorageUnavailable):
        scene.claim()
    assert "" == scene.box().holder


def test_a_dead_holders_turn_comes_free(scene: Scene) -> None:
    """A lease that nobody renews ends for its holder first, then for the others."""
    turn = scene.claimed()

    scene.clock.advance(LEASE)
    assert (0, None) == (turn.remaining(), scene.claim())
    scene.clock.advance(1)
    assert scene.claim() is not None


def test_storage_that_cuts_its_seconds_ends_no_lease_early(scene: Scene) -> None:
    """A lease that begins late in a second still ends for its holder before it ends for anyone else."""
    scene.clock.advance(0.999)
    turn = scene.claimed()
    scene.clock.advance(LEASE - 0.4)

    assert turn.remaining() > 0
    assert scene.claim() is None


def test_progress_renews(scene: Scene) -> None:
    """A quarter of the lease must have passed; then it lasts anew."""
    turn = scene.claimed()
    commits = scene.table.calls["commit"]
    scene.clock.advance(14)
    turn.renew()
    assert commits == scene.table.calls["commit"]

    scene.clock.advance(2)
    turn.renew()

    assert LEASE == turn.remaining()
    scene.clock.advance(50)
    assert scene.claim() is None


def test_a_lost_turn_says_so(scene: Scene) -> None:
    """Whoever was away too long learns it at renewal and at release, and changes nothing."""
    late = scene.claimed()
    scene.clock.advance(LEASE + 1)
    winner = scene.claimed()

    with pytest.raises(TurnLost):
        late.renew()
    with pytest.raises(TurnLost):
        late.release([Insert("result", {})])

    assert winner.claim_id == scene.box().holder
    assert scene.table.get(SHARD, "result") is None


@pytest.mark.parametrize(("passed", "may"), [(0, True), (24, True), (26, False), (60, False)])
def test_a_call_must_end_within_the_lease(scene: Scene, passed: float, may: bool) -> None:
    """A call of 30 s needs 35 s of lease left."""
    turn = scene.claimed()
    scene.clock.advance(passed)

    assert may == turn.may_call()


def test_a_release_writes_its_results(scene: Scene) -> None:
    """What the holder did and that it let go is one transaction."""
    turn = scene.claimed()

    assert Released(done=True, wake="") == turn.release([Insert("result", {})])

    assert ("", "") == (scene.box().holder, scene.box().kind)
    assert scene.table.get(SHARD, "result") is not None


def test_a_release_is_refused_while_the_own_kind_waits(scene: Scene) -> None:
    """Word left during a scan means that the scan may have missed something: nothing is written, scan again."""
    turn = scene.claimed("send")
    turn.scan_begins()
    scene.claim("send")

    assert Released(done=False, wake="") == turn.release([Insert("result", {})])
    assert turn.claim_id == scene.box().holder
    assert scene.table.get(SHARD, "result") is None

    turn.scan_begins()
    assert "" == scene.box().wanted_send
    assert Released(done=True, wake="") == turn.release([Insert("result", {})])


def test_the_other_kind_is_woken_and_goes_first(scene: Scene) -> None:
    """Who has waited is named at release, and for three seconds only its kind may come."""
    turn = scene.claimed("fetch")
    scene.claim("send")

    assert Released(done=True, wake="send") == turn.release()

    assert scene.claim("fetch") is None
    sender = scene.claim("send")
    assert sender is not None
    assert ("", "", "") == (scene.box().reserved_for, scene.box().wanted_send, scene.box().reserved_until)


def test_a_reservation_ends(scene: Scene) -> None:
    """A kind that does not come loses its place after three seconds, counted in storage's whole ones."""
    turn = scene.claimed("fetch")
    scene.claim("send")
    turn.release()
    scene.clock.advance(3)

    assert scene.claim("fetch") is not None


def test_a_lost_answer_to_a_renewal_shortens_nothing(scene: Scene) -> None:
    """The holder counts on the old lease until a renewal is answered, and can still let go."""
    turn = scene.claimed()
    scene.clock.advance(20)
    scene.table.failures.plan("commit", after_effect=True)

    with pytest.raises(StorageUnavailable):
        turn.renew()

    assert 40 == turn.remaining()
    assert Released(done=True, wake="") == turn.release()


def test_a_pause_is_seen_by_everyone_and_ends(scene: Scene) -> None:
    """What Graph asked of one caller holds for all, until its time has passed."""
    scene.claimed()
    until = scene.clock() + timedelta(seconds=30)
    scene.turns.pause(BOX, until)

    assert until == scene.turns.look(BOX).paused_until()
    scene.clock.advance(30)
    assert scene.turns.look(BOX).paused_until() is None


def test_a_shorter_pause_does_not_end_a_longer_one(scene: Scene) -> None:
    """A batch's own small 429 must not undo what Graph asked for the whole mailbox; a longer one prolongs it."""
    scene.claimed()
    until = scene.clock() + timedelta(seconds=600)
    scene.turns.pause(BOX, until)

    scene.turns.pause(BOX, scene.clock() + timedelta(seconds=10))
    assert until == scene.turns.look(BOX).paused_until()

    scene.turns.pause(BOX, until + timedelta(seconds=1))
    assert until + timedelta(seconds=1) == scene.turns.look(BOX).paused_until()


def test_two_pauses_at_once_keep_the_longer(scene: Scene) -> None:
    """Whoever wrote meanwhile is read again before anything is written over."""
    scene.claimed()
    longer = scene.clock() + timedelta(seconds=600)

    def another(method: str) -> None:
        if method == "commit":
            scene.table.failures.before = None
            scene.turns.pause(BOX, longer)

    scene.table.failures.before = another
    scene.turns.pause(BOX, scene.clock() + timedelta(seconds=10))

    assert longer == scene.turns.look(BOX).paused_until()


def test_a_pause_of_a_mailbox_that_is_gone_is_no_trouble(scene: Scene) -> None:
    """Its last connection was deleted while Graph answered: no row is made for it."""
    scene.turns.pause(BOX, scene.clock() + timedelta(seconds=10))

    assert scene.table.get(SHARD, KEY) is None


def test_rows_of_a_newer_version_are_left_alone(scene: Scene) -> None:
    """Unknown row kinds beside the turn do no harm, and unknown properties of the turn row survive a turn."""
    scene.claimed().release()
    scene.table.commit(SHARD, [Insert(f"b|{BOX}|harvest|x", {"n": 1}), Update(KEY, {"colour": "blue"}, ANY)])

    scene.claimed().release()

    row = scene.table.get(SHARD, KEY)
    assert row is not None
    assert "blue" == row.values["colour"]


def test_a_batch_takes_every_permit() -> None:
    """While all permits are held, a single call waits for one."""
    permits, entered = Permits(4), threading.Event()

    def single() -> None:
        with permits.take():
            entered.set()

    thread = threading.Thread(target=single)
    with permits.all():
        thread.start()
        assert not entered.wait(0.05)
    thread.join(60)

    assert entered.is_set()


class TurnMachine(RuleBasedStateMachine):
    """Three processes that look, claim, renew, release and die as they like, while answers get lost and time passes."""

    @initialize()
    def begin(self) -> None:
        """Start with an unused mailbox."""
        self.scene = Scene()
        self.views: dict[int, View] = {}
        self.held: dict[int, Turn] = {}

    processes = strategies.integers(0, 2)
    kinds = strategies.sampled_from(["fetch", "send"])

    @rule(milliseconds=strategies.sampled_from([350, 999, 16_000, 44_000, 59_600]))
    def pass_time(self, milliseconds: int) -> None:
        """Let time pass, in fractions of storage's whole seconds too."""
        self.scene.clock.advance(milliseconds / 1000)

    @rule(process=processes)
    def look(self, process: int) -> None:
        """Read the mailbox; what was seen may be used much later."""
        self.views[process] = self.scene.turns.look(BOX)

    @rule(process=processes, kind=kinds)
    def come(self, process: int, kind: str) -> None:
        """Look and claim at once, as every worker does."""
        if process not in self.held:
            self.look(process)
            self.claim(process, kind, lost=None)

    @precondition(lambda self: self.views)
    @rule(process=processes, kind=kinds, lost=strategies.sampled_from([None, None, False, True]))
    def claim_late(self, process: int, kind: str, lost: bool | None) -> None:
        """Claim by an old look."""
        self.claim(process, kind, lost)

    def claim(self, process: int, kind: str, lost: bool | None) -> None:
        """Claim by an old look; the answer may be lost before or after its effect."""
        if process not in self.views:
            return
        if lost is not None:
            self.scene.table.failures.plan("commit", after_effect=lost)
        try:
            turn = self.scene.turns.claim(self.views.pop(process), kind, nothing)
        except StorageUnavailable:
            return
        finally:
            self.scene.table.failures = type(self.scene.table.failures)()
        if turn is not None:
            self.held[process] = turn

    @precondition(lambda self: self.held)
    @rule(data=strategies.data(), lost=strategies.sampled_from([None, False, True]))
    def renew(self, data: strategies.DataObject, lost: bool | None) -> None:
        """Renew, maybe too late, maybe with a lost answer."""
        process = data.draw(strategies.sampled_from(sorted(self.held)))
        if lost is not None:
            self.scene.table.failures.plan("commit", after_effect=lost)
        try:
            self.held[process].renew()
        except TurnLost:
            del self.held[process]
        except StorageUnavailable:
            pass
        finally:
            self.scene.table.failures = type(self.scene.table.failures)()

    @precondition(lambda self: self.held)
    @rule(data=strategies.data())
    def scan_and_release(self, data: strategies.DataObject) -> None:
        """Let go, unless word was left."""
        process = data.draw(strategies.sampled_from(sorted(self.held)))
        turn = self.held[process]
        try:
            if turn.release().done:
                del self.held[process]
            else:
                turn.scan_begins()
        except TurnLost:
            del self.held[process]

    @invariant()
    def never_two_live_holders(self) -> None:
        """At most one process may believe that the turn is its own."""
        live = [process for process, turn in getattr(self, "held", {}).items() if turn.remaining() > 0]
        assert len(live) <= 1, f"{live} hold the turn at once"

    @invariant()
    def nobody_waits_in_vain(self) -> None:
        """A turn that nobody holds comes free within a lease."""
        if hasattr(self, "scene") and self.scene.table.get(SHARD, KEY):
            box = self.scene.box()
            later = self.scene.clock() + timedelta(seconds=LEASE + 4)
            assert box.free_for("fetch", later)
            assert box.free_for("send", later)


TestTurnMachine = TurnMachine.TestCase
TestTurnMachine.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)


def test_a_turn_row_deleted_meanwhile_is_lost(scene: Scene) -> None:
    """Where the mailbox itself is gone, its holder has lost the turn."""
    turn = scene.claimed()
    scene.clock.advance(20)
    scene.table.commit(SHARD, [Delete(KEY)])

    with pytest.raises(TurnLost):
        turn.renew()
