"""A certificate with its key as an administrator pastes it: what is wrong with it, or what the app signs with."""

import base64
import binascii
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
    pkcs12,
)

from shared.errors import FieldFault

SMALLEST_KEY_BITS = 2048
MOST_ROUNDS = 5_000_000
"""How often a passphrase may be hashed to open a file: a second or two, and fifty times what exporters do."""
_MOST_DEPTH = 16
_INTEGER, _OCTETS, _CONSTRUCTED = 0x02, 0x04, 0x20
_POINTER = "/certificate"
_PASSPHRASE = "/certificate_passphrase"  # noqa: S105 - a JSON pointer
_KEY_BEGINS = re.compile(r"-----BEGIN ([A-Z ]{0,40})PRIVATE KEY-----")


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate and its unencrypted key, both PEM; *expires_at* is its last moment."""

    private_key: str = field(repr=False)
    public_certificate: str
    expires_at: datetime


class _Bad(Exception):
    """The file cannot be used; *fault* says why."""

    def __init__(self, code: str, message: str, pointer: str = _POINTER) -> None:
        super().__init__(message)
        self.fault = FieldFault(pointer, code, message)


def read_certificate(text: str, passphrase: str, now: datetime) -> tuple[Certificate | None, list[FieldFault]]:
    """Return the certificate in *text* (PEM with its key, or a PFX file in base64), or what is wrong with it."""
    secret = passphrase.encode() or None
    try:
        key, certificates = _from_pem(text, secret) if "-----BEGIN" in text else _from_pfx(text, secret)
        return _examined(key, certificates, now), []
    except _Bad as bad:
        return None, [bad.fault]


def _from_pem(text: str, passphrase: bytes | None) -> tuple[object, list[x509.Certificate]]:
    key = _key_block(text)
    if not key:
        raise _Bad("no_private_key", "the private key is missing: paste the certificate and its key, one after another")
    encrypted = "ENCRYPTED" in key
    if encrypted and passphrase is None:
        raise _Bad("passphrase_missing", "the private key is encrypted: give certificate_passphrase too", _PASSPHRASE)
    if encrypted:
        _check_rounds(_content(key))
    try:
        certificates = x509.load_pem_x509_certificates(text.encode())
    except ValueError:
        raise _Bad("not_a_certificate", "there is no certificate that can be read in the PEM text") from None
    try:
        return load_pem_private_key(key.encode(), passphrase if encrypted else None), certificates
    except (ValueError, TypeError):
        if encrypted:
            raise _Bad("passphrase_wrong", "the passphrase does not open the private key", _PASSPHRASE) from None
        raise _Bad("no_private_key", "the private key cannot be read") from None


def _key_block(text: str) -> str:
    """Return the first private key of *text* with the lines around it, '' where there is none."""
    begin = _KEY_BEGINS.search(text)
    end = f"-----END {begin[1]}PRIVATE KEY-----" if begin else ""
    stop = text.find(end, begin.end()) if begin else -1
    return text[begin.start() : stop + len(end)] if begin and stop >= 0 else ""


def _from_pfx(text: str, passphrase: bytes | None) -> tuple[object, list[x509.Certificate]]:
    try:
        data = base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        data = b""
    if data[:1] != b"\x30":  # DER begins so
        raise _Bad("not_a_certificate", "give PEM text with certificate and key, or a PFX file in base64")
    _check_rounds(data)
    try:
        store = pkcs12.load_pkcs12(data, passphrase)
    except (ValueError, TypeError):
        message = "the passphrase does not open the PFX file, or the file is none"
        raise _Bad("passphrase_wrong" if passphrase else "passphrase_missing", message, _PASSPHRASE) from None
    held = [store.cert, *store.additional_certs]
    return store.key, [entry.certificate for entry in held if entry is not None]


def _content(block: str) -> bytes:
    """Return the bytes of a PEM block, b'' where they are none."""
    try:
        return base64.b64decode("".join(block.split("-----")[2].split()), validate=True)
    except (binascii.Error, ValueError, IndexError):
        return b""


def _check_rounds(data: bytes) -> None:
    """
    Refuse a file whose key derivation would take minutes: nothing ends it once it has begun.

    PKCS #12 (RFC 7292, MacData and pkcs-12PbeParams) and PBES2 (RFC 8018, PBKDF2-params) both have the count right
    after the salt. A key that is encrypted within encrypted contents cannot be seen here.
    """
    if any(rounds > MOST_ROUNDS for rounds in _after_octets(data, 0)):
        message = f"the file hashes its passphrase more than {MOST_ROUNDS:,} times: export it with fewer iterations"
        raise _Bad("too_many_iterations", message)


def _after_octets(data: bytes, depth: int) -> Iterator[int]:
    """Yield each integer of DER that comes right after an octet string; what is no DER holds none."""
    at, before = 0, 0
    while at + 2 <= len(data):
        tag, size, at = data[at], data[at + 1], at + 2
        if size > 0x80:
            count = size & 0x7F
            size, at = int.from_bytes(data[at : at + count], "big"), at + count
        elif size == 0x80:  # until its end is told: the rest holds it
            size = len(data) - at
        inner = data[at : at + size]
        if tag == _INTEGER and before == _OCTETS:
            yield int.from_bytes(inner, "big")
        elif depth < _MOST_DEPTH and (tag & _CONSTRUCTED or tag == _OCTETS):
            yield from _after_octets(inner, depth + 1)
        at, before = at + size, tag


def _examined(key: object, certificates: list[x509.Certificate], now: datetime) -> Certificate:
    if key is None:
        raise _Bad("no_private_key", "the file holds no private key: export the certificate together with its key")
    if not isinstance(key, RSAPrivateKey):
        raise _Bad("not_rsa", "the key is not RSA: Microsoft takes RSA certificates only")
    if key.key_size < SMALLEST_KEY_BITS:
        raise _Bad("key_too_small", f"the key has {key.key_size} bits: at least {SMALLEST_KEY_BITS} are needed")
    numbers = key.public_key().public_numbers()
    leaf = next((found for found in certificates if _numbers(found) == numbers), None)
    if leaf is None:
        raise _Bad("key_does_not_match", "the private key is not that of the certificate")
    if leaf.not_valid_after_utc <= now:
        raise _Bad("in_the_past", "the certificate has expired: make a new one and upload it to the registration too")
    if leaf.not_valid_before_utc > now:
        raise _Bad("not_valid_yet", "the certificate is not valid yet")
    private_key = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    return Certificate(private_key, leaf.public_bytes(Encoding.PEM).decode(), leaf.not_valid_after_utc)


def _numbers(certificate: x509.Certificate) -> object:
    key = certificate.public_key()
    return key.public_numbers() if hasattr(key, "public_numbers") else None
