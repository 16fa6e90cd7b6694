"""Mail that a person wants delivered once more: asked for in one write, worked off by whoever delivers."""

from dataclasses import dataclass, replace
from datetime import datetime

from shared.audit import Audit
from shared.connection_admin.incoming import Consequences, delivery_woken, delivery_written
from shared.connection_rows import Found, find, require_delivery
from shared.connections import Delivery, Redelivery
from shared.errors import Conflict, FieldFault, RowChanged, RowExists, RowMissing
from shared.identifiers import new_ulid
from shared.ports import Delete, Tables, Wakeups
from shared.receipts import ReceiptStatus, readable_receipt
from shared.refusals import refuse_if
from shared.times import from_text, to_text
from shared.waking import wake

DELIVERABLE = (
    ReceiptStatus.STORED,
    ReceiptStatus.RETRYING,
    ReceiptStatus.FAILED,
    ReceiptStatus.SKIPPED,
    ReceiptStatus.DELIVERED,
)
COUNTED = 10_000
_PAGE = 1000


@dataclass(frozen=True, slots=True)
class Asked:
    """Which mail: of *status*, stored from *since* until *until* (None for no bound)."""

    status: str
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Count:
    """How many mails would be delivered once more; not *exact* where there are more receipts than are counted."""

    selected: int
    without_content: int
    exact: bool


@dataclass(frozen=True, slots=True)
class Redeliveries:
    """Starts redeliveries; one at a time for each connection."""

    tables: Tables
    wakeups: Wakeups
    audit: Audit

    def start(self, connection_id: str, asked: Asked) -> Redelivery:
        """
        Have mail delivered once more, with the ids and bytes of before; the same request returns the one that runs.

        Raises `NotFound`, `InvalidRequest`, and `Conflict` where nothing would be delivered or another one runs.
        """
        _check(asked)
        while True:
            found = find(self.tables, connection_id)
            require_delivery(found)
            delivery = found.delivery or Delivery(connection_id)
            wanted = _redelivery(asked, found.storage_time)
            running = delivery.redelivery
            if running is not None and not running.finished_at:
                return _same(running, asked)
            changed = _written(found, replace(delivery, redelivery=wanted))
            if self._committed(found, changed):
                for wakeup in changed.wakeups:
                    wake(self.wakeups, wakeup)
                self.audit.write("connection.redeliver", "started", connection_id=connection_id, status=wanted.status)
                return wanted

    def count(self, connection_id: str, asked: Asked) -> Count:
        """Return how many mails `start` would deliver, and change nothing. Raises as `start`."""
        _check(asked)
        found = find(self.tables, connection_id)
        require_delivery(found)
        wanted, first = _redelivery(asked, found.storage_time), "m|"
        seen, selected, without = 0, 0, 0
        while seen < COUNTED:
            rows = self.tables.receipts.read(connection_id, first, "m~", _PAGE).rows
            taken = [receipt for row in rows if (receipt := readable_receipt(row)) and wanted.takes(receipt)]
            selected += sum(receipt.deliverable for receipt in taken)
            without += sum(not receipt.deliverable for receipt in taken)
            seen += len(rows)
            if len(rows) < _PAGE:
                return Count(selected, without, exact=True)
            first = f"{rows[-1].key}-"
        return Count(selected, without, exact=False)

    def _committed(self, found: Found, changed: Consequences) -> bool:
        """Commit with the removal of due rows, which the tick may have moved on; False to look again."""
        left = list(changed.ended)
        while True:
            try:
                operations = [*changed.operations, *(Delete(key) for key in left)]
                self.tables.connections.commit(found.connection.shard, operations)
            except RowMissing as error:
                if error.key not in left:
                    return False
                left.remove(error.key)
            except (RowChanged, RowExists):
                return False
            else:
                return True


def _written(found: Found, after: Delivery) -> Consequences:
    """Return what writes *after*: to a live claim's holder it is word to look again; a paused one waits."""
    waits = after.paused and after.due
    if waits or (after.claim and from_text(after.lease_until) > found.storage_time):
        return Consequences([delivery_written(found, replace(after, seq=after.seq + 1))], [], [])
    return delivery_woken(found, after)


def _redelivery(asked: Asked, now: datetime) -> Redelivery:
    since, until = (to_text(moment) if moment else "" for moment in (asked.since, asked.until))
    return Redelivery(f"redelivery_{new_ulid()}", asked.status, since, until, to_text(now))


def _check(asked: Asked) -> None:
    faults = []
    if asked.status not in [status.value for status in DELIVERABLE]:
        names = ", ".join(status.value for status in DELIVERABLE)
        message = f"status must be one of {names}; what was not fetched is fetched by POST received/{{id}}/retry"
        faults.append(FieldFault("/status", "unknown", message))
    if asked.since and asked.until and asked.since >= asked.until:
        faults.append(FieldFault("/since", "out_of_range", "since must be before until"))
    refuse_if(faults)


def _same(running: Redelivery, asked: Asked) -> Redelivery:
    again = _redelivery(asked, from_text(running.asked_at))
    if replace(again, id="") == replace(running, id="", cursor="", selected=0, without_content=0):
        return running
    raise Conflict("Another redelivery of this connection is still being put in line. Try again in a few minutes.")
