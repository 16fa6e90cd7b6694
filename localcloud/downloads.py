"""How a receiver downloads stored mail: in pieces, since one answer holds at most 8 MiB."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpx

PIECE = 8 * 1024 * 1024


def pieces(client: httpx.Client, url: str) -> Iterator[bytes]:
    """Yield the content at *url* until the size that Content-Range names is there; raises as httpx does."""
    at, size = 0, 1
    while at < size:
        answer = client.get(url, headers={"Range": f"bytes={at}-{at + PIECE - 1}"})
        if answer.status_code == 416:
            return  # it is empty
        size = int(answer.raise_for_status().headers["Content-Range"].rpartition("/")[2])
        at += len(answer.content)
        yield answer.content
