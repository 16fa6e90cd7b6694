"""A mail sent once more because a person says so: a new entry with the old one's content, which names the old one."""

from dataclasses import dataclass, replace

from shared.codes import Code
from shared.compose.message import Outgoing
from shared.connection_rows import find
from shared.errors import Conflict, Gone
from shared.outbox.rows import Entry
from shared.outbox.work import OPEN, Status
from shared.ports import BlobStore, Tables
from shared.send.accept import Accept, Accepted, Submission
from shared.send.entries import Entries

NEVER_SENT = frozenset({Status.FAILED, Status.CANCELLED})


@dataclass(frozen=True, slots=True)
class Resending:
    """Sends finished mails again."""

    tables: Tables
    blobs: BlobStore
    entries: Entries
    accept: Accept

    def resend(self, entry_id: str, key: str, *, accept_duplicate: bool) -> Accepted:
        """
        Accept the mail of an entry once more; *key* makes a repeat of the request harmless ('' for none).

        Raises `NotFound`, `Conflict` while it may still be sent by itself, or where a recipient may have it already
        and *accept_duplicate* is not said, `Gone` where its content is not kept any more, and as `Accept.accept`.
        """
        entry = self.entries.get(entry_id)
        _refuse(entry, accept_duplicate=accept_duplicate)
        connection = find(self.tables, entry.connection_id).connection
        content = self.blobs.outbox.get(entry.payload) if entry.payload else None
        if content is None:
            raise Gone("The content of this mail is not kept any more, so it cannot be sent again.")
        mail = Outgoing.from_bytes(content)
        # Its uploads were found and joined when it was first accepted; the payload names the blobs.
        mail = mail.with_files(tuple(replace(file, upload_id="") if file.blob else file for file in mail.files))
        again = Submission(
            mail,
            metadata=entry.metadata,
            key=f"resend:{key}" if key else "",
            body_hash=entry.id,
            resend_of=entry.id,
            save_copy=entry.save_to_sent_items,
        )
        return self.accept.accept(connection, again)


def _refuse(entry: Entry, *, accept_duplicate: bool) -> None:
    if entry.status in OPEN:
        detail = f"The mail is {entry.status.value}: it is still sent by itself. Cancel it, or wait for its end."
        raise Conflict(detail, Code.NOT_RESENDABLE)
    if entry.status not in NEVER_SENT and not accept_duplicate:
        detail = (
            f"The mail is {entry.status.value}, so a recipient may have it already. "
            'Send {"accept_duplicate": true} if a second copy is better than none.'
        )
        raise Conflict(detail, Code.NOT_RESENDABLE)
