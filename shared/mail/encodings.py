"""How the content of a part is decoded piece by piece (RFC 2045), and how decoding can go on in its middle."""

import binascii
import re
from collections.abc import Callable

BASE64, QUOTED, UUENCODED, PLAIN = "base64", "quoted-printable", "uuencode", ""
_NAMES = {
    "base64": BASE64,
    "quoted-printable": QUOTED,
    "uuencode": UUENCODED,
    "x-uuencode": UUENCODED,
    "uue": UUENCODED,
    "x-uue": UUENCODED,
}
_IDENTITY = frozenset({"", "7bit", "8bit", "binary"})
_ALPHABET = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/="
_NOT_BASE64 = bytes(set(range(256)) - set(_ALPHABET))
_LONGEST_LINE = 1000
_SOFT_BREAK = re.compile(rb"(?<!=)(?:==)*=\r")


def encoding_of(header: str) -> tuple[str, bool]:
    """Return the encoding that a Content-Transfer-Encoding names, and whether it is one we know."""
    name = header.partition(";")[0].strip().lower()
    return _NAMES.get(name, PLAIN), name in _NAMES or name in _IDENTITY


class Decoder:
    """
    Decodes one part in pieces of any length; nothing raises.

    *left* is what the pieces so far have left undecoded: another decoder that begins with it goes on from there.
    *damaged* tells that something could not be decoded.
    """

    def __init__(self, encoding: str, left: bytes = b"", *, resumed: bool = False) -> None:
        self.left = left
        self.damaged = False
        self._ended = False
        self._begun = resumed
        ways: dict[str, Callable[[bytes, bool], bytes]] = {
            BASE64: self._base64,
            QUOTED: self._quoted,
            UUENCODED: self._uuencoded,
        }
        self._decode = ways.get(encoding, self._plain)

    def feed(self, data: bytes) -> bytes:
        """Return what *data* decodes to, so far."""
        return self._decode(data, False)

    def close(self) -> bytes:
        """Return what the rest decodes to."""
        return self._decode(b"", True)

    @staticmethod
    def _plain(data: bytes, _final: bool) -> bytes:
        return data

    def _base64(self, data: bytes, final: bool) -> bytes:
        if self._ended:
            return b""
        kept = self.left + data.translate(None, _NOT_BASE64)
        padding = kept.find(b"=")
        if padding >= 0 or final:
            self._ended = True
            kept = kept[: padding if padding >= 0 else None]
            self.damaged = self.damaged or len(kept) % 4 == 1 or (padding < 0 and len(kept) % 4 != 0)
            whole = kept[: len(kept) - (len(kept) % 4 == 1)]
            self.left = b""
            return binascii.a2b_base64(whole + b"=" * (-len(whole) % 4))
        usable = len(kept) - len(kept) % 4
        self.left = kept[usable:]
        return binascii.a2b_base64(kept[:usable])

    def _quoted(self, data: bytes, final: bool) -> bytes:
        data = self.left + data
        whole, self.left = (len(data), b"") if final else _complete(data)
        return binascii.a2b_qp(data[:whole])

    def _uuencoded(self, data: bytes, final: bool) -> bytes:
        lines = (self.left + data).split(b"\n")
        self.left = b"" if final else lines.pop()[:_LONGEST_LINE]
        return b"".join(self._uu_line(line[:_LONGEST_LINE].strip(b"\r")) for line in lines)

    def _uu_line(self, line: bytes) -> bytes:
        if self._ended or not line.strip():
            return b""
        if not self._begun:
            self._begun = line.startswith(b"begin ")
            return b""
        if line.strip() == b"end":
            self._ended = True
            return b""
        try:
            return binascii.a2b_uu(line)
        except binascii.Error:
            self.damaged = True
            return b""


def _complete(data: bytes) -> tuple[int, bytes]:
    """Return how much of quoted-printable *data* can be decoded by itself, and what to keep in place of the rest."""
    # A soft line break takes all up to the line feed with it; what that is does not matter.
    soft = _SOFT_BREAK.search(data, data.rfind(b"\n") + 1)
    if soft is not None:
        return soft.end() - 2, b"=\r"
    signs = len(data) - (data[-1:] not in (b"=", b"\n", b""))
    if (signs - len(data[:signs].rstrip(b"="))) % 2:  # two signs in a row stand for one
        return signs - 1, data[signs - 1 :]
    return len(data), b""
