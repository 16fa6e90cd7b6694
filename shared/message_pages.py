"""Looking at a mail safely: a link that holds for a minute, and the page behind it."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from shared.codes import Code
from shared.content_links import PAGE, ContentLink, make_link, read_link, well_formed
from shared.errors import Gone, NotFound
from shared.identifiers import split_receipt_id
from shared.mail.page import Clean, data_address, is_picture, page_of
from shared.mail.parsed import Mail
from shared.ports import Blobs, Clock, Table
from shared.receipts import Receipt, read_receipt, receipt_key
from shared.stored_mail import read_attachment, read_mail

VALID = timedelta(seconds=60)
MOST_PICTURE_BYTES = 1024 * 1024
MOST_PICTURES_BYTES = 4 * MOST_PICTURE_BYTES


@dataclass(frozen=True, slots=True)
class PageLink:
    """The *token* of a page, good until *expires_at*."""

    token: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class MessagePages:
    """Makes links to the pages of received mail, and the pages; *clean* takes out of html what must not be there."""

    receipts: Table
    blobs: Blobs
    link_key: Callable[[], bytes]
    clock: Clock
    clean: Clean

    def link(self, receipt_id: str) -> PageLink:
        """Return a link to a mail's page. Raises `NotFound`, `Gone` where its content is not stored."""
        self._readable(receipt_id)
        expires = int((self.clock() + VALID).timestamp())
        token = make_link(self.link_key(), ContentLink(receipt_id, PAGE, expires))
        return PageLink(token, datetime.fromtimestamp(expires, self.clock().tzinfo))

    def html(self, token: str) -> str:
        """
        Return the page that a link names. Raises `NotFound` for any other link, `Gone` for one that has ended.

        A malformed token costs no call to storage or vault.
        """
        link = read_link(self.link_key(), token) if well_formed(token) else None
        if link is None or link.part != PAGE:
            raise NotFound("There is no such link.")
        if self.clock().timestamp() >= link.expires:
            raise Gone("This link has ended. Open the message again.", Code.LINK_EXPIRED)
        receipt = self._readable(link.receipt_id)
        mail = read_mail(self.blobs, receipt)
        if mail is None:
            raise _gone()
        return page_of(mail, self._pictures(receipt, mail), self.clean)

    def _readable(self, receipt_id: str) -> Receipt:
        named = split_receipt_id(receipt_id)
        row = self.receipts.get(named[0], receipt_key(named[1])) if named else None
        if row is None:
            raise NotFound("There is no such mail. GET connections/{id}/received lists those there are.")
        receipt = read_receipt(row.values)
        if not receipt.blob:
            raise _gone()
        return receipt

    def _pictures(self, receipt: Receipt, mail: Mail) -> dict[str, str]:
        """Return the inline pictures that the html may name, as long as they are small."""
        found: dict[str, str] = {}
        left = MOST_PICTURES_BYTES
        for part in mail.attachments:
            if not mail.html or not is_picture(part) or not 0 < part.size <= min(left, MOST_PICTURE_BYTES):
                continue
            chunks = read_attachment(self.blobs, receipt, part, 0, part.size - 1)
            if chunks is not None:
                left -= part.size
                found[part.content_id.strip("<>")] = data_address(part.content_type, b"".join(chunks))
        return found


def _gone() -> Gone:
    return Gone("The content of this mail is not stored (any more).", Code.CONTENT_EXPIRED)
