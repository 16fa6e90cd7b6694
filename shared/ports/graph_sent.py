"""What Graph says of mail after it was sent: its copies in Sent Items, reports of failure, drafts left behind."""

from dataclasses import dataclass
from typing import Protocol

from shared.ports.graph import Found, GraphMailbox

REPORTS_LISTED = 250


@dataclass(frozen=True, slots=True)
class Marked:
    """A message that may bear our *marker*, the id of its entry ('' for none)."""

    id: str
    is_draft: bool
    internet_message_id: str
    marker: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """A report that mail was not delivered, as a list names it; *received_at* is RFC 3339."""

    id: str
    received_at: str


class GraphSent(Protocol):
    """What is learned and cleaned up after sending; every call carries ``Prefer: IdType="ImmutableId"``."""

    def sent_copies(self, mailbox: GraphMailbox, since: str) -> list[Marked]:
        """
        List Sent Items from *since* (RFC 3339) on, the newest first, a thousand at most.

        Raises `MailboxFault`, `Throttled`, `Unreachable`.
        """

    def reports(self, mailbox: GraphMailbox, since: str) -> list[Report]:
        """
        List reports of failed delivery that came from *since* on, in the whole mailbox, oldest first.

        At most `REPORTS_LISTED` are named.
        """

    def report_content(self, mailbox: GraphMailbox, message_id: str) -> bytes:
        """Return the beginning of a report's MIME, 512 KiB at most; raises `ItemFault` where it is gone."""

    def old_drafts(self, mailbox: GraphMailbox, before: str) -> list[Marked]:
        """List drafts made before *before* (RFC 3339) that bear our marker, a thousand looked through at most."""

    def get(self, mailbox: GraphMailbox, message_id: str) -> Found | None:
        """Return the message by immutable id, or None where it is not found."""

    def remove(self, mailbox: GraphMailbox, message_id: str) -> None:
        """Remove a message as a person does; no error where it is gone."""
