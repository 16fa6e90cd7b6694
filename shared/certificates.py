"""A certificate with its key as an administrator pastes it: what is wrong with it, or what the app signs with."""

import base64
import binascii
import re
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
    try:
        store = pkcs12.load_pkcs12(data, passphrase)
    except (ValueError, TypeError):
        message = "the passphrase does not open the PFX file, or the file is none"
        raise _Bad("passphrase_wrong" if passphrase else "passphrase_missing", message, _PASSPHRASE) from None
    held = [store.cert, *store.additional_certs]
    return store.key, [entry.certificate for entry in held if entry is not None]


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
