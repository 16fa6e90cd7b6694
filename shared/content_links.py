"""Signed links to stored mail: what one names, until when it holds, and how a forged one is refused."""

import hashlib
import hmac
from dataclasses import dataclass
from datetime import datetime, timedelta

from shared.identifiers import same_hash, split_receipt_id

RAW = "raw"
PAGE = "page"
VALID_DAYS = 7
_MAC_LENGTH = 43
_MAX_ATTACHMENT = 9999


@dataclass(frozen=True, slots=True)
class ContentLink:
    """One object of one receipt (*part*: ``raw``, ``page`` or an attachment's number), until *expires* (Unix time)."""

    receipt_id: str
    part: str
    expires: int


def expiry_of(stored_at: datetime) -> int:
    """
    Return when the links of a mail end: seven days after the end of the day on which it was stored.

    It depends on the mail alone, so that an event has the same bytes at every attempt.
    """
    midnight = stored_at.replace(hour=0, minute=0, second=0, microsecond=0)
    return int((midnight + timedelta(days=1 + VALID_DAYS)).timestamp())


def make_link(key: bytes, link: ContentLink) -> str:
    """Return the token of a link."""
    body = f"{link.receipt_id}.{link.part}.{link.expires:x}"
    return f"{body}.{_mac(key, body)}"


def well_formed(token: str) -> bool:
    """Tell whether *token* has the form of a link's; needs neither key nor storage."""
    return _split(token) is not None


def read_link(key: bytes, token: str) -> ContentLink | None:
    """Return what a token names, expired or not, or None where it is malformed or forged."""
    link = _split(token)
    body, _, mac = token.rpartition(".")
    return link if link is not None and same_hash(mac, _mac(key, body)) else None


def _split(token: str) -> ContentLink | None:
    if len(token) > 300 or not token.isascii():
        return None
    parts = token.rsplit(".", 3)
    if len(parts) != 4 or split_receipt_id(parts[0]) is None or len(parts[3]) != _MAC_LENGTH:
        return None
    numbered = parts[1].isdigit() and len(parts[1]) <= 4 and int(parts[1]) <= _MAX_ATTACHMENT
    if not numbered and parts[1] not in (RAW, PAGE):
        return None
    if not 1 <= len(parts[2]) <= 12 or any(character not in "0123456789abcdef" for character in parts[2]):
        return None
    return ContentLink(parts[0], parts[1], int(parts[2], 16))


def _mac(key: bytes, body: str) -> str:
    return hmac.new(key, b"content-link|" + body.encode(), hashlib.sha256).hexdigest()[:_MAC_LENGTH]
