"""What fetch takes, in which order it commits, and what it does when something is wrong."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from shared.codes import Code
from shared.connections import Action, AfterFetch, Direction, Run, box_key, connection_key, run_key
from shared.errors import Fault, GrantFault, MailboxFault, StorageUnavailable, Throttled, Unreachable
from shared.fetch.run import FetchLimits
from shared.identifiers import shard_of
from shared.ports import Delete, Insert, Update, Upsert
from shared.receipts import ReceiptStatus, hash_of
from shared.rows import decode, encode
from shared.schedule import DELIVER, FETCH, SEND, DueRow, Wakeup
from shared.times import from_text
from shared.turns import Box
from tests.fakes.graph_reading import gone, mime_of
from tests.fakes.intake import BOX, GRANT, World


@pytest.fixture
def world() -> World:
    """Return a fresh mailbox."""
    return World()


def test_new_mail_is_stored_with_receipt_and_work(world: World) -> None:
    """Each mail has its bytes in a blob, a receipt that names them, a place in the list and delivery work."""
    key = world.connect()
    world.graph.arrive("a", "b")
    world.go(key)
    receipt = world.receipt(key, "a")
    assert world.blobs.received.contents[receipt.blob] == mime_of("a")
    assert (receipt.status, receipt.size) == (ReceiptStatus.STORED, len(mime_of("a")))
    assert (receipt.subject, receipt.sender) == ("subject of a", "ann@contoso.example")
    assert receipt.blob.startswith(f"{GRANT}/{key}/20260302/{hash_of('a')}/")
    assert (len(world.rows(key, "d")), len(world.rows(key, "wd")), len(world.rows(key, "wa"))) == (2, 2, 0)
    assert [body["id"] for body in world.woken(DELIVER)] == [key]


def test_the_cursor_is_committed_with_the_next_due_row(world: World) -> None:
    """After a run the record names one due row, at the interval; deliveries are made sure of in two minutes."""
    key = world.connect(interval_minutes=7)
    world.graph.arrive("a")
    world.go(key)
    run = world.run(key)
    assert (run.cursor, run.walk, run.claim, run.taken) == ("delta:1:0", "", "", 1)
    assert from_text(run.next_at) - world.clock() == timedelta(minutes=7)
    kinds = {(row.kind, row.at - world.clock()) for row in world.due_rows()}
    assert kinds == {(DELIVER, timedelta(minutes=2)), (FETCH, timedelta(minutes=7))}
    assert run.due in [row.key for row in world.due_rows()]


def test_an_idle_fetch_costs_three_storage_calls_and_one_of_graph(world: World) -> None:
    """One range read, one claim, one commit, one delta request; and nobody is woken."""
    key = world.connect(after_fetch=AfterFetch(Action.READ))
    world.go(key)
    world.graph.calls.clear()
    due = world.run(key)
    before, woken = world.tables.calls(), len(world.wakeups.sent)
    world.clock.advance(300)
    world.fetch().run(Wakeup(FETCH, key, due.seq, due.due))
    assert (world.tables.calls() - before, world.graph.calls) == (3, ["next_page"])
    assert len(world.wakeups.sent) == woken
    assert [row.kind for row in world.due_rows()] == [FETCH]


def test_a_hundred_mails_cost_twelve_graph_requests(world: World) -> None:
    """Contents and marks go by twenty, receipts by transactions of a hundred rows."""
    key = world.connect(after_fetch=AfterFetch(Action.READ))
    world.graph.arrive(*(f"m{n}" for n in range(100)))
    world.go(key)
    assert (world.graph.calls.count("contents"), world.graph.calls.count("apply")) == (5, 5)
    assert len(world.graph.calls) == 11
    assert len(world.graph.read) == 100
    assert (world.rows(key, "wa"), len(world.rows(key, "wd"))) == ([], 100)
    assert world.tables.receipts.calls["commit"] <= 6


@pytest.mark.parametrize(
    ("start", "taken"),
    [("all", ["old", "new"]), ("now", ["new"]), ("2026-03-01T00:00:00Z", ["new"])],
)
def test_a_walk_takes_nothing_older_than_its_start(world: World, start: str, taken: list[str]) -> None:
    """``now`` and a time leave older mail alone; mail of the same second is taken."""
    key = world.connect(start=start)
    world.graph.arrive("old", received_at="2026-02-01T00:00:00Z")
    world.graph.arrive("new", received_at="2026-03-02T09:30:15Z")
    world.clock.advance(0.4)
    world.go(key)
    assert {path.split("/")[3] for path in world.blobs.received.contents} == {hash_of(item) for item in taken}


def test_the_live_stream_has_no_start(world: World) -> None:
    """Once the folder is followed, an old mail that is moved into it is taken."""
    key = world.connect(start="now")
    world.go(key)
    world.graph.arrive("moved in", received_at="2020-01-01T00:00:00Z")
    world.go_on(key)
    assert world.receipt(key, "moved in").status == ReceiptStatus.STORED


def test_drafts_and_removed_messages_are_left_alone(world: World) -> None:
    """A draft is not mail yet, and what left the folder is not taken."""
    key = world.connect()
    world.graph.arrive("draft", "left", "mail")
    world.graph.draft("draft")
    world.graph.change("left", lambda item: replace(item, removed=True))
    world.go(key)
    assert len(world.rows(key, "m")) == 1


def test_a_message_listed_twice_has_one_receipt(world: World) -> None:
    """Delta may repeat an item within a round and across rounds."""
    key = world.connect()
    world.graph.arrive("a", "a")
    world.go(key)
    world.graph.arrive("a", "b")
    world.go_on(key)
    assert (len(world.rows(key, "m")), len(world.rows(key, "wd"))) == (2, 2)
    assert world.run(key).taken == 2


def test_large_and_unknown_sizes_are_streamed(world: World) -> None:
    """Only what is known to be small goes by batch."""
    key = world.connect()
    world.graph.arrive("small")
    world.graph.arrive("large", size=10_000_000)
    world.graph.arrive("unknown", size=None)
    world.go(key)
    assert sorted(world.graph.calls) == ["content_stream", "content_stream", "contents", "first_page"]
    assert world.receipt(key, "large").sha256 == world.receipt(key, "large").sha256 != ""
    assert world.blobs.received.contents[world.receipt(key, "unknown").blob] == mime_of("unknown")


def test_a_long_walk_goes_on_in_the_next_run(world: World) -> None:
    """A bounded run keeps the next link, wakes itself, and only the last page gives the cursor."""
    world.limits = FetchLimits(page_size=2, pages=2)
    key = world.connect()
    world.graph.arrive(*"abcdefg")
    world.go(key)
    run = world.run(key)
    assert (run.cursor, run.walk) == ("", "next:4:0")
    assert world.woken(FETCH) == [Wakeup(FETCH, key, run.seq, run.due).to_body()]
    world.go(key)
    assert (world.run(key).cursor, world.run(key).walk, len(world.rows(key, "m"))) == ("delta:7:0", "", 7)


def test_a_walk_that_was_left_for_long_begins_anew(world: World) -> None:
    """Next links die; after ten minutes the walk starts over and takes nothing twice."""
    world.limits = FetchLimits(page_size=2, pages=1)
    key = world.connect()
    world.graph.arrive(*"abc")
    world.go(key)
    world.clock.advance(3600)
    world.graph.calls.clear()
    world.go(key)
    assert world.graph.calls == ["first_page"]
    assert len(world.blobs.received.contents) == 2


def test_a_forgotten_delta_token_walks_anew_and_downloads_nothing_twice(world: World) -> None:
    """After 410 the receipts skip what is known."""
    key = world.connect()
    world.graph.arrive("a", "b")
    world.go(key)
    world.graph.generation += 1
    world.graph.arrive("c")
    world.go_on(key)
    assert len(world.blobs.received.contents) == 3
    assert (world.run(key).cursor, world.run(key).recheck) == ("delta:3:1", False)
    assert len(world.rows(key, "wd")) == 3


@pytest.mark.parametrize("fault", [gone(), Unreachable("5xx")])
def test_a_message_that_cannot_be_fetched_holds_nobody_up(world: World, fault: Fault) -> None:
    """It has a receipt at once and work to be fetched again; the cursor goes on."""
    key = world.connect()
    world.graph.arrive("good", "bad")
    world.graph.items["bad"] = [fault]
    world.go(key)
    assert world.receipt(key, "bad").status == ReceiptStatus.RETRYING
    assert (len(world.rows(key, "wf")), len(world.rows(key, "wd")), len(world.rows(key, "v"))) == (1, 1, 1)
    assert (world.run(key).cursor, world.run(key).pending) == ("delta:2:0", True)
    world.go_on(key)
    assert world.receipt(key, "bad").status == ReceiptStatus.STORED
    assert (world.rows(key, "wf"), len(world.rows(key, "wd")), world.rows(key, "v")) == ([], 2, [])
    assert (world.run(key).pending, world.run(key).taken) == (False, 2)


@pytest.mark.parametrize(
    ("fault", "status"),
    [(gone, ReceiptStatus.SKIPPED), (lambda: Unreachable("5xx"), ReceiptStatus.QUARANTINED)],
)
def test_a_message_that_never_comes_is_given_up(
    world: World, fault: Callable[[], Fault], status: ReceiptStatus
) -> None:
    """After eight tries with growing waits it is quarantined with its reason, or skipped where it is gone."""
    key = world.connect()
    world.graph.arrive("bad", "good")
    world.graph.items["bad"] = [fault() for _ in range(20)]
    world.go(key)
    started = world.clock()
    for _ in range(800):
        if not world.run(key).pending:
            break
        world.go_on(key)
    receipt = world.receipt(key, "bad")
    assert (receipt.status, receipt.fetch_attempts) == (status, 8)
    assert receipt.fault is not None
    assert world.clock() - started > timedelta(hours=8)


def test_inner_429s_are_retried_alone(world: World) -> None:
    """A short wait is waited out for the throttled ones only; nothing is recorded."""
    key = world.connect()
    world.graph.arrive("a", "b")
    world.graph.items["b"] = [Throttled("slow", retry_after=2.5)]
    world.go(key)
    assert (world.slept, world.graph.calls.count("contents")) == ([2.5], 2)
    assert (world.run(key).failures, len(world.rows(key, "m"))) == (0, 2)


def test_a_long_429_pauses_the_mailbox_and_keeps_what_was_fetched(world: World) -> None:
    """Those that came have receipts; the rest follow, none is downloaded twice."""
    key = world.connect(after_fetch=AfterFetch(Action.READ))
    world.graph.arrive("a", "b")
    world.graph.items["b"] = [Throttled("slow", retry_after=90)]
    world.go(key)
    run = world.run(key)
    box = world.turns.look(BOX)
    assert (run.fault.code if run.fault else "", run.cursor) == (Code.GRAPH_THROTTLED.value, "")
    assert box.box.paused_until == run.next_at
    assert (box.box.holder, len(world.rows(key, "m")), len(world.rows(key, "wa"))) == ("", 1, 1)
    world.go_on(key)
    assert (len(world.blobs.received.contents), world.graph.read) == (2, {"a", "b"})
    assert (world.run(key).failures, world.run(key).fault) == (0, None)


def test_a_paused_mailbox_is_left_alone(world: World) -> None:
    """While anyone was asked to pause, no request is made, and the record waits as long."""
    key = world.connect()
    world.tables.connections.commit(
        shard_of(BOX), [Insert(box_key(BOX), encode(Box(paused_until="2026-03-02T09:31:00.000Z")))]
    )
    world.go(key)
    assert (world.graph.calls, world.run(key).next_at) == ([], "2026-03-02T09:31:00.000Z")


def test_connections_of_a_faulty_grant_wait(world: World) -> None:
    """They make no calls, record no fault of their own, and look again in a minute."""
    key = world.connect()
    world.access.fault = GrantFault("no consent")
    world.go(key)
    run = world.run(key)
    assert (world.graph.calls, run.failures, run.fault) == ([], 0, None)
    assert from_text(run.next_at) - world.clock() == timedelta(seconds=60)


def test_a_refusal_by_graph_makes_the_grant_suspect(world: World) -> None:
    """The token module is told; the connection itself only waits."""
    key = world.connect()
    world.graph.failures.plan("page", GrantFault("roles"))
    world.go(key)
    assert (world.access.suspected, world.run(key).failures) == ([GRANT], 0)


def test_a_mailbox_fault_backs_off_and_stops_after_a_day(world: World) -> None:
    """Its waits grow to an hour; after 24 hours a person is needed, and it is tried once a day."""
    key = world.connect()
    run, waits = world.run(key), []
    for _ in range(100):
        world.graph.failures.plan("page", MailboxFault("no mailbox", Code.MAILBOX_NOT_ENABLED))
        world.go_on(key)
        run = world.run(key)
        if run.stopped:
            break
        waits.append((from_text(run.next_at) - world.clock()).total_seconds())
    assert (waits[0], max(waits)) == (60.0, 3600.0)
    assert (run.stopped, from_text(run.next_at) - world.clock()) == (True, timedelta(days=1))
    assert [run.due] == [due.key for due in world.due_rows() if due.kind == FETCH]
    assert run.fault is not None
    assert run.fault.code == Code.MAILBOX_NOT_ENABLED.value
    assert timedelta(hours=24) <= world.clock() - from_text(run.failing_since) < timedelta(hours=26)


def test_an_unreachable_graph_never_stops_a_connection(world: World) -> None:
    """However long it lasts, the next attempt is due."""
    key = world.connect()
    for _ in range(200):
        world.graph.failures.plan("page", Unreachable("503"))
        world.go_on(key)
    assert (world.run(key).stopped, world.run(key).next_at != "") == (False, True)


def test_after_fetch_that_fails_is_done_later(world: World) -> None:
    """Work rows stay until the mailbox took the change; the record says that some are pending."""
    key = world.connect(after_fetch=AfterFetch(Action.MOVE, "archive"))
    world.graph.arrive("a", "b")
    world.graph.items["apply:a"] = [Unreachable("503")]
    world.go(key)
    assert (world.graph.moves, len(world.rows(key, "wa")), world.run(key).pending) == (["b"], 1, True)
    world.go_on(key)
    assert (world.graph.moves, world.rows(key, "wa"), world.run(key).pending) == (["b", "a"], [], False)


def test_a_move_is_looked_up_before_it_is_repeated(world: World) -> None:
    """Where the answer was lost and the message lies there already, it is not moved again."""
    key = world.connect(after_fetch=AfterFetch(Action.MOVE, "archive"))
    world.graph.arrive("a")
    world.graph.failures.plan("apply", Unreachable("reset", outcome_unknown=True), after_effect=True)
    world.go(key)
    assert len(world.rows(key, "wa")) == 1
    world.go_on(key)
    assert (world.graph.moves, world.rows(key, "wa")) == (["a"], [])


def test_a_permanent_refusal_of_after_fetch_stands_on_the_receipt(world: World) -> None:
    """It never holds the cursor; a message that is gone needs nothing."""
    key = world.connect(after_fetch=AfterFetch(Action.READ))
    world.graph.arrive("a", "b")
    world.graph.items["apply:a"] = [type(gone())("refused", Code.MESSAGE_REFUSED)]
    world.graph.items["apply:b"] = [gone()]
    world.go(key)
    fault = world.receipt(key, "a").after_fault
    assert (fault.code if fault else "", world.receipt(key, "b").after_fault) == ("message_refused", None)
    assert (world.rows(key, "wa"), world.run(key).cursor) == ([], "delta:2:0")


def test_all_due_connections_of_a_mailbox_share_one_turn(world: World) -> None:
    """Both are fetched by the invocation of one wake-up, under one claim."""
    first, second = world.connect(), world.connect()
    world.graph.arrive("a")
    world.go(first)
    assert (len(world.rows(first, "m")), len(world.rows(second, "m"))) == (1, 1)
    assert (world.run(second).claim, world.turns.look(BOX).box.holder) == ("", "")


def test_a_held_turn_is_left_with_word_for_the_holder(world: World) -> None:
    """A second invocation fetches nothing and leaves its kind wanted; its due row stays."""
    key = world.connect()
    holder = world.turns.claim(world.turns.look(BOX), SEND, lambda _: [])
    assert holder is not None
    world.go(key)
    assert (world.graph.calls, world.turns.look(BOX).box.wanted_fetch != "") == ([], True)
    assert world.run(key).due in [row.key for row in world.due_rows()]
    assert holder.release().wake == FETCH


def test_senders_that_waited_are_woken(world: World) -> None:
    """Word that was left during a fetch becomes a wake-up for the mailbox's senders."""
    key = world.connect()
    sender = world.connect(direction=Direction.OUTGOING)

    def leave_word(_: str) -> None:
        world.want(SEND)

    world.graph.failures.before = leave_word
    world.go(key)
    assert [body["id"] for body in world.woken(SEND)] == [sender]
    assert world.turns.look(BOX).box.reserved_for == SEND


def test_word_of_the_own_kind_means_another_scan(world: World) -> None:
    """A connection that became due while the turn was held is fetched before it is given up."""
    key = world.connect()
    late: list[str] = []

    def leave_word(_: str) -> None:
        if not late:
            late.append(world.connect())
            world.want(FETCH)

    world.graph.failures.before = leave_word
    world.graph.arrive("a")
    world.go(key)
    assert len(world.rows(late[0], "m")) == 1
    assert world.turns.look(BOX).box.holder == ""


def test_a_changed_record_fences_the_commit(world: World) -> None:
    """Where the API wrote the record meanwhile nothing is committed, and the turn is given up."""
    key = world.connect()
    world.graph.arrive("a")

    def change(_: str) -> None:
        world.tables.connections.commit(shard_of(BOX), [Update(run_key(key), {"config_version": 2}, "*")])
        world.graph.failures.before = None

    world.graph.failures.before = change
    world.go(key)
    run = world.run(key)
    assert (run.cursor, run.config_version, world.turns.look(BOX).box.holder) == ("", 2, "")
    assert run.due in [row.key for row in world.due_rows()]
    world.clock.advance(121)
    world.go(key)
    assert (world.run(key).cursor, len(world.blobs.received.contents), len(world.rows(key, "wd"))) == (
        "delta:1:0",
        1,
        1,
    )


def test_a_run_that_died_is_taken_up_without_a_second_event(world: World) -> None:
    """After a death before the commit the claim's due row fires; known mail is announced again, none is doubled."""
    key = world.connect(after_fetch=AfterFetch(Action.READ))
    world.graph.arrive("a", "b")
    world.graph.failures.plan("apply", RuntimeError("killed"))
    with pytest.raises(RuntimeError):
        world.go(key)
    run = world.run(key)
    assert (run.claim != "", len(world.rows(key, "wa"))) == (True, 2)
    assert [row.key for row in world.due_rows()] == [run.due]
    world.wakeups.sent.clear()
    world.clock.advance(91)
    world.go(key)
    assert (world.graph.read, world.rows(key, "wa"), len(world.rows(key, "wd"))) == ({"a", "b"}, [], 2)
    assert len(world.blobs.received.contents) == 2
    assert DELIVER in [row.kind for row in world.due_rows()]


def test_a_commit_without_an_answer_is_looked_up(world: World) -> None:
    """Where it was done the run ends well; where it was not the host repeats it."""
    key = world.connect()
    table = world.tables.connections
    world.graph.failures.before = lambda _: table.failures.plan("commit", after_effect=True)
    world.go(key)
    assert (world.run(key).cursor, world.run(key).claim) == ("delta:0:0", "")
    world.clock.advance(400)
    world.graph.failures.before = lambda _: table.failures.plan("commit")
    with pytest.raises(StorageUnavailable):
        world.go(key)


def test_stray_due_rows_are_removed_and_the_last_one_is_kept(world: World) -> None:
    """A due row that the record does not name is removed, unless the row it names is gone (the tick has moved it)."""
    key = world.connect()
    world.go(key)
    stray = DueRow(world.clock(), FETCH, key, 1)
    world.tables.connections.commit(shard_of(BOX), [stray.insert()])
    world.fetch().run(Wakeup(FETCH, key, 1, stray.key))
    run = world.run(key)
    assert [row.key for row in world.due_rows()] == [run.due]
    moved = DueRow.from_row(run.due, {}).refired(world.clock())
    old = world.tables.connections.get(shard_of(BOX), run.due)
    assert old is not None
    world.tables.connections.commit(shard_of(BOX), [Delete(run.due), moved.insert()])
    world.fetch().run(Wakeup(FETCH, key, run.seq, moved.key))
    assert [row.key for row in world.due_rows()] == [moved.key]


@pytest.mark.parametrize("at", ["get", "commit"])
def test_a_stray_due_row_that_becomes_the_connections_own_meanwhile_stays(world: World, at: str) -> None:
    """Whoever drops it removes what was read, and not the row of the same time that another has just written."""
    key = world.connect()
    world.go(key)
    run, table = world.run(key), world.tables.connections
    stray = DueRow(world.clock(), FETCH, key, 1)
    table.commit(shard_of(BOX), [stray.insert()])

    def write(method: str) -> None:
        if method == at:
            table.failures.before = None
            changed = encode(replace(run, due=stray.key))
            table.commit(shard_of(BOX), [Update(run_key(key), changed, "*"), Upsert(stray.key, stray.values)])

    table.failures.before = write
    world.fetch().run(Wakeup(FETCH, key, 1, stray.key))

    assert table.get(shard_of(BOX), world.run(key).due) is not None
    assert stray.key == world.run(key).due


def test_a_due_row_that_the_tick_moved_is_taken_over_by_the_claim(world: World) -> None:
    """The wake-up names the moved row; claim and commit leave exactly one behind."""
    key = world.connect()
    run = world.run(key)
    moved = DueRow.from_row(run.due, {"seq": 1}).refired(world.clock())
    world.tables.connections.commit(shard_of(BOX), [Delete(run.due), moved.insert()])
    world.fetch().run(Wakeup(FETCH, key, 1, moved.key))
    assert [row.key for row in world.due_rows()] == [world.run(key).due]


def test_two_wakeups_for_one_due_connection_fetch_once(world: World) -> None:
    """The second finds the record not due, and drops."""
    key = world.connect()
    run = world.run(key)
    world.graph.arrive("a")
    for _ in range(2):
        world.fetch().run(Wakeup(FETCH, key, run.seq, run.due))
    assert world.graph.calls.count("first_page") == 1


@pytest.mark.parametrize("change", [{"enabled": False}, {"direction": Direction.OUTGOING}])
def test_what_is_not_to_be_fetched_is_not(world: World, change: dict[str, object]) -> None:
    """Disabled and outgoing connections are left alone."""
    key = world.connect(**change)
    world.go(key)
    assert world.graph.calls == []


def test_records_survive_unknown_properties(world: World) -> None:
    """What a newer version wrote on the record is still there after a run."""
    key = world.connect()
    world.tables.connections.commit(shard_of(BOX), [Update(run_key(key), {"newer": "x"}, "*")])
    world.go(key)
    row = world.tables.connections.get(shard_of(BOX), run_key(key))
    assert row is not None
    assert (row.values["newer"], decode(Run, row.values).cursor) == ("x", "delta:0:0")


@pytest.mark.parametrize(
    ("key_of", "values"),
    [(connection_key, {"after_fetch": '{"action":"teleport"}'}), (run_key, {"seq": "many"}), (run_key, {"fault": "{"})],
)
def test_one_strange_connection_leaves_the_others_of_its_mailbox_alone(
    world: World, key_of: Callable[[str], str], values: dict[str, str]
) -> None:
    """What a newer version wrote is nobody's to fetch, and its due row stays for whoever can read it."""
    strange, other = world.connect(), world.connect(folder_id="other")
    due = world.run(strange).due
    world.tables.connections.commit(shard_of(BOX), [Update(key_of(strange), values, "*")])
    world.graph.arrive("a")

    world.go(other)
    world.fetch().run(Wakeup(FETCH, strange, 1, due))

    assert ReceiptStatus.STORED == world.receipt(other, "a").status
    assert due in [row.key for row in world.due_rows()]
