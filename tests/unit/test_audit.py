"""The audit log: who is told, in which order, and how it is read."""

from datetime import UTC, datetime, timedelta
from threading import Thread

import pytest

from shared.audit import Audit, acting
from shared.audit_log import AuditLog
from shared.errors import InvalidRequest
from shared.paging import cursor_of
from shared.times import from_inverted_key, to_inverted_key
from tests.fakes import MemoryTables, MovableClock


class Book:
    """An audit log on memory with a line a week, from January on; each names its number."""

    def __init__(self, weeks: int = 12) -> None:
        self.clock = MovableClock(datetime(2026, 1, 5, 12, tzinfo=UTC))
        self.table = MemoryTables(self.clock).audit
        self.audit, self.log = Audit(self.table, self.clock), AuditLog(self.table, self.clock)
        for number in range(weeks):
            self.audit.write("thing.change", "done", thing_id=str(number))
            self.clock.advance(timedelta(weeks=1).total_seconds())

    def numbers(self, limit: int = 50, since: datetime | None = None, until: datetime | None = None) -> list[int]:
        """Return the numbers of all lines, read page by page."""
        found, cursor = [], ""
        while True:
            page = self.log.page(limit, cursor, since, until)
            assert len(page.items) <= limit
            found += [int(item.targets["thing_id"]) for item in page.items]
            if page.next_cursor is None:
                return found
            cursor = page.next_cursor


@pytest.mark.parametrize("limit", [1, 2, 5, 12, 50])
def test_pages_hold_every_line_once_newest_first(limit: int) -> None:
    """Across months and wherever a page ends."""
    assert list(reversed(range(12))) == Book().numbers(limit)


@pytest.mark.parametrize("limit", [1, 3, 50])
def test_since_is_within_and_until_is_not(limit: int) -> None:
    """Both in the middle of a month, both on a line's very moment."""
    book = Book()
    moments = [datetime(2026, 1, 5, 12, tzinfo=UTC) + timedelta(weeks=number) for number in range(12)]

    assert [6, 5, 4, 3] == book.numbers(limit, since=moments[3], until=moments[7])
    assert [2, 1, 0] == book.numbers(limit, until=moments[3])
    assert [11, 10] == book.numbers(limit, since=moments[10])
    assert [] == book.numbers(limit, since=moments[7], until=moments[7])
    assert [] == book.numbers(limit, since=moments[7], until=moments[3])


def test_pages_stay_stable_while_lines_are_added() -> None:
    """What comes meanwhile stands before the first page, and moves nothing."""
    book = Book()
    first = book.log.page(5)
    book.audit.write("thing.change", "done", thing_id="99")
    second = book.log.page(50, first.next_cursor or "")

    assert [6, 5, 4, 3, 2, 1, 0] == [int(item.targets["thing_id"]) for item in second.items]


def test_two_years_back_unless_a_time_is_named() -> None:
    """What is older must be asked for."""
    book = Book(1)
    book.clock.advance(timedelta(days=800).total_seconds())

    assert [] == book.numbers()
    assert [0] == book.numbers(since=datetime(2026, 1, 1, tzinfo=UTC))
    assert [0] == book.numbers(since=datetime(1999, 1, 1, tzinfo=UTC))


@pytest.mark.parametrize(
    "cursor", ["x", "+++", "ä", cursor_of("8232356399999|../x"), cursor_of("1|x"), cursor_of("no key")]
)
def test_a_cursor_of_somebody_elses_making_is_refused(cursor: str) -> None:
    """It never reaches storage."""
    with pytest.raises(InvalidRequest) as refused:
        Book().log.page(5, cursor)
    assert "?cursor" == refused.value.faults[0].pointer


def test_who_acts_is_told_by_whoever_calls() -> None:
    """Each thread says it for itself; who says nothing is the system."""
    book = Book(0)

    def change(number: int) -> None:
        with acting(f"key:{number}"):
            book.audit.write("thing.change", "done", thing_id=str(number))

    with acting("browser"):
        threads = [Thread(target=change, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        book.audit.write("thing.change", "done", thing_id="4")
    book.audit.write("thing.change", "done", thing_id="5")

    told = {item.targets["thing_id"]: item.actor for item in book.log.page(10).items}
    assert {"0": "key:0", "1": "key:1", "2": "key:2", "3": "key:3", "4": "browser", "5": "system"} == told


def test_an_inverted_time_can_be_read_back() -> None:
    """To the millisecond; what is none says so."""
    moment = datetime(2026, 11, 22, 7, 0, 0, 123000, tzinfo=UTC)

    assert moment == from_inverted_key(to_inverted_key(moment))
    for text in ("", "12", "12345678901234", "123456789012x", "²²²²²²²²²²²²²"):
        with pytest.raises(ValueError, match="inverted"):
            from_inverted_key(text)
