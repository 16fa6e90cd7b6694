"""When a grant is checked: by its due row, once, whoever dies, and by an administrator at any time."""

import pytest

from shared.codes import Code
from shared.credentials import GrantType
from shared.errors import Conflict, NotFound, StorageUnavailable
from shared.grants import Grant, GrantStatus
from shared.ports import Delete
from shared.registry import PARTITION
from shared.schedule import GRANT, DueRow, Wakeup
from tests.fakes.entra import ALL_ROLES
from tests.scenes.administration import CONTOSO, FABRIKAM, Administration


@pytest.fixture
def admin() -> Administration:
    """Return an administration in which Contoso has consented."""
    made = Administration()
    made.consented()
    made.entra.requests.clear()
    return made


@pytest.fixture
def grant(admin: Administration) -> Grant:
    """Return Contoso's grant."""
    return admin.grants.all()[0]


def grant_dues(admin: Administration) -> list[str]:
    """Return the due rows of grants."""
    return [key for key in admin.due_rows() if "|grant|" in key]


def test_an_active_grant_is_verified_when_due_and_stands_due_again(admin: Administration, grant: Grant) -> None:
    """Six hours later the tick wakes the check; exactly one due row remains, six hours ahead."""
    admin.pass_time(21601)

    after = admin.grants.get(grant.id)
    assert [CONTOSO] == admin.entra.requests
    assert [after.due] == grant_dues(admin)
    assert "2026-03-02T21:30:16.000Z" == after.next_at


def test_an_old_wakeup_is_dropped_with_its_stray_due_row(admin: Administration, grant: Grant) -> None:
    """A message older than its record does nothing, and takes the due row along that nobody else would."""
    stray = grant_dues(admin)[0].replace("20260302T", "20250302T")
    shard = next(part for part, key in admin.tables.connections.everything() if key == grant.due)
    admin.registry._add_due(shard, DueRow.from_row(stray, {"seq": 0}))

    admin.checks.handle(Wakeup(GRANT, grant.id, grant.seq - 1, stray))

    assert [] == admin.entra.requests
    assert [grant.due] == grant_dues(admin)


def test_a_grant_that_is_not_due_is_left_alone(admin: Administration, grant: Grant) -> None:
    """A repeated message finds the next check in the future."""
    admin.checks.handle(Wakeup(GRANT, grant.id, grant.seq, ""))

    assert [] == admin.entra.requests


def test_a_check_that_dies_after_its_claim_is_repeated(admin: Administration, grant: Grant) -> None:
    """The claim's due row fires two minutes later."""
    admin.clock.advance(21600)
    commits = 0

    def die(method: str) -> None:
        nonlocal commits
        commits += method == "commit"
        if commits == 2:
            admin.tables.grants.failures.plan("commit")
            commits += 1

    admin.tables.grants.failures.before = die
    with pytest.raises(StorageUnavailable):
        admin.pass_time(1)
    admin.tables.grants.failures.before = None
    assert admin.grants.get(grant.id).claim

    admin.pass_time(121)
    assert (2, "") == (len(admin.entra.requests), admin.grants.get(grant.id).claim)
    admin.pass_time(22000)

    assert 3 == len(admin.entra.requests)
    assert [admin.grants.get(grant.id).due] == grant_dues(admin)


def test_of_two_workers_one_checks(admin: Administration, grant: Grant) -> None:
    """The loser of a claim leaves quietly, and no due row is lost or doubled."""
    admin.clock.advance(21601)
    others = 0

    def other(method: str) -> None:
        nonlocal others
        if method == "commit" and not others:
            others += 1
            admin.checks.handle(Wakeup(GRANT, grant.id, grant.seq, grant.due))

    admin.tables.grants.failures.before = other
    admin.checks.handle(Wakeup(GRANT, grant.id, grant.seq, grant.due))
    admin.tables.grants.failures.before = None

    assert [CONTOSO] == admin.entra.requests
    assert [admin.grants.get(grant.id).due] == grant_dues(admin)


def test_a_revocation_is_noticed_by_verify(admin: Administration, grant: Grant) -> None:
    """An administrator's verify takes a token that no cache has seen."""
    del admin.entra.grants[CONTOSO]

    assert GrantStatus.REVOKED is admin.checks.verify(grant.id).status
    assert admin.tokens.standing(grant.id) is not None


def test_a_revoked_grant_resumes_by_itself(admin: Administration, grant: Grant) -> None:
    """Once the tenant grants again, the next probe finds it."""
    del admin.entra.grants[CONTOSO]
    admin.checks.verify(grant.id)
    admin.entra.grants[CONTOSO] = ALL_ROLES

    admin.pass_time(61)

    assert GrantStatus.ACTIVE is admin.grants.get(grant.id).status


def test_where_consent_is_given_in_the_portal_verify_makes_the_grant() -> None:
    """No link, no trip: one verification, and the tenant's rights stand."""
    admin = Administration()
    credential = admin.credential(grant_type=GrantType.CLIENT_CREDENTIALS)
    assert GrantStatus.DENIED is admin.checks.verify_tenant(*admin.credentials.verifiable(credential.id, "")).status

    admin.entra.grants[CONTOSO] = ALL_ROLES
    grant = admin.checks.verify_tenant(*admin.credentials.verifiable(credential.id, "contoso.example"))

    assert (GrantStatus.ACTIVE, True) == (grant.status, grant.usable)
    assert 1 == len(admin.grants.all())
    assert 1 == len(grant_dues(admin))


def test_a_tenant_that_never_consented_has_nothing_to_verify(admin: Administration, grant: Grant) -> None:
    """Where consent comes by link, verify does not make grants."""
    with pytest.raises(NotFound):
        admin.checks.verify_existing(admin.credentials.get(grant.credential_id), FABRIKAM)


def test_a_grant_is_deleted_only_without_connections(admin: Administration, grant: Grant) -> None:
    """The refusal names the connections; afterwards nothing of the grant remains."""
    connection = admin.connection(grant)
    with pytest.raises(Conflict) as refused:
        admin.grants.delete(grant.id)
    assert Code.GRANT_IN_USE is refused.value.code
    assert connection.id in refused.value.detail

    admin.changes.delete(connection.id)
    admin.grants.delete(grant.id)
    admin.grants.delete(grant.id)

    assert ([], []) == (admin.grants.all(), grant_dues(admin))


def test_a_check_of_a_deleted_credential_removes_what_is_left(admin: Administration, grant: Grant) -> None:
    """A grant whose credential is gone, as a deletion that died leaves it, goes with its next check."""
    admin.tables.credentials.commit(PARTITION, [Delete(grant.credential_id)])
    admin.pass_time(21601)

    assert admin.registry.find_grant(grant.id) is None
    assert [] == grant_dues(admin)
