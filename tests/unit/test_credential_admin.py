"""Credentials as an administrator keeps them: the order of writes, rotation, and what stands in the way of deletion."""

import pytest

from shared.codes import Code
from shared.errors import Conflict, CredentialFault, InvalidRequest, NotFound, PreconditionFailed, Unreachable
from tests.fakes.entra import ALL_ROLES
from tests.scenes.administration import CONTOSO, SECRET, Administration, new_secret

NEW = "new-secret~value-of-contoso"


@pytest.fixture
def admin() -> Administration:
    """Return an administration in which Contoso would consent."""
    made = Administration()
    made.entra.grants[CONTOSO] = ALL_ROLES
    return made


def test_the_secret_goes_to_the_vault_and_nowhere_else(admin: Administration) -> None:
    """The row pins the version; no table holds the secret."""
    credential = admin.credential()

    assert ("ready", SECRET) == (
        credential.status,
        admin.vault.get(credential.secret_name, credential.active_version),
    )
    rows = [admin.tables.credentials.everything(), admin.tables.audit.everything()]
    assert SECRET not in repr(rows)


def test_a_domain_becomes_the_tenants_id(admin: Administration) -> None:
    """Whatever names the tenant, its id is kept."""
    assert CONTOSO == admin.credential(tenant="contoso.example").tenant


def test_an_unknown_domain_is_refused(admin: Administration) -> None:
    """A domain that Microsoft does not know is a fault of the field."""
    with pytest.raises(InvalidRequest) as refused:
        admin.credential(tenant="nowhere.example")

    assert [("/tenant", "tenant_unknown")] == [(fault.pointer, fault.code) for fault in refused.value.faults]


def test_a_vault_that_fails_leaves_what_can_be_deleted(admin: Administration) -> None:
    """The row stands as creating, cannot be used, and goes away."""
    fault = CredentialFault("The vault does not answer.", Code.VAULT_UNAVAILABLE, retryable=True)
    admin.vault.failures.plan("put", fault)
    with pytest.raises(CredentialFault):
        admin.credential()

    left = admin.credentials.all()
    assert ["creating"] == [credential.status for credential in left]
    with pytest.raises(Conflict):
        admin.links.create(left[0].id)
    admin.credentials.delete(left[0].id)
    assert [] == admin.credentials.all()


def test_a_name_changes_with_the_version(admin: Administration) -> None:
    """A change bumps the version, and one made on an older version is refused."""
    credential = admin.credential()
    after = admin.credentials.change(credential.id, {"name": "Contoso Ltd"}, if_match=1)

    assert ("Contoso Ltd", 2) == (after.name, after.version)
    with pytest.raises(PreconditionFailed):
        admin.credentials.change(credential.id, {"name": "x"}, if_match=1)


def test_an_expiry_may_be_forgotten(admin: Administration) -> None:
    """Null stands for unknown."""
    credential = admin.credential(secret_expires_at="2027-01-01T00:00:00Z")

    assert admin.credentials.change(credential.id, {"secret_expires_at": None}).secret_expires_at is None


def test_a_proven_secret_is_put_to_use(admin: Administration) -> None:
    """Vault, candidate, token, promotion: the new one is active, the old one a fallback."""
    grant = admin.consented()
    before = admin.credentials.get(grant.credential_id)
    admin.entra.good = {SECRET, NEW}

    rotated = admin.credentials.rotate(before.id, new_secret(NEW, "2027-01-01T00:00:00Z"))

    after = rotated.credential
    assert rotated.proven
    assert NEW == admin.vault.get(after.secret_name, after.active_version)
    assert (before.active_version, "") == (after.fallback_version, after.candidate_version)
    assert "2027-01-01T00:00:00Z" == after.secret_expires_at


def test_a_wrong_new_secret_changes_nothing(admin: Administration) -> None:
    """Microsoft's refusal is passed on, and the old secret stays in use."""
    grant = admin.consented()
    before = admin.credentials.get(grant.credential_id)

    with pytest.raises(CredentialFault) as refused:
        admin.credentials.rotate(before.id, new_secret(NEW))

    assert Code.SECRET_WRONG is refused.value.code
    assert before == admin.credentials.get(before.id)


def test_a_rotation_ends_the_waiting(admin: Administration) -> None:
    """A secret that expired on a Sunday is replaced on Monday, and everything resumes."""
    grant = admin.consented()
    admin.entra.good, admin.entra.expired = set(), {SECRET}
    admin.checks.verify(grant.id)
    assert admin.tokens.standing(grant.id) is not None

    admin.entra.good = {NEW}
    admin.credentials.rotate(grant.credential_id, new_secret(NEW))

    assert admin.tokens.standing(grant.id) is None


def test_a_secret_that_nobody_can_prove_stays_candidate_until_somebody_can(admin: Administration) -> None:
    """Without any grant that works nothing is proven, which is said; the first check that can proves it."""
    credential = admin.credential(tenant="organizations")
    admin.entra.good = {SECRET, NEW}
    rotated = admin.credentials.rotate(credential.id, new_secret(NEW))
    assert (False, credential.active_version) == (rotated.proven, rotated.credential.active_version)
    assert "not proven" in rotated.detail

    admin.consented(rotated.credential, expected_tenant=CONTOSO)

    after = admin.credentials.get(credential.id)
    assert (NEW, "") == (admin.vault.get(after.secret_name, after.active_version), after.candidate_version)


def test_an_outage_during_a_rotation_leaves_a_candidate(admin: Administration) -> None:
    """No answer is neither proof nor refusal."""
    grant = admin.consented()
    admin.entra.failures.plan("token", Unreachable("No answer."))

    rotated = admin.credentials.rotate(grant.credential_id, new_secret(NEW))

    assert (False, True) == (rotated.proven, bool(rotated.credential.candidate_version))


def test_a_secret_id_is_told_from_a_secret_at_rotation_too(admin: Administration) -> None:
    """The same check at both doors."""
    with pytest.raises(InvalidRequest) as refused:
        admin.credentials.rotate(admin.credential().id, new_secret("0f6e1f9a-7d5e-4c3b-9a51-6a1f4e0c2b11"))

    assert Code.SECRET_ID_INSTEAD_OF_VALUE is refused.value.code


def test_a_credential_in_use_is_not_deleted(admin: Administration) -> None:
    """The refusal names the connections; without them grants, secret and row go, and again is no error."""
    grant = admin.consented()
    connection = admin.connection(grant)
    with pytest.raises(Conflict) as refused:
        admin.credentials.delete(grant.credential_id)
    assert (Code.CREDENTIAL_IN_USE, True) == (refused.value.code, connection.id in refused.value.detail)

    secret_name = admin.credentials.get(grant.credential_id).secret_name
    admin.changes.delete(connection.id)
    admin.credentials.delete(grant.credential_id)
    admin.credentials.delete(grant.credential_id)

    assert {secret_name} == admin.vault.deleted
    assert ([], []) == (admin.grant_rows(), [key for key in admin.due_rows() if "grant" in key])


@pytest.mark.parametrize("identifier", ["", "cred_", "cred_x/y", "grant_1", "cred_01ARZ3NDEKTSV4RRFFQ69G5FAV"])
def test_an_unknown_id_is_not_found(admin: Administration, identifier: str) -> None:
    """Whatever its form, an id that is none is not found, and deleting it is no error."""
    with pytest.raises(NotFound):
        admin.credentials.get(identifier)
    admin.credentials.delete(identifier)


def test_a_credential_without_its_first_secret_takes_no_second(admin: Administration) -> None:
    """It would stay in status creating for ever with a secret that looks good."""
    admin.vault.failures.plan("put", CredentialFault("The vault does not answer.", Code.VAULT_UNAVAILABLE))
    with pytest.raises(CredentialFault):
        admin.credential()
    left = admin.credentials.all()[0]

    with pytest.raises(Conflict) as refused:
        admin.credentials.rotate(left.id, new_secret(NEW))

    assert "create it anew" in refused.value.detail


def test_a_rotation_probes_what_waited_for_it_at_once(admin: Administration) -> None:
    """A consent that came in while the secret was wrong is checked now, not when its delay has grown to 10 minutes."""
    credential = admin.credential(client_secret="wrong-secret~of-contoso")
    grant = admin.consented(credential)
    for _ in range(6):
        admin.pass_time(600)
    assert "propagating" == admin.grants.get(grant.id).status.value
    admin.entra.good = {SECRET, NEW}

    admin.credentials.rotate(credential.id, new_secret(NEW))
    admin.work()

    assert "active" == admin.grants.get(grant.id).status.value
