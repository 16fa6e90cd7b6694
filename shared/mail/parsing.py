"""How MIME becomes the parsed view of a mail: whatever the bytes are, nothing is raised and all that can be is read."""

import codecs
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from email.message import Message

from shared.mail.charsets import charset_of, codec_of
from shared.mail.headers import (
    addresses_of,
    automatic_of,
    date_of,
    disposition_of,
    file_name_of,
    kept_headers,
    message_ids,
    printable,
    text_of,
)
from shared.mail.open_parts import Leaf
from shared.mail.parsed import Attachment, Mail, Parsed
from shared.mail.scanner import Scanner

MAX_WHOLE_BYTES = 25 * 1024 * 1024


def parse(mime: bytes, monotonic: Callable[[], float] = time.monotonic) -> Mail:
    """Return what *mime* says; never raises. See `parse_stream`."""
    return parse_stream([mime], len(mime), monotonic)


def parse_stream(chunks: Iterable[bytes], size: int, monotonic: Callable[[], float] = time.monotonic) -> Mail:
    """
    Return what the mail of *size* bytes says that comes in *chunks*; raises only what *chunks* raises.

    Over 25 MB only headers and structure are read, and its bodies are listed among the attachments. What could not be
    read is named in `Mail.problems`, and `Mail.parsed` says whether anything could. Time is linear in *size* and at
    most 30 seconds, memory a few megabytes.
    """
    scanner = Scanner(monotonic)
    problems: list[str] = []
    for chunk in chunks:
        _guarded(problems, lambda chunk=chunk: scanner.feed(chunk))  # type: ignore[misc]  # a default is a value here
        if scanner.done or problems:
            break
    if not problems:
        _guarded(problems, scanner.close)
    found: list[Mail] = []
    whole = size <= MAX_WHOLE_BYTES
    _guarded(problems, lambda: found.append(_mail(scanner, [*scanner.problems, *problems], whole=whole)))
    return found[0] if found else Mail(Parsed.UNPARSABLE, tuple(problems))


def _guarded(problems: list[str], step: Callable[[], None]) -> None:
    try:
        step()
    except Exception as error:  # noqa: BLE001 - the standard library raises of every kind on malformed mail
        problems.append(f"parser_{type(error).__name__.lower()}")


def _mail(scanner: Scanner, problems: list[str], *, whole: bool) -> Mail:
    message = scanner.top
    if not message.keys():
        texts = [_text_of_bytes(leaf) for leaf in scanner.leaves[:1] if whole]
        return Mail(Parsed.UNPARSABLE, tuple(dict.fromkeys(["no_headers", *problems])), text="".join(texts))
    if not whole:
        problems = ["larger_than_25_mb", *problems]
    bodies = {kind: _bodies(scanner.leaves, kind, problems) if whole else "" for kind in ("plain", "html", "calendar")}
    attached = [_attachment(leaf) for leaf in scanner.leaves if leaf.text is None or not whole]
    in_reply_to, ids = message_ids(message, "in-reply-to"), message_ids(message, "message-id")
    return Mail(
        parsed=Parsed.PARTIAL if problems else Parsed.OK,
        problems=tuple(dict.fromkeys(problems)),
        subject=text_of(message, "subject"),
        sender=addresses_of(message, "from"),
        to=addresses_of(message, "to"),
        cc=addresses_of(message, "cc"),
        reply_to=addresses_of(message, "reply-to"),
        date=date_of(message),
        message_id=ids[0] if ids else "",
        in_reply_to=in_reply_to[0] if in_reply_to else "",
        references=message_ids(message, "references"),
        headers=kept_headers(message),
        text=bodies["plain"],
        html=bodies["html"],
        calendar=bodies["calendar"],
        automatic=automatic_of(message),
        attachments=tuple(attached),
    )


def _bodies(leaves: Sequence[Leaf], kind: str, problems: list[str]) -> str:
    texts: list[str] = []
    for leaf in leaves:
        if leaf.text is not None and leaf.kind == f"text/{kind}":
            text, exact = _text(leaf.message, leaf.text, cut=leaf.cut)
            if not exact:
                problems.append("charset")
            texts.append(text)
    return "\n".join(texts)


def _attachment(leaf: Leaf) -> Attachment:
    part = leaf.message
    content_id, disposition = text_of(part, "content-id").strip("<>"), disposition_of(part)
    inline = disposition == "inline" or (bool(content_id) and disposition != "attachment") or leaf.text is not None
    return Attachment(
        file_name_of(part)[:255],
        leaf.kind,
        leaf.size,
        leaf.sha256,
        content_id[:255],
        inline,
        leaf.start,
        leaf.end,
        leaf.encoding,
        leaf.checkpoints,
    )


def _text(part: Message, content: bytes, *, cut: bool) -> tuple[str, bool]:
    """Return the text of a body, and whether its charset was what it says; a *cut* body may end within a character."""
    charset = ""
    with suppress(Exception):
        charset = charset_of(part)
    named = codec_of(charset or "utf-8")
    for codec in (named, "utf-8"):
        with suppress(ValueError):
            if codec:
                decoder = codecs.getincrementaldecoder(codec)("strict")
                return _clean(decoder.decode(content, final=not cut)), codec == named
    return _clean(content.decode("cp1252", "replace")), False


def _text_of_bytes(leaf: Leaf) -> str:
    content = leaf.text or b""
    try:
        return _clean(content.decode())
    except ValueError:
        return _clean(content.decode("cp1252", "replace"))


def _clean(text: str) -> str:
    return printable(text.replace("\r\n", "\n"))
