"""What becomes of wake-ups that their worker failed on five times."""

import json
import logging
from dataclasses import replace
from datetime import timedelta

import pytest

from shared.connections import Delivery, Run, delivery_key, run_key
from shared.errors import StorageUnavailable
from shared.grants import Grant
from shared.identifiers import box_hash, grant_id, new_connection_id, new_ulid, shard_of
from shared.notices import SYSTEM, EventType, Pending
from shared.poison import Poison
from shared.ports import ANY, Insert, Update
from shared.registry import grant_key
from shared.rows import decode, encode
from shared.schedule import (
    CREDENTIAL,
    DELIVER,
    FETCH,
    GRANT,
    NOTICE,
    PURGE,
    QUEUES,
    SEND,
    STATE,
    DueRow,
    Wakeup,
    minute_bucket,
    shard_for,
)
from shared.tickets import State, new_dated_id, state_key
from shared.times import to_text
from tests.fakes import MemoryTables, MovableClock

CONNECTION = new_connection_id(box_hash("client", "contoso", "mailbox"))
SHARD = shard_of(CONNECTION)


class Scene:
    """Tables and poison handling under one clock."""

    def __init__(self) -> None:
        self.clock = MovableClock()
        self.tables = MemoryTables(self.clock)
        self.poison = Poison(self.tables, self.clock)
        self.past = to_text(self.clock() - timedelta(minutes=1))

    def store_run(self, run: Run, *, standing: bool) -> None:
        """Store a run row, and its due row if it is *standing*."""
        self.tables.connections.commit(SHARD, [Insert(run_key(run.connection_id), encode(run))])
        if standing:
            self.tables.connections.commit(SHARD, [Insert(run.due, {"seq": run.seq})])

    def find(self, kind: str, identifier: str, seq: int = 0) -> bool:
        """Hand over a poisoned wake-up."""
        return self.poison.found("mail-work", json.dumps(Wakeup(kind, identifier, seq).to_body()).encode())

    def due_rows(self) -> list[DueRow]:
        """Return all due rows but those of notices."""
        rows = self.tables.connections.everything().items()
        dues = [DueRow.from_row(key, values) for (_, key), values in rows if key.startswith("due|")]
        return [due for due in dues if due.kind != NOTICE]

    def notices(self) -> list[Pending]:
        """Return the notices, each of which has a due row of its own."""
        rows = [*self.tables.connections.everything().items(), *self.tables.credentials.everything().items()]
        found = [decode(Pending, values) for (_, key), values in rows if "|evt_" in key]
        dues = {DueRow.from_row(key, {}).id for (_, key), _ in rows if f"|{NOTICE}|" in key}
        assert {notice.owner for notice in found} <= dues
        return found

    def poisoned(self, key: str) -> str:
        """Return when the row of *key* was marked, '' if it was not."""
        values = {
            k: v
            for table in (self.tables.connections, self.tables.grants, self.tables.tickets)
            for (_, k), v in table.everything().items()
        }
        return str(values[key].get("poisoned_at", ""))


@pytest.fixture
def scene() -> Scene:
    """Return an empty product at 09:30:15."""
    return Scene()


def run_row(scene: Scene, **changes: object) -> Run:
    """Return a run that was due a minute ago."""
    due = DueRow(scene.clock() - timedelta(minutes=1), FETCH, CONNECTION, 4)
    return replace(Run(CONNECTION, seq=4, next_at=scene.past, due=due.key), **changes)  # type: ignore[arg-type]


def test_a_fetch_without_due_row_fires_again(scene: Scene) -> None:
    """A connection whose due row is gone gets another in five minutes, at its present number, and a mark."""
    scene.store_run(run_row(scene), standing=False)

    assert scene.find(FETCH, CONNECTION, 4)

    assert [DueRow(scene.clock() + timedelta(minutes=5), FETCH, CONNECTION, 4)] == scene.due_rows()
    assert to_text(scene.clock()) == scene.poisoned(run_key(CONNECTION))


def test_a_fetch_with_due_row_is_only_marked(scene: Scene) -> None:
    """What fires by itself needs no second row."""
    run = run_row(scene)
    scene.store_run(run, standing=True)

    scene.find(FETCH, CONNECTION)

    assert [run.due] == [due.key for due in scene.due_rows()]
    assert to_text(scene.clock()) == scene.poisoned(run_key(CONNECTION))


def test_a_claimed_record_is_left_to_its_holder(scene: Scene) -> None:
    """A mark would change the row under the holder's hands and cost it its work."""
    scene.store_run(run_row(scene, claim="01CLAIM"), standing=True)
    before = scene.tables.connections.get(SHARD, run_key(CONNECTION))

    scene.find(FETCH, CONNECTION)

    assert before == scene.tables.connections.get(SHARD, run_key(CONNECTION))


def test_a_dead_claim_without_due_row_fires_again(scene: Scene) -> None:
    """A claim that nothing would ever end is taken up again."""
    scene.store_run(run_row(scene, claim="01CLAIM"), standing=False)

    scene.find(FETCH, CONNECTION)

    assert [FETCH] == [due.kind for due in scene.due_rows()]


def test_a_stopped_connection_stays_stopped(scene: Scene) -> None:
    """A record that waits for nothing is marked and not woken."""
    scene.store_run(run_row(scene, next_at="", due="", stopped=True), standing=False)

    scene.find(FETCH, CONNECTION)

    assert [] == scene.due_rows()
    assert to_text(scene.clock()) == scene.poisoned(run_key(CONNECTION))


def test_a_delivery_follows_its_own_row(scene: Scene) -> None:
    """A poisoned delivery is marked on the delivery row."""
    row = Delivery(CONNECTION, seq=2, next_at=scene.past)
    scene.tables.connections.commit(SHARD, [Insert(delivery_key(CONNECTION), encode(row))])

    scene.find(DELIVER, CONNECTION)

    assert [(DELIVER, 2)] == [(due.kind, due.seq) for due in scene.due_rows()]
    assert to_text(scene.clock()) == scene.poisoned(delivery_key(CONNECTION))


def test_a_send_fires_with_the_minute(scene: Scene) -> None:
    """Nothing is attempted for mail to send; the mailbox is woken by the row that accepted mail shares."""
    scene.store_run(Run(CONNECTION), standing=False)

    scene.find(SEND, CONNECTION)
    scene.find(SEND, CONNECTION)

    assert [DueRow(minute_bucket(scene.clock()), SEND, CONNECTION)] == scene.due_rows()


def test_a_grant_check_fires_again(scene: Scene) -> None:
    """A grant is marked in its own table and fires from its shard."""
    tenant, credential = "8a7c0c3e-0000-4000-8000-000000000001", f"cred_{new_ulid()}"
    identifier = grant_id(credential, tenant)
    grant = Grant(identifier, credential, tenant, scene.past, scene.past, seq=9, next_at=scene.past)
    scene.tables.grants.commit(credential, [Insert(grant_key(tenant), encode(grant))])

    scene.find(GRANT, identifier)

    due = DueRow(scene.clock() + timedelta(minutes=5), GRANT, identifier, 9)
    assert {"seq": 9} == scene.tables.connections.everything()[shard_for(identifier), due.key]
    assert to_text(scene.clock()) == scene.poisoned(grant_key(tenant))


def test_what_a_newer_version_put_is_left_alone(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    """A kind of work that this version does not know is logged by that name, and nothing is written."""
    before = scene.tables.calls()
    with caplog.at_level(logging.ERROR):
        assert not scene.poison.found("mail-work", b'{"kind": "harvest", "id": "x", "seq": 1}')

    assert ["poison.unknown_kind queue=mail-work bytes=40"] == [record.getMessage() for record in caplog.records]
    assert before == scene.tables.calls()


@pytest.mark.parametrize("kind", sorted(set(QUEUES) - {NOTICE}))
def test_every_kind_of_work_has_a_record_to_follow(scene: Scene, kind: str) -> None:
    """Whoever adds a kind says where its record stands; only notices fire by themselves."""
    grant = grant_id(f"cred_{new_ulid()}", "8a7c0c3e-0000-4000-8000-000000000001")
    ids = {GRANT: grant, PURGE: grant, STATE: new_dated_id(scene.clock()), CREDENTIAL: f"cred_{new_ulid()}"}

    assert scene.find(kind, ids.get(kind, CONNECTION))


@pytest.mark.parametrize(("finished", "fires"), [("", 1), ("2026-03-02T09:00:00.000Z", 0)])
def test_a_consent_fires_until_it_is_finished(scene: Scene, finished: str, fires: int) -> None:
    """A callback that came and whose work is not done fires again; a finished one does not."""
    identifier = new_dated_id(scene.clock())
    state = State(identifier, "", "", scene.past, scene.past, "", "", used_at=scene.past, finished_at=finished)
    key = state_key(identifier)
    scene.tables.tickets.commit(identifier.partition(".")[0], [Insert(key, encode(state))])

    scene.find(STATE, identifier)

    assert fires == len(scene.due_rows())


def test_what_was_deleted_stays_deleted(scene: Scene) -> None:
    """Without a record there is nothing to follow."""
    assert scene.find(FETCH, CONNECTION)
    assert {} == scene.tables.connections.everything()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff\xfe",
        b"[]",
        b"{}",
        b"[" * 100_000,
        b'{"kind":"fetch","id":"ann@contoso.example"}',
        b'{"kind":"grant","id":"grant_x"}',
        b'{"kind":"state","id":"x"}',
    ],
)
def test_what_is_no_wakeup_is_dropped(scene: Scene, body: bytes, caplog: pytest.LogCaptureFixture) -> None:
    """Such a message is logged by queue and size, never by content, and changes nothing."""
    with caplog.at_level(logging.ERROR):
        found = scene.poison.found("mail-fetch", body)

    assert not found
    assert [f"poison.undecodable queue=mail-fetch bytes={len(body)}"] == [r.getMessage() for r in caplog.records]
    assert 0 == scene.tables.calls()


def test_poison_is_an_event(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    """Monitoring finds poison by one constant event name and the ids."""
    with caplog.at_level(logging.ERROR):
        scene.find(FETCH, CONNECTION, 3)

    assert [f"poison.found queue=mail-work kind=fetch id={CONNECTION} seq=3"] == [
        r.getMessage() for r in caplog.records
    ]


def test_a_record_that_moves_on_is_not_marked(scene: Scene) -> None:
    """Whoever writes between look and mark has taken the matter up."""
    scene.store_run(run_row(scene), standing=True)
    failures = scene.tables.connections.failures

    def write(method: str) -> None:
        if method == "commit":
            failures.before = None
            scene.tables.connections.commit(SHARD, [Update(run_key(CONNECTION), {"seq": 5}, ANY)])

    failures.before = write
    scene.find(FETCH, CONNECTION)

    assert "" == scene.poisoned(run_key(CONNECTION))


def test_silent_storage_is_for_the_host_to_retry(scene: Scene) -> None:
    """The message stays until its record could be looked at."""
    scene.tables.connections.failures.plan("get")

    with pytest.raises(StorageUnavailable):
        scene.find(FETCH, CONNECTION)


def test_poison_is_told_once_beside_its_connection(scene: Scene) -> None:
    """The same message followed twice, as after a death, is one notice with one id."""
    scene.store_run(run_row(scene), standing=False)

    scene.find(FETCH, CONNECTION, 4)
    scene.find(FETCH, CONNECTION, 4)

    (told,) = scene.notices()
    assert (EventType.POISON_FOUND, CONNECTION, CONNECTION) == (told.type, told.subject, told.owner)
    assert ("mail-work", FETCH) == (told.data["queue"], told.data["kind"])


def test_poison_without_a_connection_is_told_by_the_system(scene: Scene) -> None:
    """The notice of a grant's failed work stands with the system's, whatever table its record is in."""
    tenant, credential = "8a7c0c3e-0000-4000-8000-000000000001", f"cred_{new_ulid()}"
    identifier = grant_id(credential, tenant)
    grant = Grant(identifier, credential, tenant, scene.past, scene.past, seq=9, next_at=scene.past)
    scene.tables.grants.commit(credential, [Insert(grant_key(tenant), encode(grant))])

    scene.find(GRANT, identifier)

    assert [(SYSTEM, identifier, GRANT)] == [(n.owner, n.subject, n.data["kind"]) for n in scene.notices()]


def test_poison_of_a_notice_is_no_notice(scene: Scene) -> None:
    """It would be stuck just as well; its due row fires again by itself."""
    assert scene.find(NOTICE, CONNECTION)
    assert 0 == scene.tables.calls()


@pytest.mark.parametrize("body", [b"[" * 20_000, b"[]", b"null", rb'{"kind":"credential","id":"cred_\u0000"}', b"\xff"])
def test_a_message_that_is_none_is_dropped_whatever_it_holds(body: bytes) -> None:
    """Were it to fail here too, it would go round in a poison queue of the poison queue."""
    assert not Scene().poison.found("mail-fetch", body)
