"""What files of 5 and 100 MB cost the product's process, from their upload to a recipient that has all their bytes."""

from __future__ import annotations

import hashlib
import random
import time
from typing import Any

import httpx

from bench.intake import Intake
from bench.large import MB, MOST_ADDED_MB, resident_mb
from localcloud.administrator import wait_until
from localcloud.story import letter

PARTS_MB, WHOLE_MB = 5, 100
MAILBOX_MB = 150
PART_BYTES = 4 * MB
Figures = dict[str, Any]


def measure(parts_mb: int = PARTS_MB, whole_mb: int = WHOLE_MB) -> tuple[Figures, list[str]]:
    """Return the figures, and what misses its goal; one file goes up in parts through us, one straight to storage."""
    with Intake() as intake:
        address = intake.organisation.address("large")
        intake.stack.control.add_user(intake.organisation.domain, address, "large")
        intake.stack.control.set_modes(**{f"send_limit_mb:{address}": MAILBOX_MB})
        _, token = intake.story.connect_outgoing(intake.organisation, "large", send_rate=0, max_message_mb=MAILBOX_MB)
        _arrived(intake, token, 1, by_parts(intake, token, content(3)))  # imports, pools and threads are there then
        resident = resident_mb(intake.stack.host.pid)
        small, large = content(parts_mb), content(whole_mb)
        began = time.monotonic()
        first = _arrived(intake, token, 2, by_parts(intake, token, small))
        split = time.monotonic()
        upload = intake.story.upload(token, "drawings.bin", large)
        uploaded = time.monotonic()
        second = _arrived(intake, token, 3, upload)
        added = intake.usage().peak_mb - resident
        figures = {
            "files_mb": [parts_mb, whole_mb],
            "peak_mb_added": round(added, 1),
            "parts_seconds": round(split - began, 2),
            "sent_seconds": round(time.monotonic() - uploaded, 2),
            "throttled": intake.stack.control.counters().get("graph_throttled", 0),
        }
    goals = {
        f"less than {MOST_ADDED_MB:.0f} MB added to the process": added < MOST_ADDED_MB,
        "the file that went up in parts is what was sent": first == hashlib.sha256(small).hexdigest(),
        "the file that went up whole is what was sent": second == hashlib.sha256(large).hexdigest(),
        "no answer of 429": figures["throttled"] == 0,
    }
    return figures, [goal for goal, met in goals.items() if not met]


def content(megabytes: int) -> bytes:
    """Return bytes that do not compress."""
    return random.Random(megabytes).randbytes(MB) * megabytes  # noqa: S311 - the same bytes at every run


def by_parts(intake: Intake, token: str, whole: bytes) -> str:
    """Put a file through the product, part by part; return its upload id."""
    headers = {"Authorization": f"Bearer {token}"}
    with httpx.Client(base_url=f"{intake.stack.host.url}/api/", headers=headers, trust_env=False, timeout=60) as client:
        body = {"name": "plan.bin", "size": len(whole), "sha256": hashlib.sha256(whole).hexdigest()}
        upload = client.post("uploads", json=body).raise_for_status().json()["upload_id"]
        for number, start in enumerate(range(0, len(whole), PART_BYTES), 1):
            part = whole[start : start + PART_BYTES]
            client.put(f"uploads/{upload}/parts/{number}", content=part).raise_for_status()
    return str(upload)


def _arrived(intake: Intake, token: str, number: int, upload: str) -> str:
    """Send a mail with that file; return the hash of what arrived."""
    to = f"buyer{number}@elsewhere.example"
    message = letter(number, to, attachments=[{"upload_id": upload}])
    intake.story.post_message(token, message).raise_for_status()
    copies = wait_until("the mail arrives", lambda: intake.stack.control.received(to), 180, pause=0.5)
    return str(copies[0]["attachments"][0]["sha256"])
