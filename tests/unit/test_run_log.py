"""The run log: a row for each run that did something, read newest first, and nothing personal in it."""

from datetime import timedelta

import pytest

from shared.codes import Code
from shared.errors import InvalidRequest, MailboxFault, Microsoft, NotFound, StorageUnavailable
from shared.run_lists import RunLists
from shared.run_log import RunLine
from tests.fakes.intake import World


@pytest.fixture
def world() -> World:
    """Return a mailbox with two messages."""
    made = World()
    made.graph.arrive("a", "b")
    return made


def lines(world: World, key: str, limit: int = 50, **wanted: object) -> list[RunLine]:
    """Return what the log says."""
    return RunLists(world.tables, world.clock).page(key, limit, **wanted).items  # type: ignore[arg-type]


def test_a_fetch_that_took_mail_leaves_one_row_and_an_idle_one_none(world: World) -> None:
    """The row counts pages and mails; a fetch that finds nothing does not even touch the table."""
    key = world.connect()
    world.go(key)
    calls = world.tables.log.calls.total()
    world.go_on(key)

    assert [("fetch", "done", 1, 2, None)] == [
        (line.kind, line.outcome, line.pages, line.taken, line.fault) for line in lines(world, key)
    ]
    assert calls == 1
    assert not any(word in str(world.tables.log.everything()) for word in ("subject of", "ann@", "contoso.example"))


def test_a_fetch_that_failed_says_why_with_microsofts_ids(world: World) -> None:
    """Code and ids of the fault stand in the row."""
    key = world.connect()
    fault = MailboxFault("The mailbox is gone.", Code.MAILBOX_NOT_FOUND, microsoft=Microsoft("ErrorInvalidUser"))
    world.graph.failures.plan("page", fault)
    world.go(key)

    (line,) = lines(world, key)
    assert line.fault is not None
    assert ("failed", "mailbox_not_found", "ErrorInvalidUser") == (
        line.outcome,
        line.fault.code,
        line.fault.microsoft_code,
    )


def test_a_log_that_cannot_be_written_stops_nobody(world: World) -> None:
    """The fetch is committed all the same."""
    key = world.connect()
    world.tables.log.failures.plan("commit", StorageUnavailable("no answer"))
    world.go(key)

    assert (2, []) == (len(world.rows(key, "m")), lines(world, key))
    assert world.run(key).cursor


def test_runs_are_listed_newest_first_across_days(world: World) -> None:
    """Pages follow one another without gap or repetition, and a time range cuts them."""
    key = world.connect()
    times = []
    for number in range(5):
        world.graph.arrive(f"m{number}")
        world.go_on(key)
        times.append(world.clock())
        world.clock.advance(timedelta(hours=15).total_seconds())
    lists = RunLists(world.tables, world.clock)
    found, cursor = [], ""
    for _ in range(5):
        page = lists.page(key, 2, cursor)
        found += [line.at for line in page.items]
        cursor = page.next_cursor or ""
        if not cursor:
            break

    assert (5, sorted(found, reverse=True)) == (len(set(found)), found)
    assert 2 == len(lines(world, key, since=times[1] - timedelta(minutes=1), until=times[3] - timedelta(minutes=1)))
    with pytest.raises(InvalidRequest):
        lists.page(key, 2, "eA==")
    with pytest.raises(NotFound):
        lists.page("conn_x", 2)
