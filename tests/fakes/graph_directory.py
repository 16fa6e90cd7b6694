"""The directory in memory: people and folders by mailbox."""

from dataclasses import dataclass, field

from shared.codes import Code
from shared.errors import ItemFault, MailboxFault
from shared.ports import Folder, GraphMailbox, MailCount, Person
from tests.fakes.failures import Failures

FOLDERS = (Folder("F-inbox", "Inbox"), Folder("F-deleted", "Deleted Items"), Folder("F-done", "Done"))
_WELL_KNOWN = {"inbox": FOLDERS[0], "deleteditems": FOLDERS[1]}


@dataclass
class MemoryDirectory:
    """
    The `GraphDirectory` port; *failures* makes its methods fail, *closed* denies every mailbox.

    *shut* denies those that are named so.
    Asking for a token is part of every call.
    """

    persons: list[Person] = field(default_factory=list)
    failures: Failures = field(default_factory=Failures)
    closed: bool = False
    shut: set[str] = field(default_factory=set)
    received: list[str] = field(default_factory=list)

    def person(self, mailbox: GraphMailbox) -> Person:
        """Return the user of this object id or address."""
        mailbox.token(False)
        with self.failures.around("person"):
            for person in self.persons:
                if mailbox.user.lower() in (person.id, person.address):
                    return person
            raise MailboxFault("There is no such mailbox in the tenant.", Code.MAILBOX_NOT_FOUND)

    def people(self, mailbox: GraphMailbox, search: str, limit: int) -> list[Person]:
        """Return users whose name or address starts with *search*."""
        mailbox.token(False)
        wanted = search.lower()
        found = [p for p in self.persons if p.address.startswith(wanted) or p.name.lower().startswith(wanted)]
        return found[:limit]

    def folder(self, mailbox: GraphMailbox, name_or_id: str) -> Folder:
        """Return the folder of this id, well-known name, or display name."""
        mailbox.token(False)
        if self.closed or mailbox.user in self.shut:
            raise MailboxFault("Exchange denied the app access to this mailbox.", Code.MAILBOX_ACCESS_DENIED)
        known = _WELL_KNOWN.get(name_or_id.lower())
        found = known or next((folder for folder in FOLDERS if name_or_id in (folder.id, folder.name)), None)
        if found is None:
            raise ItemFault("There is no such folder.", Code.FOLDER_NOT_FOUND)
        return found

    def folders(self, mailbox: GraphMailbox, parent: str | None = None) -> list[Folder]:
        """Return the folders below *parent*, or the top ones."""
        mailbox.token(False)
        return [] if parent else list(FOLDERS)

    def mail_count(self, mailbox: GraphMailbox, folder_id: str, since: str) -> MailCount:
        """Count the mails of *received* (times of reception, RFC 3339)."""
        mailbox.token(False)
        with self.failures.around("mail_count"):
            return MailCount(sum(moment >= since for moment in self.received), exact=True)
