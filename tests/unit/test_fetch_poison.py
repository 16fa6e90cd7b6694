"""Messages that Graph cannot read: everything beside them comes through, and they are accounted for."""

from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from shared.connections import Action, AfterFetch
from shared.errors import Unreachable
from shared.fetch.run import FetchLimits
from shared.receipts import ReceiptStatus, hash_of
from shared.schedule import FETCH, Wakeup
from shared.times import from_text
from tests.fakes.graph_reading import broken
from tests.fakes.intake import World


def world_of(page_size: int = 8, **limits: float) -> World:
    """Return a mailbox whose pages hold *page_size* messages."""
    return World(limits=FetchLimits(page_size=page_size, **limits))  # type: ignore[arg-type]


def settle(world: World, key: str, most: int = 30) -> None:
    """Fetch until the folder was read to its end."""
    world.go(key)
    for _ in range(most):
        run = world.run(key)
        if not run.failures and not run.walk and run.cursor:
            return
        world.go_on(key)


def arrived(world: World, count: int) -> list[str]:
    """Let mails arrive, one a minute; return their ids."""
    names = [f"m{number}" for number in range(count)]
    for number, name in enumerate(names):
        world.graph.arrive(name, received_at=f"2026-03-01T{number // 60:02}:{number % 60:02}:00Z")
    return names


def statuses(world: World, key: str) -> dict[str, str]:
    """Return the status of every receipt by the hash of its message."""
    rows = world.tables.receipts.read(key, "m|", "m~").rows
    return {row.key.removeprefix("m|"): str(row.values["status"]) for row in rows}


def test_a_first_failure_of_a_page_is_waited_out() -> None:
    """It may be an outage that passes, and then nothing is taken apart."""
    world = world_of()
    key = world.connect()
    arrived(world, 3)
    world.graph.failures.plan("page", broken())
    world.go(key)
    assert (world.graph.calls, world.run(key).failures) == (["first_page"], 1)
    world.go_on(key)
    assert (world.graph.calls.count("first_page"), len(statuses(world, key))) == (2, 3)


def test_a_poison_item_gets_a_receipt_and_all_others_their_content() -> None:
    """Delta goes on without details from there; the item is fetched again by its id, and then quarantined."""
    world = world_of()
    key = world.connect()
    names = arrived(world, 20)
    world.graph.poison["m11"] = "full"
    settle(world, key, 5)
    assert ReceiptStatus.RETRYING == world.receipt(key, "m11").status
    for _ in range(8):
        world.clock.advance(6 * 3600)
        world.go(key)
    found = statuses(world, key)
    expected = dict.fromkeys(map(hash_of, names), "stored") | {hash_of("m11"): "quarantined"}
    assert (expected, "light") == (found, world.run(key).cursor.rpartition(":")[2])
    fault = world.receipt(key, "m11").fault
    assert fault is not None
    assert ("graph_unavailable", "ErrorInternalServerError") == (fault.code, fault.microsoft_code)


def test_mail_after_the_poison_keeps_coming_with_its_details() -> None:
    """The delta that names ids only is completed message by message; an idle fetch stays one request."""
    world = world_of(sweep_seconds=1e9)
    key = world.connect()
    arrived(world, 3)
    world.graph.poison["m1"] = "full"
    settle(world, key)
    world.graph.arrive("later")
    for _ in range(8):
        world.clock.advance(6 * 3600)
        world.go(key)
    receipt = world.receipt(key, "later")
    assert ("subject of later", ReceiptStatus.STORED) == (receipt.subject, receipt.status)
    world.graph.calls.clear()
    world.clock.advance(300)
    due = world.run(key)
    before = world.tables.calls()
    world.fetch().run(Wakeup(FETCH, key, due.seq, due.due))
    assert (["next_page"], 3) == (world.graph.calls, world.tables.calls() - before)


def test_an_item_that_cannot_even_be_named_is_a_hole() -> None:
    """Delta cannot get past it, so the folder is listed by time; the hole is counted, and all others come through."""
    world = world_of()
    key = world.connect()
    names = arrived(world, 20)
    world.graph.poison["m11"] = "hard"
    settle(world, key)
    expected = dict.fromkeys([hash_of(name) for name in names if name != "m11"], "stored")
    assert (expected, 1) == (statuses(world, key), world.run(key).holes)
    world.graph.arrive("later", received_at="2026-03-01T09:00:00Z")
    world.go_on(key)
    assert ReceiptStatus.STORED == world.receipt(key, "later").status


def test_the_hole_is_filled_once_the_item_can_be_read() -> None:
    """The next sweep finds it, and the folder is followed by delta again."""
    world = world_of(sweep_seconds=3600)
    key = world.connect()
    arrived(world, 5)
    world.graph.poison["m2"] = "hard"
    settle(world, key)
    world.graph.poison.clear()
    world.clock.advance(7200)
    settle(world, key)
    world.go_on(key)
    run = world.run(key)
    assert (5, 1, 0, "delta:5:0") == (len(statuses(world, key)), run.swept, run.holes, run.cursor)


def test_an_outage_is_not_taken_for_poison() -> None:
    """Where every way fails nothing is given up: the cursor stands, and the folder is followed on afterwards."""
    world = world_of()
    key = world.connect()
    arrived(world, 3)
    world.go(key)
    for _ in range(200):
        world.graph.failures.plan("page", broken())
    for _ in range(3):
        world.go_on(key)
    run = world.run(key)
    assert ("delta:3:0", False, 3, False) == (run.cursor, run.light, run.failures, run.resync)


def test_content_that_fails_for_all_of_a_page_does_not_hold_the_cursor_for_ever() -> None:
    """After two failed runs each message gets its receipt and is fetched again by itself."""
    world = world_of()
    key = world.connect()
    world.graph.arrive("a", "b")
    world.graph.items = {name: [Unreachable("500")] * 3 for name in "ab"}
    for _ in range(3):
        world.go(key) if not world.run(key).failures else world.go_on(key)
    assert {"retrying"} == set(statuses(world, key).values())
    assert "delta:2:0" == world.run(key).cursor
    world.go_on(key)
    world.go_on(key)
    assert {"stored"} == set(statuses(world, key).values())


def test_details_that_all_fail_together_are_waited_for() -> None:
    """One message is ill by itself; a whole batch that fails is the mailbox's trouble, as long as that is new."""
    world = world_of()
    key = world.connect()
    names = arrived(world, 4)
    world.graph.poison["m0"] = "full"
    world.go(key)
    world.graph.failures.plan("details", Unreachable("503"))
    world.go_on(key)
    assert (2, {}) == (world.run(key).failures, statuses(world, key))
    settle(world, key)
    assert len(names) == len(statuses(world, key))


@settings(max_examples=30, deadline=None)
@given(
    action=st.sampled_from([Action.NONE, Action.MOVE]),
    count=st.integers(1, 24),
    page_size=st.integers(1, 9),
    ill=st.dictionaries(st.integers(0, 23), st.sampled_from(["full", "hard"]), max_size=6),
    gaps=st.lists(st.sampled_from([0, 0, 1, 60]), min_size=24, max_size=24),
    delta=st.booleans(),
    ends=st.booleans(),
)
def test_whatever_is_poison_every_other_mail_has_exactly_one_receipt(
    action: Action, count: int, page_size: int, ill: dict[int, str], gaps: list[int], *, delta: bool, ends: bool
) -> None:
    """However pages fall and however many mails share a second, with delta and without; sweeps find the rest."""
    world = world_of(page_size, sweep_seconds=3600)
    world.access.has_delta = delta
    key = world.connect(after_fetch=AfterFetch(action, "archive"))
    moment = world.clock() - timedelta(hours=6)
    for number in range(count):
        moment += timedelta(seconds=gaps[number])
        world.graph.arrive(f"m{number}", received_at=moment.strftime("%Y-%m-%dT%H:%M:%SZ"))
    world.graph.poison = {f"m{number}": kind for number, kind in ill.items() if number < count}
    settle(world, key)
    others = {hash_of(f"m{n}") for n in range(count) if f"m{n}" not in world.graph.poison}
    for _ in range(4):  # a sweep, to its end
        world.clock.advance(4000)
        settle(world, key)
    found = statuses(world, key)
    named = {hash_of(name) for name, kind in world.graph.poison.items() if kind == "full"}
    assert others <= set(found) <= others | named
    assert {"stored"} >= {found[item] for item in others}
    stored = [path.split("/")[3] for path in world.blobs.received.contents]
    assert sorted(stored) == sorted(others)
    assert from_text(world.run(key).swept_at) <= world.clock()
    if ends:  # the ill ones recover, and are taken too
        world.graph.poison.clear()
        for _ in range(4):
            world.clock.advance(6 * 3600)
            settle(world, key)
        assert others <= {key for key, status in statuses(world, key).items() if status == "stored"}
        assert count == len(statuses(world, key))
