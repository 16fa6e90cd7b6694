"""Received mail as its readers see it: lists, one mail with its parsed view, its bytes, and delivering it again."""

import base64
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from shared.codes import Code
from shared.connection_rows import find, require_delivery
from shared.connections import connection_key
from shared.content_links import PAGE, RAW, read_link, well_formed
from shared.errors import Conflict, FieldFault, Gone, InvalidRequest, NotFound, RowMissing
from shared.events import attachment_view, message_view
from shared.identifiers import is_connection_id, shard_of, split_receipt_id
from shared.mail.parsed import Attachment
from shared.paging import Page, after
from shared.ports import ANY, Blobs, Clock, Tables, Update, Upsert, Wakeups
from shared.receipts import (
    DELIVER,
    VIEWED,
    Receipt,
    ReceiptStatus,
    Work,
    first_delivery,
    public_id,
    read_receipt,
    readable_receipt,
    receipt_key,
)
from shared.schedule import DELIVER as DELIVER_KIND
from shared.schedule import DueRow, Wakeup
from shared.stored_mail import read_attachment, read_mail
from shared.times import to_inverted_key
from shared.waking import wake

MOST_SCANNED = 1000
DELIVER_AFTER = timedelta(minutes=2)
_NO_RECEIPT = "There is no such mail. GET connections/{id}/received lists those there are."
_EXPIRED = "The content of this mail is not stored any more."
_IN_MAILBOX = "This mail is beyond a limit of its connection, so its content was not stored. It stays in the mailbox."


@dataclass(frozen=True, slots=True)
class Found:
    """A receipt with the connection it belongs to."""

    connection_id: str
    receipt: Receipt

    @property
    def id(self) -> str:
        """The receipt's public id."""
        return public_id(self.connection_id, self.receipt.hash)


@dataclass(frozen=True, slots=True)
class Wanted:
    """
    Which mail a list holds: of one *status*, stored in *since* ≤ time < *until*, beginning with *sender* and *subject*.

    Case does not matter for those two; *message_id* is that of the mail's header, with or without its angle brackets.
    """

    status: ReceiptStatus | None = None
    since: datetime | None = None
    until: datetime | None = None
    sender: str = ""
    subject: str = ""
    message_id: str = ""

    @property
    def chooses(self) -> bool:
        """Whether mail has to be looked at to tell if it is wanted."""
        return bool(self.status or self.sender or self.subject or self.message_id)

    def takes(self, receipt: Receipt) -> bool:
        """Tell whether *receipt* is wanted, whatever its time."""
        return (
            self.status in (None, receipt.status)
            and receipt.sender.casefold().startswith(self.sender.casefold())
            and receipt.subject.casefold().startswith(self.subject.casefold())
            and self.message_id.strip("<>") in ("", receipt.internet_message_id.strip("<>"))
        )


@dataclass(frozen=True, slots=True)
class Content:
    """
    Bytes to hand out: the *name* that a saved file gets, their *size* and *sha256*.

    *read* returns those from the first to the last inclusive; it raises `Gone` where they are not stored any more.
    """

    name: str
    size: int
    sha256: str
    read: Callable[[int, int], bytes] = field(repr=False)


class Received:
    """Reads received mail and has it delivered again; *link_key* checks links, *clock* says whether they still hold."""

    def __init__(
        self, tables: Tables, blobs: Blobs, wakeups: Wakeups, link_key: Callable[[], bytes], base_url: str, clock: Clock
    ) -> None:
        self._tables = tables
        self._connections = tables.connections
        self._receipts = tables.receipts
        self._blobs = blobs
        self._wakeups = wakeups
        self._link_key = link_key
        self._base_url = base_url
        self._clock = clock

    def page(self, connection_id: str, limit: int, cursor: str, wanted: Wanted) -> Page[Found]:
        """
        Return received mail of a connection, newest first, as *wanted*.

        A page may be short, even empty, where many others had to be passed over; only the missing cursor ends the list.
        Raises `NotFound`, and `InvalidRequest` for a foreign cursor.
        """
        self._require_connection(connection_id)
        prefix = f"v|{wanted.status.value}|" if wanted.status in VIEWED and wanted.status is not None else "d|"
        first, last = _first_key(prefix, cursor), f"{prefix}~"
        if wanted.until is not None:
            first = max(first, f"{prefix}{to_inverted_key(wanted.until)}~")
        if wanted.since is not None:
            last = f"{prefix}{to_inverted_key(wanted.since)}~"
        most = MOST_SCANNED if wanted.chooses else limit + 1
        rows = self._receipts.read(connection_id, first, last, most).rows if first < last else []
        found: list[Found] = []
        for number, row in enumerate(rows):
            held = self._receipts.get(connection_id, receipt_key(row.key.rpartition("|")[2]))
            receipt = readable_receipt(held) if held is not None else None
            if receipt is not None and wanted.takes(receipt):
                found.append(Found(connection_id, receipt))
            if len(found) == limit:
                return Page(found, _cursor(row.key) if number + 1 < len(rows) else None)
        return Page(found, _cursor(rows[-1].key) if len(rows) == most else None)

    def get(self, receipt_id: str) -> Found:
        """Return a receipt. Raises `NotFound`."""
        named = split_receipt_id(receipt_id)
        row = self._receipts.get(named[0], receipt_key(named[1])) if named else None
        if named is None or row is None:
            raise NotFound(_NO_RECEIPT)
        return Found(named[0], read_receipt(row.values))

    def view(self, receipt_id: str, area: str = "received") -> dict[str, Any]:
        """
        Return a mail with its parsed view, which is None where its content is not stored (any more).

        The addresses in it lead to the routes of *area*: ``received`` takes a function key, ``inbox`` a receive token.
        Raises `NotFound`.
        """
        found = self.get(receipt_id)
        mail = read_mail(self._blobs, found.receipt)
        place = f"{self._base_url}/api/{area}/{found.id}"
        shown = receipt_view(found)
        if mail is None:
            content = "expired" if found.receipt.blob else shown["content"]
            return {**shown, "content": content, "message": None, "raw_url": None, "attachments": []}
        if found.receipt.not_stored:
            return {**shown, "message": message_view(mail), "raw_url": None, "attachments": []}
        attachments = [
            {**attachment_view(item), "url": f"{place}/attachments/{number}"}
            for number, item in enumerate(mail.attachments)
        ]
        parsed = {"parsed": mail.parsed.value, "parsed_reason": mail.reason}
        message = message_view(mail)
        return {**shown, **parsed, "content": "stored", "message": message, "raw_url": f"{place}/raw"} | {
            "attachments": attachments
        }

    def raw(self, receipt_id: str) -> Content:
        """Return a mail's MIME. Raises `NotFound`, `Gone`."""
        receipt = self.get(receipt_id).receipt
        if not receipt.blob:
            raise _gone(receipt)
        read = partial(self._joined, partial(self._blobs.chunks, receipt.blob))
        return Content("message.eml", receipt.size, receipt.sha256, read)

    def attachment(self, receipt_id: str, number: str) -> Content:
        """Return the attachment of this *number*, counted from 0. Raises `NotFound`, `Gone`."""
        receipt = self.get(receipt_id).receipt
        mail = read_mail(self._blobs, receipt)
        if mail is None or receipt.not_stored:
            raise _gone(receipt)
        if not number.isdecimal() or not number.isascii() or len(number) > 4 or int(number) >= len(mail.attachments):
            raise NotFound("The mail has no attachment of this number. Its parsed view lists those there are.")
        item: Attachment = mail.attachments[int(number)]
        read = partial(self._joined, partial(read_attachment, self._blobs, receipt, item))
        return Content(item.name or f"attachment-{number}", item.size, item.sha256, read)

    def linked(self, token: str) -> Content:
        """
        Return what a signed link names. Raises `NotFound` for a forged one, `Gone` for one that has ended.

        A malformed token costs no call to storage or vault.
        """
        link = read_link(self._link_key(), token) if well_formed(token) else None
        if link is None or link.part == PAGE:
            raise NotFound("There is no such link.")
        place = f"{self._base_url}/api/inbox/{link.receipt_id}"
        url = f"{place}/raw" if link.part == RAW else f"{place}/attachments/{link.part}"
        if self._clock().timestamp() >= link.expires:
            raise Gone(f"This link has ended. GET {url} with the connection's receive token.", Code.LINK_EXPIRED)
        return self.raw(link.receipt_id) if link.part == RAW else self.attachment(link.receipt_id, link.part)

    def redeliver(self, receipt_id: str) -> Found:
        """
        Have a mail delivered once more, with the same id and the same bytes.

        Raises `NotFound`, and `Conflict` where there is nothing to deliver or nobody to deliver it to for now.
        The due row comes first, so that the work is found even if nobody is woken.
        """
        found = self.get(receipt_id)
        connection_id, receipt = found.connection_id, found.receipt
        connection = find(self._tables, connection_id)
        require_delivery(connection)
        if not receipt.deliverable:
            raise Conflict("The content of this mail is not stored, so there is nothing to deliver.")
        now = connection.storage_time
        due = DueRow(now + DELIVER_AFTER, DELIVER_KIND, connection_id)
        self._connections.commit(shard_of(connection_id), [Upsert(due.key, due.values)])
        self._put_in_line(connection_id, receipt, Work(DELIVER, now, receipt.hash))
        wake(self._wakeups, Wakeup(DELIVER_KIND, connection_id))
        return found

    def _put_in_line(self, connection_id: str, receipt: Receipt, work: Work) -> None:
        """Make *work*; the mail's first, if that stands there still, may go after it, and is to read the receipt."""
        first = first_delivery(receipt).insert()
        if receipt.status is ReceiptStatus.STORED and first.key != work.key:
            with suppress(RowMissing):
                self._receipts.commit(connection_id, [Update(first.key, {"snapshot": ""}, ANY), work.insert()])
                return
        self._receipts.commit(connection_id, [work.insert()])

    @staticmethod
    def _joined(chunks: Callable[[int, int], Iterator[bytes] | None], first: int, last: int) -> bytes:
        found = chunks(first, last)
        if found is None:
            raise Gone(_EXPIRED)
        return b"".join(found)

    def _require_connection(self, connection_id: str) -> None:
        known = is_connection_id(connection_id)
        if not known or self._connections.get(shard_of(connection_id), connection_key(connection_id)) is None:
            raise NotFound("There is no such connection. GET connections lists those there are.")


def _gone(receipt: Receipt) -> Gone:
    return Gone(_IN_MAILBOX if receipt.not_stored else _EXPIRED)


def receipt_view(found: Found) -> dict[str, Any]:
    """Return a receipt as answers show it."""
    receipt = found.receipt
    plain = asdict(replace(receipt, graph_id="", blob=""))
    hidden = ("hash", "graph_id", "blob", "mailbox", "tries", "not_stored")
    shown = {name: value for name, value in plain.items() if name not in hidden}
    return {
        "id": found.id,
        "connection_id": found.connection_id,
        **shown,
        "status": receipt.status.value,
        "content": "stored" if receipt.blob else "expired" if _is_expired(receipt) else "not_stored",
        "content_reason": receipt.not_stored or None,
        "received_at": receipt.received_at or None,
        "delivered_at": receipt.delivered_at or None,
        "refused_since": receipt.refused_since or None,
    }


def attempts_view(found: Found) -> list[dict[str, Any]]:
    """Return the last attempts to fetch and to deliver a mail as answers show them, newest first."""
    return [{**asdict(attempt), "status": attempt.status or None} for attempt in reversed(found.receipt.tries)]


def _is_expired(receipt: Receipt) -> bool:
    return receipt.status is ReceiptStatus.EXPIRED


def _first_key(prefix: str, cursor: str) -> str:
    """Return the least key after the one that *cursor* stands for."""
    last = after(cursor)
    if not last:
        return prefix
    if not last.startswith(prefix) or not re.fullmatch(r"[0-9A-Za-z|_-]{1,200}", last):
        message = "cursor must be the next_cursor of an earlier page of this list"
        raise InvalidRequest(message, [FieldFault("?cursor", "not_a_cursor", message)])
    return f"{last}-"


def _cursor(key: str) -> str:
    return base64.urlsafe_b64encode(key.encode()).decode()
