"""What a mail looks like on the wire, and that no field can become anything but itself."""

import email
from datetime import UTC, datetime
from email import policy
from email.header import decode_header, make_header
from email.message import EmailMessage
from email.utils import parseaddr

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.compose import addresses, words
from shared.compose.message import Address, File, Outgoing
from shared.compose.mime import MIME_BYTES, Envelope, compose, content_type, encoded_bytes

ENVELOPE = Envelope(
    "msg_0.X", "<01X@contoso.example>", Address("box@contoso.example", "Box"), datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
)
NAMES = st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), min_size=1, max_size=120)
FEW = settings(max_examples=40)
BODIES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00\r"), max_size=400)


def parsed(made: Outgoing) -> EmailMessage:
    """Return *made* as a reader's parser sees it."""
    return email.message_from_bytes(compose(made, ENVELOPE).mime, policy=policy.SMTPUTF8)


def decoded(raw: str) -> str:
    """Return a raw header value with its encoded words decoded (RFC 2047), which joins neighbours without a space."""
    return str(make_header(decode_header(raw)))


def mail(**fields: object) -> Outgoing:
    """Return a small mail with *fields* changed."""
    given_fields = {"to": (Address("ann@example.com"),), "subject": "Hello", "text": "Hi", **fields}
    return Outgoing(**given_fields)  # type: ignore[arg-type]


def file(content: bytes = b"%PDF-", name: str = "a.pdf", **fields: object) -> File:
    """Return a small PDF with *fields* changed."""
    values = {"content_type": "application/pdf", "size": len(content), "content": content, **fields}
    return File(name, **values)  # type: ignore[arg-type]


def test_a_plain_mail_has_exactly_the_headers_it_needs() -> None:
    """Sender, recipients, subject, date, Message-ID and marker are there, and nothing else."""
    message = parsed(mail())

    expected = ["From", "To", "Subject", "Date", "Message-ID", "X-Mailgrant-Entry"]
    own = [name for name in message if not name.lower().startswith(("content-", "mime-"))]
    assert expected == own
    assert ("Box <box@contoso.example>", "msg_0.X") == (message["from"], message["x-mailgrant-entry"])


@FEW
@given(NAMES, NAMES, BODIES)
def test_names_subjects_and_texts_of_any_script_come_back_as_they_were(name: str, subject: str, text: str) -> None:
    """What a reader's parser sees is what the caller gave."""
    made = mail(to=(Address("ann@example.com", name.strip() or "x"),), subject=subject.strip(), text=text)
    message, raw = parsed(made), email.message_from_bytes(compose(made, ENVELOPE).mime)

    shown, address = parseaddr(raw["to"])
    assert (name.strip() or "x", "ann@example.com") == (decoded(shown), address)
    assert subject.strip() == decoded(raw["subject"])
    assert text.rstrip("\n") == message.get_content().replace("\r\n", "\n").rstrip("\n")


@FEW
@given(st.lists(st.tuples(NAMES, NAMES), min_size=1, max_size=6))
def test_no_name_becomes_a_recipient(people: list[tuple[str, str]]) -> None:
    """However names are chosen, the recipients are exactly the addresses given."""
    made = tuple(Address(f"p{number}@example.com", name) for number, (name, _) in enumerate(people))
    message = parsed(mail(to=made, cc=made, bcc=made))

    expected = [person.address for person in made]
    for field in ("to", "cc", "bcc"):
        assert expected == [found.addr_spec for found in message[field].addresses]


@FEW
@given(st.text(max_size=60), st.text(max_size=60), st.text(max_size=60), st.text(max_size=60))
def test_no_field_can_make_a_header(subject: str, name: str, value: str, file_name: str) -> None:
    """A field either is refused or stays within its own header."""
    try:
        made = mail(
            subject=addresses.one_line(f"{subject}"),
            to=(Address("ann@example.com", addresses.one_line(name)),),
            headers=(("X-Ticket", addresses.one_line(value)),),
            files=(file(name=addresses.one_line(file_name) or "f"),),
        )
    except ValueError:
        return
    message = parsed(made)
    expected = {"from", "to", "subject", "date", "message-id", "x-ticket", "x-mailgrant-entry", "mime-version"}
    assert expected | {"content-type"} == {header.lower() for header in message}
    assert len(list(message.walk())) == 3


@FEW
@given(st.text(max_size=40), st.sampled_from(["\r\n", "\n", "\r", "\x00", "\u2028", "\x85"]), st.text(max_size=40))
def test_line_breaks_are_refused_in_every_header_value(before: str, broken: str, after: str) -> None:
    """Even a value that was never checked cannot break out of its header."""
    with pytest.raises(ValueError, match="break out"):
        words.header("Subject", f"{before}{broken}x{after}")


def test_text_and_html_are_alternatives_and_inline_images_belong_to_the_html() -> None:
    """The tree is mixed(alternative(plain, related(html, image)), pdf), as every mail program expects."""
    image = file(b"png", "l.png", content_type="image/png", content_id="logo", inline=True)
    message = parsed(mail(html='<img src="cid:logo">', files=(image, file())))

    tree = [part.get_content_type() for part in message.walk()]
    expected = ["multipart/mixed", "multipart/alternative", "text/plain", "multipart/related", "text/html"]
    assert [*expected, "image/png", "application/pdf"] == tree
    found = next(part for part in message.walk() if part.get_content_type() == "image/png")
    assert ("<logo>", "inline") == (found["content-id"], found.get_content_disposition())


@FEW
@given(st.binary(max_size=3000), NAMES)
def test_files_come_back_byte_for_byte_under_their_names(content: bytes, name: str) -> None:
    """Bytes and file names of any script survive."""
    message = parsed(mail(files=(file(content, name.strip() or "x"),)))

    part = next(iter(message.iter_attachments()))
    assert content == part.get_content()
    assert (name.strip() or "x") == part.get_filename()


def test_two_equal_files_are_two_files() -> None:
    """A file that is given twice arrives twice."""
    message = parsed(mail(files=(file(), file())))

    assert len(list(message.iter_attachments())) == 2


def test_what_does_not_fit_leaves_the_mime_inline_images_last() -> None:
    """The MIME stays under its limit; an inline image has precedence over a file before it."""
    big, other = file(bytes(1_500_000), "big.bin"), file(bytes(1_400_000), "other.bin")
    image = file(bytes(600_000), "i.png", content_type="image/png", content_id="i", inline=True)
    composed = compose(mail(html="<p>", files=(big, other, image)), ENVELOPE)

    assert (other,) == composed.separate
    assert len(composed.mime) <= MIME_BYTES


@FEW
@given(st.integers(min_value=0, max_value=20_000))
def test_the_size_of_a_file_in_mime_is_never_underestimated(size: int) -> None:
    """What is counted before acceptance covers what is sent."""
    with_file = len(compose(mail(files=(file(bytes(size)),)), ENVELOPE).mime)
    without = len(compose(mail(), ENVELOPE).mime)

    assert with_file - without <= encoded_bytes(size)


def test_uploads_never_enter_the_mime() -> None:
    """A file without its bytes is attached from its blob."""
    upload = File("a.zip", "application/zip", 100, upload_id="upl_1", blob="c/u")

    assert (upload,) == compose(mail(files=(upload,)), ENVELOPE).separate


def test_an_attached_mail_is_carried_as_bytes() -> None:
    """message/rfc822 may not be in base64, so it travels as octets under its own name."""
    assert content_type("message/rfc822") == "application/octet-stream"
    assert content_type("Text/CSV; charset=UTF-8; x=1") == "text/csv; charset=UTF-8"
    with pytest.raises(ValueError, match="content type"):
        content_type("pdf\r\nX-Evil: 1")


def test_threading_headers_are_filled_in() -> None:
    """A reply without References refers to what it replies to."""
    message = parsed(mail(in_reply_to="<a@b.c>", importance="high"))

    assert ("<a@b.c>", "<a@b.c>", "High") == (message["in-reply-to"], message["references"], message["importance"])


def test_an_internationalised_address_stays_as_it_is() -> None:
    """A local part beyond ASCII goes as UTF-8 (RFC 6532)."""
    made = compose(mail(to=(Address("jürgen@xn--mller-kva.example", "J, <x@y.z>"),)), ENVELOPE).mime

    assert '"J, <x@y.z>" <jürgen@xn--mller-kva.example>'.encode() in made


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ann@Example.COM", "ann@example.com"),
        ("o'brien+x@sub.example.co.uk", "o'brien+x@sub.example.co.uk"),
        ("info@müller.example", "info@xn--mller-kva.example"),
        ("用户@例子.公司", "用户@xn--fsqu00a.xn--55qx5d"),
    ],
)
def test_addresses_take_one_form(text: str, expected: str) -> None:
    """Domains become ASCII, local parts stay."""
    assert expected == addresses.address(text)


@pytest.mark.parametrize(
    "text",
    ["", "ann", "@example.com", "ann@", "a b@example.com", "ann@example", "ann@-x.com", "a..b@example.com", ".a@b.cd",
     "ann@example.com\r\nBcc: x@y.z", "Ann <ann@example.com>", "a@b.cd, c@d.ef", "ann@[1.2.3.4]", "ann@1.2.3.4",
     "a\u202e@b.cd", f"{'a' * 65}@b.cd", f"a@{'b' * 250}.cd", '"a b"@c.de', "ann@exa mple.com", "a@b@c.de"],
)  # fmt: skip
def test_what_is_no_address_is_refused_with_a_sentence(text: str) -> None:
    """Nothing but one plain address passes."""
    with pytest.raises(ValueError, match=r"mail address|give one plain address"):
        addresses.address(text)


@FEW
@given(st.text(max_size=60))
def test_no_text_passes_as_an_address_and_breaks_a_header(text: str) -> None:
    """Whatever is taken for an address is one word with one @."""
    try:
        taken = addresses.address(text)
    except ValueError:
        return
    assert taken.count("@") == 1
    assert not set(taken) & set(' \t\r\n,;<>"()[]:\\')


@pytest.mark.parametrize("name", ["Subject", "X-Mailgrant-Entry", "x-mailgrant-x", "X-", "X-A B", "X-A:\r\nB", "Xa"])
def test_only_headers_of_the_callers_own_may_be_set(name: str) -> None:
    """Other names, and ours, are refused."""
    with pytest.raises(ValueError, match="headers"):
        addresses.header_name(name)


@FEW
@given(
    st.builds(
        Outgoing,
        to=st.just((Address("a@b.cd", "Ü"),)),
        subject=BODIES,
        text=st.none() | BODIES,
        html=st.none() | BODIES,
        headers=st.just((("X-A", "b"),)),
        files=st.tuples(st.builds(file, st.binary(max_size=50)), st.just(File("u", "a/b", 9, blob="p", upload_id="u"))),
        references=st.just(("<a@b.c>",)),
    )
)
def test_a_payload_reads_back_as_it_was_written(made: Outgoing) -> None:
    """Nothing of an accepted mail is lost in its blob."""
    assert made == Outgoing.from_bytes(made.to_bytes())
