"""Certificates as pasted: every form that is taken, and the name of each fault."""

import json
import textwrap
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from shared import certificates
from shared.proofs import AuthMethod, TypedProof, examine_proof
from shared.times import from_text
from tests.fakes import MovableClock
from tests.scenes.certificates import certificate, certificate_pem, key_pem, pfx, rsa_key

NOW = MovableClock()()
KEY, OTHER = rsa_key(), rsa_key()
MADE = certificate(KEY, NOW - timedelta(days=1))
ISSUER = certificate(OTHER, NOW - timedelta(days=1), days=900)
CERTIFICATE, PRIVATE = certificate_pem(MADE), key_pem(KEY)
WORDS = "correct horse"


def faults_of(text: str, passphrase: str = "") -> list[tuple[str, str]]:
    """Return pointer and code of each fault."""
    _, faults = examine_proof(TypedProof(AuthMethod.CERTIFICATE, "", None, text, passphrase), NOW)
    return [(fault.pointer, fault.code) for fault in faults]


@pytest.mark.parametrize(
    ("text", "passphrase"),
    [
        (CERTIFICATE + PRIVATE, ""),
        (PRIVATE + CERTIFICATE, ""),
        (PRIVATE + certificate_pem(ISSUER) + CERTIFICATE, ""),
        ("Bag Attributes\r\n" + (CERTIFICATE + PRIVATE).replace("\n", "\r\n"), ""),
        (CERTIFICATE + key_pem(KEY, WORDS), WORDS),
        (CERTIFICATE + PRIVATE, WORDS),
        (pfx(KEY, MADE), ""),
        (pfx(KEY, MADE, WORDS), WORDS),
        ("\n".join(textwrap.wrap(pfx(KEY, MADE, WORDS), 64)), WORDS),
    ],
)
def test_every_usual_form_is_taken(text: str, passphrase: str) -> None:
    """PEM in any order and with a chain, PFX with and without a passphrase: the vault gets the leaf and a plain key."""
    proof, faults = examine_proof(TypedProof(AuthMethod.CERTIFICATE, "", None, text, passphrase), NOW)

    values = json.loads(proof.value)
    assert ([], {"private_key", "public_certificate"}) == (faults, values.keys())
    assert MADE == x509.load_pem_x509_certificate(values["public_certificate"].encode())
    assert KEY.private_numbers() == load_pem_private_key(values["private_key"].encode(), None).private_numbers()  # type: ignore[union-attr]
    assert MADE.not_valid_after_utc == from_text(proof.expires_at or "")


ELLIPTIC = ec.generate_private_key(ec.SECP256R1())
SMALL = rsa_key(1024)


@pytest.mark.parametrize(
    ("text", "passphrase", "pointer", "code"),
    [
        ("", "", "/certificate", "not_a_certificate"),
        ("nonsense", "", "/certificate", "not_a_certificate"),
        ("MIIB", "", "/certificate_passphrase", "passphrase_missing"),
        (CERTIFICATE, "", "/certificate", "no_private_key"),
        (PRIVATE, "", "/certificate", "not_a_certificate"),
        (CERTIFICATE + PRIVATE.replace("MII", "xII"), "", "/certificate", "no_private_key"),
        (CERTIFICATE + key_pem(KEY, WORDS), "", "/certificate_passphrase", "passphrase_missing"),
        (CERTIFICATE + key_pem(KEY, WORDS), "wrong", "/certificate_passphrase", "passphrase_wrong"),
        (pfx(KEY, MADE, WORDS), "wrong", "/certificate_passphrase", "passphrase_wrong"),
        (pfx(KEY, MADE, WORDS), "", "/certificate_passphrase", "passphrase_missing"),
        (CERTIFICATE + key_pem(OTHER), "", "/certificate", "key_does_not_match"),
        (certificate_pem(certificate(ELLIPTIC, NOW)) + key_pem(ELLIPTIC), "", "/certificate", "not_rsa"),
        (certificate_pem(certificate(SMALL, NOW)) + key_pem(SMALL), "", "/certificate", "key_too_small"),
        (pfx(KEY, certificate(KEY, NOW - timedelta(days=9), days=8)), "", "/certificate", "in_the_past"),
        (pfx(KEY, certificate(KEY, NOW + timedelta(days=9))), "", "/certificate", "not_valid_yet"),
    ],
)
def test_every_fault_has_its_name(text: str, passphrase: str, pointer: str, code: str) -> None:
    """What cannot be used is told by the field and a code of its own."""
    assert [(pointer, code)] == faults_of(text, passphrase)


def test_what_belongs_to_another_method_is_refused() -> None:
    """Nobody should believe that a secret typed in beside a certificate is in use."""
    typed = TypedProof(
        AuthMethod.CERTIFICATE, "some-secret~value", "2030-01-01T00:00:00Z", CERTIFICATE + PRIVATE, "", "x"
    )
    _, faults = examine_proof(typed, NOW)

    assert ["/client_secret", "/secret_expires_at", "/managed_identity_client_id"] == [f.pointer for f in faults]


def test_neither_key_nor_passphrase_shows_in_a_text() -> None:
    """What might be logged holds nothing secret."""
    typed = TypedProof(AuthMethod.CERTIFICATE, "", None, CERTIFICATE + PRIVATE, WORDS)
    proof, _ = examine_proof(typed, NOW)

    shown = repr(typed) + repr(proof)
    assert "PRIVATE" not in shown
    assert WORDS not in shown


@pytest.mark.timeout(5)
def test_keys_that_begin_and_never_end_take_no_time() -> None:
    """Each beginning was searched for an end through all that follows, which took the square of the text's length."""
    assert [("/certificate", "no_private_key")] == faults_of("-----BEGIN PRIVATE KEY-----\n" * 40_000)


@pytest.mark.parametrize(
    ("text", "rounds"),
    [(pfx(KEY, MADE, WORDS), 20_000), (CERTIFICATE + key_pem(KEY, WORDS), 2048)],
    ids=["pfx", "pem"],
)
def test_a_file_that_would_be_hashed_for_minutes_is_refused(
    text: str, rounds: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its count is read before its passphrase is tried: 2,147,483,647 rounds would hold a thread for half an hour."""
    assert [] == faults_of(text, WORDS)
    monkeypatch.setattr(certificates, "MOST_ROUNDS", rounds - 1)

    assert [("/certificate", "too_many_iterations")] == faults_of(text, WORDS)
