"""How long do 100 mails take from the first Graph request to stored, receipt and marked read; delivery is apart."""

from __future__ import annotations

import random
import statistics
import time
from dataclasses import dataclass
from email.message import EmailMessage
from typing import Any

from bench import report, side_by_side
from bench.intake import CONDITIONS, LATENCY_MS, LIST_ITEM_MS, LIST_KB_MS, Intake, Usage, by_kind
from localcloud.administrator import wait_until
from localcloud.calls import CallMade

MAILS = 100
RECEIVED = "mailgrant.message.received"
ATTACHMENT_BYTES = 10 * 1024
ROUNDS = 7
MOST_RATIO = 1.3
MOST_REQUESTS = 12
MOST_SUB_REQUESTS = 2 * MAILS + 2
ID_KB = 0.25  # an item of a list that shows its id and nothing else
Figures = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Round:
    """What one fetch of all mails took, by the clock (*waiting*: for Graph) and by count."""

    seconds: float
    waiting: float
    committed: float
    delivered: float
    graph_requests: int
    sub_requests: int
    throttled: int
    storage_calls: int
    delivery_storage_calls: int
    storage: dict[str, int]
    delivery_storage: dict[str, int]
    cpu_seconds: float
    unread: int
    lost: int


def floor(mails: int) -> float:
    """
    Return the seconds that no client can do without for *mails*.

    Two pages of a list of nothing but ids, and each mail's content and mark, four at a time. The local cloud charges
    the latency for each request and each request within a $batch, and once more for each $batch itself, which this
    leaves out.
    """
    lists = mails * (LIST_ITEM_MS + ID_KB * LIST_KB_MS)
    return round(((2 + 2 * mails / 4) * LATENCY_MS + lists) / 1000, 4)


FLOOR = floor(MAILS)


def measure(way: report.Way = report.Way.COMPARED) -> tuple[Figures, list[str]]:
    """Return the figures of the median round, counts of the worst, and what misses its goal."""
    with Intake() as intake:
        rounds = [_round(intake, f"box{number}") for number in range(ROUNDS + 1)][1:]  # the first one warms up
        ours, missed = _figures(rounds, intake.usage().peak_mb)
        if way is report.Way.ALONE:
            return {"floor": FLOOR, "ours": ours}, missed
        first = side_by_side.ours(ours, bytes_kept=side_by_side.ours_keeps_bytes(intake))
        match = side_by_side.Match(intake)
        mails = [mail(number) for number in range(MAILS)]
        lines = [first, *(match.fetch(peer, mails) for peer in side_by_side.FETCHING)]
    title = f"{MAILS} mails fetched, their originals kept, marked read"
    missed += report.publish(report.Comparison("fetch", title, FLOOR, lines), way)
    return {"floor": FLOOR, "ours": ours, **{line.name: line.figures() for line in lines[1:]}}, missed


def _figures(rounds: list[Round], peak: float) -> tuple[Figures, list[str]]:
    seconds = statistics.median(it.seconds for it in rounds)
    figures = {
        "mails": MAILS,
        **CONDITIONS,
        "rounds": ROUNDS,
        "seconds": round(seconds, 3),
        "best_seconds": round(min(it.seconds for it in rounds), 3),
        "floor": FLOOR,
        "ratio": round(seconds / FLOOR, 3),
        "graph_requests": max(it.graph_requests for it in rounds),
        "sub_requests": max(it.sub_requests for it in rounds),
        "throttled": sum(it.throttled for it in rounds),
        "storage_calls": max(it.storage_calls for it in rounds),
        "storage": max(rounds, key=lambda it: it.storage_calls).storage,
        "graph_seconds": round(statistics.median(it.waiting for it in rounds), 3),
        "committed_seconds": round(statistics.median(it.committed for it in rounds), 3),
        "delivery": {
            "seconds": round(statistics.median(it.delivered for it in rounds), 3),
            "storage_calls": max(it.delivery_storage_calls for it in rounds),
            "storage": max(rounds, key=lambda it: it.delivery_storage_calls).delivery_storage,
        },
        "cpu_seconds": round(statistics.median(it.cpu_seconds for it in rounds), 2),
        "peak_mb": round(peak),
    }
    return figures, _missed(figures, rounds)


def mail(number: int) -> bytes:
    """Return a mail with text, html and an attachment of 10 KB that does not compress."""
    message = EmailMessage()
    message["From"] = "Customer <customer@elsewhere.example>"
    message["To"] = "Orders <orders@bench.example>"
    message["Subject"] = f"Order {number}"
    message["Message-ID"] = f"<order-{number}@elsewhere.example>"
    message.set_content("Two of the green ones, please.\n" * 10)
    message.add_alternative(f"<html><body>{'<p>Two of the <b>green</b> ones, please.</p>' * 20}</body></html>", "html")
    content = random.Random(number).randbytes(ATTACHMENT_BYTES)  # noqa: S311 - the same bytes at every run
    message.add_attachment(content, maintype="application", subtype="pdf", filename="order.pdf")
    return message.as_bytes()


def _round(intake: Intake, person: str) -> Round:
    """Let all mails arrive in a mailbox of its own, fetch them, and return what that took."""
    control, receiver, address = intake.stack.control, intake.stack.receiver, intake.organisation.address(person)
    control.set_modes(**dict.fromkeys(CONDITIONS, 0))
    connection = intake.connect(person)
    control.deliver_many(address, [mail(number) for number in range(MAILS)])
    control.mailbox(address)  # the cloud reads its mail once: that is not the product's time
    seen, before = len(receiver.of_type(RECEIVED)), intake.await_success(connection, "")
    control.set_modes(**CONDITIONS)
    control.reset_counters()
    began, used = time.monotonic(), intake.usage()
    intake.stack.admin.post(f"connections/{connection}/fetch")
    # Looking at the receiver asks nothing of the host, which has enough to do.
    wait_until("everything is delivered", lambda: len(receiver.of_type(RECEIVED)) - seen >= MAILS, 60)
    intake.await_success(connection, before)
    intake.quiet(lambda: len(intake.calls(began, "deliver")))
    return Round(
        **_times(intake.calls(began, "fetch"), intake.calls(began, "deliver")),
        **_counts(control.counters()),
        cpu_seconds=_used(used, intake.usage()),
        unread=intake.story.unread(address),
        lost=MAILS - (len(receiver.of_type(RECEIVED)) - seen),
    )


def _times(fetch: list[CallMade], deliver: list[CallMade]) -> dict[str, Any]:
    """Return the times since the first Graph request, and the calls of storage."""
    graph = [call for call in fetch if call.place == "graph"]
    receipts = [call for call in fetch if call.place == "table $batch" and call.began < graph[-1].ended]
    begins, done = graph[0].began, max(call.ended for call in (*graph, *receipts))
    return {
        "seconds": done - begins,
        "waiting": sum(call.ended - call.began for call in graph),
        "committed": max(call.ended for call in fetch) - begins,
        "delivered": max(call.ended for call in deliver if not call.is_storage) - begins,
        "storage_calls": sum(call.is_storage for call in fetch),
        "delivery_storage_calls": sum(call.is_storage for call in deliver),
        "storage": by_kind(fetch),
        "delivery_storage": by_kind(deliver),
    }


def _counts(counters: dict[str, int]) -> dict[str, Any]:
    """Return what the simulated Graph has counted."""
    return {
        "graph_requests": counters["graph_requests"],
        "sub_requests": counters["graph_sub_requests"],
        "throttled": counters.get("graph_throttled", 0),
    }


def _used(before: Usage, after: Usage) -> float:
    return after.cpu_seconds - before.cpu_seconds


def _missed(figures: Figures, rounds: list[Round]) -> list[str]:
    goals = {
        f"at most {MOST_REQUESTS} requests to Graph": figures["graph_requests"] <= MOST_REQUESTS,
        f"at most {MOST_SUB_REQUESTS} requests within batches": figures["sub_requests"] <= MOST_SUB_REQUESTS,
        "no answer of 429": figures["throttled"] == 0,
        "every mail is marked read": all(it.unread == 0 for it in rounds),
        "every mail is delivered": all(it.lost == 0 for it in rounds),
        f"within {MOST_RATIO} times the floor of {FLOOR} s": figures["ratio"] <= MOST_RATIO,
    }
    return [goal for goal, met in goals.items() if not met]
