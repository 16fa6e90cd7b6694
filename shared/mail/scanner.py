"""
How MIME is taken apart while it streams by: linear in time, in memory that its size does not matter to.

Only headers and the beginnings of bodies are kept; of every other part its place, decoded size and hash.
"""

import re
import time
from collections.abc import Callable, Iterable
from email.message import Message

from shared.mail.encodings import Decoder, encoding_of
from shared.mail.headers import boundary_of, content_type_of, is_attached, read_block
from shared.mail.open_parts import Leaf, OpenPart

MAX_HEADER_BYTES = 1024 * 1024
MAX_DEPTH = 50
MAX_PARTS = 1000
MAX_SECONDS = 30.0
MAX_TEXT_BYTES = 1024 * 1024
BODY_KINDS = ("text/plain", "text/html", "text/calendar")
_PIECE = 256 * 1024
_LONGEST_BOUNDARY = 1000
_HEADER_LINE = re.compile(rb"[\x21-\x39\x3b-\x7e]*:")


class Scanner:
    """
    Takes a mail apart: `feed` its bytes in order, then `close`; *top*, *leaves* and *problems* are what was found.

    *done* tells that a limit ended the scan: what was found until then stands. *monotonic* is in seconds.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.top = Message()
        self.leaves: list[Leaf] = []
        self.problems: list[str] = []
        self.done = False
        self._monotonic = monotonic
        self._until = monotonic() + MAX_SECONDS
        self._window = bytearray()
        self._base = 0
        self._at = 0
        self._stack: list[OpenPart] = []
        self._levels: dict[bytes, int] = {}
        self._begins: re.Pattern[bytes] | None = None
        self._header: bytearray | None = bytearray()
        self._header_bytes = 0
        self._fresh = False
        self._default_kind = "text/plain"
        self._depth = 0
        self._parts = 1
        self._room = dict.fromkeys(BODY_KINDS, MAX_TEXT_BYTES)

    def feed(self, data: bytes) -> None:
        """Take the next bytes of the mail."""
        for start in range(0, len(data), _PIECE):
            if self.done:
                return
            self._window += data[start : start + _PIECE]
            self._advance(final=False)

    def close(self) -> None:
        """Take the end of the mail."""
        if self.done:
            return
        self._advance(final=True)
        if self._header is not None and not self.done:
            self._open_body()
        self._close_above(-1)
        self.done = True

    def _advance(self, *, final: bool) -> None:
        while not self.done:
            if self._monotonic() > self._until:
                self._stop("longer_than_30_s")
                return
            if not (self._read_header(final) if self._header is not None else self._read_body(final)):
                break
        del self._window[: self._at]
        self._base += self._at
        self._at = 0

    def _stop(self, problem: str) -> None:
        """End the scan at a limit; parts whose end was not seen are left out."""
        self.problems.append(problem)
        self.done = True
        if not self._stack and self._header:
            self.top, _ = read_block(bytes(self._header))

    # Headers, line by line.

    def _read_header(self, final: bool) -> bool:
        assert self._header is not None  # noqa: S101 - see _advance
        window, at = self._window, self._at
        for _ in range(4096):
            end = window.find(b"\n", at)
            if end < 0 and not final:
                self._at = at
                if self._header_bytes + len(window) - at > MAX_HEADER_BYTES:
                    self._header += window[at : at + MAX_HEADER_BYTES]
                    self._stop("headers_larger_than_1_mb")
                return False
            line = bytes(window[at : end + 1 if end >= 0 else None])
            if not line:
                return False
            if not self._take_header_line(line, at):
                return True
            at += len(line)
            self._at = at
            if self._header_bytes > MAX_HEADER_BYTES:
                self._stop("headers_larger_than_1_mb")
                return False
        return True

    def _take_header_line(self, line: bytes, at: int) -> bool:
        """Take a line at *at*; False where the headers have ended and `_at` stands where it goes on."""
        assert self._header is not None  # noqa: S101 - see _advance
        if line.startswith(b"--") and (level := self._level(line)) is not None:
            if not self._header and level[0] == len(self._stack) - 1 and not level[1]:
                self._at = at + len(line)  # the same boundary twice in a row is one
                return True
            self._open_body()
            self._meet(level, at, at + len(line))
            return False
        if not line.strip(b"\r\n"):
            self._at = at + len(line)
            self._open_body()
            return False
        envelope = not self._header and line.startswith((b"From ", b">From "))
        if line[:1] in b" \t" and not self._header:
            self.problems.append("first_header_line_is_continuation")
        elif line[:1] in b" \t" or _HEADER_LINE.match(line):
            self._header += line
        elif not envelope:
            if self._header:
                self.problems.append("missing_header_body_separator")
            self._at = at
            self._open_body()
            return False
        self._header_bytes += len(line)
        return True

    def _open_body(self) -> None:
        """Let the content of the part whose headers were read begin at `_at`."""
        block, self._header = bytes(self._header or b""), None
        message, problems = read_block(block, self._default_kind)
        self.problems.extend(problems)
        if not self._stack:
            self.top = message
        kind = content_type_of(message)
        encoding, known = encoding_of(str(message.get("content-transfer-encoding") or ""))
        if not known:
            self.problems.append("unknown_encoding")
        boundary = boundary_of(message) if kind.startswith("multipart/") else b""
        if kind.startswith("multipart/"):
            encoding = ""
            if not boundary:
                self.problems.append("no_boundary_in_multipart")
            elif self._depth >= MAX_DEPTH:
                self.problems.append("nested_too_deep")
                boundary = b""
        is_body = kind in BODY_KINDS and not is_attached(message)
        start = self._base + self._at
        text = bytearray() if is_body else None
        part = OpenPart(message, kind, self._depth, start, encoding, Decoder(encoding), text, boundary)
        self._stack.append(part)
        if boundary:
            self._levels[boundary] = len(self._stack) - 1
            self._begins = _beginnings(self._levels)
        self._fresh = True

    # Bodies, from one line that may be a boundary to the next.

    def _read_body(self, final: bool) -> bool:
        window, search = self._window, self._at
        for _ in range(4096):
            at = self._candidate(search, final)
            if at is None:
                return False
            end = window.find(b"\n", at, at + _LONGEST_BOUNDARY)
            if end < 0 and not final and len(window) - at < _LONGEST_BOUNDARY:
                self._pour(self._before(at))
                return False
            line = bytes(window[at : end + 1 if end >= 0 else at + _LONGEST_BOUNDARY])
            level = self._level(line)
            if level is not None:
                self._meet(level, at, at + len(line))
                return True
            search = at
            self._fresh = False
        self._pour(search)
        return True

    def _candidate(self, search: int, final: bool) -> int | None:
        """Return where the next line that begins like a boundary begins, None where there is none so far."""
        window = self._window
        if self._fresh and search == self._at:
            if len(window) - search < 2 and not final:
                return None
            if window.startswith(b"--", search):
                return search
        found = self._begins.search(window, search) if self._begins else None
        if found is not None:
            return found.start() + 1
        self._pour(len(window) if final else max(self._at, len(window) - 4))
        return None

    def _before(self, at: int) -> int:
        """Return where the content before a boundary line at *at* ends: the line break belongs to the boundary."""
        end = at
        if end > self._at and self._window[end - 1] == 0x0A:
            end -= 1
            if end > self._at and self._window[end - 1] == 0x0D:
                end -= 1
        return end

    def _pour(self, end: int) -> None:
        """Give the bytes up to *end* to the part whose content they are."""
        if end <= self._at:
            return
        self._fresh = False
        part = self._stack[-1]
        if part.holds:
            part.take(part.decoder.feed(bytes(self._window[self._at : end])), self._base + end, self._room)
        self._at = end

    # Boundaries.

    def _level(self, line: bytes) -> tuple[int, bool] | None:
        """Return which open multipart a line separates, and whether it is that one's end; None for any other line."""
        if not line.startswith(b"--"):
            return None
        text = line[2:].rstrip(b" \t\r\n")
        if text in self._levels:
            return self._levels[text], False
        if text.endswith(b"--") and text[:-2] in self._levels:
            return self._levels[text[:-2]], True
        return None

    def _meet(self, level: tuple[int, bool], at: int, after: int) -> None:
        """Take a boundary line that stands from *at* to *after*."""
        number, last = level
        self._pour(self._before(at))
        self._close_above(number)
        self._at = after
        container = self._stack[number]
        if last:
            container.ended = True
            self._forget(container.boundary)
            self._header = None
            self._fresh = True
            return
        container.children += 1
        self._parts += 1
        if self._parts > MAX_PARTS:
            self._stop("more_than_1000_parts")
            return
        self._header = bytearray()
        self._depth = container.depth + 1
        self._default_kind = "message/rfc822" if container.kind == "multipart/digest" else "text/plain"

    def _close_above(self, number: int) -> None:
        """Close every part that stands within the *number*-th open one."""
        while len(self._stack) > number + 1:
            part = self._stack.pop()
            self._forget(part.boundary)
            if part.children:
                if not part.ended:
                    self.problems.append("close_boundary_not_found")
                continue
            if part.boundary:
                self.problems += ["start_boundary_not_found", "multipart_invariant_violation"]
            end = self._base + self._at
            part.take(part.decoder.close(), end, self._room)
            if part.decoder.damaged:
                self.problems.append("invalid_encoding")
            self.leaves.append(part.leaf(max(part.start, end)))

    def _forget(self, boundary: bytes) -> None:
        """Let *boundary* separate the outer multipart of the same one, if there is any."""
        self._levels.pop(boundary, None)
        for number, part in enumerate(self._stack):
            if boundary and part.boundary == boundary and not part.ended:
                self._levels[boundary] = number
        self._begins = _beginnings(self._levels)


def _beginnings(boundaries: Iterable[bytes]) -> re.Pattern[bytes] | None:
    """Return what finds the line breaks that a boundary line may follow, None where there are no boundaries."""
    firsts = b"".join(sorted({re.escape(boundary[:1]) for boundary in boundaries}))
    return re.compile(rb"\n--(?=[" + firsts + rb"])") if firsts else None
