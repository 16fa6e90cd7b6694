"""How one part of a stored mail is read, from any of its bytes on, without reading what comes before."""

from collections.abc import Callable, Iterator

from shared.mail.encodings import PLAIN, Decoder
from shared.mail.parsed import Attachment, Checkpoint

Read = Callable[[int, int], Iterator[bytes] | None]
"""Returns the bytes of the mail from the first to the last inclusive, in chunks; None where the mail is gone."""


def read_part(read: Read, part: Attachment, first: int, last: int) -> Iterator[bytes] | None:
    """Yield the decoded bytes of *part* from *first* to *last* inclusive; None where the mail is gone."""
    last = min(last, part.size - 1)
    if last < first:
        return iter(())
    if part.encoding == PLAIN:
        return read(part.start + first, part.start + last)
    begin = Checkpoint(0, part.start)
    for point in part.checkpoints:
        if point.decoded <= first:
            begin = point
    chunks = read(begin.raw, part.end - 1) if begin.raw < part.end else iter(())
    return None if chunks is None else _decoded(chunks, part, begin, first, last)


def _decoded(chunks: Iterator[bytes], part: Attachment, begin: Checkpoint, first: int, last: int) -> Iterator[bytes]:
    resumed = begin.raw != part.start
    decoder = Decoder(part.encoding, begin.left.encode("latin-1"), resumed=resumed)
    at = begin.decoded
    for piece in _all(chunks, decoder):
        wanted = piece[max(0, first - at) : last + 1 - at]
        if wanted:
            yield wanted
        at += len(piece)
        if at > last:
            return


def _all(chunks: Iterator[bytes], decoder: Decoder) -> Iterator[bytes]:
    for chunk in chunks:
        yield decoder.feed(chunk)
    yield decoder.close()
