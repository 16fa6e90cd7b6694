"""What became of a send whose answer was lost: sent, still a draft, or not to be found."""

from dataclasses import dataclass
from enum import StrEnum

from shared.outbox.work import Work
from shared.ports import Found, GraphMailbox, GraphSending
from shared.send.guard import Guard


class Sight(StrEnum):
    """What a look saw."""

    SENT = "sent"
    DRAFT = "draft"
    NOTHING = "nothing"


@dataclass(frozen=True, slots=True)
class Seen:
    """What a look saw, and the Message-ID that the sent message bears."""

    sight: Sight
    internet_message_id: str = ""


def look(graph: GraphSending, mailbox: GraphMailbox, guard: Guard, work: Work) -> Seen:
    """
    Look by id, then by marker, Message-ID and among recoverable items.

    A draft that lingers does not end the search: the sent message may stand beside it. Only the recorded draft counts
    as one; a draft of another id is an orphan and proves nothing. Raises where a search gave no answer.
    """
    draft = guard.call(lambda: graph.get(mailbox, work.draft_id))
    if draft is not None and not draft.is_draft:
        return Seen(Sight.SENT, draft.internet_message_id)
    marked = guard.call(lambda: graph.find_marked(mailbox, work.id, work.internet_message_id))
    sent = next((message for message in marked if not message.is_draft), None)
    if sent is not None:
        return Seen(Sight.SENT, sent.internet_message_id)
    if draft is not None or _holds(marked, work.draft_id):
        return Seen(Sight.DRAFT)
    return Seen(Sight.NOTHING)


def _holds(messages: list[Found], draft_id: str) -> bool:
    return any(message.id == draft_id for message in messages)
