"""A part of a mail while its bytes stream by, and what is known of it once its end was seen."""

import hashlib
from dataclasses import dataclass, field
from email.message import Message

from shared.mail.encodings import Decoder
from shared.mail.parsed import Checkpoint

CHECKPOINT_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Leaf:
    """
    A part without parts, or a message within the message.

    *start* and *end* enclose its encoded bytes; *size* and *sha256* are those of the decoded ones. *text* is the
    beginning of a body's decoded bytes (*cut* where it goes on), None for what is no body.
    """

    message: Message
    kind: str
    encoding: str
    start: int
    end: int
    size: int
    sha256: str
    checkpoints: tuple[Checkpoint, ...]
    text: bytes | None
    cut: bool


@dataclass
class OpenPart:
    """A part whose end has not been seen; of a multipart, *boundary* separates its parts."""

    message: Message
    kind: str
    depth: int
    start: int
    encoding: str
    decoder: Decoder
    text: bytearray | None
    boundary: bytes = b""
    children: int = 0
    ended: bool = False
    size: int = 0
    cut: bool = False
    digest: "hashlib._Hash" = field(default_factory=hashlib.sha256)
    checkpoints: list[Checkpoint] = field(default_factory=list)

    @property
    def holds(self) -> bool:
        """Whether the bytes that come now are its content: those before a multipart's first part may be all it has."""
        return not self.children and not self.ended

    def take(self, decoded: bytes, end: int, room: dict[str, int]) -> None:
        """Take decoded content, up to the byte *end* of the mail; a body keeps what *room* has left for its kind."""
        self.digest.update(decoded)
        self.size += len(decoded)
        if self.text is not None:
            left = room[self.kind]
            self.text += decoded[:left]
            self.cut = self.cut or len(decoded) > left
            room[self.kind] = left - min(left, len(decoded))
        last = self.checkpoints[-1].decoded if self.checkpoints else 0
        if self.size - last >= CHECKPOINT_BYTES:
            self.checkpoints.append(Checkpoint(self.size, end, self.decoder.left.decode("latin-1")))

    def leaf(self, end: int) -> Leaf:
        """Return what is known of it, which ends at the byte *end* of the mail."""
        return Leaf(
            self.message,
            self.kind,
            self.encoding,
            self.start,
            end,
            self.size,
            self.digest.hexdigest(),
            tuple(self.checkpoints),
            None if self.text is None else bytes(self.text),
            self.cut,
        )
