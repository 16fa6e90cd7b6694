"""
Header lines, written so that no value can become another header.

The standard library refolds address headers in ways that have lost quotes before, so that a name could become an
address; these few lines are written by hand instead. Sources: RFC 5322 §2.2.3 and §3.4, RFC 2047 §2 and §5, RFC 6532.
"""

import base64
import re
from collections.abc import Iterable

from shared.compose.message import Address

_FOLD = "\r\n "
_WORD_BYTES = 36  # 48 characters in base64, so that a line with a usual header name stays under 76
_LINE = 76
_UNSAFE = re.compile(r"[\x00-\x1f\x7f\u0085\u2028\u2029]")


def header(name: str, value: str) -> str:
    """Return a whole header line; raises ValueError where *value* would break out of it."""
    for line in value.split(_FOLD):
        if _UNSAFE.search(line):
            raise ValueError(f"{name} would break out of its header")
    return f"{name}: {value}\r\n"


def unstructured(text: str, name_length: int = 20) -> str:
    """Return *text* for a header such as Subject: as it stands where it is short ASCII, else as encoded words."""
    plain = text.isascii() and text == text.strip() and "=?" not in text and text.isprintable()
    return text if plain and len(text) + name_length + 2 <= _LINE else encoded_words(text)


def encoded_words(text: str) -> str:
    """Return *text* as RFC 2047 encoded words, one a line, no character torn apart."""
    words, chunk = [], b""
    for character in text:
        encoded = character.encode()
        if len(chunk) + len(encoded) > _WORD_BYTES:
            words.append(chunk)
            chunk = b""
        chunk += encoded
    words.append(chunk)
    return _FOLD.join(f"=?utf-8?B?{base64.b64encode(word).decode()}?=" for word in words if word)


def mailbox(person: Address) -> str:
    """Return a name and address; the name is always quoted or encoded, so that it can never be read as an address."""
    if not person.name:
        return person.address
    quotable = person.name.isascii() and "=?" not in person.name and len(person.name) <= 50
    if quotable and person.name.isprintable():
        escaped = person.name.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}" <{person.address}>'
    return f"{encoded_words(person.name)}{_FOLD}<{person.address}>"


def mailboxes(people: Iterable[Address]) -> str:
    """Return a list of names and addresses, one a line."""
    return f",{_FOLD}".join(mailbox(person) for person in people)


def identifiers(message_ids: Iterable[str]) -> str:
    """Return Message-IDs, one a line."""
    return _FOLD.join(message_ids)
