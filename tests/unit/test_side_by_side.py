"""Tests of the comparison with other clients: the floor, what a worker says, the judgement, the table."""

from dataclasses import replace

import pytest

from bench import fetch, send
from bench.report import Comparison, guide_with
from bench.side_by_side import Line, read_answer

OURS = Line("Mailgrant", 3.0, 11, 200, 0, 2.0, 100.0)
PEER = Line("peer", 9.0, 201, 0, 0, 1.0, 90.0)


def test_the_floor_of_a_fetch_is_pages_contents_marks_and_the_cost_of_listing_ids() -> None:
    """Two pages and 200 requests four at a time take 2.6 s at 50 ms, and 100 ids 2.125 ms each."""
    assert pytest.approx(2.8125) == fetch.floor(100)


def test_the_floor_of_sending_is_a_draft_and_a_send_each_four_at_a_time() -> None:
    """Fifty mails are a hundred requests, twenty-five after one another at 50 ms."""
    assert 1.25 == send.floor(50)


def test_an_answer_of_a_worker_is_one_line_of_json() -> None:
    """The line is read as an object."""
    assert {"seconds": 1.5, "failed": ""} == read_answer('{"seconds": 1.5, "failed": ""}\n')


@pytest.mark.parametrize("line", ["Traceback (most recent call last):\n", "3\n"])
def test_what_is_no_answer_is_shown(line: str) -> None:
    """An error names the line that came in place of an answer."""
    with pytest.raises(ValueError, match=line.strip()[:9]):
        read_answer(line)


def test_nothing_is_missed_where_we_are_faster_and_right() -> None:
    """A slower peer that does the same work misses us no goal."""
    assert [] == Comparison("fetch", "", 2.6, [OURS, PEER]).missed()


def test_a_peer_that_does_the_same_work_faster_is_a_missed_goal() -> None:
    """The goal names the peer."""
    quick = replace(PEER, seconds=2.9)
    assert ["faster than peer, which does the same work"] == Comparison("fetch", "", 2.6, [OURS, quick]).missed()


def test_a_peer_that_does_less_may_be_faster() -> None:
    """Who leaves work undone is no measure for who does it."""
    quick = replace(PEER, seconds=1.0, less="keeps no originals")
    assert [] == Comparison("fetch", "", 2.6, [OURS, quick]).missed()


@pytest.mark.parametrize("wrong", [{"copies": 2}, {"copies": 0}, {"bytes_kept": False}, {"less": "lost one"}])
def test_our_own_mistakes_are_missed_goals(wrong: dict[str, object]) -> None:
    """A second copy, a changed byte and work left undone each miss a goal."""
    ours = Line(**{**OURS.figures(), "name": "Mailgrant", **wrong})
    assert 1 == len(Comparison("send", "", 1.25, [ours, PEER]).missed())


def test_the_table_has_a_row_for_each_client() -> None:
    """Each row has a cell for each column, and says who does less."""
    less = replace(PEER, less="keeps no originals", copies=2, told="is told it was sent")
    comparison = Comparison("send", "", 1.5, [OURS, less])
    first, second = comparison.rows()
    assert ["Mailgrant", "3.00", "2.00", "11", "200", "0", "2.00", "100", "–"] == first
    assert "peer (less work: keeps no originals)" == second[0]
    assert "2, is told it was sent" == second[-1]
    assert len(comparison.head()) == len(second)


def test_a_table_takes_the_place_of_the_last_one() -> None:
    """What stands between the marks of one area is replaced, and nothing else."""
    marks = [f"<!-- make bench AREA={area} ARGS=--write: {mark} -->" for area in "ab" for mark in ("begin", "end")]
    before = f"x\n{marks[0]}\nold\n{marks[1]}\ny\n{marks[2]}\nkept\n{marks[3]}\n"
    assert before.replace("\nold\n", "\n\nnew\n\n") == guide_with("a", "new\n", before)


def test_a_guide_without_marks_is_refused() -> None:
    """The error names the area."""
    with pytest.raises(ValueError, match="fetch"):
        guide_with("fetch", "new", "no marks")
