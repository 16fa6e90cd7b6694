"""What the campaigns of kills stand on: boundaries, wrong clocks, a failing receiver, and the judge of records."""

from __future__ import annotations

import json
import os
import signal
import socket
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from standardwebhooks.webhooks import Webhook

from localcloud.faults.campaign import SCENARIOS
from localcloud.faults.outbox import judge
from localcloud.faults.records import Records
from localcloud.host import clock
from localcloud.killpoints import Killpoints, Plan
from localcloud.receiver import Receiver, Trouble
from shared import times
from shared.times import now_utc

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

AREA = ("shared/fetch",)
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLw=="


@pytest.fixture
def deaths(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return the signals that this process would have sent itself."""
    sent: list[int] = []
    monkeypatch.setattr(os, "kill", lambda _pid, number: sent.append(number))
    return sent


def calling(points: Killpoints, call: Callable[[], Any], file: str = "/app/shared/fetch/pages.py") -> Any:
    """Make a call outward from a function `take` that stands in *file*."""
    source = "def take(points, call):\n    return points.around('GET graph delta', call, lambda answer: answer.status)"
    names: dict[str, Any] = {}
    exec(compile(source, file, "exec"), names)  # noqa: S102 - the file's name is what is tested
    return names["take"](points, call)


def passed(folder: Path, plan: Plan, file: str = "/app/shared/fetch/pages.py", times: int = 1) -> list[str]:
    """Return the boundaries that *times* calls pass."""
    points = Killpoints(AREA, plan, folder / "journal")
    for _ in range(times):
        calling(points, lambda: SimpleNamespace(status=410), file)
    return (folder / "journal").read_text().splitlines()


def test_a_boundary_names_call_answer_and_function(tmp_path: Path, deaths: list[int]) -> None:
    """A call of the area is two boundaries; the one after it says how it was answered."""
    found = passed(tmp_path, Plan())

    assert ["before GET graph delta in fetch.pages.take", "after GET graph delta 410 in fetch.pages.take"] == found
    assert [] == deaths


def test_calls_from_elsewhere_are_no_boundaries(tmp_path: Path, deaths: list[int]) -> None:
    """Where no code of the area is on the stack nothing is counted and nobody dies."""
    assert [] == passed(tmp_path, Plan(visited=()), "/app/shared/send/drain.py")
    assert [] == deaths


def test_a_call_without_an_answer_is_a_boundary_too(tmp_path: Path, deaths: list[int]) -> None:
    """The error goes on to the caller, after its boundary was passed."""
    points = Killpoints(AREA, Plan(), tmp_path / "journal")

    with pytest.raises(ZeroDivisionError):
        calling(points, lambda: 1 / 0)

    assert "after GET graph delta without an answer in fetch.pages.take" in (tmp_path / "journal").read_text()
    assert [] == deaths


def test_the_chosen_passing_is_the_one_that_kills(tmp_path: Path, deaths: list[int]) -> None:
    """A plan names a boundary and which of its passings; every other lives."""
    plan = Plan("before GET graph delta in fetch.pages.take", 2)
    plan.write(tmp_path / "plan")

    passed(tmp_path, Plan.read(tmp_path / "plan"), times=3)

    assert [signal.SIGKILL] == deaths


def test_the_first_boundary_not_visited_kills(tmp_path: Path, deaths: list[int]) -> None:
    """With a list of what was visited, only what is not in it is died at."""
    passed(tmp_path, Plan(visited=["before GET graph delta in fetch.pages.take"]))

    assert [signal.SIGKILL] == deaths


def test_a_plan_may_stop_instead_of_kill(tmp_path: Path, deaths: list[int]) -> None:
    """A host that stands still beyond its lease is worse than a dead one."""
    passed(tmp_path, Plan("before GET graph delta in fetch.pages.take", stops=True))

    assert [signal.SIGSTOP] == deaths


def entry(status: str, *, moves: tuple[str, ...] = (), **more: Any) -> dict[str, Any]:
    """Return an outbox entry to one recipient."""
    told = json.dumps([{"name": move} for move in moves])
    known = {"id": "msg_1", "PartitionKey": "conn_1", "subject": "Order 1", "to": '["a@b.example"]', "bcc": "[]"}
    return {**known, "resend_of": "", "fault": '{"code": "message_refused"}', "moves": told, "status": status, **more}


@pytest.mark.parametrize(
    ("entries", "copies", "expected"),
    [
        ([entry("accepted")], 1, (0, 0, 0)),
        ([entry("accepted")], 2, (0, 1, 0)),
        ([entry("sent")], 0, (1, 0, 0)),
        ([entry("failed")], 1, (0, 1, 0)),
        ([entry("cancelled")], 1, (0, 1, 0)),
        ([entry("cancelled"), entry("accepted", resend_of="msg_1")], 1, (0, 0, 0)),
        ([entry("accepted"), entry("accepted")], 2, (0, 1, 0)),
        ([entry("outcome_unknown", moves=("lost",))], 1, (0, 0, 1)),
        ([entry("outcome_unknown", moves=("lost",), PartitionKey="conn_2")], 0, (0, 0, 0)),
        ([entry("outcome_unknown", moves=("refused",), PartitionKey="conn_2")], 0, (0, 0, 1)),
        ([entry("failed", fault='{"code": "internal_error"}')], 0, (0, 0, 1)),
        ([entry("sending", moves=("attempt",))], 1, (0, 0, 1)),
        ([], 1, (0, 1, 0)),
    ],
)
def test_what_entries_say_is_held_against_the_copies(
    entries: list[dict[str, Any]], copies: int, expected: tuple[int, int, int]
) -> None:
    """Lost, doubled and untrue are told apart; only some mailboxes may lose every trace, and only after a doubt."""
    verdict = judge(entries, {("Order 1", "a@b.example"): copies}, {"conn_2"})

    assert expected == (verdict.lost, verdict.duplicates, len(verdict.wrong))


def test_a_shifted_clock_is_seen_by_this_process_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Product and libraries read a time two minutes on; the kernel's clock stays."""
    monkeypatch.setattr(times, "datetime", vars(times)["datetime"])
    monkeypatch.setattr(time, "time", time.time)

    clock.install({clock.OFFSET: "120"})

    ahead = now_utc() - datetime.now(UTC)
    assert timedelta(seconds=119) < ahead < timedelta(seconds=121)
    assert time.time() - datetime.now(UTC).timestamp() > 119


def test_no_offset_leaves_the_clock_alone() -> None:
    """Nothing is patched where nothing was asked for."""
    before = time.time, vars(times)["datetime"]

    clock.install({clock.OFFSET: "0"})

    assert before == (time.time, vars(times)["datetime"])


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """Return a started receiver that knows one secret."""
    started = Receiver(secrets={"box": SECRET})
    started.start()
    yield started
    started.stop()


def post(receiver: Receiver, identifier: str) -> httpx.Response:
    """Post a signed event."""
    body, moment = b'{"type":"test"}', datetime.now(UTC)
    signature = Webhook(SECRET).sign(identifier, moment, body.decode())
    headers = {
        "webhook-id": identifier,
        "webhook-timestamp": str(int(moment.timestamp())),
        "webhook-signature": signature,
    }
    return httpx.post(receiver.url("box"), content=body, headers=headers, trust_env=False, timeout=30)


@pytest.mark.enable_socket
def test_the_receiver_fails_as_it_is_told_then_works(receiver: Receiver) -> None:
    """Troubles come in order, one per post: refused with headers, reset after the event was taken, then well again."""
    receiver.troubles["box"] = [Trouble(503, (("Retry-After", "7"),)), Trouble(reset=True, keeps=True)]

    refused = post(receiver, "evt_1")
    with pytest.raises(httpx.TransportError):
        post(receiver, "evt_2")
    taken = post(receiver, "evt_3")

    assert (503, "7", 204) == (refused.status_code, refused.headers["Retry-After"], taken.status_code)
    assert ["evt_2", "evt_3"] == sorted(receiver.events)
    assert (2, 0) == (receiver.troubled, receiver.repeats)


@pytest.mark.enable_socket
def test_a_sender_that_dies_in_the_middle_is_not_judged(receiver: Receiver) -> None:
    """Half a body has no right signature, and that is nobody's fault."""
    with socket.create_connection(("127.0.0.1", receiver.port)) as dying:
        dying.sendall(b"POST /box HTTP/1.1\r\nHost: box\r\nContent-Length: 100\r\n\r\nhalf")
        dying.shutdown(socket.SHUT_WR)
        answer = dying.recv(100)

    assert (b"", 0) == (answer, receiver.refused.total())


class Remembered(Records):
    """Records as rows by table, without storage."""

    held: dict[str, list[dict[str, Any]]]

    def rows(self, table: str) -> Iterator[dict[str, Any]]:
        """Yield the rows of a table."""
        yield from self.held.get(table, [])

    def _buried(self) -> Iterator[str]:
        yield from ()


def judged(connections: list[dict[str, Any]], receipts: list[dict[str, Any]] | None = None) -> list[str]:
    """Return what the judge finds in these rows."""
    records = Remembered("")
    object.__setattr__(records, "held", {"connections": connections, "receipts": receipts or []})
    return records.stuck()


def test_quiet_records_are_not_stuck() -> None:
    """A run that waits for its due row, and a delivery with nothing to do, are as they should be."""
    later = (datetime.now(UTC) + timedelta(minutes=1)).strftime("%Y%m%dT%H%M%S000Z")
    run = {"RowKey": "b|1|run|conn_1", "claim": "", "next_at": "2030-01-01T00:00:00.000Z"}
    due = {"RowKey": f"due|{later}|fetch|conn_1"}

    assert [] == judged([run, due, {"RowKey": "b|1|dlv|conn_1", "claim": "", "next_at": ""}])


def test_claims_missing_due_rows_and_work_are_stuck() -> None:
    """Every way to be forgotten is named."""
    found = judged(
        [
            {"RowKey": "b|1|box", "holder": "someone"},
            {"RowKey": "b|1|run|conn_1", "claim": "someone", "next_at": "2030-01-01T00:00:00.000Z"},
            {"RowKey": "b|1|dlv|conn_1", "claim": "", "next_at": "", "paused": True},
            {"RowKey": "due|20200101T000000000Z|deliver|conn_2"},
        ],
        [{"PartitionKey": "conn_1", "RowKey": "wd|20200101T000000000Z|abc"}],
    )

    assert [
        "turn held",
        "run claimed",
        "run without a due row",
        "destination paused or disabled",
        "deliver due row overdue",
        "work row of delivery undrained, and no due row will come for it",
    ] == found


@pytest.mark.parametrize("area", sorted(SCENARIOS))
def test_scenarios_are_named_once(area: str) -> None:
    """Figures are told apart by name."""
    names = [scenario.name for scenario in SCENARIOS[area]]

    assert sorted(set(names)) == sorted(names)
