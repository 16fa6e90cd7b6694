"""A notice that waits to be handed over, and the place of its row."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from shared.errors import RowChanged, RowMissing
from shared.notices import Pending
from shared.ports import Row, Table, Update
from shared.rows import readable


@dataclass
class Item:
    """A notice and the place of its row; *etag* is '' once somebody else has it, *waits* says until when it is left."""

    table: Table
    partition: str
    key: str
    etag: str
    pending: Pending
    waits: datetime | None = None

    def commit(self, values: dict[str, Any]) -> bool:
        """Write to the row; False where somebody else did meanwhile."""
        try:
            self.etag = self.table.commit(self.partition, [Update(self.key, values, self.etag)]).etags[0]
        except (RowChanged, RowMissing):
            self.etag = ""
            return False
        return True

    def wait(self, until: datetime) -> None:
        """Note that something is to be done for it at *until*, or earlier."""
        self.waits = until if self.waits is None else min(self.waits, until)


def read_item(table: Table, partition: str, row: Row) -> Item | None:
    """Return the notice of a row among others, None where it holds none: it is logged and left alone."""
    pending = readable(Pending, row.key, row.values)
    return Item(table, partition, row.key, row.etag, pending) if pending else None
