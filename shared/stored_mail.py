"""How stored mail is read again: whole where it is small, its headers alone where it is large."""

from shared.mail.parsed import Mail
from shared.mail.parsing import MAX_HEADER_BYTES, MAX_WHOLE_BYTES, parse, parse_head
from shared.ports import Blobs
from shared.receipts import Receipt


def read_mail(blobs: Blobs, receipt: Receipt) -> Mail | None:
    """Return the parsed view of a receipt's mail, or None where its content is not stored (any more)."""
    if not receipt.blob:
        return None
    if receipt.size <= MAX_WHOLE_BYTES:
        mime = blobs.get(receipt.blob)
        return None if mime is None else parse(mime)
    chunks = blobs.chunks(receipt.blob, 0, MAX_HEADER_BYTES)
    return None if chunks is None else parse_head(b"".join(chunks))
