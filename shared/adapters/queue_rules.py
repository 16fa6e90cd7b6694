"""What a queue message may be: JSON of at most 48 KiB before base64 (64 KiB after), hidden for at most 5 minutes."""

import json
from collections.abc import Mapping
from typing import Any

MAX_BYTES = 48 * 1024
MAX_DELAY_SECONDS = 300


def message_text(body: Mapping[str, Any], delay_seconds: float) -> str:
    """Return *body* as the text of a message; raises ValueError beyond the limits, which are bugs of the caller."""
    text = json.dumps(body, separators=(",", ":"), ensure_ascii=False)
    if len(text.encode()) > MAX_BYTES:
        raise ValueError("a queue message holds at most 48 KiB of JSON; put the rest into a blob and name it")
    if not 0 <= delay_seconds <= MAX_DELAY_SECONDS:
        raise ValueError("a message may be hidden for 0 to 300 seconds; longer waits stand in due rows")
    return text
