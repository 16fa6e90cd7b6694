"""Ids, hashes and checksummed tokens: how a name is made, and how it is refused before any storage call."""

import hashlib
import hmac
import secrets
import time
import zlib
from dataclasses import dataclass

_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
ULID_LENGTH = 26
BOX_LENGTH = 16
HASH_LENGTH = 32
_SECRET_LENGTH = 43
_CHECKSUM_LENGTH = 6


def new_ulid(milliseconds: int | None = None) -> str:
    """Return a ULID: 48 bits of time, 80 of chance, sortable by creation."""
    stamp = time.time_ns() // 1_000_000 if milliseconds is None else milliseconds
    number = (stamp << 80) | secrets.randbits(80)
    return "".join(_CROCKFORD[(number >> shift) & 31] for shift in range(125, -1, -5))


def is_ulid(text: str) -> bool:
    """Tell whether *text* has the form of a ULID."""
    return len(text) == ULID_LENGTH and all(character in _CROCKFORD for character in text)


def short_hash(text: str, length: int = HASH_LENGTH) -> str:
    """Return the first *length* hexadecimal digits of SHA-256."""
    return hashlib.sha256(text.encode()).hexdigest()[:length]


def box_hash(client_id: str, tenant: str, mailbox: str) -> str:
    """Return the hash of one app's view of one mailbox (object id); its first digit is the shard."""
    return short_hash(f"{client_id.lower()}|{tenant.lower()}|{mailbox.lower()}", BOX_LENGTH)


def app_hash(client_id: str) -> str:
    """Return the hash that all mailboxes of an app share where they take turns with one another."""
    return box_hash(client_id, "*", "*")


def shard_of(box_or_id: str) -> str:
    """Return the partition of a box hash or of a connection id."""
    return box_of(box_or_id)[0]


def box_of(identifier: str) -> str:
    """Return the box hash that a connection id, or the box hash itself, begins with."""
    return identifier.removeprefix("conn_")[:BOX_LENGTH]


def new_connection_id(box: str) -> str:
    """Return a connection id that finds its partition by itself."""
    return f"conn_{box}{new_ulid()}"


def is_connection_id(text: str) -> bool:
    """Tell whether *text* has the form of a connection id."""
    tail = text.removeprefix("conn_")
    box, ulid = tail[:BOX_LENGTH], tail[BOX_LENGTH:]
    return text.startswith("conn_") and _is_hex(box, BOX_LENGTH) and is_ulid(ulid)


def receipt_id(connection_id: str, immutable_id: str) -> str:
    """Return the id of a fetched message: the same message gives the same id, always."""
    return f"rcv_{connection_id.removeprefix('conn_')}.{short_hash(immutable_id)}"


def split_receipt_id(text: str) -> tuple[str, str] | None:
    """Return the connection id and message hash of a receipt id, or None where it has not that form."""
    connection_tail, _, message_hash = text.removeprefix("rcv_").partition(".")
    connection_id = f"conn_{connection_tail}"
    if not text.startswith("rcv_") or not is_connection_id(connection_id) or not _is_hex(message_hash, HASH_LENGTH):
        return None
    return connection_id, message_hash


def new_entry_id(connection_id: str, milliseconds: int | None = None) -> str:
    """Return the id of an outbox entry made at *milliseconds*; it names its connection, so it finds its partition."""
    return f"msg_{connection_id.removeprefix('conn_')}.{new_ulid(milliseconds)}"


def split_entry_id(text: str) -> tuple[str, str] | None:
    """Return the connection id and ULID of an entry id, or None where it has not that form."""
    connection_tail, _, ulid = text.removeprefix("msg_").partition(".")
    connection_id = f"conn_{connection_tail}"
    if not text.startswith("msg_") or not is_connection_id(connection_id) or not is_ulid(ulid):
        return None
    return connection_id, ulid


def grant_id(credential_id: str, tenant: str) -> str:
    """Return the id of what *tenant* gave the credential."""
    return f"grant_{credential_id.removeprefix('cred_')}.{tenant.lower()}"


def split_grant_id(text: str) -> tuple[str, str] | None:
    """Return the credential id and tenant of a grant id, or None where it has not that form."""
    ulid, _, tenant = text.removeprefix("grant_").partition(".")
    if not text.startswith("grant_") or not is_ulid(ulid) or not is_guid(tenant):
        return None
    return f"cred_{ulid}", tenant


def is_guid(text: str) -> bool:
    """Tell whether *text* is a GUID in its usual 8-4-4-4-12 form."""
    parts = text.split("-")
    return [len(part) for part in parts] == [8, 4, 4, 4, 12] and all(_is_hex(p.lower(), len(p)) for p in parts)


@dataclass(frozen=True, slots=True)
class Token:
    """A parsed token; only the SHA-256 of *secret* is ever stored."""

    kind: str
    id: str
    secret: str

    @property
    def secret_hash(self) -> str:
        """Return what storage keeps of the secret."""
        return hashlib.sha256(self.secret.encode()).hexdigest()

    def __str__(self) -> str:
        """Return the wire form, ``mg_<kind>_<id>_<secret>_<checksum>``."""
        body = f"mg_{self.kind}_{self.id}_{self.secret}"
        return f"{body}_{_checksum(body)}"


def new_token(kind: str, identifier: str) -> Token:
    """Return a fresh token with 256 bits of chance."""
    return Token(kind, identifier, _base62(secrets.randbits(256), _SECRET_LENGTH))


def derived_token(kind: str, identifier: str, key: str) -> Token:
    """Return the one token that whoever holds *key* can make again; without *key* it cannot be guessed."""
    digest = hmac.digest(key.encode(), f"{kind}|{identifier}".encode(), "sha256")
    return Token(kind, identifier, _base62(int.from_bytes(digest, "big"), _SECRET_LENGTH))


def parse_token(text: str, kind: str) -> Token | None:
    """Return the token that *text* is, or None where form, *kind* or checksum are wrong; needs no storage."""
    body, _, checksum = text.rpartition("_")
    parts = body.split("_")
    if len(parts) != 4 or parts[:2] != ["mg", kind] or not _is_word(parts[2]):
        return None
    if len(parts[3]) != _SECRET_LENGTH or not all(c in _BASE62 for c in parts[3]) or checksum != _checksum(body):
        return None
    return Token(kind, parts[2], parts[3])


def hook_secret_name(hook_id: str) -> str:
    """Return the name under which Key Vault holds the secret of a hook's source."""
    return f"hook-{hook_id.lower()}"


def same_hash(left: str, right: str) -> bool:
    """Compare two hashes in constant time."""
    return secrets.compare_digest(left.encode(), right.encode())


def _checksum(body: str) -> str:
    return _base62(zlib.crc32(body.encode()), _CHECKSUM_LENGTH)


def _base62(number: int, length: int) -> str:
    digits = []
    for _ in range(length):
        number, digit = divmod(number, 62)
        digits.append(_BASE62[digit])
    return "".join(reversed(digits))


def _is_hex(text: str, length: int) -> bool:
    return len(text) == length and all(character in "0123456789abcdef" for character in text)


def _is_word(text: str) -> bool:
    return 0 < len(text) <= 64 and all(c.isascii() and (c.isalnum() or c in "-.") for c in text)
