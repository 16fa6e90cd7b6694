"""Answers to received mail: who gets them, under which subject, and the headers that keep the conversation together."""

import re
from dataclasses import dataclass, replace

from shared.compose import addresses
from shared.compose.message import Address
from shared.connections import Connection
from shared.errors import FieldFault, InvalidRequest
from shared.identifiers import box_of, split_receipt_id
from shared.mail.parsed import Address as Read
from shared.mail.parsed import Mail
from shared.ports import Blobs, Tables
from shared.receipts import read_receipt, receipt_key
from shared.send.accept import Submission
from shared.stored_mail import read_mail

MOST_REFERENCES = 50
_REPLY = re.compile(r"(re|aw|antw|sv|vs|ref|rif|r)\s*(\[\d+\]|\(\d+\))?\s*:", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Replying:
    """Completes answers from what is stored of the received mail."""

    tables: Tables
    received: Blobs

    def completed(self, connection: Connection, submission: Submission) -> Submission:
        """
        Return *submission* with what it leaves out of an answer: recipients, subject and headers.

        Only where its ``in_reply_to`` names received mail, which must be of the same mailbox. The answer goes to the
        mail's Reply-To, else to who wrote it (RFC 5322 §3.6.3). Raises `InvalidRequest`.
        """
        mail = submission.mail
        named = split_receipt_id(mail.in_reply_to)
        if named is None:
            return submission
        found = self._read(*named) if box_of(named[0]) == connection.box else None
        if found is None:
            message = "there is no such received mail of this mailbox, or its content is not kept any more"
            raise InvalidRequest("The mail to answer was not found.", [FieldFault("/in_reply_to", "unknown", message)])
        answered = replace(
            mail,
            to=mail.to or _people(found.reply_to or found.sender),
            subject=mail.subject or _subject(found.subject),
            in_reply_to=_identifier(found.message_id),
            references=mail.references or _references(found),
        )
        if not answered.recipients:
            message = "the mail to answer names nobody to whom an answer could go; give recipients"
            raise InvalidRequest("The answer has no recipient.", [FieldFault("/to", "missing", message)])
        return replace(submission, mail=answered)

    def _read(self, connection_id: str, message_hash: str) -> Mail | None:
        row = self.tables.receipts.get(connection_id, receipt_key(message_hash))
        return read_mail(self.received, read_receipt(row.values)) if row else None


def _people(found: tuple[Read, ...]) -> tuple[Address, ...]:
    """Return those who can be written to; a name that could not stand in a header is left out."""
    people = []
    for one in found:
        try:
            address = addresses.address(one.address)
        except ValueError:
            continue
        name = "".join(sign for sign in one.name if sign.isprintable())[:200].strip()
        people.append(Address(address, name))
    return tuple(people)


def _subject(subject: str) -> str:
    plain = "".join(sign if sign.isprintable() else " " for sign in subject)
    plain = " ".join(plain.split())[:1000]
    return plain if _REPLY.match(plain) else f"Re: {plain}".rstrip()


def _references(found: Mail) -> tuple[str, ...]:
    known = [known for text in (*found.references, found.message_id) if (known := _identifier(text))]
    if len(known) > MOST_REFERENCES:  # the first names the conversation, the last its latest turns
        return (known[0], *known[-MOST_REFERENCES + 1 :])
    return tuple(dict.fromkeys(known))


def _identifier(text: str) -> str:
    try:
        return addresses.message_id(text)
    except ValueError:
        return ""
