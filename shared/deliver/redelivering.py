"""How mail that a person wants delivered once more is put in line again: receipt row by receipt row, resumable."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace

from shared.connections import Redelivery
from shared.deliver.job import DeliveryJob
from shared.ports import Operation, Table
from shared.receipts import MAX_OPERATIONS, first_delivery, readable_receipt
from shared.times import to_text

log = logging.getLogger("mailgrant.deliver")

PAGE = 500


@dataclass(frozen=True, slots=True)
class Redelivering:
    """
    Makes the work of a redelivery in the table *receipts*.

    The work of a mail stands at the time at which the mail was stored, so the oldest goes first, work that stands there
    still is the same work, and a page that is repeated after a death makes nothing twice.
    """

    receipts: Table

    def select(self, job: DeliveryJob, *, in_time: Callable[[], bool]) -> bool:
        """Put in line what was asked for; tell whether all of it is. Raises `LeaseLost`."""
        while (asked := job.delivery.redelivery) is not None and not asked.finished_at:
            if not in_time():
                return False
            job.renew()
            job.save_redelivery(self._page(job, asked))
        return True

    def _page(self, job: DeliveryJob, asked: Redelivery) -> Redelivery:
        rows = self.receipts.read(job.connection.id, f"{asked.cursor}-" if asked.cursor else "m|", "m~", PAGE).rows
        found = [receipt for row in rows if (receipt := readable_receipt(row)) and asked.takes(receipt)]
        work: list[Operation] = [first_delivery(receipt).insert() for receipt in found if receipt.deliverable]
        for first in range(0, len(work), MAX_OPERATIONS):
            self.receipts.commit(job.connection.id, work[first : first + MAX_OPERATIONS])
        ended = len(rows) < PAGE
        log.info("deliver.redelivery connection_id=%s id=%s selected=%d", job.connection.id, asked.id, len(work))
        return replace(
            asked,
            cursor=rows[-1].key if rows else asked.cursor,
            selected=asked.selected + len(work),
            without_content=asked.without_content + len(found) - len(work),
            finished_at=to_text(job.now()) if ended else "",
        )
