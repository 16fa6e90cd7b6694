"""What a light page leaves out: the details of its messages, asked for one by one so that an ill one stands alone."""

from collections.abc import Sequence

from shared.codes import Code
from shared.errors import CredentialFault, Fault, GrantFault, Throttled, Unreachable
from shared.fetch.contents import BATCH
from shared.fetch.job import Job, portions
from shared.ports import GraphMailbox, GraphReading, Listed

PATIENCE = 2
"""After so many failed runs in a row, what fails for all messages of a page is taken for the fault of each."""


class Details:
    """Asks *graph* for details, at most 20 messages at a time."""

    def __init__(self, graph: GraphReading) -> None:
        self._graph = graph

    def of(self, job: Job, mailbox: GraphMailbox, messages: Sequence[Listed]) -> list[Listed]:
        """
        Return *messages* with their details; those that Graph cannot show stay as they are, those gone are left out.

        Raises the fault that concerns more than one message.
        """
        found: list[Listed] = []
        for batch in portions(messages, BATCH):
            job.keep_turn()
            with job.turn.permits.all():
                answers = self._graph.details(mailbox, [message.id for message in batch])
            faults = [answer for answer in answers.values() if isinstance(answer, Fault)]
            for fault in faults:
                if isinstance(fault, (Throttled, CredentialFault, GrantFault)):
                    raise fault
            shared = len(batch) > 1 and all(isinstance(answer, Unreachable) for answer in answers.values())
            if shared and not given_up(job, faults[0]):
                raise faults[0]
            found.extend(_best(message, answers[message.id]) for message in batch if not _gone(answers[message.id]))
        return found


def given_up(job: Job, fault: Fault) -> bool:
    """
    Tell whether to wait no longer for an end of *fault*, which all messages of a page seem to share.

    Each gets its receipt then, and is fetched again by itself: the cursor waits for nobody.
    """
    return isinstance(fault, Unreachable) and job.run.failures >= PATIENCE


def _best(message: Listed, answer: Listed | Fault) -> Listed:
    return message if isinstance(answer, Fault) else answer


def _gone(answer: Listed | Fault) -> bool:
    return isinstance(answer, Fault) and answer.code == Code.MESSAGE_NOT_FOUND
