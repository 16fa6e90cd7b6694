"""How long do 200 accepted mails of one mailbox take from the first Graph request to the last 202."""

from __future__ import annotations

import base64
import random
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import httpx

from bench import report, side_by_side
from bench.intake import CONDITIONS, LATENCY_MS, Intake, by_kind
from localcloud.administrator import wait_until

if TYPE_CHECKING:
    from localcloud.calls import CallMade

MAILS = 200
ROUNDS = 5
PERMITS = 4
MOST_RATIO = 1.4
CALLS_PER_MAIL = 3
# Claim, release, renewals, reads of the outbox by pages, and finished mails moved out of the way in batches.
CALLS_BESIDE = 40
LONGEST_ACCEPTING = 60.0
Figures = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Round:
    """What one drain of all mails took, by the clock and by count."""

    seconds: float
    waiting: float
    graph_requests: int
    throttled: int
    storage_calls: int
    storage: dict[str, int]
    accepting_storage: dict[str, int]
    cpu_seconds: float
    copies: int
    accepting: float


def floor(mails: int) -> float:
    """Return the seconds that *mails* take at least: a draft and a send each, four at a time."""
    return 2 * mails / PERMITS * LATENCY_MS / 1000


FLOOR = floor(MAILS)


def measure(way: report.Way = report.Way.COMPARED) -> tuple[Figures, list[str]]:
    """Return the figures of the median round, counts of the worst, and what misses its goal."""
    with Intake() as intake:
        ahead = 2 + 1.5 * play(intake, "warm", MAILS, LONGEST_ACCEPTING).accepting
        rounds = [play(intake, f"sender{number}", MAILS, ahead) for number in range(ROUNDS)]
        ours, missed = _figures(rounds, intake.usage().peak_mb)
        if way is report.Way.ALONE:
            return {"floor": FLOOR, "ours": ours}, missed
        lines = [
            _ours(intake, 2 + ahead * side_by_side.LETTERS / MAILS),
            *map(side_by_side.Match(intake).send, side_by_side.SENDING),
        ]
    least = floor(side_by_side.LETTERS)
    title = f"{side_by_side.LETTERS} mails of 10 KB sent through one mailbox"
    missed += report.publish(report.Comparison("send", title, least, lines), way)
    compared = {line.name: line.figures() for line in lines[1:]}
    return {"floor": FLOOR, "ours": {**ours, "compared": {"floor": least, **lines[0].figures()}}, **compared}, missed


def _ours(intake: Intake, ahead: float) -> side_by_side.Line:
    """Return what as many mails take as the others send: the median round."""
    rounds = [play(intake, f"as-many{number}", side_by_side.LETTERS, ahead) for number in range(side_by_side.ROUNDS)]
    one = sorted(rounds, key=lambda it: it.seconds)[len(rounds) // 2]
    figures = {
        "seconds": round(one.seconds, 3),
        "graph_requests": one.graph_requests,
        "sub_requests": 0,
        "throttled": one.throttled,
        "cpu_seconds": round(one.cpu_seconds, 2),
        "peak_mb": round(intake.usage().peak_mb),
    }
    copies, told = side_by_side.ours_copies(intake)
    lost = any(it.copies != side_by_side.LETTERS for it in rounds)
    return side_by_side.ours(figures, copies=copies, told=told, less="not each mail arrived once" if lost else "")


def _figures(rounds: list[Round], peak: float) -> tuple[Figures, list[str]]:
    seconds = statistics.median(it.seconds for it in rounds)
    calls = max(it.storage_calls for it in rounds)
    figures: Figures = {
        "mails": MAILS,
        **CONDITIONS,
        "send_rate": 0,
        "rounds": ROUNDS,
        "seconds": round(seconds, 3),
        "best_seconds": round(min(it.seconds for it in rounds), 3),
        "floor": FLOOR,
        "ratio": round(seconds / FLOOR, 3),
        "graph_requests": max(it.graph_requests for it in rounds),
        "graph_seconds": round(statistics.median(it.waiting for it in rounds), 3),
        "throttled": sum(it.throttled for it in rounds),
        "accepting_seconds": round(statistics.median(it.accepting for it in rounds), 2),
        "storage_calls": calls,
        "storage": max(rounds, key=lambda it: it.storage_calls).storage,
        "accepting_storage": rounds[0].accepting_storage,
        "storage_calls_per_mail": round(calls / MAILS, 2),
        "cpu_seconds": round(statistics.median(it.cpu_seconds for it in rounds), 2),
        "peak_mb": round(peak),
    }
    goals = {
        f"{2 * MAILS} requests to Graph": figures["graph_requests"] == 2 * MAILS,
        "no answer of 429": figures["throttled"] == 0,
        "every mail arrives once": all(it.copies == MAILS for it in rounds),
        f"{CALLS_PER_MAIL} calls of storage per mail, and {CALLS_BESIDE} for all together": (
            calls <= CALLS_PER_MAIL * MAILS + CALLS_BESIDE
        ),
        f"within {MOST_RATIO} times the floor of {FLOOR} s": figures["ratio"] <= MOST_RATIO,
    }
    return figures, [goal for goal, met in goals.items() if not met]


def play(intake: Intake, person: str, count: int, ahead: float) -> Round:
    """Accept *count* mails of a mailbox, let them be sent *ahead* seconds from now, and return what that took."""
    control, address = intake.stack.control, intake.organisation.address(person)
    control.set_modes(**CONDITIONS)
    control.add_user(intake.organisation.domain, address, person)
    _, token = intake.story.connect_outgoing(intake.organisation, person, send_rate=0)
    buyer = f"{person}@elsewhere.example"
    moment, before = datetime.now(UTC) + timedelta(seconds=ahead), time.monotonic()
    accept(intake, token, [letter(number, buyer, moment) for number in range(count)])
    left = (moment - datetime.now(UTC)).total_seconds()
    if left < 1:
        message = f"accepting {count} mails took longer than {ahead:.0f} s"
        raise TimeoutError(message)
    time.sleep(left - 1)
    accepting = by_kind(call for call in intake.calls(before, "send") + intake.calls(before, "connection_admin"))
    control.reset_counters()
    began, used = time.monotonic(), intake.usage()
    # Nothing is asked of the host meanwhile, which has enough to do.
    wait_until("every mail is sent", lambda: len(control.received(buyer)) >= count, 60, pause=0.25)
    intake.quiet(lambda: len(_sends(intake.calls(began, "send"))))
    spent, calls = intake.usage().cpu_seconds - used.cpu_seconds, intake.calls(began, "send")
    # A GET looks for the copy of a mail sent before, of this mailbox or of the last one; what sends is a POST.
    graph = [call for call in calls if call.place == "graph" and call.method == "POST"]
    ends = max(call.ended for call in _sends(calls))
    return Round(
        seconds=ends - graph[0].began,
        waiting=sum(call.ended - call.began for call in graph),
        graph_requests=sum(call.ended <= ends for call in graph),
        throttled=control.counters().get("graph_throttled", 0),
        storage_calls=sum(call.is_storage for call in calls),
        storage=by_kind(calls),
        accepting_storage=accepting,
        cpu_seconds=spent,
        copies=len(control.received(buyer)),
        accepting=ahead - left,
    )


def accept(intake: Intake, token: str, messages: list[dict[str, Any]]) -> None:
    """Post *messages*, four at a time."""
    with (
        httpx.Client(base_url=f"{intake.stack.host.url}/api/", trust_env=False, timeout=30) as client,
        ThreadPoolExecutor(4) as pool,
    ):

        def post(message: dict[str, Any]) -> int:
            return client.post("messages", json=message, headers={"Authorization": f"Bearer {token}"}).status_code

        refused = [status for status in pool.map(post, messages) if status != 202]
    if refused:
        message = f"{len(refused)} mails were refused, the first with {refused[0]}"
        raise ValueError(message)


def letter(number: int, to: str, moment: datetime) -> dict[str, Any]:
    """Return a message of 10 KB that is to be sent at *moment*."""
    content = random.Random(number).randbytes(side_by_side.FILE_BYTES)  # noqa: S311 - the same bytes at every run
    return {
        "to": [to],
        "subject": f"Order {number}",
        "text": f"Your order {number} is on its way.",
        "html": f"<p>Your order <b>{number}</b> is on its way.</p>",
        "attachments": [{"name": "order.pdf", "content": base64.b64encode(content).decode()}],
        "send_at": moment.isoformat(),
    }


def _sends(calls: list[CallMade]) -> list[CallMade]:
    return [call for call in calls if call.place == "graph" and call.status == 202]
