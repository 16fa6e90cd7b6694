"""The parsed view of a mail: what its MIME says, as plain values. `parsing` makes it."""

from dataclasses import dataclass
from enum import StrEnum


class Parsed(StrEnum):
    """How much of a mail could be read."""

    OK = "ok"
    PARTIAL = "partial"
    UNPARSABLE = "unparsable"


class Automatic(StrEnum):
    """Whether a machine wrote the mail (RFC 3834, RFC 3464 and older habits); ``own`` is mail that Mailgrant sent."""

    NONE = "none"
    AUTO_REPLY = "auto_reply"
    AUTO_GENERATED = "auto_generated"
    BOUNCE = "bounce"
    OWN = "own"


@dataclass(frozen=True, slots=True)
class Address:
    """An address and the name beside it; either may be empty where the mail says nothing usable."""

    name: str
    address: str


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Where decoding may begin: *decoded* bytes come before the byte *raw* of the mail; *left* is still undecoded."""

    decoded: int
    raw: int
    left: str = ""


@dataclass(frozen=True, slots=True)
class Attachment:
    """
    A part that is no body: its *size* and *sha256* are those of its decoded bytes, or of what could be decoded.

    The encoded bytes stand in the mail from *start* up to *end*; `parts` reads them.
    """

    name: str
    content_type: str
    size: int
    sha256: str
    content_id: str
    inline: bool
    start: int = 0
    end: int = 0
    encoding: str = ""
    checkpoints: tuple[Checkpoint, ...] = ()


@dataclass(frozen=True, slots=True)
class Mail:
    """What was read of a mail; *date* is RFC 3339 or '', *problems* says why it is not all."""

    parsed: Parsed = Parsed.OK
    problems: tuple[str, ...] = ()
    subject: str = ""
    sender: tuple[Address, ...] = ()
    to: tuple[Address, ...] = ()
    cc: tuple[Address, ...] = ()
    reply_to: tuple[Address, ...] = ()
    date: str = ""
    message_id: str = ""
    in_reply_to: str = ""
    references: tuple[str, ...] = ()
    headers: tuple[tuple[str, str], ...] = ()
    text: str = ""
    html: str = ""
    calendar: str = ""
    automatic: Automatic = Automatic.NONE
    attachments: tuple[Attachment, ...] = ()

    @property
    def reason(self) -> str:
        """The problems as one line, '' where there are none."""
        return ", ".join(self.problems)
