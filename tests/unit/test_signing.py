"""The keys that everything handed out is signed with: stable, different by purpose, from one pinned master key."""

import base64

import pytest

from shared.codes import Code
from shared.errors import CredentialFault
from shared.signing import MASTER_KEY_NAME, Signing, hkdf
from tests.fakes import MemoryTables, MemoryVault, MovableClock


@pytest.fixture
def tables() -> MemoryTables:
    """Return empty tables."""
    return MemoryTables(MovableClock())


def test_every_process_derives_the_same_keys(tables: MemoryTables) -> None:
    """The master key is made once, pinned, and found again."""
    vault = MemoryVault()
    first = Signing(tables, vault)

    assert first.signing_secret("conn_a") == Signing(tables, vault).signing_secret("conn_a")
    assert first.link_key() == Signing(tables, vault).link_key()
    assert 1 == len(vault.secrets[MASTER_KEY_NAME])


def test_a_later_version_in_the_vault_changes_nothing(tables: MemoryTables) -> None:
    """The pinned version counts, not the latest: signatures stay valid."""
    vault = MemoryVault()
    secret = Signing(tables, vault).signing_secret("conn_a")
    vault.put(MASTER_KEY_NAME, base64.b64encode(b"x" * 32).decode())

    assert secret == Signing(tables, vault).signing_secret("conn_a")


def test_of_two_first_uses_the_first_row_counts(tables: MemoryTables) -> None:
    """Two processes that start at once end with one key."""
    vault = MemoryVault()
    keys: list[bytes] = []

    def other(method: str) -> None:
        if method == "commit" and not keys:
            keys.append(Signing(tables, vault).link_key())

    tables.credentials.failures.before = other

    assert [Signing(tables, vault).link_key()] == keys


def test_each_purpose_has_its_own_key(tables: MemoryTables) -> None:
    """Connections, versions of a secret, and links never share a key; secrets have the form of Standard Webhooks."""
    signing = Signing(tables, MemoryVault())
    secrets = [signing.signing_secret("conn_a"), signing.signing_secret("conn_b"), signing.signing_secret("conn_a", 2)]

    assert 3 == len(set(secrets))
    assert [32] * 3 == [len(base64.b64decode(secret.removeprefix("whsec_"))) for secret in secrets]
    assert signing.link_key() not in [base64.b64decode(secret.removeprefix("whsec_")) for secret in secrets]


def test_a_vault_that_does_not_answer_is_asked_again(tables: MemoryTables) -> None:
    """A failure is passed on and not remembered."""
    vault = MemoryVault()
    vault.failures.plan("get", CredentialFault("No answer.", Code.VAULT_UNAVAILABLE, retryable=True))
    signing = Signing(tables, vault)

    with pytest.raises(CredentialFault):
        signing.link_key()
    assert 32 == len(signing.link_key())


def test_derivation_is_that_of_rfc_5869() -> None:
    """Test case 3 of RFC 5869 (no salt, no info), and more than one block."""
    key = bytes.fromhex("0b" * 22)
    wanted = "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8"

    assert wanted == hkdf(key, "", 42).hex()
