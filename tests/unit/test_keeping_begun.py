"""Connections of a version without housekeeping: the tick has them found, and nothing that they keep is forgotten."""

from datetime import timedelta
from functools import partial

import pytest

from shared.connections import connection_key
from shared.identifiers import box_hash, new_connection_id, shard_of
from shared.keep_rows import SYSTEM, Keeping, keep_key, shard_of_kept
from shared.keeping import system
from shared.keeping.system import System
from shared.ports import Delete, Insert, Upsert
from shared.rows import decode, encode
from shared.schedule import KEEP, SHARDS, TICK_KEY, TICK_PARTITION, Wakeup
from shared.times import to_text
from tests.unit.test_keeping import DAY, House


def forgotten() -> House:
    """Return a connection as an older version left it: with a heartbeat of its own, and no record of housekeeping."""
    house = House()
    table, record = house.admin.tables.connections, house.record()
    table.commit(house.connection.shard, [Delete(keep_key(house.connection.id)), Delete(record.due)])
    beat = {"at": to_text(house.admin.clock()), "missed_at": ""}
    house.admin.tables.credentials.commit(TICK_PARTITION, [Upsert(TICK_KEY, beat)])
    return house


def kept(house: House) -> list[str]:
    """Return the ids of which there is a record."""
    rows = house.admin.tables.connections.everything()
    return [key.removeprefix("keep|") for _, key in rows if key.startswith("keep|")]


def test_what_an_older_version_left_is_kept_from_its_first_day_on() -> None:
    """A tick begins, a day later the connection has its record, and mail of all the time before goes."""
    house = forgotten()
    house.mail("old")
    house.admin.clock.advance((10 * DAY).total_seconds())
    house.mail("young")
    house.admin.tick.run()
    assert [SYSTEM] == kept(house)
    house.admin.clock.advance(DAY.total_seconds() + 2)
    house.admin.keep.handle(Wakeup(KEEP, SYSTEM))
    assert sorted([SYSTEM, house.connection.id]) == sorted(kept(house))
    assert house.record().due in house.admin.due_rows()
    house.admin.clock.advance(3600)
    house.keep()

    assert (False, True) == (house.blob("old"), house.blob("young"))


def test_a_tick_begins_once_and_only_where_an_older_version_ticked_before() -> None:
    """A new installation needs none of it, and no later tick or process asks again."""
    house = forgotten()
    calls = house.admin.tables.connections.calls
    house.admin.tick.run()
    first = calls["commit"]
    house.admin.tick.run()
    assert first == calls["commit"]

    fresh = House()
    fresh.admin.tick.run()
    assert [fresh.connection.id] == kept(fresh)


@pytest.mark.parametrize("each", [10, 40])
def test_each_run_looks_for_them_where_the_last_ended(each: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A read a page, two for each shard and run: in the end every connection has its record, and none another one."""
    monkeypatch.setattr(system, "CONNECTIONS_PAGE", 10)
    house = House()
    table, ids = house.admin.tables.connections, []
    for number in range(each):
        made = new_connection_id(box_hash("client", "tenant", str(number)))
        ids.append(made)
        row = encode(house.connection) | {"id": made, "created_at": to_text(house.admin.clock() - timedelta(days=9))}
        table.commit(shard_of(made), [Insert(connection_key(made), row)])
    today = f"{house.admin.clock():%Y%m%d}"
    record, runs = Keeping(SYSTEM, expired_day=today, logged_day=today), 0
    before = table.calls["read"]
    while not runs or record.cursor:
        in_time = partial(next, iter([True, True, True]), False)
        record = System(house.admin.tables, house.admin.clock(), in_time).keep(record)
        runs += 1

    assert sorted([house.connection.id, *ids]) == sorted(kept(house))
    assert table.calls["read"] - before <= 2 * len(SHARDS) + each // 10 + 1 + 2 * runs
    assert runs <= (len(SHARDS) + each // 10 + 1) // 3 + 2
    days = {decode(Keeping, table.everything()[shard_of_kept(one), keep_key(one)]).expired_day for one in ids}
    assert {f"{house.admin.clock() - timedelta(days=10):%Y%m%d}"} == days
