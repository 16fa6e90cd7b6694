"""Certificates as an administrator makes them, in every form in which they are pasted."""

import base64
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    pkcs12,
)
from cryptography.x509.oid import NameOID

Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


def rsa_key(bits: int = 2048) -> rsa.RSAPrivateKey:
    """Return a new key."""
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


def certificate(key: Key, begins: datetime, days: float = 90) -> x509.Certificate:
    """Return a self-signed certificate of *key*."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "mailgrant")])
    serial, ends = x509.random_serial_number(), begins + timedelta(days=days)
    return x509.CertificateBuilder(name, name, key.public_key(), serial, begins, ends).sign(key, hashes.SHA256())


def certificate_pem(found: x509.Certificate) -> str:
    """Return the PEM text."""
    return found.public_bytes(Encoding.PEM).decode()


def key_pem(key: Key, passphrase: str = "") -> str:
    """Return the key's PEM text."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, _encryption(passphrase)).decode()


def pfx(key: Key, found: x509.Certificate, passphrase: str = "") -> str:
    """Return a PFX file in base64."""
    data = pkcs12.serialize_key_and_certificates(b"mailgrant", key, found, None, _encryption(passphrase))
    return base64.b64encode(data).decode()


def _encryption(passphrase: str) -> KeySerializationEncryption:
    return BestAvailableEncryption(passphrase.encode()) if passphrase else NoEncryption()
