"""The run log: one row for each run that did something, by connection and day, newest first; nothing personal in it."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from shared.errors import RecordedFault, StorageError
from shared.identifiers import new_ulid
from shared.ports import Insert, Table
from shared.rows import Value, encode
from shared.times import to_inverted_key, to_text

log = logging.getLogger("mailgrant.log")


@dataclass(frozen=True, slots=True)
class RunLine:
    """
    One run: *kind* is fetch or send, *at* when it ended, *outcome* ``done``, ``more`` or ``failed``.

    *pages* and *taken* are those of a fetch, *accepted* the mails of a send, *requests* those to Graph where they are
    known. *fault* is what it failed with, with Microsoft's ids.
    """

    kind: str
    at: str
    outcome: str
    seconds: float = 0.0
    pages: int = 0
    taken: int = 0
    accepted: int = 0
    requests: int = 0
    fault: RecordedFault | None = None
    id: str = ""


def partition_of(connection_id: str, day: str) -> str:
    """Return the partition of a connection's runs of one day (YYYYMMDD, UTC)."""
    return f"{connection_id}|{day}"


def note(table: Table, connection_id: str, line: RunLine, now: datetime) -> None:
    """Add a row for a run; a log that cannot be written stops nobody. *now* is storage's time."""
    run = f"run_{new_ulid(int(now.timestamp() * 1000))}"
    full = replace(line, id=run, at=to_text(now))
    values: Mapping[str, Value] = encode(full)
    try:
        table.commit(partition_of(connection_id, f"{now:%Y%m%d}"), [Insert(f"{to_inverted_key(now)}|{run}", values)])
    except StorageError:
        log.warning("log.not_written connection_id=%s", connection_id)
