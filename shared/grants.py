"""What a tenant has given a credential: the grant's states, and how evidence moves it from one to the next."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum

from shared.codes import Code
from shared.errors import Fault, GrantFault, RecordedFault
from shared.times import from_text, to_text

REQUIRED_ROLES = ("Mail.ReadWrite", "Mail.Send", "User.Read.All")
PROPAGATION = timedelta(hours=24)
LONGEST_RECHECK_SECONDS = 1800.0
FIRST_PROBE_SECONDS = 60.0
LONGEST_PROBE_SECONDS = 600.0
MOST_PROBES = 150
PARTIAL_AFTER_RECHECKS = 60


class GrantStatus(StrEnum):
    """
    Where a grant stands.

    ``pending``: asked for, never seen. ``propagating``: consented, not all rights visible yet. ``unconfirmed``: works,
    but nobody has proven whose it is. ``partial``: some rights are missing. ``unverifiable``: the token cannot be read.
    ``denied``: the rights never came. ``revoked``: they were there, and are no more.
    """

    PENDING = "pending"
    PROPAGATING = "propagating"
    UNCONFIRMED = "unconfirmed"
    ACTIVE = "active"
    PARTIAL = "partial"
    UNVERIFIABLE = "unverifiable"
    DENIED = "denied"
    REVOKED = "revoked"


USABLE = frozenset({GrantStatus.ACTIVE, GrantStatus.PARTIAL, GrantStatus.UNVERIFIABLE})
"""Connections may use the grant; Graph has the last word on each call."""
SETTLED = frozenset({*USABLE, GrantStatus.UNCONFIRMED, GrantStatus.DENIED, GrantStatus.REVOKED})
"""Nobody need wait for more to happen."""

_ENDS = {GrantStatus.UNCONFIRMED, GrantStatus.DENIED, GrantStatus.REVOKED, *USABLE}
MOVES = {
    GrantStatus.PENDING: {GrantStatus.PROPAGATING, *_ENDS},
    GrantStatus.PROPAGATING: _ENDS,
    GrantStatus.UNCONFIRMED: {GrantStatus.PROPAGATING, GrantStatus.REVOKED, *USABLE},
    **{status: {GrantStatus.PROPAGATING, GrantStatus.REVOKED, *(USABLE - {status})} for status in USABLE},
    GrantStatus.DENIED: {GrantStatus.PROPAGATING, GrantStatus.UNCONFIRMED, *USABLE},
    GrantStatus.REVOKED: {GrantStatus.PROPAGATING, GrantStatus.UNCONFIRMED, *USABLE},
}
"""
Every legal move. What was confirmed is never unconfirmed again, and what has worked is never ``denied``: it is
``revoked``, since its mail may have been read.
"""


@dataclass(frozen=True, slots=True)
class Grant:
    """
    The grant row.

    *since* is when consent was last given or asked for: rights may take 24 h from then. *worked_at* is when the rights
    were last seen. *checks* counts the checks since the last change of mind and paces the next one; *next_at*,
    *due*, *seq* and *claim* are as in every scheduled record. *signed_in_as*, *domain* and *signed_in_at* tell an
    operator who must confirm the grant whose sign-in made it. *scoped* says that a mailbox was reached without the
    right for all mailboxes (Exchange RBAC for Applications), *probe_mailbox* which one an administrator named for that.
    *awaited* tells that connections may be waiting for it: they are woken once it works.
    """

    id: str
    credential_id: str
    tenant: str
    created_at: str
    since: str
    status: GrantStatus = GrantStatus.PENDING
    confirmed: bool = False
    granted: tuple[str, ...] = ()
    missing: tuple[str, ...] = REQUIRED_ROLES
    excess: tuple[str, ...] = ()
    checked_at: str = ""
    worked_at: str = ""
    checks: int = 0
    seq: int = 0
    next_at: str = ""
    due: str = ""
    claim: str = ""
    fault: RecordedFault | None = None
    scoped: bool = False
    probe_mailbox: str = field(default="", repr=False)
    awaited: bool = False
    signed_in_as: str = ""
    signed_in_at: str = ""
    domain: str = ""

    @property
    def usable(self) -> bool:
        """Whether connections may use it."""
        return self.status in USABLE


@dataclass(frozen=True, slots=True)
class Evidence:
    """
    What one check found: the *roles* of a fresh token (None where it cannot be read), or the *fault* instead of one.

    *reached* tells what a mailbox probe found, None where none was made.
    """

    roles: tuple[str, ...] | None = None
    fault: Fault | None = None
    reached: bool | None = None


@dataclass(frozen=True, slots=True)
class Pace:
    """How soon checks follow each other, in seconds: *recheck* while rights appear, *verify* once they stand."""

    recheck: float
    verify: float


def moved(grant: Grant, status: GrantStatus) -> Grant:
    """Return the grant in *status*. Raises ValueError where no move leads there."""
    if status is not grant.status and status not in MOVES[grant.status]:
        message = f"a grant that is {grant.status.value} cannot become {status.value}"
        raise ValueError(message)
    return replace(grant, status=status)


def consented(grant: Grant, now: datetime, *, confirmed: bool) -> Grant:
    """Return the grant after an administrator consented (again): the wait for the rights begins anew."""
    status = grant.status if grant.usable else GrantStatus.PROPAGATING
    return replace(
        moved(grant, status),
        since=to_text(now),
        confirmed=grant.confirmed or confirmed,
        checks=0,
        fault=None,
        next_at=to_text(now),
    )


def judge(grant: Grant, evidence: Evidence, pace: Pace, now: datetime) -> tuple[Grant, timedelta]:
    """Return the grant after *evidence*, and how long to wait for the next check."""
    if evidence.fault is not None:
        judged = _without_token(grant, evidence.fault, now)
    else:
        judged = _with_roles(grant, evidence, pace, now)
    same = judged.status == grant.status and (judged.fault is None) == (grant.fault is None)
    checks = grant.checks + 1 if same else 1
    judged = replace(judged, checked_at=to_text(now), checks=checks, awaited=grant.awaited or not works(judged))
    return judged, _delay(judged, pace, now)


def sentence(grant: Grant) -> str:
    """Return what stands in the way of using the grant, and what to do; '' where nothing does."""
    missing = ", ".join(grant.missing)
    if grant.fault is not None and grant.status not in USABLE:
        return grant.fault.detail
    match grant.status:
        case GrantStatus.PENDING:
            return "The tenant has not consented yet. Send its administrator a consent link, or verify the grant."
        case GrantStatus.PROPAGATING:
            return f"Consent was given; Microsoft is still spreading the rights ({missing}). This ends by itself."
        case GrantStatus.UNCONFIRMED:
            return "Consent works, but nobody has proven whose tenant it is. Confirm the grant if you know this tenant."
        case GrantStatus.PARTIAL:
            return (
                f"These rights are missing: {missing}. Add them to the registration and let an administrator consent."
            )
        case GrantStatus.UNVERIFIABLE:
            return "Microsoft's token cannot be read, so the rights could not be checked. Test a connection to see."
        case GrantStatus.ACTIVE if grant.scoped:
            return (
                f"Limited to chosen mailboxes by Exchange: one was reached though the token lacks {missing}. "
                "Sending cannot be tested without sending."
            )
        case GrantStatus.DENIED:
            return (
                f"The tenant has not granted {missing}. Add them to the registration and let an administrator consent."
            )
        case GrantStatus.REVOKED:
            return "The tenant has taken its consent back. Send its administrator a consent link."
        case _:
            return ""


def standing_fault(grant: Grant) -> GrantFault | None:
    """Return why connections cannot use the grant, or None where they can."""
    if grant.usable:
        return None
    known = grant.fault is not None and grant.fault.code in Code._value2member_map_
    code = Code(grant.fault.code) if grant.fault is not None and known else Code.GRANT_NOT_USABLE
    microsoft = grant.fault.microsoft if grant.fault is not None else None
    return GrantFault(sentence(grant), code, microsoft=microsoft, retryable=True)


def works(grant: Grant) -> bool:
    """Tell whether connections may use the grant and its last check found nothing wrong."""
    return grant.usable and grant.fault is None


def may_draft(grant: Grant) -> bool:
    """Tell whether drafts can be made under the grant; where its roles are not known, Graph is asked."""
    return grant.status is not GrantStatus.PARTIAL or "Mail.ReadWrite" not in grant.missing


def probe_wait(probes: int, pace: Pace) -> timedelta:
    """Return how long after the n-th probe of something broken the next one comes."""
    return timedelta(seconds=min(FIRST_PROBE_SECONDS * 2 ** min(probes - 1, 20), LONGEST_PROBE_SECONDS, pace.verify))


def reads_mail(roles: Iterable[str]) -> bool:
    """Tell whether *roles* let any mailbox be read, so that reading one proves nothing about Exchange's own roles."""
    return any(role.startswith("Mail.Read") for role in roles)


def _with_roles(grant: Grant, evidence: Evidence, pace: Pace, now: datetime) -> Grant:
    if evidence.roles is None and evidence.reached is None:
        status = _unless_unconfirmed(grant, GrantStatus.UNVERIFIABLE)
        return replace(moved(grant, status), fault=None, scoped=False, worked_at=to_text(now))
    granted, missing, excess = compare(evidence.roles or ())
    scoped = bool(missing and evidence.reached)
    seen = replace(grant, granted=granted, missing=missing, excess=excess, fault=None, scoped=scoped)
    if not missing or scoped:
        return replace(moved(seen, _unless_unconfirmed(grant, GrantStatus.ACTIVE)), worked_at=to_text(now))
    if granted and not grant.usable and _age(grant, now) < _patience(pace):
        return seen if grant.status is GrantStatus.UNCONFIRMED else moved(seen, GrantStatus.PROPAGATING)
    if granted:
        return replace(moved(seen, _unless_unconfirmed(grant, GrantStatus.PARTIAL)), worked_at=to_text(now))
    return moved(seen, _gone(grant, now))


def _without_token(grant: Grant, fault: Fault, now: datetime) -> Grant:
    recorded = replace(grant, fault=fault.recorded(to_text(now)))
    if fault.retryable or not isinstance(fault, GrantFault):
        return recorded
    status = _gone(grant, now)
    if status is GrantStatus.PROPAGATING and fault.code is Code.APP_NOT_CONSENTED:
        return replace(moved(grant, status), fault=None)  # the service principal is not visible everywhere yet
    status = _never_or_no_more(grant) if status is GrantStatus.PROPAGATING else status
    return replace(moved(recorded, status), granted=(), missing=REQUIRED_ROLES, excess=(), scoped=False)


def _gone(grant: Grant, now: datetime) -> GrantStatus:
    """Return what the absence of all rights means: not yet, no more, or never."""
    renewed = not grant.worked_at or from_text(grant.worked_at) < from_text(grant.since)
    if _age(grant, now) < PROPAGATION and renewed and grant.status not in (GrantStatus.PENDING, GrantStatus.DENIED):
        return GrantStatus.PROPAGATING
    return _never_or_no_more(grant)


def _never_or_no_more(grant: Grant) -> GrantStatus:
    return GrantStatus.REVOKED if grant.worked_at else GrantStatus.DENIED


def _patience(pace: Pace) -> timedelta:
    """Return how long a set of roles that is not complete may still grow before it is called partial."""
    return min(timedelta(seconds=pace.recheck * PARTIAL_AFTER_RECHECKS), PROPAGATION)


def _unless_unconfirmed(grant: Grant, status: GrantStatus) -> GrantStatus:
    return status if grant.confirmed else GrantStatus.UNCONFIRMED


def _age(grant: Grant, now: datetime) -> timedelta:
    return now - from_text(grant.since)


def compare(roles: Iterable[str]) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """Return which required roles are granted, which are missing, and which others were granted."""
    held = set(roles)
    granted = tuple(role for role in REQUIRED_ROLES if role in held)
    missing = tuple(role for role in REQUIRED_ROLES if role not in held)
    return granted, missing, tuple(sorted(held - set(REQUIRED_ROLES)))


def _delay(grant: Grant, pace: Pace, now: datetime) -> timedelta:
    doubled = 2 ** min(grant.checks - 1, 20)
    young = grant.status is GrantStatus.PARTIAL and _age(grant, now) < PROPAGATION
    if grant.status in (GrantStatus.PENDING, GrantStatus.PROPAGATING) or young:
        wait = timedelta(seconds=min(pace.recheck * doubled, LONGEST_RECHECK_SECONDS))
        left = from_text(grant.since) + PROPAGATION - now
        return min(wait, max(left, timedelta(seconds=pace.recheck)))
    broken = grant.fault is not None or grant.status in (GrantStatus.DENIED, GrantStatus.REVOKED)
    if broken and grant.checks <= MOST_PROBES:
        return probe_wait(grant.checks, pace)
    return timedelta(seconds=pace.verify)
