"""What the product's outbox says of every mail, and whether that is true of the copies that arrived."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from azure.data.tables import TableServiceClient, UpdateMode

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

DAY = timedelta(hours=25)
LEFT = ("accepted", "sent", "bounced")
OPEN = ("queued", "sending")
# What may be the end of a mail that Graph refused; nothing else failed.
_FAILURES = ("message_refused", "draft_removed")
_DOUBTS = frozenset({"lost", "abandoned", "doubt", "lost_direct"})


@dataclass(frozen=True)
class Outbox:
    """The outbox behind *storage*."""

    storage: str

    def entries(self) -> list[dict[str, Any]]:
        """Return every entry, as its progress row says where it has one."""
        rows = list(self._rows("PartitionKey ge ' '"))
        live = {row["id"]: row for row in rows if row["RowKey"].startswith("w|")}
        return [{**row, **live.get(row["id"], {})} for row in rows if row["RowKey"].startswith("m|")]

    def open(self, connection_id: str) -> list[dict[str, Any]]:
        """Return the progress rows of a connection's mails that have no end yet."""
        asked = f"PartitionKey eq '{connection_id}' and RowKey ge 'w|' and RowKey lt 'w~'"
        return [row for row in self._rows(asked) if row["status"] in OPEN]

    def let_a_day_pass(self, connection_id: str) -> int:
        """Move the times of mails that are looked for in vain back by a day, once two looks saw nothing."""
        moved = 0
        with TableServiceClient.from_connection_string(self.storage) as tables:
            for row in self.open(connection_id):
                since = row.get("nothing_since", "")
                if row["looks"] < 2 or not since or _moment(since) < datetime.now(UTC) - DAY + timedelta(hours=1):
                    continue
                earlier = {name: _earlier(row[name]) for name in ("nothing_since", "unknown_at", "next_at")}
                key = {"PartitionKey": row["PartitionKey"], "RowKey": row["RowKey"]}
                tables.get_table_client("outbox").update_entity({**key, **earlier}, UpdateMode.MERGE)
                moved += 1
        return moved

    def _rows(self, asked: str) -> Iterator[dict[str, Any]]:
        with TableServiceClient.from_connection_string(self.storage) as tables:
            yield from tables.get_table_client("outbox").query_entities(asked)


@dataclass
class Verdict:
    """What was counted, and a line for each thing that is wrong."""

    lost: int = 0
    duplicates: int = 0
    states: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)


def judge(
    entries: Collection[Mapping[str, Any]], copies: Mapping[tuple[str, str], int], unknowable: Collection[str]
) -> Verdict:
    """
    Compare what entries say with the *copies* by subject and address; *unknowable* connections may lose traces.

    An entry that says accepted or sent has one copy at each recipient, ``outcome_unknown`` at most one, others none.
    """
    verdict = Verdict(states=Counter(str(entry["status"]) for entry in entries))
    by_subject = defaultdict(list)
    for entry in entries:
        by_subject[entry["subject"]].append(entry)
        verdict.wrong += _wrong(entry, unknowable)
    for subject, same in by_subject.items():
        left = sum(entry["status"] in LEFT for entry in same)
        most = left + sum(entry["status"] == "outcome_unknown" or entry["status"] in OPEN for entry in same)
        for address in {address for entry in same for kind in ("to", "bcc") for address in json.loads(entry[kind])}:
            count = copies.get((subject, address), 0)
            verdict.lost += max(0, left - count)
            verdict.duplicates += max(0, count - most)
        verdict.duplicates += max(0, sum(not entry["resend_of"] for entry in same) - 1)
    verdict.duplicates += sum(count for (subject, _), count in copies.items() if subject not in by_subject)
    return verdict


def _wrong(entry: Mapping[str, Any], unknowable: Collection[str]) -> Iterator[str]:
    status, moves = entry["status"], [move["name"] for move in json.loads(entry["moves"] or "[]")]
    said = f"{entry['id']}: {' '.join(moves)}"
    if status in OPEN:
        yield f"still {status}, {said}"
    if status == "outcome_unknown" and (entry["PartitionKey"] not in unknowable or not _DOUBTS & set(moves)):
        yield f"outcome_unknown where it can be known, {said}"
    if status == "failed" and json.loads(entry["fault"])["code"] not in _FAILURES:
        yield f"failed by {json.loads(entry['fault'])['code']}, {said}"
    if status == "cancelled" and any(move.startswith("attempt") for move in moves) and "removed" not in moves:
        yield f"cancelled after an attempt, {said}"


def _earlier(moment: str) -> str:
    earlier = _moment(moment) - DAY
    return earlier.strftime("%Y-%m-%dT%H:%M:%S.") + f"{earlier.microsecond // 1000:03d}Z"


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)
