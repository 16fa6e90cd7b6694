"""The sweep, the walk anew after Graph forgot, folders without delta, and what is left alone."""

from dataclasses import replace
from datetime import timedelta

import pytest

from shared.errors import Throttled
from shared.fetch import sweep
from shared.fetch.run import FetchLimits
from shared.receipts import ReceiptStatus, hash_of
from shared.schedule import FETCH, Wakeup
from shared.times import from_text
from tests.fakes.graph_reading import broken
from tests.fakes.intake import World


@pytest.fixture
def world() -> World:
    """Return a fresh mailbox that is swept every hour."""
    return World(limits=FetchLimits(page_size=4, sweep_seconds=3600))


def at(world: World, **before: float) -> str:
    """Return a time before now as Graph writes it."""
    return (world.clock() - timedelta(**before)).strftime("%Y-%m-%dT%H:%M:%SZ")


def taken(world: World, key: str) -> set[str]:
    """Return the ids of messages that have a receipt."""
    hashes = {row.removeprefix("m|") for row in world.rows(key, "m")}
    return {item.id for item in world.graph.messages if hash_of(item.id) in hashes}


def test_the_sweep_takes_what_delta_lost_and_counts_it(world: World) -> None:
    """Mail moved out and back is never listed again; the sweep finds it, once, and tells."""
    key = world.connect()
    world.graph.arrive("a", "b")
    world.go(key)
    world.graph.arrive("lost", received_at=at(world, hours=2))
    world.graph.lost.add("lost")
    world.go_on(key)
    assert ({"a", "b"}, 0) == (taken(world, key), world.run(key).swept)
    world.clock.advance(3600)
    world.go(key)
    assert ({"a", "b", "lost"}, 1, "") == (taken(world, key), world.run(key).swept, world.run(key).sweep_from)
    world.clock.advance(7200)
    world.go(key)
    assert (1, 3, 3) == (world.run(key).swept, len(world.rows(key, "m")), len(world.rows(key, "wd")))


def test_nothing_is_swept_before_the_period_is_over(world: World) -> None:
    """The walk itself has seen everything, so the first sweep comes a period after it."""
    key = world.connect()
    world.go(key)
    world.clock.advance(3590)
    world.go(key)
    assert 0 == world.graph.calls.count("list_page")
    assert world.run(key).swept_at


def test_the_sweep_goes_on_where_it_stopped(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run sweeps a few pages; the record says where the next one goes on, also after a run that died."""
    monkeypatch.setattr(sweep, "PAGES", 1)
    key = world.connect()
    names = [f"m{number}" for number in range(10)]
    for number, name in enumerate(names):
        world.graph.arrive(name, received_at=at(world, minutes=300 - number))
    world.graph.lost.update(names)
    world.go(key)
    world.clock.advance(3700)
    seen = []
    for _ in range(4):
        world.go_on(key)
        seen.append(len(taken(world, key)))
    assert [4, 7, 10, 10] == seen
    assert ("", 10) == (world.run(key).sweep_from, world.run(key).swept)


def test_mail_of_the_last_hour_is_left_to_delta(world: World) -> None:
    """Delta may lag; what it brings a little later was not lost."""
    key = world.connect()
    world.go(key)
    world.clock.advance(3600)
    world.graph.arrive("young", received_at=at(world, minutes=10))
    world.graph.lost.add("young")
    world.go(key)
    assert set() == taken(world, key)


@pytest.mark.parametrize(("start", "found"), [("now", set[str]()), ("all", {"year"})])
def test_the_sweep_keeps_to_the_start_and_to_what_receipts_remember(world: World, start: str, found: set[str]) -> None:
    """Nothing from before `start`, and nothing so old that a receipt of it may be gone."""
    key = world.connect(start=start)
    world.graph.arrive("ancient", received_at=at(world, days=394))
    world.graph.arrive("year", received_at=at(world, days=392))
    world.graph.lost.update(("ancient", "year"))
    world.go(key)
    world.clock.advance(3600)
    world.go(key)
    assert found == taken(world, key)


def test_trouble_of_the_sweep_alone_does_not_fail_the_fetch(world: World) -> None:
    """The cursor is committed, and the sweep goes on in the next run."""
    key = world.connect()
    world.graph.arrive("a")
    world.go(key)
    world.clock.advance(3600)
    world.graph.poison = {}
    plan = world.graph.failures
    plan.before = lambda method: None
    original = world.graph.list_page
    world.graph.list_page = lambda *_, **__: (_ for _ in ()).throw(broken())  # type: ignore[method-assign]
    world.go(key)
    assert (0, True) == (world.run(key).failures, bool(world.run(key).sweep_from))
    world.graph.list_page = original  # type: ignore[method-assign]
    world.go_on(key)
    assert ("", world.clock()) == (world.run(key).sweep_from, from_text(world.run(key).swept_at))


def test_a_429_of_the_sweep_is_the_mailboxes(world: World) -> None:
    """Whoever asks to slow down means the fetch too."""
    key = world.connect()
    world.go(key)
    world.clock.advance(3600)
    world.graph.list_page = lambda *_, **__: (_ for _ in ()).throw(Throttled("slow"))  # type: ignore[method-assign]
    world.go(key)
    assert 1 == world.run(key).failures


def test_work_in_rows_of_which_no_record_knows_is_found_once_in_a_period(world: World) -> None:
    """Should a record ever say that nothing is pending although it is, the sweep asks for a look."""
    key = world.connect()
    world.go(key)
    world.clock.advance(3600)
    world.go(key)
    assert world.run(key).pending
    world.go_on(key)
    assert not world.run(key).pending


def test_a_walk_anew_skips_what_is_known_and_what_is_too_old(world: World) -> None:
    """Receipts are kept 400 days; of mail from before nobody knows whether it was taken. Nothing between is missed."""
    key = world.connect()
    world.graph.arrive("a", "b", "c", received_at=at(world, days=1))
    world.go(key)
    world.graph.generation += 1
    world.graph.arrive("old", received_at=at(world, days=394))
    world.graph.arrive("between", received_at=at(world, days=392))
    world.go_on(key)
    run = world.run(key)
    assert {"a", "b", "c", "between"} == taken(world, key)
    assert (4, 4, "delta:5:1", False) == (run.taken, len(world.rows(key, "wd")), run.cursor, run.resync)


def test_the_first_walk_of_all_has_no_such_bound(world: World) -> None:
    """What was never walked cannot have been taken, however old."""
    key = world.connect(start="all")
    world.graph.arrive("ancient", received_at="1999-01-01T00:00:00Z")
    world.go(key)
    assert {"ancient"} == taken(world, key)


def test_a_long_walk_anew_reads_the_list_of_receipts_once(world: World) -> None:
    """Not one receipt after the other: a thousand come with one call."""
    world.limits = FetchLimits(page_size=50)
    key = world.connect()
    world.graph.arrive(*(f"m{number}" for number in range(150)))
    world.go(key)
    world.graph.generation += 1
    before = dict(world.tables.receipts.calls)
    world.go_on(key)
    calls = {name: count - before.get(name, 0) for name, count in world.tables.receipts.calls.items()}
    assert (0, 0) == (calls.get("get", 0), calls.get("commit", 0))
    assert calls["read"] <= 1 + 2
    assert 150 == world.run(key).taken


def test_chats_are_left_alone(world: World) -> None:
    """Teams and Skype leave their chats in mailboxes; they are no mail."""
    key = world.connect()
    world.graph.arrive("teams", "skype", "mail")
    world.graph.change("teams", lambda item: replace(item, item_class="IPM.SkypeTeams.Message"))
    world.graph.change("skype", lambda item: replace(item, item_class="IPM.Note.Microsoft.Conversation"))
    world.graph.change("mail", lambda item: replace(item, item_class="IPM.Note.SMIME"))
    world.go(key)
    assert {"mail"} == taken(world, key)


@pytest.fixture
def china(world: World) -> World:
    """Return a mailbox of a cloud without delta, not swept for now."""
    world.access.has_delta = False
    world.limits = FetchLimits(page_size=4, sweep_seconds=1e9)
    return world


def test_without_delta_the_folder_is_listed_by_time(china: World) -> None:
    """From the start on, in pages; then what is new."""
    key = china.connect(start=at(china, hours=3))
    china.graph.arrive("before", received_at=at(china, hours=4))
    for number in range(10):
        china.graph.arrive(f"m{number}", received_at=at(china, minutes=60 - number))
    china.go(key)
    assert {f"m{number}" for number in range(10)} == taken(china, key)
    china.graph.arrive("new", received_at=at(china, minutes=0))
    china.go_on(key)
    assert ReceiptStatus.STORED == china.receipt(key, "new").status
    assert {"list_page", "contents"} == set(china.graph.calls)


def test_an_idle_list_costs_what_an_idle_delta_costs(china: World) -> None:
    """The record knows what stands at the end of the list, so that no receipt is looked up."""
    key = china.connect()
    china.graph.arrive("a", "b", received_at=at(china, minutes=1))
    china.go(key)
    china.graph.calls.clear()
    china.clock.advance(300)
    due = china.run(key)
    before = china.tables.calls()
    china.fetch().run(Wakeup(FETCH, key, due.seq, due.due))
    assert (["list_page"], 3) == (china.graph.calls, china.tables.calls() - before)


def test_mail_that_shows_late_is_taken_all_the_same(china: World) -> None:
    """The list goes back a few minutes before the last mail; what is older still is found by the sweep."""
    china.limits = FetchLimits(page_size=4, sweep_seconds=7200)
    key = china.connect()
    china.graph.arrive("a", received_at=at(china, minutes=1))
    china.go(key)
    china.graph.arrive("late", received_at=at(china, minutes=4))
    china.graph.arrive("very late", received_at=at(china, minutes=40))
    china.go_on(key)
    assert {"a", "late"} == taken(china, key)
    china.clock.advance(7200)
    china.go(key)
    assert ({"a", "late", "very late"}, 1) == (taken(china, key), china.run(key).swept)


def test_more_mail_in_one_second_than_fits_a_page(china: World) -> None:
    """An import gives thousands the same time; the list goes on within it."""
    key = china.connect()
    names = [f"m{number}" for number in range(13)]
    china.graph.arrive(*names, received_at=at(china, hours=1))
    china.go(key)
    assert set(names) == taken(china, key)
    assert 13 == china.run(key).taken


def test_a_long_list_goes_on_after_any_pause(china: World) -> None:
    """Unlike Graph's links a time does not age: the run after an outage goes on where the last one stopped."""
    china.limits = FetchLimits(page_size=2, pages=2, sweep_seconds=1e9)
    key = china.connect()
    for number in range(9):
        china.graph.arrive(f"m{number}", received_at=at(china, minutes=60 - number))
    china.go(key)
    assert 3 == len(taken(china, key))
    china.clock.advance(7200)
    china.graph.calls.clear()
    for _ in range(3):
        china.go_on(key)
    assert 9 == len(taken(china, key))
    assert china.graph.calls.count("list_page") <= 7
