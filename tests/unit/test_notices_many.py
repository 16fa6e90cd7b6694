"""Notices by the thousand: a page of them in memory at a time, each told once, oldest first, and none forgotten."""

from datetime import timedelta

import pytest

from shared.codes import Code
from shared.deliver import notices
from shared.errors import Fault
from shared.notices import EventType, Notice, box_prefix
from shared.ports import Upsert
from tests.scenes.delivering import URL
from tests.unit.test_notices import ALERTS, CONNECTION, SHARD, Scene

PAGE = 10
DOWN = Fault("Nobody answers.", Code.DESTINATION_UNREACHABLE, retryable=True)


@pytest.fixture
def scene(monkeypatch: pytest.MonkeyPatch) -> Scene:
    """Return a connection whose destination wants to know, where a page is small."""
    monkeypatch.setattr(notices, "PAGE", PAGE)
    made = Scene()
    made.configure(events=(EventType.CONNECTION_CHANGED.value,))
    return made


def befall(scene: Scene, count: int) -> list[str]:
    """Let so much be told of the connection, a second between any two; return the ids."""
    made = []
    for at in range(count):
        moment = scene.clock() + timedelta(seconds=at - count)
        notice = Notice(EventType.CONNECTION_CHANGED, CONNECTION, {"number": at}, moment)
        scene.tables.receipts.commit(CONNECTION, [notice.in_receipts(CONNECTION)])
        made.append(notice.id)
    return made


@pytest.mark.parametrize("count", [9, 10, 35])
def test_all_are_told_once_and_oldest_first_a_page_at_a_time(scene: Scene, count: int) -> None:
    """One read a page and place beside the last look, whatever stands behind it."""
    made = befall(scene, count)
    before = scene.tables.receipts.calls["read"]
    scene.go()

    pages = count // PAGE + 1
    assert made == [identifier for identifier, _ in scene.got(URL)]
    assert ([], [], 2 * pages) == (scene.left(), scene.dues(), scene.tables.receipts.calls["read"] - before)


def test_what_a_run_has_no_time_for_is_told_by_later_ones(scene: Scene) -> None:
    """It reads no further once its time is up, and leaves a due row; the next run begins with the oldest left."""
    made = befall(scene, 45)

    def pass_time() -> None:
        scene.clock.advance(30)

    scene.receiver.before = pass_time
    scene.go()
    assert (made[:8], 1) == ([identifier for identifier, _ in scene.got(URL)], len(scene.dues()))
    scene.receiver.before = None
    scene.settle(600)

    assert made == [identifier for identifier, _ in scene.got(URL)]
    assert ([], []) == (scene.left(), scene.dues())


def test_a_backlog_for_one_that_is_away_holds_up_nobody_else(scene: Scene) -> None:
    """While the destination is away it is tried once a run, and the operator's alarm of the last page goes out."""
    made = befall(scene, 25)
    alarm = Notice(EventType.CONNECTION_FAILED, CONNECTION, {}, scene.clock())
    scene.tables.receipts.commit(CONNECTION, [alarm.in_receipts(CONNECTION)])
    scene.receiver.answers = [DOWN]
    scene.go()
    assert (1, 25) == (len(scene.got(URL)), len(scene.left()))
    assert [] == scene.got(ALERTS.url)[1:]
    assert [alarm.id] == [identifier for identifier, _ in scene.got(ALERTS.url)]
    scene.settle(900)

    assert set(made) == {identifier for identifier, _ in scene.got(URL)}
    assert (26, [], []) == (len(scene.got(URL)), scene.left(), scene.dues())


def test_the_destination_is_known_behind_any_number_of_the_mailboxs_other_notices(scene: Scene) -> None:
    """Those of the mailbox's other connections fill the first page; this one's are found, and what they tell of."""
    other = f"{CONNECTION[:-1]}0"
    for at in range(2 * PAGE):
        scene.tables.connections.commit(SHARD, [Upsert(f"{box_prefix(other)}evt_{at:03d}", {})])
    notice = Notice(EventType.CONNECTION_CHANGED, CONNECTION, {}, scene.clock())
    scene.write(notice)
    scene.go()

    assert [notice.id] == [identifier for identifier, _ in scene.got(URL)]
    assert not any(notice.id in key for key in scene.left())
