"""A mailbox that sends, in memory: what Exchange may do to a draft, with every mode that the protocol must survive."""

import re
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import count
from typing import TypeVar

from shared.codes import Code
from shared.errors import Fault, ItemFault, Unreachable
from shared.ports import REPORTS_LISTED, Attachment, Clock, Found, GraphMailbox, Marked, Report
from shared.times import from_text, to_text

Result = TypeVar("Result")
_MARKER = re.compile(rb"^X-Mailgrant-Entry: (\S+)\r$", re.MULTILINE)
_MESSAGE_ID = re.compile(rb"^Message-ID: (\S+)\r$", re.MULTILINE)


@dataclass(frozen=True)
class Item:
    """A message of the mailbox."""

    id: str
    marker: str
    internet_message_id: str
    is_draft: bool = True
    files: tuple[tuple[str, int], ...] = ()
    visible_from: datetime | None = None
    lingers_until: datetime | None = None
    at: datetime | None = None


@dataclass
class Modes:
    """How this Exchange behaves beyond the documented."""

    new_id_on_send: bool = False
    copy: str = "at once"  # at once | late | never
    draft_lingers: timedelta = timedelta()
    marker_works: bool = True
    message_id_works: bool = True
    message_id_rewritten: bool = False


@dataclass
class MemoryExchange:
    """
    The ports `GraphSending` and `GraphSent` in memory. *copies* counts what recipients got, by entry.

    *script* is asked before each call, by method, for an error to raise and whether the effect happens all the same;
    *step* is called before and after each effect.
    """

    clock: Clock
    modes: Modes = field(default_factory=Modes)
    script: Callable[[str], tuple[Fault | None, bool]] = lambda _: (None, True)
    step: Callable[[str], None] = lambda _: None
    pause: float | None = None
    items: dict[str, Item] = field(default_factory=dict)
    copies: Counter[str] = field(default_factory=Counter)
    calls: Counter[str] = field(default_factory=Counter)
    mimes: list[bytes] = field(default_factory=list)
    bounced: dict[str, tuple[datetime, bytes]] = field(default_factory=dict)
    _ids: Iterator[int] = field(default_factory=lambda: count(1))
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def create_draft(self, mailbox: GraphMailbox, mime: bytes) -> Found:
        """Make a draft."""
        marker, message_id = _first(_MARKER, mime), _first(_MESSAGE_ID, mime)

        def make() -> Found:
            item = Item(f"id-{next(self._ids)}", marker, message_id, at=self.clock())
            self.items[item.id] = item
            self.mimes.append(mime)
            return Found(item.id, is_draft=True, internet_message_id=message_id)

        return self._run("create_draft", make)

    def attach(self, mailbox: GraphMailbox, draft_id: str, file: Attachment, content: bytes) -> None:
        """Add a small file."""
        self._run("attach", lambda: self._add(draft_id, file.name, len(content)))

    def attach_large(
        self, mailbox: GraphMailbox, draft_id: str, file: Attachment, size: int, chunks: Iterator[bytes]
    ) -> None:
        """Add a large file."""
        self._run("attach_large", lambda: self._add(draft_id, file.name, sum(map(len, chunks))))

    def send(self, mailbox: GraphMailbox, draft_id: str) -> float | None:
        """Send a draft; a lingering one is delivered again."""

        def deliver() -> float | None:
            item = self._visible(draft_id)
            if item is None or not item.is_draft:
                raise ItemFault("gone", Code.MESSAGE_NOT_FOUND)
            self.copies[item.marker] += 1
            self._file_copy(item)
            return self.pause

        return self._run("send", deliver)

    def send_mail(self, mailbox: GraphMailbox, mime: bytes) -> float | None:
        """Send without a draft; the copy has an id of its own."""

        def deliver() -> float | None:
            marker = _first(_MARKER, mime)
            self.copies[marker] += 1
            self.mimes.append(mime)
            return self.pause

        return self._run("send_mail", deliver)

    def get(self, mailbox: GraphMailbox, message_id: str) -> Found | None:
        """Return a message by id."""

        def find() -> Found | None:
            item = self._visible(message_id)
            return None if item is None else Found(item.id, item.is_draft, item.internet_message_id)

        return self._run("get", find)

    def find_marked(self, mailbox: GraphMailbox, entry_id: str, internet_message_id: str) -> list[Found]:
        """Return messages by marker or Message-ID, as far as each works."""

        def find() -> list[Found]:
            seen = [item for key in list(self.items) if (item := self._visible(key)) is not None]
            return [
                Found(item.id, item.is_draft, item.internet_message_id)
                for item in seen
                if (self.modes.marker_works and item.marker == entry_id)
                or (self.modes.message_id_works and item.internet_message_id == internet_message_id)
            ]

        return self._run("find_marked", find)

    def delete_draft(self, mailbox: GraphMailbox, draft_id: str) -> None:
        """Remove a draft."""
        self._run("delete_draft", lambda: self.items.pop(draft_id, None))

    def sent_copies(self, mailbox: GraphMailbox, since: str) -> list[Marked]:
        """List Sent Items."""
        return self._run("sent_copies", lambda: [one for one in self._marked(from_text(since)) if not one.is_draft])

    def reports(self, mailbox: GraphMailbox, since: str) -> list[Report]:
        """List reports."""

        def find() -> list[Report]:
            found = [(at, key) for key, (at, _) in self.bounced.items() if at >= from_text(since)]
            return [Report(key, to_text(at)) for at, key in sorted(found)][:REPORTS_LISTED]

        return self._run("reports", find)

    def report_content(self, mailbox: GraphMailbox, message_id: str) -> bytes:
        """Return a report."""
        return self._run("report_content", lambda: self.bounced[message_id][1])

    def old_drafts(self, mailbox: GraphMailbox, before: str) -> list[Marked]:
        """List marked drafts that are old."""

        def find() -> list[Marked]:
            old = [key for key, item in self.items.items() if item.at is not None and item.at < from_text(before)]
            return [one for one in self._marked() if one.is_draft and one.marker and one.id in old]

        return self._run("old_drafts", find)

    def remove(self, mailbox: GraphMailbox, message_id: str) -> None:
        """Remove a message."""
        self._run("remove", lambda: self.items.pop(message_id, None))

    def bounce(self, mime: bytes) -> str:
        """Let a report arrive; return its id."""
        with self._lock:
            key = f"report-{next(self._ids)}"
            self.bounced[key] = (self.clock(), mime)
            return key

    def _marked(self, since: datetime | None = None) -> list[Marked]:
        seen = [item for key in list(self.items) if (item := self._visible(key)) is not None]
        return [
            Marked(
                item.id,
                item.is_draft,
                item.internet_message_id if self.modes.message_id_works else "",
                item.marker if self.modes.marker_works else "",
            )
            for item in seen
            if since is None or item.at is None or item.at >= since
        ]

    def drafts(self) -> list[Item]:
        """Return the drafts that are there."""
        return [item for item in self.items.values() if item.is_draft]

    def _file_copy(self, item: Item) -> None:
        now = self.clock()
        if self.modes.draft_lingers:
            self.items[item.id] = replace(item, lingers_until=now + self.modes.draft_lingers)
        else:
            del self.items[item.id]
        if self.modes.copy == "never":
            return
        late = now + timedelta(seconds=100) if self.modes.copy == "late" else None
        fresh = self.modes.new_id_on_send or bool(self.modes.draft_lingers)
        key = f"id-{next(self._ids)}" if fresh else item.id
        message_id = f"<{key}@rewritten.example>" if self.modes.message_id_rewritten else item.internet_message_id
        sent = replace(item, id=key, is_draft=False, visible_from=late, internet_message_id=message_id, at=now)
        self.items[key] = sent

    def _add(self, draft_id: str, name: str, size: int) -> None:
        item = self.items.get(draft_id)
        if item is None:
            raise ItemFault("gone", Code.MESSAGE_NOT_FOUND)
        self.items[draft_id] = replace(item, files=(*item.files, (name, size)))

    def _visible(self, key: str) -> Item | None:
        item, now = self.items.get(key), self.clock()
        if item is None or (item.visible_from and item.visible_from > now):
            return None
        return None if item.lingers_until and item.lingers_until <= now else item

    def _run(self, method: str, effect: Callable[[], Result]) -> Result:
        with self._lock:
            self.calls[method] += 1
            self.step(f"before {method}")
            error, happens = self.script(method)
            if error is not None and not happens:
                raise error
            result = effect()
            self.step(f"after {method}")
            if error is not None:
                raise error
            return result


def lost_answer() -> Fault:
    """Return what a 504 or a reset connection becomes."""
    return Unreachable("no answer", outcome_unknown=True)


def _first(pattern: re.Pattern[bytes], mime: bytes) -> str:
    match = pattern.search(mime)
    return match[1].decode() if match else ""
