"""
An upgrade and a way back in the middle of the work: every other round a newer version runs, sometimes both at once.

Mail comes in and goes out in the same round. Before each, what only the newer version knows lies about: rows of its own
in every place that the product reads in ranges, a due row, and wake-ups of an unknown kind.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from azure.data.tables import TableServiceClient
from azure.storage.queue import QueueServiceClient

from localcloud.faults.scenarios import FETCH, Scenario
from localcloud.newer import KIND, PROPERTY
from shared.connections import box_key
from shared.identifiers import box_of, shard_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from localcloud.faults.intake import Intake
    from localcloud.faults.sending import Sending

_CHOSEN = ("nothing else", "host clock two minutes fast", "host clock two minutes slow", "two hosts at once")
UPGRADE: tuple[Scenario, ...] = tuple(item for item in FETCH if item.name in _CHOSEN)
# Long past, and off the whole minute: the tick sees it at once, and it is nobody's bucket.
_PAST = "20260101T000001501Z"
_QUEUES = ("mail-fetch", "mail-deliver", "mail-send", "consent-check")


@dataclass
class Upgrading:
    """The work of `fetch` and of `send` at once, and the rows that a newer version has *left* beside it."""

    intake: Intake
    sending: Sending
    left: set[tuple[str, str, str]] = field(default_factory=set)
    gone: int = 0

    def prepare(self, scenario: Scenario) -> None:
        """Have more of both, and more that only the newer version knows; the host does not run."""
        self.intake.prepare(scenario)
        self.sending.prepare(scenario)
        self._leave()

    def begin(self) -> None:
        """Ask for the fetch, and post the messages."""
        self.intake.begin()
        self.sending.begin()

    def done(self) -> bool:
        """Tell whether both have probably come to their ends."""
        return self.intake.done() and self.sending.done()

    def end(self) -> int:
        """Take the scenario back, and return how many faults happened until now."""
        return max(self.sending.end(), self.intake.end())

    def settle(self, *, hasten: bool) -> None:
        """Count what is left of the newer version's rows, take them away as it would, and settle both."""
        standing = set(self._standing())
        self.gone = len(self.left - standing)
        with TableServiceClient.from_connection_string(self._storage) as tables:
            for table, partition, key in standing:
                tables.get_table_client(table).delete_entity(partition, key)
        self.intake.settle(hasten=hasten)
        self.sending.settle(hasten=hasten)

    def settled(self) -> bool:
        """Tell whether nothing is left to wait for."""
        return self.sending.settled() and self.intake.settled()

    def figures(self) -> dict[str, Any]:
        """Return both figures as one, and how many rows of the newer version the present one removed."""
        stuck = self.intake.records().stays_stuck()
        first, second = self.intake.figures(), self.sending.figures()
        summed = ("messages", "lost", "duplicates", "repeats")
        wrong = first["wrong_state"] + second["wrong_state"] + self.gone
        gone = [f"{self.gone} rows of the newer version gone"] if self.gone else []
        return {
            **{name: first[name] + second[name] for name in summed},
            "wrong_state": wrong,
            "stuck": len(stuck),
            "newer_rows": len(self.left),
            **{name: second[name] for name in ("accepted", "outcome_unknown", "cancelled", "failed")},
            "details": [*stuck, *gone, *(first["details"] + second["details"] if wrong else [])][:10],
        }

    @property
    def _storage(self) -> str:
        return self.intake.story.stack.storage

    def _leave(self) -> None:
        """Leave rows and wake-ups of an unknown kind with the two mailboxes whose turn it is."""
        ids = [self.intake.mailboxes[0].connection_id]
        if self.sending.mailbox is not None:
            ids.append(self.sending.mailbox.connection_id)
        rows = {row for identifier in ids for row in _rows_of(identifier)}
        with TableServiceClient.from_connection_string(self._storage) as tables:
            for table, partition, key in rows:
                entity = {"PartitionKey": partition, "RowKey": key, PROPERTY: "newer", "seq": 0}
                tables.get_table_client(table).upsert_entity(entity)
        self.left |= rows
        body = json.dumps({"kind": KIND, "id": ids[0], "seq": 0, "due": "", PROPERTY: {}})
        with QueueServiceClient.from_connection_string(self._storage) as queues:
            for name in _QUEUES:
                with queues.get_queue_client(name) as queue:
                    queue.send_message(base64.b64encode(body.encode()).decode())

    def _standing(self) -> Iterator[tuple[str, str, str]]:
        with TableServiceClient.from_connection_string(self._storage) as tables:
            for table in {table for table, _, _ in self.left}:
                for row in tables.get_table_client(table).list_entities(select=["PartitionKey", "RowKey"]):
                    found = table, row["PartitionKey"], row["RowKey"]
                    if found in self.left:
                        yield found


def _rows_of(connection_id: str) -> list[tuple[str, str, str]]:
    """Return table, partition and key of what a newer version might keep about a connection."""
    shard, box = shard_of(connection_id), box_key(box_of(connection_id)).rpartition("|")[0]
    return [
        ("connections", shard, f"due|{_PAST}|{KIND}|{connection_id}"),
        ("connections", shard, f"{box}|{KIND}|{connection_id}"),
        ("receipts", connection_id, f"{KIND}|{connection_id}"),
        ("outbox", connection_id, f"{KIND}|{connection_id}"),
    ]
