"""What every form of the `Vault` port promises: the in-memory one that unit tests use, and Azure Key Vault."""

import uuid

import pytest
from azure.identity import ManagedIdentityCredential

from localcloud.cloud import LocalCloud
from localcloud.world import Fault
from shared.adapters.key_vault import KeyVault, open_vault
from shared.codes import Code
from shared.errors import CredentialFault
from tests.contract.conftest import settings_for
from tests.fakes import MemoryVault

pytestmark = pytest.mark.enable_socket


@pytest.fixture
def key_vault(microsoft_cloud: LocalCloud, monkeypatch: pytest.MonkeyPatch) -> KeyVault:
    """Return the vault adapter as production makes it, pointed at the simulated cloud by environment alone."""
    microsoft_cloud.world.faults.clear()
    environment = microsoft_cloud.environment()
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return open_vault(settings_for("unused", environment["KEY_VAULT_URL"]), ManagedIdentityCredential())


@pytest.fixture(params=["memory", "key_vault"])
def vault(request: pytest.FixtureRequest) -> MemoryVault | KeyVault:
    """Return a vault of each kind."""
    if request.param == "memory":
        return MemoryVault()
    found: KeyVault = request.getfixturevalue("key_vault")
    return found


@pytest.fixture
def name() -> str:
    """Return a secret's name of the test's own."""
    return f"cred-{uuid.uuid4().hex}"


def test_every_version_stays_readable(vault: MemoryVault | KeyVault, name: str) -> None:
    """A new version leaves the old one as it was: rotation never breaks who still uses it."""
    first = vault.put(name, "s3cret~ä")
    second = vault.put(name, "other")

    assert first != second
    assert ["s3cret~ä", "other"] == [vault.get(name, first), vault.get(name, second)]


def test_a_missing_secret_is_refused(vault: MemoryVault | KeyVault, name: str) -> None:
    """Neither a name nor a version that the vault does not hold can be read, and waiting does not help."""
    vault.put(name, "value")

    for wanted in ((name, "0" * 32), (f"{name}x", "0" * 32)):
        with pytest.raises(CredentialFault) as refused:
            vault.get(*wanted)
        assert (Code.VAULT_REFUSED, False) == (refused.value.code, refused.value.retryable)


def test_a_deleted_secret_is_gone(vault: MemoryVault | KeyVault, name: str) -> None:
    """Deleting takes all versions, twice is no error, and the name stays taken while it can be recovered."""
    version = vault.put(name, "value")
    vault.delete(name)
    vault.delete(name)

    with pytest.raises(CredentialFault) as unreadable:
        vault.get(name, version)
    with pytest.raises(CredentialFault) as taken:
        vault.put(name, "new")
    assert [Code.VAULT_REFUSED] * 2 == [unreadable.value.code, taken.value.code]


def test_deleting_what_never_was_is_no_error(vault: MemoryVault | KeyVault, name: str) -> None:
    """A delete that is repeated after a crash finds nothing and says nothing."""
    vault.delete(name)


def test_a_vault_that_answers_is_well(vault: MemoryVault | KeyVault) -> None:
    """The health check needs no secret to be there."""
    vault.check()


def test_a_forbidden_vault_says_who_can_mend_it(microsoft_cloud: LocalCloud, key_vault: KeyVault, name: str) -> None:
    """403 names the missing role and keeps Microsoft's code; waiting does not help."""
    body = {"error": {"code": "Forbidden", "message": "no", "innererror": {"code": "ForbiddenByRbac"}}}
    microsoft_cloud.world.faults.add(Fault("vault", "*", {"kind": "status", "status": 403, "body": body}, times=2))

    with pytest.raises(CredentialFault, match="Key Vault Secrets Officer") as refused:
        key_vault.put(name, "hidden-value")
    with pytest.raises(CredentialFault):
        key_vault.check()

    fault = refused.value
    assert (Code.VAULT_REFUSED, False, "Forbidden") == (fault.code, fault.retryable, fault.microsoft.code)
    assert "hidden-value" not in str(fault)


@pytest.mark.parametrize(
    "effect",
    [{"kind": "status", "status": 503}, {"kind": "status", "status": 429}, {"kind": "reset"}],
    ids=["503", "429", "reset"],
)
def test_a_silent_vault_is_tried_again(
    microsoft_cloud: LocalCloud, key_vault: KeyVault, name: str, effect: dict[str, object]
) -> None:
    """One bad answer is bridged at once; a vault that stays silent makes the work wait."""
    version = key_vault.put(name, "value")
    microsoft_cloud.world.faults.add(Fault("vault", "get", effect))
    assert "value" == key_vault.get(name, version)

    microsoft_cloud.world.faults.add(Fault("vault", "get", effect, times=20))
    with pytest.raises(CredentialFault) as refused:
        key_vault.get(name, version)

    assert (Code.VAULT_UNAVAILABLE, True) == (refused.value.code, refused.value.retryable)


def test_without_an_identity_the_vault_is_unavailable(
    key_vault: KeyVault, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the app's own identity gives no token, the sentence says so."""
    monkeypatch.setenv("IDENTITY_HEADER", "wrong")
    settings = settings_for("unused", "https://mailgrant-local.vault.azure.net")
    stranger = open_vault(settings, ManagedIdentityCredential())

    with pytest.raises(CredentialFault, match="identity") as refused:
        stranger.get(name, "0" * 32)

    assert (Code.VAULT_UNAVAILABLE, True) == (refused.value.code, refused.value.retryable)
