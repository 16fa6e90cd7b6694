"""How a file goes through an upload session, chunk after chunk. Source: graph-docs `outlook-large-attachments.md`."""

import json
from collections.abc import Iterator
from typing import Any

from shared.adapters.graph_http import GraphAnswer, GraphHttp
from shared.codes import Code
from shared.errors import GrantFault, ItemFault, MailboxFault, OutOfSync, Unreachable

CHUNK_BYTES = 10 * 320 * 1024  # under the 4 MB that Outlook asks for


def put_chunks(http: GraphHttp, url: str, size: int, chunks: Iterator[bytes]) -> None:
    """
    PUT *chunks* in order; one whose answer was lost is put once more from where the session says it stands.

    Raises `Unreachable` where the session cannot go on: a new draft starts over.
    """
    start, done = 0, False
    for chunk in _cut(chunks):
        if not chunk:
            continue
        end = start + len(chunk)
        done = _put(http, url, chunk, start, size)
        start = end
    if start != size or not done:
        raise Unreachable("The upload session did not take the whole file. It is tried again.")


def _put(http: GraphHttp, url: str, chunk: bytes, start: int, size: int) -> bool:
    """Put one chunk and tell whether the session is complete."""
    offset = 0
    for attempt in (1, 2, 3):
        headers = {
            "Content-Type": "application/octet-stream",
            "Content-Range": f"bytes {start + offset}-{start + len(chunk) - 1}/{size}",
        }
        try:
            answer = http.upload(url, chunk[offset:], headers)
        except Unreachable:
            if attempt == 3:
                raise
            continue
        except (GrantFault, ItemFault, MailboxFault, OutOfSync) as fault:
            # The session's own host answered; whatever its status means there, a new draft starts over.
            if fault.code == Code.MESSAGE_EXCEEDS_MAILBOX_LIMIT:
                raise
            raise Unreachable("The upload session broke off. It is tried again.", microsoft=fault.microsoft) from None
        if answer.status == 201:
            return True
        expected = _expected(answer)
        if expected is None or expected == start + len(chunk):
            return False
        offset = expected - start
        if not 0 <= offset < len(chunk):
            break
    raise Unreachable("The upload session asked for another part of the file. It is tried again.")


def _expected(answer: GraphAnswer) -> int | None:
    """Return where the session wants the next byte, from ``["2097152"]`` or ``["2097152-"]``; None: it did not say."""
    try:
        body: Any = json.loads(answer.content)
    except (ValueError, RecursionError):
        return None
    ranges = body.get("nextExpectedRanges") if isinstance(body, dict) else None
    if not isinstance(ranges, list) or not ranges:
        return None
    first = str(ranges[0]).partition("-")[0]
    return int(first) if first.isascii() and first.isdigit() and len(first) < 16 else None


def _cut(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Yield *chunks* cut anew to `CHUNK_BYTES`."""
    waiting = bytearray()
    for chunk in chunks:
        waiting += chunk
        while len(waiting) >= CHUNK_BYTES:
            with memoryview(waiting) as view:
                piece = bytes(view[:CHUNK_BYTES])
            yield piece
            del waiting[:CHUNK_BYTES]
    if waiting:
        yield bytes(waiting)
