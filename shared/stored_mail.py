"""How stored mail is read again: streamed, taken apart once where it is large, and any part from any byte on."""

from collections.abc import Iterator

from shared.mail.index import from_index, to_index
from shared.mail.parsed import Address, Attachment, Mail, Parsed
from shared.mail.parsing import MAX_WHOLE_BYTES, parse_stream
from shared.mail.parts import read_part
from shared.ports import Blobs
from shared.receipts import Receipt

INDEX_SUFFIX = ".parts.json"


def read_mail(blobs: Blobs, receipt: Receipt) -> Mail | None:
    """
    Return the parsed view of a receipt's mail, or None where its content is not stored (any more).

    A mail over 25 MB is streamed once; what was found stands in a blob beside it then. Of a mail whose body stays in
    the mailbox the view holds what the mailbox's list said. Raises `StorageUnavailable`.
    """
    if receipt.not_stored:
        return _listed(receipt)
    if not receipt.blob:
        return None
    if receipt.size <= MAX_WHOLE_BYTES:
        return _parsed(blobs, receipt)
    index = blobs.get(receipt.blob + INDEX_SUFFIX)
    known = None if index is None else from_index(index)
    if known is not None:
        return known
    mail = _parsed(blobs, receipt)
    if mail is not None:
        blobs.put(receipt.blob + INDEX_SUFFIX, to_index(mail))
    return mail


def read_attachment(blobs: Blobs, receipt: Receipt, part: Attachment, first: int, last: int) -> Iterator[bytes] | None:
    """Yield the decoded bytes of *part* from *first* to *last* inclusive; None where the mail is gone."""
    return read_part(lambda start, end: blobs.chunks(receipt.blob, start, end), part, first, last)


def paths_of(receipt: Receipt) -> list[str]:
    """Return the paths of everything that is stored of a receipt's mail."""
    if not receipt.blob:
        return []
    return [receipt.blob, *([receipt.blob + INDEX_SUFFIX] if receipt.size > MAX_WHOLE_BYTES else [])]


def _parsed(blobs: Blobs, receipt: Receipt) -> Mail | None:
    chunks = blobs.chunks(receipt.blob)
    return None if chunks is None else parse_stream(chunks, receipt.size)


def _listed(receipt: Receipt) -> Mail:
    return Mail(
        Parsed.PARTIAL,
        (receipt.not_stored,),
        subject=receipt.subject,
        sender=(Address("", receipt.sender),) if receipt.sender else (),
        message_id=receipt.internet_message_id,
    )
