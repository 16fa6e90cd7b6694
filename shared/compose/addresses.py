"""What is a mail address, a Message-ID or a header name that may go into a mail; everything else is refused."""

import re
import unicodedata

import idna

MAX_ADDRESS = 254
MAX_LOCAL = 64
_ATOM = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~\u0080-\U0010ffff-]+")
_MESSAGE_ID = re.compile(r"<?([!-;=?A-~]{1,200}@[!-;=?A-~]{1,200})>?")
_HEADER_NAME = re.compile(r"X-[A-Za-z0-9][A-Za-z0-9-]{0,62}", re.IGNORECASE)
_OURS = "x-mailgrant-"


def address(text: str) -> str:
    """
    Return the address in one form: local part as it stands (NFC), domain in ASCII (IDNA 2008, UTS 46).

    Raises ValueError with a sentence that says what is wrong.
    """
    local, at, domain = text.strip().rpartition("@")
    if not at or not local:
        raise ValueError("is not a mail address: it has no @")
    if "<" in text or ">" in text or ("," in local and '"' not in local):
        raise ValueError('give one plain address, and a name as {"address": …, "name": …}')
    local = unicodedata.normalize("NFC", local)
    if not all(_ATOM.fullmatch(part) for part in local.split(".")) or not local.isprintable():
        raise ValueError("is not a mail address: the part before @ has characters that are not allowed")
    if "=?" in local:  # atoms, but some readers decode them as an encoded word, whatever that holds
        raise ValueError("is not a mail address: the part before @ looks like an encoded word")
    whole = f"{local}@{_ascii_domain(domain)}"
    if len(local.encode()) > MAX_LOCAL or len(whole.encode()) > MAX_ADDRESS:
        raise ValueError("is longer than a mail address may be (64 before the @, 254 in all)")
    return whole


def is_ascii(mail_address: str) -> bool:
    """Tell whether *mail_address* needs no internationalised mail (RFC 6532)."""
    return mail_address.isascii()


def message_id(text: str) -> str:
    """Return a Message-ID in angle brackets; raises ValueError where it is none."""
    match = _MESSAGE_ID.fullmatch(text.strip())
    if match is None:
        raise ValueError("is not a Message-ID such as <abc@example.com>")
    return f"<{match[1]}>"


def header_name(text: str) -> str:
    """Return the name of a header that a caller may set; raises ValueError else."""
    if not _HEADER_NAME.fullmatch(text):
        raise ValueError("only headers whose names begin with X- may be set (letters, digits and hyphens)")
    if text.lower().startswith(_OURS):
        raise ValueError("headers that begin with X-Mailgrant- are ours")
    return text


def one_line(text: str) -> str:
    """Return *text* unless it holds line breaks or control characters; raises ValueError then."""
    if any(unicodedata.category(character) in ("Cc", "Zl", "Zp", "Cs") for character in text):
        raise ValueError("may not hold line breaks or control characters")
    return text


def _ascii_domain(domain: str) -> str:
    try:
        encoded = idna.encode(domain, uts46=True, std3_rules=True).decode()
    except (idna.IDNAError, UnicodeError):
        raise ValueError("is not a mail address: the part after @ is no domain") from None
    labels = encoded.split(".")
    if len(labels) < 2 or labels[-1].isdigit() or encoded.endswith("."):
        raise ValueError("is not a mail address: the part after @ is no domain")
    return encoded
