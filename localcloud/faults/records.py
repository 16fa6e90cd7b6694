"""What the product's own records still hold once all is quiet: claims, due rows and work that nobody will come for."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from azure.data.tables import TableServiceClient
from azure.storage.queue import QueueServiceClient

from localcloud.administrator import wait_until
from localcloud.environment import WORK_QUEUES

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

OVERDUE = timedelta(minutes=2)
QUIET_SECONDS = 60.0
_WORK = {"wd": "delivery", "wa": "after_fetch", "wf": "fetching again", "we": "an event"}


@dataclass(frozen=True)
class Records:
    """
    The tables behind *storage*; the messages of *ignored* (immutable ids) are left out.

    So is what received mail the connections of *gone* left: it waits for their purge. The receipts of *erased* (their
    ids) may stand wherever they stood when somebody erased the mail.
    """

    storage: str
    ignored: Collection[str] = ()
    gone: Collection[str] = ()
    erased: Collection[str] = ()

    def stuck(self) -> list[str]:
        """Return what is claimed, overdue, without a due row, or undrained, a line each; nothing should be."""
        rows = list(self.rows("connections"))
        due: dict[tuple[str, str], list[datetime]] = defaultdict(list)
        for row in rows:
            if row["RowKey"].startswith("due|"):
                _, at, kind, identifier = row["RowKey"].split("|", 3)
                due[kind, identifier].append(_moment(at))
        found = [line for row in rows for line in _claim_of(row, due)]
        oldest = datetime.now(UTC) - OVERDUE
        found += [f"{kind} due row overdue" for (kind, _), moments in due.items() if moments and min(moments) < oldest]
        return [*found, *self._work(due), *self._buried()]

    def stays_stuck(self) -> list[str]:
        """Return what is stuck and stays so; whoever looks for copies of sent mail holds a turn for a moment."""
        found: list[str] = []

        def quiet() -> bool:
            found[:] = self.stuck()
            return not found

        with contextlib.suppress(TimeoutError):
            wait_until("no turn is held", quiet, QUIET_SECONDS, pause=0.2)
        return found

    def unfinished_receipts(self) -> list[str]:
        """Return the statuses of receipts that are not delivered, or whose mailbox refused what was to follow."""
        found = []
        for row in self.rows("receipts"):
            kind, _, name = row["RowKey"].partition("|")
            if f"rcv_{row['PartitionKey'].removeprefix('conn_')}.{name}" in self.erased:
                continue
            if kind == "m" and name not in self._ignored_hashes() and row["PartitionKey"] not in self.gone:
                if row["status"] != "delivered":
                    found.append(f"receipt {row['status']}")
                if row.get("after_fault"):
                    found.append("receipt with after_fault")
        return found

    def _work(self, due: dict[tuple[str, str], list[datetime]]) -> Iterator[str]:
        for row in self.rows("receipts"):
            kind, _, rest = row["RowKey"].partition("|")
            if row["PartitionKey"] in self.gone:
                continue
            if kind in _WORK and rest.rpartition("|")[2] not in self._ignored_hashes():
                wakes = "fetch" if kind in ("wa", "wf") else "deliver"
                covered = "" if due[wakes, row["PartitionKey"]] else ", and no due row will come for it"
                yield f"work row of {_WORK[kind]} undrained{covered}"

    def _buried(self) -> Iterator[str]:
        with QueueServiceClient.from_connection_string(self.storage) as queues:
            for name in WORK_QUEUES:
                count = queues.get_queue_client(f"{name}-poison").get_queue_properties().approximate_message_count
                if count:
                    yield f"{name}-poison holds {count} messages"

    def rows(self, table: str) -> Iterator[dict[str, Any]]:
        """Yield every row of *table*."""
        with TableServiceClient.from_connection_string(self.storage) as tables:
            yield from tables.get_table_client(table).list_entities()

    def _ignored_hashes(self) -> set[str]:
        return {hashlib.sha256(identifier.encode()).hexdigest()[:32] for identifier in self.ignored}


def wake_delivery(storage: str, connection_id: str) -> None:
    """Put the wake-up that a dead worker may not have put; records decide what there is to do."""
    body = json.dumps({"kind": "deliver", "id": connection_id, "seq": 0, "due": ""})
    with QueueServiceClient.from_connection_string(storage) as queues:
        queues.get_queue_client("mail-deliver").send_message(base64.b64encode(body.encode()).decode())


def _claim_of(row: dict[str, Any], due: dict[tuple[str, str], list[datetime]]) -> Iterator[str]:
    kind, _, identifier = row["RowKey"].partition("|")[2].partition("|")[2].partition("|")
    if row["RowKey"].startswith("b|") and kind == "box" and row.get("holder") and not _is_over(row.get("lease_until")):
        yield "turn held"
    if kind == "run":
        if row.get("claim"):
            yield "run claimed"
        if row.get("next_at") and not (due["fetch", identifier] or due["send", identifier]):
            yield "run without a due row"
    if kind == "dlv":
        if row.get("claim"):
            yield "delivery claimed"
        if row.get("next_at") and not due["deliver", identifier]:
            yield "delivery without a due row"
        if row.get("paused") or row.get("disabled"):
            yield "destination paused or disabled"
        asked = json.loads(row.get("redelivery") or "null")
        if asked and not asked["finished_at"]:
            yield "redelivery unfinished"


def _is_over(lease_until: str | None) -> bool:
    """Tell whether the turn is free again: the name of a holder that died stands there until somebody comes."""
    return bool(lease_until) and datetime.fromisoformat(str(lease_until)) < datetime.now(UTC)


def _moment(key: str) -> datetime:
    return datetime.strptime(key[:15], "%Y%m%dT%H%M%S").replace(tzinfo=UTC)
