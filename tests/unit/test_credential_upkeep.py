"""What happens to credentials by themselves: each warning once, fallbacks forgotten after a day, wrecks removed."""

from datetime import timedelta

import pytest

from shared.codes import Code
from shared.credentials import Credential
from shared.errors import CredentialFault, NotFound, StorageUnavailable
from shared.proofs import AuthMethod, TypedProof
from shared.schedule import CREDENTIAL, Wakeup
from shared.times import to_text
from tests.fakes.entra import ALL_ROLES
from tests.scenes.administration import CONTOSO, SECRET, Administration, new_secret
from tests.scenes.certificates import certificate, certificate_pem, key_pem, rsa_key

NEW = "new-secret~value-of-contoso"
DAY = 86_400.0
KEY = rsa_key()


@pytest.fixture
def admin() -> Administration:
    """Return an administration in which Contoso would consent."""
    made = Administration()
    made.entra.grants[CONTOSO] = ALL_ROLES
    return made


def ends_in(admin: Administration, days: float) -> str:
    """Return the moment *days* from now as text."""
    return to_text(admin.clock() + timedelta(days=days))


def warnings(admin: Administration) -> list[str]:
    """Return the outcomes of all warnings, oldest first."""
    rows = [row for _, row in sorted(admin.tables.audit.everything().items(), reverse=True)]
    found = [row for row in rows if row["action"] == "credential.expiring"]
    return [str(row["outcome"]) for row in sorted(found, key=lambda row: str(row["at"]))]


def live(admin: Administration, days: int) -> None:
    """Let days pass, with a few ticks on each."""
    for _ in range(days * 3):
        admin.pass_time(DAY / 3)


def test_each_threshold_is_told_once(admin: Administration) -> None:
    """30, 14, 7 and 1 day before, and at the end; then silence."""
    admin.credential(secret_expires_at=ends_in(admin, 40))
    live(admin, 45)

    assert ["30_days", "14_days", "7_days", "1_days", "expired"] == warnings(admin)
    assert [] == [key for key in admin.due_rows() if CREDENTIAL in key]


def test_a_secret_entered_late_is_warned_of_once_at_once(admin: Administration) -> None:
    """With five days left there is one warning, not three."""
    admin.credential(secret_expires_at=ends_in(admin, 5))
    admin.pass_time(60)

    assert ["7_days"] == warnings(admin)


def test_a_new_expiry_begins_anew(admin: Administration) -> None:
    """Whoever corrects the date, or rotates, is warned of the new end."""
    credential = admin.credential(secret_expires_at=ends_in(admin, 5))
    admin.pass_time(60)
    admin.credentials.change(credential.id, {"secret_expires_at": ends_in(admin, 10)})
    admin.pass_time(60)
    assert ["7_days", "14_days"] == sorted(warnings(admin), reverse=True)

    admin.entra.good = {SECRET, NEW}
    admin.credentials.rotate(credential.id, new_secret(NEW, ends_in(admin, 100)))
    live(admin, 12)

    assert 2 == len(warnings(admin))


def test_a_certificate_tells_its_own_end(admin: Administration) -> None:
    """Nobody types it in, nobody can change it, and the warnings come all the same."""
    made = certificate(KEY, admin.clock() - timedelta(days=1), days=9)
    text = certificate_pem(made) + key_pem(KEY)
    credential = admin.credential(auth_method=AuthMethod.CERTIFICATE, client_secret="", certificate=text)
    live(admin, 10)

    assert ["14_days", "7_days", "1_days", "expired"] == warnings(admin)
    assert to_text(made.not_valid_after_utc) == admin.credentials.get(credential.id).secret_expires_at


def test_a_managed_identity_has_no_end(admin: Administration) -> None:
    """Nothing to rotate, nothing in the vault, nothing to warn of."""
    identity = "11111111-2222-4333-8444-000000000000"
    admin.credential(auth_method=AuthMethod.FEDERATED, client_secret="", managed_identity_client_id=identity.upper())

    assert ({}, []) == (admin.vault.secrets, warnings(admin))
    assert [] == [key for key in admin.due_rows() if identity in key]


def test_a_death_between_telling_and_noting_tells_once(admin: Administration) -> None:
    """The warning's entry is known by credential and threshold, so that a repeat adds none."""
    admin.credential(secret_expires_at=ends_in(admin, 5))
    admin.clock.advance(60)
    admin.tick.run()
    admin.tables.credentials.failures.plan("commit", StorageUnavailable("No answer."))
    with pytest.raises(StorageUnavailable):
        admin.work()
    admin.pass_time(400)

    assert ["7_days"] == warnings(admin)


def test_a_fallback_goes_after_a_day(admin: Administration) -> None:
    """The replaced secret helps for 24 hours and is not tried after."""
    grant = admin.consented()
    admin.entra.good = {SECRET, NEW}
    before = admin.credentials.rotate(grant.credential_id, new_secret(NEW)).credential
    admin.pass_time(23 * 3600)
    assert before.fallback_version == admin.credentials.get(before.id).fallback_version != ""

    admin.pass_time(2 * 3600)

    after = admin.credentials.get(before.id)
    assert ("", None, before.active_version) == (after.fallback_version, after.fallback_until, after.active_version)


def test_a_credential_that_was_never_finished_is_removed(admin: Administration) -> None:
    """Its row and whatever the vault may hold go after a quarter of an hour, also where the vault fails at first."""
    fault = CredentialFault("The vault does not answer.", Code.VAULT_UNAVAILABLE, retryable=True)
    admin.vault.failures.plan("put", fault, after_effect=True)
    with pytest.raises(CredentialFault):
        admin.credential()
    left = admin.credentials.all()[0]
    admin.pass_time(10 * 60)
    assert [left.id] == [credential.id for credential in admin.credentials.all()]

    admin.vault.failures.plan("delete", fault)
    admin.pass_time(6 * 60)
    assert ["removing"] == [credential.status for credential in admin.credentials.all()]
    admin.pass_time(6 * 60)

    assert ([], {left.secret_name}) == (admin.credentials.all(), admin.vault.deleted)
    assert [] == [key for key in admin.due_rows() if left.id in key]


def test_a_stray_wake_up_does_nothing(admin: Administration) -> None:
    """One for a credential that is gone, or that nothing is due for, only removes its own due row."""
    credential: Credential = admin.credential(secret_expires_at=ends_in(admin, 90))
    rows = admin.due_rows()
    for identifier in (credential.id, "cred_01ARZ3NDEKTSV4RRFFQ69G5FAV", "x"):
        admin.upkeep.handle(Wakeup(CREDENTIAL, identifier, 0, "due|00|credential|x"))
    assert (credential, rows) == (admin.credentials.get(credential.id), admin.due_rows())

    admin.credentials.delete(credential.id)

    with pytest.raises(NotFound):
        admin.credentials.get(credential.id)
    admin.pass_time(3600)
    assert [] == [key for key in admin.due_rows() if credential.id in key]


def test_the_method_is_switched_with_the_proof(admin: Administration) -> None:
    """A proof by another method becomes active like any rotation; the old one is the fallback."""
    grant = admin.consented()
    made = certificate(KEY, admin.clock() - timedelta(days=1))
    typed = TypedProof(AuthMethod.CERTIFICATE, certificate=certificate_pem(made) + key_pem(KEY))
    with pytest.raises(CredentialFault):
        admin.credentials.rotate(grant.credential_id, typed)
    untouched = admin.credentials.get(grant.credential_id)
    assert (AuthMethod.SECRET, "", None) == (
        untouched.auth_method,
        untouched.candidate_version,
        untouched.candidate_method,
    )

    name = untouched.secret_name
    admin.entra.good.add(list(admin.vault.secrets[name].values())[-1])
    after = admin.credentials.rotate(grant.credential_id, typed).credential

    assert (AuthMethod.CERTIFICATE, untouched.active_version) == (after.auth_method, after.fallback_version)
    assert to_text(made.not_valid_after_utc) == after.secret_expires_at
