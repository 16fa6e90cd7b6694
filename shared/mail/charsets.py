"""The charsets that a mail may name: text encodings whose decoding takes time linear in the text."""

from email.message import Message
from encodings import normalize_encoding
from encodings.aliases import aliases

# Names that Python knows beside those of its table of aliases.
_MORE = frozenset({"cp720", "cp737", "cp856", "cp874", "cp875", "cp1006", "iso8859_1", "koi8_t", "koi8_u", "utf_8_sig"})
# No charsets of text, or nothing that another machine has.
_NONE = frozenset(
    {"base64_codec", "bz2_codec", "hex_codec", "mbcs", "quopri_codec", "rot_13", "uu_codec", "zlib_codec"}
)
_LONGEST = 40


def codec_of(charset: str) -> str | None:
    """
    Return the name of Python's codec for *charset*, None for what is no charset of mail.

    Python also decodes punycode, in time that grows with the square of the text, and keeps each name that it does not
    know for ever.
    """
    name = normalize_encoding(charset[: _LONGEST + 1].strip().lower()) if len(charset) <= _LONGEST else ""
    codec = aliases.get(name, name)
    known = codec in _MORE or codec in _CODECS
    return codec if known else None


def collapsed(value: object) -> str:
    """Return a header's parameter as text: as it stands, or decoded where it names its charset (RFC 2231)."""
    if not isinstance(value, tuple):
        return str(value or "")
    charset, _, text = value
    codec = codec_of(str(charset or "us-ascii"))
    return str(text) if codec is None else str(text).encode("raw-unicode-escape").decode(codec, "replace")


def charset_of(message: Message) -> str:
    """Return the charset that a part names, in lower case, '' where it names none."""
    return collapsed(message.get_param("charset", "")).lower()


_CODECS = frozenset(aliases.values()) - _NONE
