"""
Which sync states does Graph still remember.

Every link of a chain of delta calls is a generation; only the newest three are kept, older links answer 410.
"""

from __future__ import annotations

import base64
import re
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from localcloud.mail.errors import MailError

if TYPE_CHECKING:
    from localcloud.graph.filters import Node
    from localcloud.graph.odata import MessageView
    from localcloud.mail.store import Folder, Mailbox

KEPT_GENERATIONS = 3
_PADDING = "A" * 300  # real tokens are long; whoever stores them must cope
_TOKEN = re.compile(r"^([0-9a-f]{32})g(\d{1,12})A*$")


@dataclass(frozen=True)
class Entry:
    """One line of a round: a message to show, or (*removed*) to report as gone."""

    immutable_id: str
    mutable_id: str
    removed: bool = False


@dataclass(frozen=True)
class SyncState:
    """
    Where a chain stands: *entries* still to be shown from *position* on, then changes after sequence *since*.

    *entries* None means that the round has not begun. *empty_pages* are still to come in this round.
    """

    since: int
    entries: list[Entry] | None = None
    position: int = 0
    empty_pages: int = 0
    first_round: bool = False


@dataclass
class Chain:
    """What one first request began: its options, which later links only carry on."""

    id: str
    mailbox: Mailbox
    folder: Folder
    view: MessageView
    change_type: str
    size: int
    condition: Node | None
    returned: int = 0
    generation: int = 0
    states: dict[int, SyncState] = field(default_factory=dict)


class DeltaStates:
    """Every chain that was begun."""

    def __init__(self) -> None:
        self._chains: dict[str, Chain] = {}

    def begin(self, chain: Chain) -> None:
        """Remember a new *chain*."""
        self._chains[chain.id] = chain

    def remember(self, chain: Chain, state: SyncState, kept: int) -> str:
        """Store *state* as the newest generation, forget all but the newest *kept*, and return its token."""
        chain.generation += 1
        chain.states[chain.generation] = state
        for generation in [known for known in chain.states if known <= chain.generation - kept]:
            del chain.states[generation]
        return base64.urlsafe_b64encode(f"{chain.id}g{chain.generation}{_PADDING}".encode()).decode()

    def recall(self, unverified_token: str, mailbox: Mailbox, folder: Folder) -> tuple[Chain, SyncState]:
        """
        Return what *unverified_token* stands for.

        Raises:
            MailError: 410 SyncStateNotFound for a forgotten one, 400 for one that never was.
        """
        try:
            text = base64.urlsafe_b64decode(unverified_token.encode()).decode("ascii")
        except ValueError:
            text = ""
        match = _TOKEN.match(text)
        if match is None:
            raise MailError(400, "BadRequest", "Badly formed token.")
        chain, generation = self._chains.get(match[1]), int(match[2])
        said = f"The sync state generation is not found; generation={generation};"
        if chain is None or chain.mailbox is not mailbox or chain.folder is not folder:
            raise MailError(410, "SyncStateNotFound", said)
        state = chain.states.get(generation)
        if state is None:
            known = "".join(f"[{number}]" for number in chain.states)
            raise MailError(410, "SyncStateNotFound", f"{said}[highest={chain.generation}]{known}.")
        return chain, state


def new_chain_id() -> str:
    """Return a random name for a chain."""
    return uuid.uuid4().hex
