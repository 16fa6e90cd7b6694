"""How fast, and how evenly, 1 to 16 mailboxes are fetched at once by 1 to 4 hosts on one storage."""

from __future__ import annotations

import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from bench.fetch import RECEIVED, mail
from bench.intake import LATENCY_MS, Intake, Usage
from bench.judgement import jain_index
from localcloud.administrator import wait_until

if TYPE_CHECKING:
    from collections.abc import Sequence

    from localcloud.processes import HostProcess

MAILBOXES = (1, 2, 4, 8, 16)
HOSTS = (1, 2, 4)
MAILS = 40
LONGEST = 180
Figures = dict[str, Any]


def measure(mailboxes: Sequence[int] = MAILBOXES, hosts: Sequence[int] = HOSTS) -> tuple[Figures, list[str]]:
    """Return throughput and fairness of each number of *mailboxes* and *hosts*, and what misses its goal."""
    with ExitStack() as stack:
        intake = stack.enter_context(Intake())
        names = [f"box{number}" for number in range(max(mailboxes))]
        boxes = {intake.connect(name): name for name in names}
        running = [intake.stack.host]
        _round(intake, dict(list(boxes.items())[:1]), running)  # the first one warms up
        rounds = []
        for count in hosts:
            while len(running) < count:
                host = intake.stack.second_host()
                stack.callback(host.close)
                host.start()
                running.append(host)
            rounds += [_round(intake, dict(list(boxes.items())[:number]), running) for number in mailboxes]
    missed = [
        goal
        for goal, met in {
            "growth: no answer of 429, however many fetch at once": all(not it["throttled"] for it in rounds),
            "growth: every mail is fetched, delivered once and marked read": all(it["clean"] for it in rounds),
        }.items()
        if not met
    ]
    return {"mails_each": MAILS, "latency_ms": LATENCY_MS, "rounds": rounds}, missed


def _round(intake: Intake, boxes: dict[str, str], running: Sequence[HostProcess]) -> Figures:
    """Let mail arrive in all of *boxes* (names by connection), have them fetched at once, and return what that took."""
    control, receiver = intake.stack.control, intake.stack.receiver
    addresses = {connection: intake.organisation.address(name) for connection, name in boxes.items()}
    control.set_modes(latency_ms=0)
    for address in addresses.values():
        control.deliver_many(address, [mail(number) for number in range(MAILS)])
        control.mailbox(address)  # the cloud reads its mail once: that is not the product's time
    control.set_modes(latency_ms=LATENCY_MS)
    control.reset_counters()
    receiver.events.clear()
    receiver.posts.clear()
    began, used = time.monotonic(), [Usage.of(host.pid) for host in running]
    for connection in boxes:
        intake.stack.admin.post(f"connections/{connection}/fetch")
    done = _await(intake, boxes)
    intake.quiet(lambda: len(intake.calls(began, "fetch")) + len(intake.calls(began, "deliver")))
    fetch = intake.calls(began, "fetch")
    first = min(call.ended for call in fetch if call.place == "graph")
    ended = max(call.ended for call in fetch)
    times = sorted(moment - first for moment in done.values())
    cpu = sum(Usage.of(host.pid).cpu_seconds - before.cpu_seconds for host, before in zip(running, used, strict=True))
    mails = MAILS * len(boxes)
    return {
        "hosts": len(running),
        "mailboxes": len(boxes),
        "mails_per_second": round(mails / (ended - first), 1),
        "fetched_seconds": round(ended - first, 2),
        "first_delivered_seconds": round(times[0], 2),
        "last_delivered_seconds": round(times[-1], 2),
        "jain_index": round(jain_index([1 / moment for moment in times]), 3),
        "cpu_seconds": round(cpu, 2),
        "throttled": control.counters().get("graph_throttled", 0),
        "clean": receiver.repeats == 0 and not any(intake.story.unread(address) for address in addresses.values()),
    }


def _await(intake: Intake, boxes: dict[str, str]) -> dict[str, float]:
    """Return when the last mail of each connection was delivered."""
    done: dict[str, float] = {}

    def all_done() -> bool:
        counts = dict.fromkeys(boxes, 0)
        for event in intake.stack.receiver.of_type(RECEIVED):
            connection = str(event["data"]["connection_id"])
            counts[connection] = counts.get(connection, 0) + 1
        now = time.monotonic()
        for connection, count in counts.items():
            if count >= MAILS and connection in boxes:
                done.setdefault(connection, now)
        return len(done) == len(boxes)

    wait_until("everything is delivered", all_done, LONGEST, pause=0.1)
    return done
