"""Marks of trouble: they lead whoever asks to the few records in question, so that nobody reads all of them."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from shared.connections import run_key
from shared.errors import RowChanged, RowMissing
from shared.identifiers import is_connection_id
from shared.ports import Delete, Operation, Row, Table, Tables, Upsert
from shared.rows import Value
from shared.schedule import SHARDS, TICK_PARTITION, Wakeup
from shared.times import to_text

SHOWN = 20
"""How many records are looked up and named; of more it is only said that there are more."""
_STOPPED = "stop|"
_POISONED = "poison|"
_TABLES = ("connections", "credentials", "grants", "tickets")


@dataclass(frozen=True, slots=True)
class Trouble:
    """One record in trouble: *kind* of its work, its *id*, and *since* when."""

    kind: str
    id: str
    since: str


@dataclass(frozen=True, slots=True)
class Troubles:
    """The records in trouble, at most `SHOWN` of each sort, and whether there are *more*."""

    found: tuple[Trouble, ...] = ()
    more: bool = False


@dataclass(frozen=True, slots=True)
class Marked:
    """The record that a mark leads to; *seq* is the record's own when it was marked."""

    table: Table
    partition: str
    key: str
    seq: int


def stopped_mark(connection_id: str, at: datetime) -> Operation:
    """Return the mark of a stopped connection, for the very transaction that stops it."""
    return Upsert(f"{_STOPPED}{connection_id}", {"at": to_text(at)})


def mark_poisoned(tables: Tables, wakeup: Wakeup, marked: Marked, at: datetime) -> None:
    """Mark a record whose `poisoned_at` was just written. Raises `StorageUnavailable`; a repeat changes nothing."""
    name = next(name for name in _TABLES if getattr(tables, name) is marked.table)
    place: dict[str, Value] = {"table": name, "partition": marked.partition, "key": marked.key, "seq": marked.seq}
    mark = Upsert(f"{_POISONED}{wakeup.kind}|{wakeup.id}", {**place, "at": to_text(at)})
    tables.credentials.commit(TICK_PARTITION, [mark])


def stopped(tables: Tables) -> Troubles:
    """Return the stopped connections: 16 short reads, and one per mark. Raises `StorageUnavailable`."""
    found: list[Trouble] = []
    table = tables.connections
    for shard in SHARDS:
        for row in table.read(shard, _STOPPED, f"{_STOPPED[:-1]}~", SHOWN + 1).rows:
            connection_id = row.key.removeprefix(_STOPPED)
            if len(found) > SHOWN:
                return _shown(found)
            run = table.get(shard, run_key(connection_id)) if is_connection_id(connection_id) else None
            if run is not None and run.values.get("stopped"):
                found.append(Trouble("fetch", connection_id, str(row.values.get("at", ""))))
            else:
                _forget(table, shard, row)
    return _shown(found)


def poisoned(tables: Tables) -> Troubles:
    """Return the records that nobody has worked on since they were poisoned. Raises `StorageUnavailable`."""
    found: list[Trouble] = []
    rows = tables.credentials.read(TICK_PARTITION, _POISONED, f"{_POISONED[:-1]}~", SHOWN + 1).rows
    for row in rows:
        values = row.values
        table = getattr(tables, str(values["table"]))
        record = table.get(str(values["partition"]), str(values["key"]))
        if record is not None and _still_poisoned(record.values, int(values["seq"])):
            _, kind, identifier = row.key.split("|", 2)
            found.append(Trouble(kind, identifier, str(values["at"])))
        else:
            _forget(tables.credentials, TICK_PARTITION, row)
    return _shown(found)


def _still_poisoned(record: Mapping[str, Any], seq: int) -> bool:
    return bool(record.get("poisoned_at")) and not record.get("finished_at") and int(record.get("seq", 0)) <= seq


def _forget(table: Table, partition: str, row: Row) -> None:
    """Remove a mark that leads nowhere any more, unless it was made anew."""
    with suppress(RowChanged, RowMissing):
        table.commit(partition, [Delete(row.key, row.etag)])


def _shown(found: list[Trouble]) -> Troubles:
    return Troubles(tuple(found[:SHOWN]), more=len(found) > SHOWN)
