"""What does Exchange's non-delivery report look like (RFC 3464 in multipart/report)."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from email.utils import formatdate

from localcloud.mail.mime_compose import split_message
from localcloud.mail.mime_parse import parse_mime

_STATUS = "550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found by SMTP address lookup"


def non_delivery_report(raw: bytes, sender: str, failed: Sequence[str], now: float) -> bytes:
    """Return the report that tells *sender* that *raw* could not be delivered to the addresses *failed*."""
    original = parse_mime(raw)
    domain = sender.rpartition("@")[2]
    boundary = f"_{uuid.uuid4().hex}_"
    threading = ""
    if original.message_id:
        threading = f"In-Reply-To: {original.message_id}\r\nReferences: {original.message_id}\r\n"
    head = (
        f"From: Microsoft Outlook <MicrosoftExchange329e71ec88ae4615bbc36ab6ce41109e@{domain}>\r\n"
        f"To: <{sender}>\r\nSubject: Undeliverable message\r\nDate: {formatdate(now)}\r\n"
        f"Message-ID: <{uuid.uuid4().hex}@{domain}>\r\n{threading}Auto-Submitted: auto-replied\r\n"
        f"X-Auto-Response-Suppress: All\r\nMIME-Version: 1.0\r\n"
        f'Content-Type: multipart/report; report-type=delivery-status; boundary="{boundary}"\r\n\r\n'
    )
    failures = "".join(
        f"\r\nFinal-Recipient: rfc822;{address}\r\nAction: failed\r\n"
        f"Status: 5.1.10\r\nDiagnostic-Code: smtp;{_STATUS}\r\n"
        for address in failed
    )
    text = "Delivery has failed to these recipients:\r\n\r\n" + "\r\n".join(failed) + f"\r\n\r\n{_STATUS}\r\n"
    parts = [
        f"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n{text}".encode(),
        f"Content-Type: message/delivery-status\r\n\r\nReporting-MTA: dns;{domain}\r\n{failures}".encode(),
        b"Content-Type: text/rfc822-headers\r\n\r\n" + b"".join(split_message(raw)[0]),
    ]
    delimiter = f"--{boundary}\r\n".encode()
    return head.encode() + b"".join(delimiter + part + b"\r\n" for part in parts) + f"--{boundary}--\r\n".encode()
