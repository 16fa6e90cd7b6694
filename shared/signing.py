"""The keys that sign what we hand out, all derived from one master key that lives in Key Vault."""

import base64
import hashlib
import hmac
import secrets
import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from shared.connections import Destination
from shared.errors import RowExists
from shared.ports import Insert, Tables, Vault
from shared.times import from_text

Sign = Callable[[str, str, datetime, bytes], Mapping[str, str]]
"""Makes signature headers from secret, event id, time and body."""

SIGNATURE = "webhook-signature"
MASTER_KEY_NAME = "mailgrant-master-key"
PARTITION = "system"
ROW_KEY = "master-key"
_KEY_BYTES = 32


class Signing:
    """Derives keys; the master key is made on first need and kept in memory."""

    def __init__(self, tables: Tables, vault: Vault) -> None:
        self._tables = tables
        self._vault = vault
        self._lock = threading.Lock()
        self._master = b""

    def signing_secret(self, connection_id: str, number: int = 1) -> str:
        """Return a connection's *number*-th signing secret in Standard Webhooks' form. Raises as `Vault.get`."""
        key = self._derived(f"webhook|{connection_id}|{number}")
        return f"whsec_{base64.b64encode(key).decode()}"

    def hook_secret(self, hook_id: str) -> str:
        """Return the secret by which a hook's source signs, in Standard Webhooks' form. Raises as `Vault.get`."""
        return f"whsec_{base64.b64encode(self._derived(f'hook|{hook_id}')).decode()}"

    def link_key(self) -> bytes:
        """Return the key that signs links to stored content. Raises as `Vault.get`."""
        return self._derived("links")

    def _derived(self, purpose: str) -> bytes:
        return hkdf(self._master_key(), purpose, _KEY_BYTES)

    def _master_key(self) -> bytes:
        with self._lock:
            if not self._master:
                self._master = base64.b64decode(self._vault.get(MASTER_KEY_NAME, self._pinned_version()))
            return self._master

    def _pinned_version(self) -> str:
        """Return the version that everyone uses: whoever inserts the row first decides, all others follow."""
        row = self._tables.credentials.get(PARTITION, ROW_KEY)
        if row is None:
            value = base64.b64encode(secrets.token_bytes(_KEY_BYTES)).decode()
            version = self._vault.put(MASTER_KEY_NAME, value)
            try:
                self._tables.credentials.commit(PARTITION, [Insert(ROW_KEY, {"version": version})])
            except RowExists:
                row = self._tables.credentials.get(PARTITION, ROW_KEY)
            else:
                return version
        return str(row.values["version"]) if row is not None else ""


def signing_versions(destination: Destination, now: datetime) -> list[int]:
    """Return the numbers of the secrets that sign at *now*: the newest, and those before it whose time is not over."""
    newest, ends = destination.signing_version, destination.signing_superseded
    older = [newest - back for back, end in enumerate(reversed(ends), 1) if from_text(end) > now]
    return [newest, *(number for number in older if number > 0)]


def signature_headers(sign: Sign, secrets_: Sequence[str], event_id: str, at: datetime, body: bytes) -> dict[str, str]:
    """
    Return the headers of Standard Webhooks with a signature by each of the secrets, separated by spaces.

    The standard has them so that a secret can change while receivers know the old or the new one (its section
    "Signature scheme").
    """
    made = [dict(sign(secret, event_id, at, body)) for secret in secrets_]
    return {**made[0], SIGNATURE: " ".join(headers[SIGNATURE] for headers in made)}


def hkdf(key: bytes, purpose: str, length: int) -> bytes:
    """Return *length* bytes derived from *key* for one *purpose* (RFC 5869 with SHA-256 and no salt)."""
    extracted = hmac.digest(bytes(hashlib.sha256().digest_size), key, "sha256")
    block, derived = b"", b""
    counter = 1
    while len(derived) < length:
        block = hmac.digest(extracted, block + purpose.encode() + bytes([counter]), "sha256")
        derived += block
        counter += 1
    return derived[:length]
