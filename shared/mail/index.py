"""The parsed view of a large mail as bytes, so that it is taken apart once and not at every reading."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from shared.mail.parsed import Address, Attachment, Automatic, Checkpoint, Mail, Parsed

VERSION = 1
_ADDRESSES = ("sender", "to", "cc", "reply_to")


def to_index(mail: Mail) -> bytes:
    """Return *mail* as bytes."""
    return json.dumps({"version": VERSION, "mail": asdict(mail)}, separators=(",", ":")).encode()


def from_index(content: bytes) -> Mail | None:
    """Return the mail of an index, None where it is of another version or damaged: it is made anew then."""
    try:
        found = json.loads(content)
        return _mail(found["mail"]) if found["version"] == VERSION else None
    except (ValueError, TypeError, KeyError):
        return None


def _mail(values: Mapping[str, Any]) -> Mail:
    plain = {
        **values,
        "parsed": Parsed(values["parsed"]),
        "automatic": Automatic(values["automatic"]),
        "problems": tuple(values["problems"]),
        "references": tuple(values["references"]),
        "headers": tuple((name, value) for name, value in values["headers"]),
        "attachments": tuple(_attachment(item) for item in values["attachments"]),
    }
    return Mail(**plain | {name: tuple(Address(**item) for item in values[name]) for name in _ADDRESSES})


def _attachment(values: Mapping[str, Any]) -> Attachment:
    return Attachment(**{**values, "checkpoints": tuple(Checkpoint(**item) for item in values["checkpoints"])})
