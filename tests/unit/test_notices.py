"""Notices handed over: to whom, signed how, once each, through refusals, deaths and lost answers."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from standardwebhooks.webhooks import Webhook

from shared.adapters.webhooks import signature
from shared.codes import Code
from shared.connections import Back, Connection, Delivery, Destination, Direction, connection_key, delivery_key
from shared.deliver.alert_bodies import AlertFormat
from shared.deliver.notices import LASTS, Notices
from shared.deliver.telling import Alerts, Telling
from shared.errors import Fault, StorageError
from shared.identifiers import box_hash, grant_id, new_connection_id, new_ulid, shard_of
from shared.notices import ALARMS, SYSTEM, EventType, Notice, due_first, full_type, soon
from shared.ports import Delete, Insert, Upsert
from shared.rows import encode
from shared.schedule import DELIVER, NOTICE, DueRow, Wakeup, shard_for
from shared.tick import Tick
from shared.times import to_text
from shared.watchdog import Watchdog
from tests.fakes import MemoryTables, MemoryWakeups, MovableClock
from tests.fakes.tables import MemoryTable
from tests.scenes.delivering import SECRET, URL, Receiver, Secrets

ALERTS = Alerts("https://pager.example/hook", "whsec_" + "QUJD" * 8)
BASE = "https://mail.example"
CONNECTION = new_connection_id(box_hash("client", "contoso", "mailbox"))
SHARD = shard_of(CONNECTION)
CREDENTIAL = f"cred_{new_ulid()}"
GRANT = grant_id(CREDENTIAL, "8a7c0c3e-0000-4000-8000-000000000001")
PLACES = ("box", "receipts", "grant", "credential", "system")


class Scene:
    """A connection with a destination, an operator's webhook, and everyone who may be told of things."""

    def __init__(self, alerts: Alerts = ALERTS, **changes: object) -> None:
        self.clock = MovableClock()
        self.tables = MemoryTables(self.clock)
        self.wakeups = MemoryWakeups(self.clock)
        self.receiver = Receiver()
        self.alerts = alerts
        self.destination = Destination("webhook", URL, events=(EventType.CONNECTION_FAILED.value,))
        self.configure(**changes)

    def configure(self, **changes: object) -> None:
        """Write the connection's configuration, changed as said."""
        destination = replace(self.destination, **changes)  # type: ignore[arg-type]
        config = Connection(
            CONNECTION, Direction.INCOMING, "a", GRANT, "t", "m", "a@b.example", "", destination=destination
        )
        self.tables.connections.commit(SHARD, [Upsert(connection_key(CONNECTION), encode(config))])

    def notices(self) -> Notices:
        """Return a fresh worker."""
        telling = Telling(self.wakeups, self.receiver, Secrets(), signature, self.alerts, self.clock)
        back = Back(5.0, 3600.0)
        return Notices(self.tables, self.wakeups, telling, BASE, back, monotonic=self.clock.monotonic)

    def notice(self, kind: EventType = EventType.CONNECTION_FAILED, subject: str = CONNECTION) -> Notice:
        """Return word of something that happened now."""
        return Notice(kind, subject, {"connection_id": subject, "code": "mailbox_missing"}, self.clock())

    def write(self, notice: Notice, place: str = "box") -> str:
        """Write a notice as its writer would, due row first or with it; return the owner."""
        if place == "box":
            self.tables.connections.commit(SHARD, [notice.in_box(CONNECTION), soon(CONNECTION, self.clock())])
            return CONNECTION
        if place == "receipts":
            self.tables.receipts.commit(CONNECTION, [notice.in_receipts(CONNECTION)])
            due = DueRow(self.clock() + timedelta(minutes=2), DELIVER, CONNECTION)
            self.tables.connections.commit(SHARD, [Upsert(due.key, due.values)])
            return CONNECTION
        owner = {"grant": GRANT, "credential": CREDENTIAL, "system": SYSTEM}[place]
        due = due_first(owner, self.clock())
        self.tables.connections.commit(shard_for(owner), [Upsert(due.key, due.values)])
        if place == "grant":
            self.tables.grants.commit(CREDENTIAL, [notice.in_grants(owner)])
        else:
            partition = SYSTEM if place == "system" else "credential"
            self.tables.credentials.commit(partition, [notice.in_credentials(owner)])
        return owner

    def go(self, owner: str = CONNECTION, due: str = "") -> None:
        """Wake the worker."""
        self.notices().run(Wakeup(NOTICE, owner, 0, due))

    def settle(self, seconds: float = 0, step: float = 60) -> None:
        """Let ticks pass for *seconds*, each waking whoever is due; deaths are made up for by later ones."""
        ends = self.clock() + timedelta(seconds=seconds)
        while self.clock() < ends:
            times = [due.at for due in self.dues(DELIVER, NOTICE)]
            idle = (min([*times, ends]) - self.clock()).total_seconds()
            self.clock.advance(max(step, idle))
            try:
                Tick(self.tables, self.wakeups, self.clock, _Calm(self)).run()
            except StorageError:
                continue
            for body in self.wakeups.take("mail-deliver"):
                self.take(Wakeup.from_body(body))

    def take(self, wakeup: Wakeup) -> None:
        """Do what the queue's function does, without mail; a failed call is the death of the invocation."""
        try:
            if wakeup.kind == NOTICE:
                self.notices().run(wakeup)
            else:
                self.notices().hand_on(wakeup.id)
                self.tables.connections.commit(shard_of(wakeup.id), [Delete(wakeup.due)])
        except StorageError:
            return

    def left(self) -> list[str]:
        """Return the keys of notices that stand."""
        tables = (self.tables.connections, self.tables.receipts, self.tables.grants, self.tables.credentials)
        return [key for table in tables for _, key in table.everything() if "|evt_" in key]

    def dues(self, *kinds: str) -> list[DueRow]:
        """Return the due rows of *kinds*, else of notices."""
        rows = self.tables.connections.everything().items()
        dues = [DueRow.from_row(key, values) for (_, key), values in rows if key.startswith("due|")]
        return [due for due in dues if due.kind in (kinds or (NOTICE,))]

    def got(self, url: str) -> list[tuple[str, bytes]]:
        """Return id and bytes of each post to *url*."""
        return [(headers["webhook-id"], body) for at, body, headers in self.receiver.got if at == url]


class _Calm(Watchdog):
    """The heartbeat of a tick that tests call when they like, and that is never late."""

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene.tables, scene.wakeups, scene.clock)

    def beat(self) -> datetime:
        """Return the time."""
        return self._clock()


@pytest.fixture
def scene() -> Scene:
    """Return an empty product."""
    return Scene()


def test_a_notice_reaches_destination_and_operator_signed(scene: Scene) -> None:
    """Each gets the same event with its own valid signature, and then nothing of it is left."""
    notice = scene.notice()
    scene.write(notice)

    scene.go()

    assert [ALERTS.url, URL] == [url for url, _, _ in scene.receiver.got]
    for (_, body, headers), secret in zip(scene.receiver.got, (ALERTS.secret, SECRET), strict=True):
        # The library's clock is the wall's, so the signature is made anew instead of verified.
        again = signature(secret, notice.id, scene.clock(), body)
        assert again == {name: headers[name] for name in again}
        assert "application/cloudevents+json" == headers["Content-Type"]
    assert Webhook(SECRET).sign(notice.id, scene.clock(), scene.receiver.got[1][1].decode())
    assert {
        "specversion": "1.0",
        "type": "mailgrant.connection.failed",
        "id": notice.id,
        "source": f"{BASE}/api/connections/{CONNECTION}",
        "subject": CONNECTION,
        "time": to_text(scene.clock()),
        "dataschema": "urn:mailgrant:schema:connection.failed:1",
        "datacontenttype": "application/json",
        "data": {"connection_id": CONNECTION, "code": "mailbox_missing"},
    } == json.loads(scene.receiver.got[0][1])
    assert [] == scene.left()


@pytest.mark.parametrize("place", PLACES)
def test_a_lost_wakeup_costs_minutes(scene: Scene, place: str) -> None:
    """Wherever a notice stands, its due row brings it to the operator, and goes then."""
    notice = scene.notice()
    owner = scene.write(notice, place)

    scene.settle(900)

    assert [notice.id] == [identifier for identifier, _ in scene.got(ALERTS.url)]
    assert ([], []) == (scene.left(), [due for due in scene.dues() if due.id == owner])


def test_a_destination_gets_what_it_asked_for(scene: Scene) -> None:
    """Types that it did not ask for, and mail's own, go past it; a test always comes."""
    told = [EventType.CONNECTION_FAILED, EventType.DESTINATION_PAUSED, EventType.TEST]
    for kind in told:
        scene.write(scene.notice(kind))

    scene.go()

    types = [json.loads(body)["type"] for _, body in scene.got(URL)]
    assert {EventType.CONNECTION_FAILED, EventType.TEST} == set(types)


def test_without_a_list_a_destination_hears_of_quarantined_mail(scene: Scene) -> None:
    """What it would have got as mail is told of, nothing else."""
    scene.configure(events=())
    for kind in (EventType.MESSAGE_QUARANTINED, EventType.CONNECTION_FAILED):
        scene.write(scene.notice(kind), "receipts")

    scene.go()

    assert ["mailgrant.message.quarantined"] == [json.loads(body)["type"] for _, body in scene.got(URL)]


def test_only_alarms_reach_the_operator(scene: Scene) -> None:
    """A change that a person made himself alarms nobody."""
    kinds = list(EventType)
    for kind in kinds:
        scene.write(scene.notice(kind))

    scene.go()

    assert set(ALARMS) == {json.loads(body)["type"] for _, body in scene.got(ALERTS.url)}


def test_without_an_operators_webhook_nothing_waits_for_it() -> None:
    """A notice that nobody wants is gone at the first look."""
    scene = Scene(Alerts(), events=(EventType.MESSAGE_RECEIVED.value,))
    scene.write(scene.notice())

    scene.go()

    assert ([], []) == (scene.receiver.got, scene.left())


def test_alarms_are_unsigned_without_a_secret() -> None:
    """They carry their id all the same."""
    scene = Scene(Alerts(ALERTS.url))
    notice = scene.notice()
    scene.write(notice)

    scene.go()

    (headers,) = [headers for url, _, headers in scene.receiver.got if url == ALERTS.url]
    assert {"Content-Type": "application/cloudevents+json", "webhook-id": notice.id} == headers


def test_a_human_form_goes_to_the_operator_alone() -> None:
    """Teams or Slack gets what people read; a destination gets the event, with the same id."""
    scene = Scene(replace(ALERTS, form=AlertFormat.SLACK))
    notice = scene.notice()
    scene.write(notice)

    scene.go()

    (told,) = [(headers, body) for url, body, headers in scene.receiver.got if url == ALERTS.url]
    assert ("application/json", notice.id) == (told[0]["Content-Type"], told[0]["webhook-id"])
    assert "blocks" in json.loads(told[1])
    assert [notice.id] == [identifier for identifier, _ in scene.got(URL)]


def test_an_alarm_outlives_its_connection(scene: Scene) -> None:
    """The destination went with the connection; the operator is told still."""
    notice = scene.notice()
    scene.write(notice)
    scene.tables.connections.commit(SHARD, [Delete(connection_key(CONNECTION))])

    scene.go()

    assert ([notice.id], []) == ([identifier for identifier, _ in scene.got(ALERTS.url)], scene.got(URL))
    assert [] == scene.left()


def test_one_target_that_fails_neither_repeats_nor_holds_the_other(scene: Scene) -> None:
    """The destination is tried ever more rarely with the same bytes, while the operator was told once."""
    scene.write(scene.notice())

    def answer() -> None:
        scene.receiver.answers = [204] if not scene.receiver.got else [500]

    scene.receiver.before = answer
    scene.settle(3600, step=10)

    assert 1 == len(scene.got(ALERTS.url))
    tried = scene.got(URL)
    assert (1, True) == (len(set(tried)), 8 <= len(tried) <= 12)
    scene.receiver.before = None
    scene.settle(3600)
    assert [] == scene.left()


def test_one_notice_that_is_refused_does_not_hold_the_next(scene: Scene) -> None:
    """A receiver that answers 400 to one type gets the others."""
    scene.write(scene.notice())
    scene.clock.advance(1)
    second = scene.notice()
    scene.write(second)
    scene.receiver.answers = [204, 204, 400, 204]

    scene.go()

    assert (second.id, 1) == (scene.got(URL)[-1][0], len(scene.left()))


def test_who_does_not_answer_is_asked_once_a_round(scene: Scene) -> None:
    """A silent destination costs one timeout and not one for each notice."""
    for _ in range(5):
        scene.write(scene.notice())
    gone = Fault("no answer", Code.DESTINATION_UNREACHABLE, retryable=True)
    scene.receiver.answers = [204] * 5 + [gone] * 5

    scene.go()

    assert (5, 1, 5) == (len(scene.got(ALERTS.url)), len(scene.got(URL)), len(scene.left()))


def test_after_three_days_a_notice_is_given_up(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    """It is named in the log, without any address, and nothing of it is left."""
    notice = scene.notice()
    scene.write(notice)
    scene.receiver.default = 500

    scene.settle(LASTS.total_seconds() + 7200, step=600)

    assert ([], []) == (scene.left(), scene.dues())
    given_up = [record.getMessage() for record in caplog.records if "given_up" in record.getMessage()]
    assert [True, True] == [notice.id in line for line in given_up]
    assert not [line for line in caplog.text.splitlines() if "https://" in line or "whsec_" in line]


def test_a_disabled_destination_is_left_alone(scene: Scene) -> None:
    """Nothing is posted to it; once it is enabled again, what happened meanwhile is told."""
    disabled = Delivery(CONNECTION, disabled=True)
    scene.tables.connections.commit(SHARD, [Insert(delivery_key(CONNECTION), encode(disabled))])
    notice = scene.notice()
    scene.write(notice)
    scene.settle(7200)
    assert [] == scene.got(URL)

    scene.tables.connections.commit(SHARD, [Upsert(delivery_key(CONNECTION), {"disabled": False})])
    scene.settle(7200)

    assert [notice.id] == [identifier for identifier, _ in scene.got(URL)]


def test_two_workers_at_once_send_once(scene: Scene) -> None:
    """Whoever comes while a notice is being sent leaves it alone."""
    scene.write(scene.notice())

    def meanwhile() -> None:
        scene.receiver.before = None
        scene.go()

    scene.receiver.before = meanwhile
    scene.go()
    scene.settle(300)

    assert (1, 1) == (len(scene.got(ALERTS.url)), len(scene.got(URL)))
    assert [] == scene.left()


def test_a_queue_gets_notices_too(scene: Scene) -> None:
    """The message is the event."""
    scene.configure(type="queue", url="", name="out-orders")
    notice = scene.notice()
    scene.write(notice)

    scene.go()

    assert [notice.id] == [message.body["id"] for message in scene.wakeups.sent if message.queue == "out-orders"]


def test_mail_does_not_wait_for_notices(scene: Scene) -> None:
    """Who is woken for mail only wakes another for the notices, and for none there is nothing to do."""
    scene.notices().hand_on(CONNECTION)
    scene.notices().hand_on("conn_x")
    assert [] == scene.wakeups.sent

    scene.write(scene.notice(), "receipts")
    scene.notices().hand_on(CONNECTION)

    assert [NOTICE] == [message.body["kind"] for message in scene.wakeups.sent]
    assert ([], [CONNECTION]) == (scene.receiver.got, [due.id for due in scene.dues()])


def test_a_writer_slower_than_its_due_row_is_found_later(scene: Scene) -> None:
    """A due row that finds nothing beside a grant looks once more, and goes then."""
    due = due_first(GRANT, scene.clock())
    scene.tables.connections.commit(shard_for(GRANT), [Upsert(due.key, due.values)])
    scene.settle(120)
    notice = scene.notice(EventType.GRANT_CHANGED, GRANT)
    scene.tables.grants.commit(CREDENTIAL, [notice.in_grants(GRANT)])

    scene.settle(1200)

    assert [notice.id] == [identifier for identifier, _ in scene.got(ALERTS.url)]
    assert ([], []) == (scene.left(), [due for due in scene.dues() if due.id == GRANT])


@pytest.mark.parametrize("place", ["box", "grant"])
@pytest.mark.parametrize("after_effect", [False, True])
def test_a_death_at_any_call_loses_nothing(place: str, *, after_effect: bool) -> None:
    """Whichever call of the worker is its last, before or after its effect, the next one finishes the work."""
    for call in range(8):
        scene = Scene()
        notice = scene.notice()
        owner = scene.write(notice, place)
        _die_at(scene.tables.connections if place == "box" else scene.tables.grants, call, after_effect=after_effect)
        scene.take(Wakeup(NOTICE, owner))
        scene.settle(1800)

        assert {notice.id} == {identifier for identifier, _ in scene.got(ALERTS.url)}
        assert 1 == len(set(scene.got(ALERTS.url)))
        assert ([], []) == (scene.left(), scene.dues())


def _die_at(table: MemoryTable, call: int, *, after_effect: bool) -> None:
    """Let the call of *table* that comes after *call* others get no answer."""
    left = [call]

    def count(method: str) -> None:
        left[0] -= 1
        if left[0] < 0:
            table.failures.before = None
            table.failures.plan(method, after_effect=after_effect)

    table.failures.before = count


STEPS: list[Callable[[Scene, int], None]] = [
    lambda scene, n: scene.tables.connections.failures.plan(("read", "commit")[n % 2], after_effect=n % 4 > 1),
    lambda scene, n: scene.tables.receipts.failures.plan(("read", "commit")[n % 2], after_effect=n % 4 > 1),
    lambda scene, n: scene.tables.grants.failures.plan(("read", "commit")[n % 2], after_effect=n % 4 > 1),
    lambda scene, n: scene.tables.credentials.failures.plan(("read", "commit")[n % 2], after_effect=n % 4 > 1),
    lambda scene, _: scene.wakeups.failures.plan("put"),
    lambda scene, n: scene.receiver.answers.append((500, 400, 429, 204)[n % 4]),
    lambda scene, _: scene.receiver.answers.append(Fault("no answer", Code.DESTINATION_UNREACHABLE, retryable=True)),
    lambda scene, n: scene.settle(60 * (n % 5)),
]


@settings(max_examples=40)
@given(
    places=st.lists(st.sampled_from(PLACES), min_size=1, max_size=5),
    steps=st.lists(st.tuples(st.sampled_from(STEPS), st.integers(0, 100)), max_size=25),
)
def test_every_notice_reaches_each_target_with_one_id_and_constant_bytes(
    places: list[str], steps: list[tuple[Callable[[Scene, int], None], int]]
) -> None:
    """Whatever calls fail or lose their answer on the way, at least once each, and nothing stays behind."""
    scene = Scene()
    told = {place: scene.notice() for place in dict.fromkeys(places)}
    for place, notice in told.items():
        scene.write(notice, place)
    for step, number in steps:
        step(scene, number)

    scene.settle(4 * 3600, step=300)

    everyone = {notice.id for notice in told.values()}
    for url, expected in (
        (ALERTS.url, everyone),
        (URL, {told[place].id for place in told if place in ("box", "receipts")}),
    ):
        got = scene.got(url)
        assert expected == {identifier for identifier, _ in got}
        assert len(expected) == len(set(got))
    assert ([], []) == (scene.left(), scene.dues())


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("message.received", EventType.MESSAGE_RECEIVED),
        ("mailgrant.tick.missed", EventType.TICK_MISSED),
        ("mailgrant.", None),
        ("received", None),
        ("", None),
    ],
)
def test_types_are_known_with_and_without_prefix(text: str, found: EventType | None) -> None:
    """A person need not repeat the product's name."""
    assert found == full_type(text)


def test_every_alarm_has_its_own_type() -> None:
    """Types are constants that receivers know."""
    assert all(kind.value == f"mailgrant.{kind.short}" for kind in EventType)
    assert EventType.MESSAGE_RECEIVED not in ALARMS
