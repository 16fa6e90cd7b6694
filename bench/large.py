"""What a mail of 140 MB costs the product's process, from the mailbox to a receiver that has all of its bytes."""

from __future__ import annotations

import base64
import hashlib
import random
import time
from pathlib import Path
from typing import Any

import httpx

from bench.intake import Intake
from localcloud.administrator import wait_until
from localcloud.downloads import pieces

MB = 1024 * 1024
MAIL_MB = 140
MOST_ADDED_MB = 64.0
LINE = 57
Figures = dict[str, Any]


def measure(mail_mb: int = MAIL_MB) -> tuple[Figures, list[str]]:
    """Return the figures, and what misses its goal; the receiver downloads the original, then each part, by pieces."""
    content, mime = large_mail(mail_mb)
    with Intake() as intake:
        connection = intake.connect("large")
        address = intake.organisation.address("large")
        _arrive(intake, connection, address, large_mail(1)[1])  # imports, pools and threads are there then
        resident = resident_mb(intake.stack.host.pid)
        began = time.monotonic()
        data = _arrive(intake, connection, address, mime)
        delivered = time.monotonic() - began
        raw = _digest(data["raw"]["link"])
        parts = [_digest(part["link"]) for part in data["attachments"]]
        added = intake.usage().peak_mb - resident
        figures = {
            "mail_mb": round(len(mime) / MB),
            "peak_mb_added": round(added, 1),
            "delivered_seconds": round(delivered, 2),
            "downloaded_seconds": round(time.monotonic() - began - delivered, 2),
            "parts": len(parts),
        }
    whole = [hashlib.sha256(mime).hexdigest(), hashlib.sha256(content).hexdigest()]
    goals = {
        f"less than {MOST_ADDED_MB:.0f} MB added to the process": added < MOST_ADDED_MB,
        "the original is what the mailbox holds": raw == whole[0] == data["raw"]["sha256"],
        "the attachment is what was attached": parts[-1] == whole[1] == data["attachments"][-1]["sha256"],
        "the event tells headers and structure only": data["message"]["parsed_reason"] == "larger_than_25_mb",
    }
    return figures, [goal for goal, met in goals.items() if not met]


def large_mail(megabytes: int) -> tuple[bytes, bytes]:
    """Return an attachment, and a mail of about so many *megabytes* with it."""
    lines = megabytes * MB // (LINE // 3 * 4 + 2)
    block = random.Random(7).randbytes(LINE * 1000)  # noqa: S311 - the same bytes at every run
    content = (block * (lines // 1000 + 1))[: lines * LINE]
    head = (
        b"From: ann@elsewhere.example\r\nTo: large@bench.example\r\nSubject: Drawings\r\n"
        b"Message-ID: <drawings@elsewhere.example>\r\nMIME-Version: 1.0\r\n"
        b"Content-Type: multipart/mixed; boundary=part\r\n\r\n--part\r\nContent-Type: text/plain\r\n\r\nAs agreed.\r\n"
        b'--part\r\nContent-Type: application/octet-stream; name="drawings.bin"\r\n'
        b"Content-Disposition: attachment\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    )
    encoded = base64.encodebytes(content).replace(b"\n", b"\r\n")
    return content, head + encoded + b"--part--\r\n"


def resident_mb(pid: int) -> float:
    """Return the memory that a process holds now."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


def _arrive(intake: Intake, connection: str, address: str, mime: bytes) -> dict[str, Any]:
    """Let a mail arrive and be fetched; return the data of its event."""
    receiver, seen = intake.stack.receiver, len(intake.stack.receiver.of_type("mailgrant.message.received"))
    intake.stack.control.deliver_mime(address, mime)
    intake.stack.control.mailbox(address)  # the cloud reads its mail once: that is not the product's time
    intake.stack.admin.post(f"connections/{connection}/fetch")
    wait_until("the mail is delivered", lambda: len(receiver.of_type("mailgrant.message.received")) > seen, 120)
    found: dict[str, Any] = receiver.of_type("mailgrant.message.received")[-1]["data"]
    return found


def _digest(url: str) -> str:
    digest = hashlib.sha256()
    with httpx.Client(trust_env=False, timeout=60) as client:
        for piece in pieces(client, url):
            digest.update(piece)
    return digest.hexdigest()
