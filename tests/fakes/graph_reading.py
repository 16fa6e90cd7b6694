"""One mailbox folder as Graph shows it to fetch: pages, contents, marks, and trouble on demand."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from shared.codes import Code
from shared.errors import Fault, ItemFault, Microsoft, OutOfSync, Unreachable
from shared.ports import DeltaPage, GraphMailbox, Listed, Placed, Window
from tests.fakes.failures import Failures


def mime_of(identifier: str) -> bytes:
    """Return the MIME that a message of this id has."""
    return f"From: ann@contoso.example\r\nSubject: {identifier}\r\n\r\nbody of {identifier}\r\n".encode()


@dataclass
class MemoryGraphReading:
    """
    A folder. *items* hold the fault of single messages by id, each used once; *calls* names every call.

    Links are ``next:<first>:<generation>`` and ``delta:<first>:<generation>`` over the order of arrival, those of a
    light walk end in ``:light``. *poison* makes messages ill: whatever shows more of one (``full``) or anything
    (``hard``) than its id fails as a whole, and so do its details and its content. *lost* are left out by delta.
    """

    messages: list[Listed] = field(default_factory=list)
    items: dict[str, list[Fault]] = field(default_factory=dict)
    read: set[str] = field(default_factory=set)
    moved: dict[str, str] = field(default_factory=dict)
    moves: list[str] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    failures: Failures = field(default_factory=Failures)
    generation: int = 0
    poison: dict[str, str] = field(default_factory=dict)
    lost: set[str] = field(default_factory=set)

    def arrive(self, *identifiers: str, received_at: str = "2026-03-02T09:30:00Z", size: int | None = 500) -> None:
        """Let messages arrive."""
        for identifier in identifiers:
            subject = f"subject of {identifier}"
            self.messages.append(Listed(identifier, False, received_at, subject, "ann@contoso.example", size=size))

    def change(self, identifier: str, change: Callable[[Listed], Listed]) -> None:
        """Change how a message is listed."""
        self.messages = [change(item) if item.id == identifier else item for item in self.messages]

    def draft(self, identifier: str) -> None:
        """Turn a message into a draft."""
        self.change(identifier, lambda item: replace(item, is_draft=True))

    def first_page(self, mailbox: GraphMailbox, folder_id: str, page_size: int, *, light: bool = False) -> DeltaPage:
        """Start a walk."""
        self.calls.append("first_page")
        with self.failures.around("page"):
            return self._page(0, page_size, ":light" if light else "")

    def next_page(self, mailbox: GraphMailbox, link: str, page_size: int) -> DeltaPage:
        """Follow a link, unless Graph forgot it."""
        self.calls.append("next_page")
        with self.failures.around("page"):
            _, start, generation, *light = link.split(":")
            if int(generation) != self.generation:
                raise OutOfSync("forgotten")
            return self._page(int(start), page_size, ":light" if light else "")

    def list_page(self, mailbox: GraphMailbox, window: Window, page_size: int, *, light: bool = False) -> DeltaPage:
        """List mail by the time it was received."""
        self.calls.append("list_page")
        with self.failures.around("page"):
            there = {item.id: item for item in self.messages if item.id not in self.moved and not item.removed}
            found = sorted(
                (item for item in there.values() if window.since <= item.received_at <= (window.until or "9")),
                key=lambda item: item.received_at,
            )[window.skip :]
            shown = self._shown(found[:page_size], light=light)
            return DeltaPage(shown, next_link="more" if len(found) > page_size else "")

    def details(self, mailbox: GraphMailbox, ids: Sequence[str]) -> dict[str, Listed | Fault]:
        """Return messages one by one."""
        self.calls.append("details")
        assert 0 < len(ids) <= 20
        with self.failures.around("details"):
            there = {item.id: item for item in self.messages}
            return {key: self._fault(key) or there.get(key) or gone() for key in ids}

    def contents(self, mailbox: GraphMailbox, ids: Sequence[str]) -> dict[str, bytes | Fault]:
        """Return contents, each its own."""
        self.calls.append("contents")
        assert 0 < len(ids) <= 20
        with self.failures.around("contents"):
            return {key: self._fault(key) or mime_of(key) for key in ids}

    def content_stream(self, mailbox: GraphMailbox, message_id: str) -> Iterator[bytes]:
        """Stream one content."""
        self.calls.append("content_stream")
        fault = self._fault(message_id)
        if fault:
            raise fault
        yield mime_of(message_id)[:10]
        yield mime_of(message_id)[10:]

    def apply(
        self, mailbox: GraphMailbox, action: str, ids: Sequence[str], folder_id: str = ""
    ) -> dict[str, Fault | None]:
        """Mark or move."""
        self.calls.append("apply")
        assert 0 < len(ids) <= 20
        with self.failures.around("apply"):
            answers = {key: self._fault(f"apply:{key}") for key in ids}
            for key in [key for key, fault in answers.items() if fault is None]:
                if action == "read":
                    self.read.add(key)
                else:
                    self.moved[key] = folder_id
                    self.moves.append(key)
            return answers

    def placed(self, mailbox: GraphMailbox, ids: Sequence[str]) -> dict[str, Placed | Fault]:
        """Tell where messages lie."""
        self.calls.append("placed")
        return {
            key: self._fault(f"placed:{key}") or Placed(self.moved.get(key, "inbox"), key in self.read) for key in ids
        }

    def _fault(self, key: str) -> Fault | None:
        planned = self.items.get(key)
        if planned:
            return planned.pop(0)
        return broken() if key in self.poison else None

    def _page(self, start: int, size: int, light: str = "") -> DeltaPage:
        end = min(start + size, len(self.messages))
        listed = [item for item in self.messages[start:end] if item.id not in self.lost]
        shown = self._shown(listed, light=bool(light))
        if end < len(self.messages):
            return DeltaPage(shown, next_link=f"next:{end}:{self.generation}{light}")
        return DeltaPage(shown, delta_link=f"delta:{end}:{self.generation}{light}")

    def _shown(self, items: list[Listed], *, light: bool) -> list[Listed]:
        ill = [self.poison.get(item.id) for item in items]
        if "hard" in ill or ("full" in ill and not light):
            raise broken()
        if not light:
            return items
        return [Listed(item.id, item.removed, item.received_at, is_draft=item.is_draft) for item in items]


def gone() -> ItemFault:
    """Return the fault of a message that is no longer there."""
    return ItemFault("The message is gone.", Code.MESSAGE_NOT_FOUND)


def broken() -> Unreachable:
    """Return what Graph says of an item that it cannot read."""
    microsoft = Microsoft("ErrorInternalServerError")
    return Unreachable("Graph gave no usable answer (HTTP 500).", microsoft=microsoft, outcome_unknown=True)
