"""What lies in a mailbox before a foreign client comes: real MIME mails with all that clients stumble over."""

from __future__ import annotations

import hashlib
from email.message import EmailMessage

from localcloud.control.client import ControlClient

FOLDER = "Rechnungen für Müller"
PDF = b"%PDF-1.7 made up " * 700  # about 12 KB
IMAGE = b"\x89PNG\r\n\x1a\n made up"
NESTED = b"From: Old <old@elsewhere.example>\r\nSubject: Nested mail\r\nMessage-ID: <n@e.example>\r\n\r\nInside.\r\n"
# No encoding says what these bytes are: neither UTF-8 nor declared.
EIGHT_BIT = (
    b"From: Zoe <zoe@elsewhere.example>\r\nTo: Ann <ann@x.example>\r\nSubject: Eight bits\r\n"
    b"Message-ID: <eight.bits@elsewhere.example>\r\nDate: Thu, 09 Oct 2025 08:00:00 +0000\r\nMIME-Version: 1.0\r\n"
    b"Content-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: 8bit\r\n\r\nGr\xfc\xdfe \x80\xff\r\n"
)


def letter(subject: str, to: str, text: str = "Guten Tag.") -> EmailMessage:
    """Return a plain mail."""
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = "Zoe <zoe@elsewhere.example>", f"Ann <{to}>", subject
    mail["Message-ID"] = f"<{hashlib.sha256(subject.encode()).hexdigest()[:12]}@elsewhere.example>"
    mail["Date"] = "Thu, 09 Oct 2025 08:00:00 +0000"
    mail.set_content(text)
    return mail


def letters(to: str) -> list[bytes]:
    """Return the mails of the inbox, oldest first."""
    files = letter("Files Übersicht", to)
    files.add_alternative('<p>Schöne <b>Grüße</b> <img src="cid:bild@x"></p>', subtype="html")
    files.add_attachment(PDF, maintype="application", subtype="pdf", filename="Übersicht 2025.pdf")
    files.add_attachment(
        IMAGE, maintype="image", subtype="png", filename="bild.png", disposition="inline", cid="<bild@x>"
    )
    plain = [letter(subject, to).as_bytes() for subject in ("Plain text", "To be filed", "To be deleted")]
    return [*plain, files.as_bytes(), _with_mail(to), EIGHT_BIT]


def _with_mail(to: str) -> bytes:
    """Return a mail with a mail in it, byte for byte."""
    head = f"From: Zoe <zoe@elsewhere.example>\r\nTo: Ann <{to}>\r\nSubject: With a mail\r\n".encode()
    return (
        head + b"Message-ID: <with.a.mail@elsewhere.example>\r\nMIME-Version: 1.0\r\n"
        b'Content-Type: multipart/mixed; boundary="b"\r\n\r\n'
        b"--b\r\nContent-Type: text/plain\r\n\r\nSee below.\r\n--b\r\n"
        b"Content-Type: message/rfc822\r\n\r\n" + NESTED + b"\r\n--b--\r\n"
    )


def fill(control: ControlClient, address: str) -> None:
    """Put the mails into the inbox of *address*."""
    control.deliver_many(address, letters(address))
