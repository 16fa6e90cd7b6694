"""What becomes of a run: when it is due next, and what its record says of a fault."""

from dataclasses import replace
from datetime import datetime, timedelta

from shared.connections import Back, Run, failed
from shared.errors import CredentialFault, Fault, GrantFault, ItemFault, MailboxFault, Throttled
from shared.times import from_text, to_text

WAITING = timedelta(seconds=60)
STOP_AFTER = timedelta(hours=24)
MAILBOX_BACK = Back(first=60.0, longest=3600.0)
NETWORK_BACK = Back(first=10.0, longest=900.0)
TOLD_BACK = Back(first=1.0, longest=900.0)
"""Where Graph said how long to wait: that long, and longer only if it keeps saying so."""
PROBE = timedelta(days=1)
PROBED_FOR = timedelta(days=30)
"""How often, and how long, a stopped mailbox is tried: one that was soft-deleted may be restored for 30 days."""


def succeeded(run: Run, now: datetime, taken: int, next_at: datetime) -> Run:
    """Return the run after a success."""
    return replace(
        run,
        failures=0,
        failing_since="",
        fault=None,
        stopped=False,
        taken=run.taken + taken,
        last_run_at=to_text(now),
        last_success_at=to_text(now),
        next_at=to_text(next_at),
    )


def waiting(run: Run, now: datetime) -> Run:
    """Return the run while its grant or credential is at fault: nothing is its own fault, it only looks again soon."""
    return replace(run, next_at=to_text(now + (PROBE if run.stopped else WAITING)), last_run_at=to_text(now))


def paused(run: Run, until: datetime) -> Run:
    """Return the run while Graph asked to leave the mailbox alone."""
    return replace(run, next_at=to_text(until))


def faulted(run: Run, fault: Fault, now: datetime) -> Run:
    """Return the run after *fault*: backing off, waiting, or (after a day of the mailbox's) stopped and probed."""
    if isinstance(fault, (CredentialFault, GrantFault)):
        return waiting(run, now)
    own = isinstance(fault, (MailboxFault, ItemFault))
    told = NETWORK_BACK if fault.retry_after is None else TOLD_BACK
    wait = (MAILBOX_BACK if own else told).after(run.failures + 1, fault.retry_after)
    since = from_text(run.failing_since) if run.failing_since else now
    stop = run.stopped or (own and now - since >= STOP_AFTER)
    after = failed(run, fault.recorded(to_text(now)), wait, now, stop=stop)
    if not stop:
        return after
    if not own:
        after = replace(after, fault=run.fault)  # what stopped it is what a person must know
    next_at = now + (PROBE if own else wait)
    return replace(after, next_at=to_text(next_at)) if next_at <= since + STOP_AFTER + PROBED_FOR else after


def asks_to_pause(fault: Fault) -> bool:
    """Tell whether Graph asked everyone to leave this mailbox alone (429, or a 503 that says until when)."""
    return isinstance(fault, Throttled) or fault.retry_after is not None
