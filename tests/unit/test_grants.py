"""How evidence moves a grant: every state, and what may never happen in any order of events."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.codes import Code
from shared.errors import CredentialFault, Fault, GrantFault, Throttled, Unreachable
from shared.grants import (
    MOVES,
    REQUIRED_ROLES,
    USABLE,
    Evidence,
    Grant,
    GrantStatus,
    Pace,
    compare,
    consented,
    judge,
    moved,
    reads_mail,
    sentence,
    standing_fault,
)
from shared.times import from_text, to_text

NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
PACE = Pace(recheck=5, verify=21600)
NOT_CONSENTED = GrantFault("Let an administrator consent.", Code.APP_NOT_CONSENTED)
FULL = Evidence(roles=REQUIRED_ROLES)
EMPTY = Evidence(roles=())


def new_grant(*, confirmed: bool = True) -> Grant:
    """Return Contoso's grant right after the administrator accepted."""
    grant = Grant("grant_x", "cred_x", "contoso", to_text(NOW), to_text(NOW))
    return consented(grant, NOW, confirmed=confirmed)


def after(grant: Grant, *steps: tuple[Evidence, float]) -> Grant:
    """Return the grant after evidence at so many seconds past NOW."""
    for evidence, seconds in steps:
        grant, _ = judge(grant, evidence, PACE, NOW + timedelta(seconds=seconds))
    return grant


def test_all_roles_make_it_active() -> None:
    """A fresh token with every required role ends the wait."""
    grant = after(new_grant(), (FULL, 5))

    assert (GrantStatus.ACTIVE, (), "") == (grant.status, grant.missing, sentence(grant))
    assert standing_fault(grant) is None


def test_absent_roles_are_awaited_with_growing_gaps() -> None:
    """While rights spread, the gaps double up to half an hour."""
    grant, gaps = new_grant(), []
    for seconds in range(1, 13):
        grant, gap = judge(grant, EMPTY, PACE, NOW + timedelta(seconds=seconds))
        gaps.append(gap.total_seconds())

    assert GrantStatus.PROPAGATING == grant.status
    assert [5, 10, 20, 40, 80, 160, 320, 640, 1280, 1800, 1800, 1800] == gaps


def test_an_invisible_app_is_awaited_too() -> None:
    """Right after consent, Entra may not know the app everywhere yet; that is no refusal."""
    assert GrantStatus.PROPAGATING == after(new_grant(), (Evidence(fault=NOT_CONSENTED), 5)).status


def test_the_wait_ends_after_a_day() -> None:
    """Rights that have not come within 24 hours are denied, and the sentence names them."""
    grant = after(new_grant(), (EMPTY, 5), (EMPTY, 86401))

    assert GrantStatus.DENIED == grant.status
    assert "Mail.ReadWrite" in sentence(grant)


def test_some_roles_are_waited_for_and_then_called_partial() -> None:
    """A partial set may still grow for some minutes; after that the grant is partial and usable."""
    some = Evidence(roles=("Mail.ReadWrite", "Mail.Read"))

    early, late = after(new_grant(), (some, 5)), after(new_grant(), (some, 5), (some, 600))

    assert (GrantStatus.PROPAGATING, GrantStatus.PARTIAL) == (early.status, late.status)
    assert (("Mail.ReadWrite",), ("Mail.Send", "User.Read.All"), ("Mail.Read",)) == (
        late.granted,
        late.missing,
        late.excess,
    )
    assert late.usable


def test_a_revocation_is_noticed_at_once() -> None:
    """Roles that were there and are no more are a revocation, even minutes after the consent."""
    for gone in (EMPTY, Evidence(fault=NOT_CONSENTED)):
        grant = after(new_grant(), (FULL, 5), (gone, 60))
        assert GrantStatus.REVOKED == grant.status
        assert isinstance(standing_fault(grant), GrantFault)


def test_a_consent_after_a_revocation_begins_anew() -> None:
    """The wait for rights starts again with a new consent, and ends as the first did."""
    revoked = after(new_grant(), (FULL, 5), (EMPTY, 60))

    again = consented(revoked, NOW + timedelta(seconds=120), confirmed=True)

    assert GrantStatus.PROPAGATING == after(again, (EMPTY, 121)).status
    assert GrantStatus.ACTIVE == after(again, (EMPTY, 121), (FULL, 130)).status


def test_a_failing_credential_says_nothing_of_the_grant() -> None:
    """A wrong secret leaves the status as it was; the next look comes within a minute."""
    fault = CredentialFault("Wrong secret.", Code.SECRET_WRONG)
    grant, gap = judge(after(new_grant(), (FULL, 5)), Evidence(fault=fault), PACE, NOW + timedelta(seconds=60))

    assert (GrantStatus.ACTIVE, 60) == (grant.status, gap.total_seconds())


@pytest.mark.parametrize("fault", [Unreachable("No answer."), Throttled("Slow down.")])
def test_an_outage_changes_no_status(fault: Fault) -> None:
    """No answer proves nothing."""
    assert GrantStatus.ACTIVE == after(new_grant(), (FULL, 5), (Evidence(fault=fault), 60)).status


def test_a_disabled_app_is_told_in_the_words_of_the_refusal() -> None:
    """Where Microsoft says why, that sentence is shown."""
    fault = GrantFault("The app is disabled.", Code.APP_DISABLED)
    grant = after(new_grant(), (FULL, 5), (Evidence(fault=fault), 60))

    assert (GrantStatus.REVOKED, "The app is disabled.") == (grant.status, sentence(grant))


def test_an_unreadable_token_is_said_to_be_unverifiable() -> None:
    """A token that cannot be decoded is neither a proof nor a refusal; it may be used."""
    grant = after(new_grant(), (Evidence(roles=None), 5))

    assert (GrantStatus.UNVERIFIABLE, True) == (grant.status, grant.usable)


def test_a_mailbox_that_can_be_read_outweighs_absent_roles() -> None:
    """With Exchange RBAC the token bears no mail roles, and the probe decides."""
    assert GrantStatus.ACTIVE == after(new_grant(), (Evidence(roles=(), reached=True), 5)).status


def test_an_unconfirmed_grant_cannot_be_used() -> None:
    """Rights that nobody has proven to be whose they seem stay unconfirmed, with a sentence."""
    grant = after(new_grant(confirmed=False), (FULL, 5))

    assert (GrantStatus.UNCONFIRMED, False) == (grant.status, grant.usable)
    assert "Confirm the grant" in sentence(grant)


def test_a_broken_grant_is_probed_every_ten_minutes_at_most() -> None:
    """Probes start after a minute and slow down to ten."""
    grant, gaps = after(new_grant(), (FULL, 5)), []
    for number in range(6):
        grant, gap = judge(grant, EMPTY, PACE, NOW + timedelta(seconds=60 + number))
        gaps.append(gap.total_seconds())

    assert [60, 120, 240, 480, 600, 600] == gaps


def test_an_active_grant_is_verified_every_six_hours() -> None:
    """Once all stands, the next look comes after the setting's period."""
    assert timedelta(hours=6) == judge(new_grant(), FULL, PACE, NOW)[1]


ROLES = st.lists(st.sampled_from([*REQUIRED_ROLES, "Mail.Read", "Calendars.Read"]), unique=True).map(tuple)
FAULTS = st.sampled_from(
    [
        NOT_CONSENTED,
        GrantFault("x", Code.TENANT_UNKNOWN),
        GrantFault("x", Code.APP_DISABLED),
        CredentialFault("x", Code.SECRET_EXPIRED),
        Unreachable("x"),
        Throttled("x", retry_after=7),
    ]
)
EVIDENCE = st.one_of(
    st.builds(Evidence, roles=st.none() | ROLES, reached=st.none() | st.booleans()), st.builds(Evidence, fault=FAULTS)
)
EVENTS = st.lists(st.tuples(st.one_of(EVIDENCE, st.just("consent")), st.floats(0, 100_000)), max_size=12)


@given(st.booleans(), EVENTS)
def test_no_order_of_events_breaks_the_promises(confirmed: bool, events: list[tuple[Evidence | str, float]]) -> None:
    """
    Whatever happens: an unconfirmed grant is never usable, every wait is positive and at most six hours.

    And granted and missing roles never overlap, and a grant that cannot be used says why.
    """
    grant, now = new_grant(confirmed=confirmed), NOW
    for event, seconds in events:
        now += timedelta(seconds=seconds)
        if isinstance(event, str):
            grant = consented(grant, now, confirmed=False)
            continue
        grant, wait = judge(grant, event, PACE, now)

        assert timedelta(0) < wait <= timedelta(seconds=PACE.verify)
        assert grant.confirmed or grant.status not in USABLE
        assert set() == set(grant.granted) & set(grant.missing)
        assert grant.usable or sentence(grant)


def _steps(confirmed: bool, events: list[tuple[Evidence | str, float]]) -> Iterator[tuple[Grant, Any, Grant, Any, Any]]:
    """Yield grant before, event, grant after, the wait and the time of each event in a row."""
    grant, now = new_grant(confirmed=confirmed), NOW
    for event, seconds in events:
        now += timedelta(seconds=seconds)
        if isinstance(event, str):
            after, wait = consented(grant, now, confirmed=False), None
        else:
            after, wait = judge(grant, event, PACE, now)
        yield grant, event, after, wait, now
        grant = after


@given(st.booleans(), EVENTS)
def test_it_is_active_only_with_all_roles_or_a_mailbox_that_was_reached(confirmed: bool, events: list[Any]) -> None:
    """Never active with missing roles unless a probe reached a mailbox, and then it says so."""
    for _, _, grant, _, _ in _steps(confirmed, events):
        if grant.status is GrantStatus.ACTIVE:
            assert grant.scoped == bool(grant.missing)


@given(st.booleans(), EVENTS)
def test_every_move_is_one_of_those_named(confirmed: bool, events: list[Any]) -> None:
    """No order of events makes a move that the table does not hold."""
    for before, _, after, _, _ in _steps(confirmed, events):
        assert before.status is after.status or after.status in MOVES[before.status]


@given(st.sampled_from(GrantStatus), st.sampled_from(GrantStatus))
def test_every_other_move_is_refused(old: GrantStatus, new: GrantStatus) -> None:
    """A move that the table does not hold raises; standing still is no move."""
    grant = replace(new_grant(), status=old)
    if old is new or new in MOVES[old]:
        assert new is moved(grant, new).status
    else:
        with pytest.raises(ValueError, match=r"cannot become"):
            moved(grant, new)


@given(st.booleans(), EVENTS)
def test_no_fault_loses_what_is_known_of_the_past(confirmed: bool, events: list[Any]) -> None:
    """What once worked is remembered for good; an outage, or a broken credential, changes neither status nor roles."""
    for before, event, after, _, _ in _steps(confirmed, events):
        assert not before.worked_at or after.worked_at >= before.worked_at
        assert after.confirmed >= before.confirmed
        assert not (after.worked_at and after.status is GrantStatus.DENIED)
        if isinstance(event, Evidence) and event.fault is not None and not isinstance(event.fault, GrantFault):
            assert (before.status, before.granted, before.missing) == (after.status, after.granted, after.missing)


@given(st.booleans(), EVENTS)
def test_spreading_ends_within_a_day(confirmed: bool, events: list[Any]) -> None:
    """No evidence later than 24 h after the consent leaves a grant propagating; until then no gap passes that hour."""
    for _, event, after, wait, now in _steps(confirmed, events):
        told = isinstance(event, Evidence) and event.fault is None
        if told and after.status is GrantStatus.PROPAGATING:
            end = from_text(after.since) + timedelta(hours=24)
            assert now < end
            assert now + wait <= max(end, now + timedelta(seconds=PACE.recheck))


@given(st.integers(1, 40))
def test_the_gaps_of_spreading_never_shrink(checks: int) -> None:
    """Each look at rights that spread comes no sooner after the last than the one before, up to half an hour."""
    grant, gaps, now = new_grant(), [], NOW
    for _ in range(checks):
        grant, wait = judge(grant, EMPTY, PACE, now)
        gaps.append(wait)
        now += wait

    assert gaps == sorted(gaps)
    assert max(gaps) <= timedelta(minutes=30)


def test_what_may_be_awaited_is_remembered_until_it_works() -> None:
    """A grant that did not work for a while knows that connections may wait for it."""
    grant = after(new_grant(), (FULL, 5))
    broken = after(grant, (Evidence(fault=Unreachable("x")), 10), (FULL, 20))

    assert (False, True) == (grant.awaited, broken.awaited)


def test_a_probe_proves_nothing_where_any_mailbox_may_be_read() -> None:
    """Only without a role that reads mail does a mailbox that was reached say something."""
    roles = [("Mail.ReadWrite",), ("Mail.Read",), ("Mail.Send",), ()]

    assert [True, True, False, False] == [reads_mail(held) for held in roles]


@given(ROLES)
def test_every_role_is_in_exactly_one_list(roles: tuple[str, ...]) -> None:
    """Granted and missing make up what is required; granted and excess make up what was given."""
    granted, missing, excess = compare(roles)

    assert set(REQUIRED_ROLES) == {*granted, *missing}
    assert set(roles) == {*granted, *excess}


def test_a_code_of_a_newer_version_does_not_stop_the_reading() -> None:
    """A fault written by a newer version is shown with a general code."""
    grant = replace(
        after(new_grant(), (FULL, 5), (Evidence(fault=NOT_CONSENTED), 60)),
        fault=replace(NOT_CONSENTED.recorded(""), code="something_new"),
    )
    fault = standing_fault(grant)

    assert fault is not None
    assert Code.GRANT_NOT_USABLE == fault.code
