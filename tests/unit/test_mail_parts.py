"""How mail is taken apart while it streams: the same whatever the chunks, any part from any byte, within bounds."""

import base64
import binascii
import hashlib
import quopri
import tracemalloc
from collections.abc import Callable, Iterator
from email.message import EmailMessage

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shared.mail import open_parts
from shared.mail.charsets import codec_of
from shared.mail.encodings import QUOTED, Decoder
from shared.mail.index import from_index, to_index
from shared.mail.parsed import Attachment, Mail, Parsed
from shared.mail.parsing import parse, parse_stream
from shared.mail.parts import read_part
from shared.mail.scanner import MAX_DEPTH, MAX_PARTS, MAX_SECONDS

MB = 1024 * 1024
PIECES = st.lists(
    st.one_of(
        st.binary(max_size=40),
        st.sampled_from(
            [
                b"\r\n", b"\n", b"\r", b"--", b"--b", b"--b--", b"--c\r\n", b"--c--\r\n", b"\r\n--b\r\n", b"\n--b--\n",
                b"Content-Type: multipart/mixed; boundary=b\r\n", b"Content-Type: multipart/digest; boundary=c\r\n",
                b"Content-Type: text/html\r\n", b"Content-Type: message/rfc822\r\n", b"Content-Type: text/calendar\r\n",
                b"Content-Transfer-Encoding: base64\r\n", b"Content-Transfer-Encoding: quoted-printable\r\n",
                b"Content-Transfer-Encoding: x-uuencode\r\n", b"Content-Disposition: attachment; filename=a\r\n",
                b"Content-Type: text/plain; charset=zip\r\n", b"Content-Type: text/plain; charset=utf-16\r\n",
                b"Subject: x\r\n", b" folded\r\n", b"\r\n\r\n", b"QUJD", b"QQ==", b"=41=", b"=\r\n", b"#86)C\n",
            ]
        ),
    ),
    max_size=30,
).map(b"".join)  # fmt: skip


def cut(data: bytes, size: int) -> Iterator[bytes]:
    """Yield *data* in chunks."""
    return (data[start : start + size] for start in range(0, len(data), size))


def content_of(mime: bytes, part: Attachment, first: int = 0, last: int | None = None, chunk: int = 1000) -> bytes:
    """Return a range of a part's decoded bytes, read in chunks."""
    until = part.size - 1 if last is None else last
    return b"".join(read_part(lambda begin, end: cut(mime[begin : end + 1], chunk), part, first, until) or ())


def bounded(mail: Mail) -> bool:
    """Tell whether a view is within the limits that readers may rely on."""
    return len(mail.attachments) <= MAX_PARTS and len(mail.to) <= 1000 and len(mail.headers) <= 50


@given(PIECES, st.integers(1, 50))
@example(b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: a/b\r\n\r\nx\r\n--b--\r\n", 1)
def test_chunks_make_no_difference(mime: bytes, size: int) -> None:
    """Whatever arrives, in whatever chunks: nothing raises, the view is the same, bounded, and its index gives it."""
    mail = parse(mime)
    assert mail == parse_stream(cut(mime, size), len(mime))
    assert bounded(mail)
    assert mail == from_index(to_index(mail))


@given(st.lists(st.sampled_from([b"=", b"\r", b"\n", b"4", b"x", b" "]), max_size=14).map(b"".join), st.integers(1, 4))
@example(b"a=\r\r\nb", 4)
@example(b"a==41", 2)
def test_quoted_printable_is_the_same_in_pieces(content: bytes, size: int) -> None:
    """Soft line breaks and signs that a piece's end tears apart are read as they are in one piece."""
    decoder = Decoder(QUOTED)
    pieces = [decoder.feed(piece) for piece in cut(content, size)]
    assert binascii.a2b_qp(content) == b"".join([*pieces, decoder.close()])


def test_a_uuencoded_line_is_cut_at_the_same_place_in_pieces() -> None:
    """What stands beyond the thousandth byte of a line is never looked at, whatever the pieces."""
    line = b"#86)C" + b" " * 2000 + b"x\n"
    mime = b"Content-Type: a/b\r\nContent-Transfer-Encoding: x-uuencode\r\n\r\nbegin 644 a\n" + line
    whole, pieces = parse(mime), parse_stream(cut(mime, 700), len(mime))
    assert whole == pieces
    assert 3 == whole.attachments[0].size


@given(PIECES)
def test_parts_are_what_the_view_says(mime: bytes) -> None:
    """Each part reads back with the size and hash that are told, within the mail's bounds."""
    for part in parse(mime).attachments:
        content = content_of(mime, part, chunk=7)
        assert 0 <= part.start <= part.end <= len(mime)
        assert (part.size, part.sha256) == (len(content), hashlib.sha256(content).hexdigest())


@given(st.binary(max_size=300), st.sampled_from(["base64", "quoted-printable", "8bit"]), st.data())
def test_any_range_of_a_part_is_read_alone(content: bytes, encoding: str, data: st.DataObject) -> None:
    """Decoding begins at a checkpoint before the range and gives exactly its bytes."""
    encode: dict[str, Callable[[bytes], bytes]] = {
        "base64": base64.encodebytes,
        "quoted-printable": quopri.encodestring,
        "8bit": bytes,
    }
    head = f"Content-Type: a/b\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n".encode()
    mime = head + encode[encoding](content)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(open_parts, "CHECKPOINT_BYTES", 10)
        (part,) = parse_stream(cut(mime, data.draw(st.integers(1, 80))), len(mime)).attachments
    whole = content_of(mime, part)
    assert encoding == "quoted-printable" or content == whole
    first = data.draw(st.integers(0, len(whole) + 3))
    last = data.draw(st.integers(first, len(whole) + 3))
    assert whole[first : last + 1] == content_of(mime, part, first, last, data.draw(st.integers(1, 50)))


def test_a_range_far_in_needs_little_of_the_mail() -> None:
    """Of 12 MB only what follows the last checkpoint is read, so that a download by pieces is no quadratic one."""
    content = bytes(range(256)) * 4096 * 12
    mime = b"Content-Type: a/b\r\nContent-Transfer-Encoding: base64\r\n\r\n" + base64.encodebytes(content)
    (part,) = parse(mime).attachments
    asked: list[int] = []

    def read(first: int, last: int) -> Iterator[bytes]:
        asked.append(first)
        return cut(mime[first : last + 1], MB)

    found = b"".join(read_part(read, part, 9 * MB, 9 * MB + 9) or ())

    assert content[9 * MB : 9 * MB + 10] == found
    assert asked[0] > 10 * MB


def test_mail_of_the_standard_library_comes_apart_as_it_was_put_together() -> None:
    """Nested alternatives, inline pictures, files and forwarded mails keep their order, names and bytes."""
    inner = EmailMessage()
    inner["Subject"] = "inner"
    inner.set_content("within")
    mail = EmailMessage()
    mail["Subject"] = "outer"
    mail.set_content("plain")
    mail.add_alternative('<p>html</p><img src="cid:pic">', subtype="html")
    mail.get_payload()[1].add_related(b"\x89PNG", "image", "png", cid="<pic>")  # type: ignore[union-attr,index]
    mail.add_attachment(b"\x00\x01" * 5000, "application", "pdf", filename="größe.pdf")
    mail.add_attachment(inner)
    mime = mail.as_bytes().replace(b"\n", b"\r\n")
    found = parse(mime)
    assert (Parsed.OK, "plain\n", '<p>html</p><img src="cid:pic">\n') == (found.parsed, found.text, found.html)
    picture, pdf, forwarded = found.attachments
    assert ("pic", True, b"\x89PNG") == (picture.content_id, picture.inline, content_of(mime, picture))
    assert ("größe.pdf", b"\x00\x01" * 5000) == (pdf.name, content_of(mime, pdf))
    assert ("message/rfc822", "within\n") == (forwarded.content_type, parse(content_of(mime, forwarded)).text)


def test_invitations_tnef_and_digests_are_shown_as_what_they_are() -> None:
    """A calendar part is a body even if it has a name; winmail.dat is a file; a digest's parts are messages."""
    mime = (
        b"Subject: x\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"
        b"--b\r\nContent-Type: text/calendar; method=REQUEST; name=meeting.ics\r\n\r\nBEGIN:VCALENDAR\r\n"
        b"--b\r\nContent-Type: text/calendar\r\nContent-Disposition: attachment; filename=a.ics\r\n\r\nBEGIN:A\r\n"
        b"--b\r\nContent-Type: application/ms-tnef; name=winmail.dat\r\n\r\nx\x9f\x3e\x22\r\n"
        b"--b\r\nContent-Type: multipart/digest; boundary=c\r\n\r\n"
        b"--c\r\n\r\nSubject: one\r\n\r\na\r\n--c--\r\n--b--\r\n"
    )
    mail = parse(mime)
    assert (Parsed.OK, "BEGIN:VCALENDAR") == (mail.parsed, mail.calendar)
    told = [(item.name, item.content_type, content_of(mime, item)) for item in mail.attachments]
    assert [
        ("a.ics", "text/calendar", b"BEGIN:A"),
        ("winmail.dat", "application/ms-tnef", b"x\x9f\x3e\x22"),
        ("", "message/rfc822", b"Subject: one\r\n\r\na"),
    ] == told


def test_long_bodies_are_cut_without_breaking_a_character() -> None:
    """The view holds the first megabyte of a body; that it goes on is no fault of the mail's."""
    mail = parse(b"Content-Type: text/plain; charset=utf-8\r\n\r\n" + "ä".encode() * MB)
    assert (Parsed.OK, MB // 2) == (mail.parsed, len(mail.text))


@pytest.mark.parametrize(
    "mime",
    [
        b"Content-Type: a/b" + b';"' * 500_000 + b"\r\n\r\nb",
        b"Subject: " + b"=?a?q?" * 170_000 + b"\r\n\r\nb",
        b"From: " + b"=?a?q?" * 170_000 + b"\r\n\r\nb",
        b"To: " + b"(" * 500_000 + b"\r\n\r\nb",
        b"To: " + b"a:" * 500_000 + b"\r\n\r\nb",
        b"To: " + b'"a" ' * 250_000 + b"\r\n\r\nb",
        b"Date: " + b"1 " * 500_000 + b"\r\n\r\nb",
        b"a:\n" * 100_000 + b"\n",
        b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\n" + b"\n--" * MB,
        b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\n" + b"\n--" + b"a" * 3 * MB,
        b"Content-Transfer-Encoding: base64\r\n\r\n" + b"=" * 3 * MB,
        b"Content-Transfer-Encoding: quoted-printable\r\n\r\n" + b"=" * 3 * MB,
        b"Content-Transfer-Encoding: x-uuencode\r\n\r\nbegin 644 a\n" + b"M" * 3 * MB,
        b"Content-Type: text/plain; charset=punycode\r\n\r\na-" + b"aaab" * 250_000,
    ],
    ids=[
        "parameters",
        "subject",
        "from",
        "comments",
        "groups",
        "quotes",
        "date",
        "headers",
        "dashes",
        "line",
        "padding",
        "equals",
        "uu",
        "punycode",
    ],
)
@pytest.mark.timeout(10)
def test_hostile_mail_takes_no_time(mime: bytes) -> None:
    """What would take the standard library minutes is read within a fraction of the 30 seconds."""
    assert bounded(parse(mime))


def test_the_time_is_up_after_thirty_seconds() -> None:
    """What was read until then stands, and the mail says why it is not all."""
    times = iter([0.0, 1.0, 2.0, *[MAX_SECONDS + 1] * 9])
    part = b"--b\r\nContent-Type: a/b\r\n\r\nx\r\n"
    mail = parse(b"Subject: x\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n" + part * 9, lambda: next(times))
    assert ("x", Parsed.PARTIAL, ("longer_than_30_s",)) == (mail.subject, mail.parsed, mail.problems)


def test_too_deep_a_part_is_kept_whole() -> None:
    """The innermost multipart that is taken apart stands at depth 49; what is within the next one is its content."""
    deep = b"Subject: x\r\n" + b"".join(
        b"Content-Type: multipart/mixed; boundary=q%d\r\n\r\n--q%d\r\n" % (n, n) for n in range(MAX_DEPTH + 9)
    )
    mail = parse(deep)
    assert "nested_too_deep" in mail.problems
    assert ["multipart/mixed"] == [item.content_type for item in mail.attachments]


def test_a_large_mail_is_read_in_little_memory() -> None:
    """Of 40 MB headers and structure are read, and one part is decoded, with less than 6 MB at any time."""
    line = base64.b64encode(b"0123456789" * 5 + b"abcdefg") + b"\r\n"
    head = (
        b"Subject: big\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nhello\r\n"
        b"--b\r\nContent-Type: a/b; name=big.bin\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    )
    tail, count = b"--b--\r\n", 40 * MB // len(line)
    size = len(head) + count * len(line) + len(tail)

    def chunks() -> Iterator[bytes]:
        yield head
        for _ in range(count // 10_000):
            yield line * 10_000
        yield line * (count % 10_000)
        yield tail

    tracemalloc.start()
    mail = parse_stream(chunks(), size)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert ("big", "", ("larger_than_25_mb",)) == (mail.subject, mail.text, mail.problems)
    body, big = mail.attachments
    assert ("text/plain", 5, "big.bin", count * 57) == (body.content_type, body.size, big.name, big.size)
    assert peak < 6 * MB


@pytest.mark.parametrize(
    ("charset", "codec"),
    [
        ("UTF-8", "utf_8"),
        ("iso-8859-1", "latin_1"),
        ("windows-1252", "cp1252"),
        ("koi8-u", "koi8_u"),
        ("utf-8-sig", "utf_8_sig"),
        *(
            (name, None)
            for name in ("punycode", "idna", "zip", "rot13", "unicode_escape", "undefined", "x-y", "", "a" * 99)
        ),
    ],
)
def test_only_charsets_of_text_are_decoded(charset: str, codec: str | None) -> None:
    """Neither Python's other codecs, some of which take quadratic time, nor names that it would keep for ever."""
    assert codec == codec_of(charset)
