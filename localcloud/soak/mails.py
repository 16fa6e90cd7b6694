"""The mails of a soak: each like no other, in the forms that have their own ways through the product."""

from __future__ import annotations

import base64
import hashlib
import random

LARGE_BYTES = 400 * 1024
_SAME_ID = "<same@soak.example>"


def mail(number: int, form: str, *, large: bool = False) -> bytes:
    """Return mail *number* as bytes: ``plain``, ``eight_bit``, ``attached``, or ``same_id`` as others."""
    attached = large or form == "attached"
    kind = 'multipart/mixed; boundary="part"' if attached else f"text/plain; charset={_charset(form)}"
    head = [
        f"Message-ID: {_SAME_ID if form == 'same_id' else f'<{number}@soak.example>'}",
        "From: Customer <customer@outside.example>",
        "To: box@contoso.example",
        f"Subject: Mail {number}",
        "Date: Mon, 02 Mar 2026 10:00:00 +0000",
        "MIME-Version: 1.0",
        f"Content-Type: {kind}",
        *(["Content-Transfer-Encoding: 8bit"] if form == "eight_bit" and not attached else []),
        "",
    ]
    body = _attached(number, large=large) if attached else [_text(number, form)]
    return b"\r\n".join([*(line.encode() for line in head), *body, b""])


def letter(number: int, files: list[dict[str, object]], *, send_at: str = "") -> dict[str, object]:
    """Return message *number* to be sent, with a visible and a hidden recipient."""
    return {
        "to": [f"buyer{number % 50}@outside.example"],
        "bcc": [f"archive{number % 7}@outside.example"],
        "subject": subject_of(number),
        "text": f"Your order {number} is on its way.",
        "html": f"<p>Your order <b>{number}</b> is on its way.</p>",
        "headers": {"X-Order": str(number)},
        "attachments": files,
        **({"send_at": send_at} if send_at else {}),
    }


TEMPLATE = {
    "to": "{{ payload.to }}",
    "bcc": "{{ payload.bcc }}",
    "subject": "{{ payload.subject }}",
    "text": "Your order {{ payload.number }} is on its way.",
}
"""The template of a hook that makes a message of what `call` returns."""


def call(number: int) -> dict[str, object]:
    """Return what software posts to a hook to have message *number* sent."""
    to, bcc = recipients_of(number)
    return {"number": number, "to": to, "bcc": bcc, "subject": subject_of(number)}


def subject_of(number: int) -> str:
    """Return the subject by which a copy of message *number* is known."""
    return f"Order {number} of the soak"


def recipients_of(number: int) -> tuple[str, str]:
    """Return who must get message *number*."""
    return f"buyer{number % 50}@outside.example", f"archive{number % 7}@outside.example"


def content(number: int, size: int) -> bytes:
    """Return *size* bytes that do not compress and follow from *number*."""
    return random.Random(number).randbytes(size)


def _charset(form: str) -> str:
    return "iso-8859-1" if form == "eight_bit" else "utf-8"


def _text(number: int, form: str) -> bytes:
    text = f"This is mail {number}."
    return f"{text} Grüße aus Köln für Größe.".encode("latin-1") if form == "eight_bit" else text.encode()


def _attached(number: int, *, large: bool) -> list[bytes]:
    block = base64.b64encode(hashlib.shake_256(str(number).encode()).digest(LARGE_BYTES if large else 90))
    return [
        b"--part",
        b"Content-Type: text/plain; charset=utf-8",
        b"",
        f"This is mail {number}.".encode(),
        b"--part",
        b"Content-Type: application/octet-stream",
        f'Content-Disposition: attachment; filename="{number}.bin"'.encode(),
        b"Content-Transfer-Encoding: base64",
        b"",
        *(block[start : start + 76] for start in range(0, len(block), 76)),
        b"--part--",
    ]
