"""What a soak stands on: its schedule follows from the seed, and its judge finds each breach that is planted."""

from __future__ import annotations

import json
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from localcloud.__main__ import main
from localcloud.faults.records import Records
from localcloud.soak.actors import Actors
from localcloud.soak.ending import Ending
from localcloud.soak.judge import Announced, Copy, Held, Verdict, judge_blobs, judge_drafts, judge_intake, judge_sending
from localcloud.soak.model import Box, Model, Order, Reader
from localcloud.soak.schedule import KINDS, Action, plan
from localcloud.soak.troubles import TROUBLES

SHA = "a" * 64
EVENT = Announced("rcv_1.x", "conn_1", SHA)
HELD = Held("read0", "message", SHA, "inbox", is_read=True)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**9), st.floats(1, 100))
def test_the_same_seed_gives_the_same_schedule(seed: int, seconds: float) -> None:
    """Moments and parameters are equal, ordered, numbered, and over before the time is."""
    actions = plan(seconds, seed)

    assert [action.line() for action in actions] == [action.line() for action in plan(seconds, seed)]
    assert sorted(action.at for action in actions) == [action.at for action in actions]
    assert list(range(len(actions))) == [action.number for action in actions]
    assert all(action.at <= seconds for action in actions)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**9))
def test_the_slice_of_ci_has_something_of_everything(seed: int) -> None:
    """Whatever the seed, 75 seconds see every kind of action, and no trouble that nobody knows."""
    actions = plan(75, seed)
    troubles = [action.details for action in actions if action.kind == "trouble"]

    assert {kind.name for kind in KINDS} == {action.kind for action in actions}
    assert all(trouble["name"] in TROUBLES[trouble["where"]] for trouble in troubles)


def test_the_schedule_can_be_printed(capsys: pytest.CaptureFixture[str]) -> None:
    """`--plan` prints a line of JSON for each action and starts nothing."""
    assert 0 == main(["soak", "--plan", "--seconds", "30", "--seed", "5"])

    printed = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [action.at for action in plan(30, 5)] == [action["at"] for action in printed]


def reading(form: str = "read", *lineages: str) -> Model:
    """Return a model of one mailbox with one message, read by the connections of *lineages* one after the other."""
    reader = Reader(f"{form}0", "", form)
    for number, connection in enumerate(lineages or ("conn_1",)):
        reader.adopt(connection.removeprefix("+"), continues=bool(number) and connection.startswith("+"))
    model = Model(readers={reader.person: reader})
    model.arrived(reader.person, ["message"])
    return model


def intake(model: Model, held: list[Held], events: list[Announced], served: dict[str, str] | None = None) -> list[str]:
    """Return the invariants that are broken."""
    verdict = Verdict()
    judge_intake(model, held, events, served or {}, verdict)
    return [name for name, lines in verdict.broken.items() for _ in lines]


@pytest.mark.parametrize(
    ("held", "events", "served", "broken"),
    [
        ([HELD], [EVENT], {}, []),
        ([HELD], [], {}, ["lost"]),
        ([], [], {}, ["lost"]),
        ([HELD], [EVENT, replace(EVENT, id="rcv_1.y")], {}, ["duplicates"]),
        ([HELD], [replace(EVENT, changed=True)], {}, ["wrong_state"]),
        ([HELD], [EVENT], {"rcv_1.x": "404"}, ["wrong_state"]),
        ([HELD], [EVENT, Announced("rcv_1.z", "conn_1", "b" * 64)], {}, ["wrong_state"]),
        ([HELD], [EVENT, replace(EVENT, id="rcv_9.x", connection_id="conn_9")], {}, ["wrong_state"]),
        ([replace(HELD, is_read=False)], [EVENT], {}, ["wrong_state"]),
        ([replace(HELD, folder="archive")], [EVENT], {}, ["wrong_state"]),
    ],
)
def test_received_mail_is_held_against_its_events(
    held: list[Held], events: list[Announced], served: dict[str, str], broken: list[str]
) -> None:
    """Lost, announced twice, changed and misplaced are told apart."""
    assert broken == intake(reading(), held, events, served)


@pytest.mark.parametrize(
    ("held", "served", "erased", "broken"),
    [
        (HELD, {"rcv_1.x": "410"}, True, []),
        (HELD, {"rcv_1.x": SHA}, True, ["wrong_state"]),
        (HELD, {"rcv_1.x": SHA}, False, []),
        (replace(HELD, is_read=False), {"rcv_1.x": "410"}, False, []),
    ],
)
def test_mail_that_was_erased_is_served_no_more(
    held: Held, served: dict[str, str], erased: bool, broken: list[str]
) -> None:
    """Where the answer was lost it may be here or not; what was to follow in its mailbox may never come."""
    model = reading()
    model.erasing, model.erased = {"rcv_1.x"}, {"rcv_1.x"} if erased else set()

    assert broken == intake(model, [held], [EVENT], served)


@pytest.mark.parametrize(
    ("form", "lineages", "connections", "broken"),
    [
        ("read", ("conn_1", "+conn_2"), ("conn_1",), []),
        ("read", ("conn_1", "+conn_2"), ("conn_1", "conn_2"), ["duplicates"]),
        ("read", ("conn_1", "conn_2"), ("conn_1", "conn_2"), []),
        ("read", ("conn_1", "conn_2"), ("conn_1",), ["lost"]),
        ("move", ("conn_1", "conn_2"), ("conn_1",), []),
        ("move", ("conn_1", "conn_2"), ("conn_2",), []),
    ],
)
def test_a_connection_that_continues_announces_nothing_again(
    form: str, lineages: tuple[str, ...], connections: tuple[str, ...], broken: list[str]
) -> None:
    """One id in a lineage, however many connections; one that began anew takes what still lies in its folder."""
    folder = "archive" if form == "move" else "inbox"
    events = [Announced(f"rcv_{one}", one, SHA) for one in connections]

    assert broken == intake(reading(form, *lineages), [replace(HELD, person=f"{form}0", folder=folder)], events)


def sent(status: str, *moves: str, **more: Any) -> dict[str, Any]:
    """Return an outbox entry."""
    told = json.dumps([{"name": move} for move in moves])
    return {"id": "msg_1", "subject": "Order 1 of the soak", "status": status, "moves": told, "fault": "{}", **more}


def order(**details: Any) -> Order:
    """Return an order that was answered; *person*, *gone* and *discarded* are its connection's."""
    about: dict[str, Any] = {name: details.pop(name) for name in ("person", "gone", "discarded") if name in details}
    known: dict[str, Any] = {"person": "plain0", "address": "", "connection_id": "conn_1", "token": "", **about}
    return Order(1, Box(**known), **details)


AGAIN = sent("sent", id="msg_2", resend_of="msg_1")


@pytest.mark.parametrize(
    ("asked", "entries", "copies", "broken"),
    [
        (order(entries={"msg_1"}), [sent("accepted")], 1, []),
        (order(entries={"msg_1"}), [sent("sent")], 0, ["lost"]),
        (order(entries={"msg_1"}), [sent("sent")], 2, ["duplicates"]),
        (order(entries={"msg_1"}), [sent("sent"), sent("sent", id="msg_2")], 2, ["duplicates", "duplicates"]),
        (order(entries={"msg_1"}), [], 0, ["lost"]),
        (order(), [], 0, ["wrong_state"]),
        (order(gives_up=True), [], 0, []),
        (order(gives_up=True), [sent("accepted")], 1, []),
        (order(gives_up=True), [], 1, ["wrong_state"]),
        (order(refused=404), [], 0, ["wrong_state"]),
        (order(refused=404, gone=True), [], 0, []),
        (order(entries={"msg_1"}), [sent("sending", "attempt")], 1, ["wrong_state"]),
        (order(entries={"msg_1"}), [sent("failed", "fail")], 0, ["wrong_state"]),
        (order(entries={"msg_1"}), [sent("cancelled", "cancel")], 0, ["wrong_state"]),
        (order(entries={"msg_1"}, cancel_asked=True), [sent("cancelled", "cancel")], 0, []),
        (order(entries={"msg_1"}, cancel_asked=True), [sent("cancelled", "cancel")], 1, ["wrong_state"]),
        (order(entries={"msg_1"}, cancel_asked=True, cancelled=True), [sent("accepted")], 1, ["wrong_state"]),
        (order(entries={"msg_1"}), [sent("outcome_unknown", "lost", "give_up")], 1, ["wrong_state"]),
        (order(entries={"msg_1"}, resent=True), [sent("failed"), AGAIN], 1, ["wrong_state"]),
        (order(entries={"msg_1"}, person="direct0"), [sent("outcome_unknown", "lost_direct")], 1, []),
        (order(entries={"msg_1"}, cancel_asked=True, resent=True), [sent("cancelled"), AGAIN], 1, []),
        (order(entries={"msg_1"}, cancel_asked=True, resent=True), [sent("cancelled"), AGAIN], 0, ["lost"]),
        (order(entries={"msg_1"}, cancel_asked=True, resent=True), [sent("cancelled"), AGAIN], 2, ["duplicates"]),
        (order(entries={"msg_1"}, cancel_asked=True), [sent("cancelled"), AGAIN], 1, ["duplicates"]),
        (order(entries={"msg_1"}, again={"msg_9"}, resent=True), [sent("sent")], 1, ["lost"]),
        (
            order(entries={"msg_1"}, person="direct0", resent=True),
            [sent("outcome_unknown", "lost_direct"), AGAIN],
            2,
            [],
        ),
        (order(gives_up=True, gone=True), [sent("sent", subject="", PartitionKey="conn_1")], 1, []),
        (
            order(gives_up=True, gone=True),
            [sent("cancelled", "abandon", subject="", PartitionKey="conn_1")],
            1,
            ["wrong_state"],
        ),
        (order(entries={"msg_1"}, person="direct0"), [sent("outcome_unknown", "lost_direct")], 2, ["duplicates"]),
        (order(entries={"msg_1"}, gone=True, discarded=True), [sent("outcome_unknown", "abandon")], 1, []),
        (order(entries={"msg_1"}, gone=True), [sent("outcome_unknown", "abandon")], 0, ["wrong_state"]),
    ],
)
def test_orders_are_held_against_entries_and_copies(
    asked: Order, entries: list[dict[str, Any]], copies: int, broken: list[str]
) -> None:
    """Lost, doubled, forgotten and untrue are told apart; nothing is unknown that the design lets be known."""
    verdict = Verdict()
    arrived = [Copy(asked.subject, address) for address in asked.recipients for _ in range(copies)]

    judge_sending(Model(orders=[asked]), entries, arrived, verdict)

    assert broken == [name for name, lines in verdict.broken.items() for _ in lines]


def test_a_copy_of_what_nobody_posted_is_found() -> None:
    """Copies without an order count as doubled."""
    verdict = Verdict()

    judge_sending(Model(), [], [Copy("Order 7 of the soak", "a@b.example")], verdict)

    assert 1 == len(verdict.broken["duplicates"])
    assert not verdict.holds


@pytest.mark.parametrize(
    ("copy", "wrong"),
    [
        ({}, 0),
        ({"files": ("c",)}, 1),
        ({"files": ()}, 1),
        ({"at": "2026-01-01T11:59:57.000Z"}, 1),
        ({"address": "else@outside.example"}, 1),
    ],
)
def test_what_arrived_is_what_was_posted(copy: dict[str, Any], wrong: int) -> None:
    """Other files, a time before the one asked for, and a recipient that nobody named are found."""
    verdict = Verdict()
    asked = order(entries={"msg_1"}, files=["b"], send_at="2026-01-01T12:00:00+00:00")
    right = [Copy(asked.subject, address, "2026-01-01T12:00:00.000Z", ("b",)) for address in asked.recipients]

    judge_sending(
        Model(orders=[asked]), [sent("sent")], [*right, *([replace(right[0], **copy)] if copy else [])], verdict
    )

    assert wrong == len(verdict.broken["wrong_state"])


BOX = {"PartitionKey": "0", "RowKey": "b|box|box"}
RUN = {"PartitionKey": "0", "RowKey": "b|box|run|conn_1", "next_at": "2026-01-01T00:00:00.000Z"}
PAST = {"PartitionKey": "0", "RowKey": "due|20260101T000000001Z|fetch|conn_1"}


DELIVERED = {"PartitionKey": "0", "RowKey": "b|box|dlv|conn_1"}


@pytest.mark.parametrize(
    ("rows", "stuck"),
    [
        ([{**DELIVERED, "redelivery": '{"finished_at":""}'}], ["redelivery unfinished"]),
        ([{**DELIVERED, "redelivery": '{"finished_at":"2026-01-01T00:00:00.000Z"}'}], []),
        ([BOX], []),
        ([{**BOX, "holder": "someone"}], ["turn held"]),
        ([{**BOX, "holder": "someone", "lease_until": "2999-01-01T00:00:00.000Z"}], ["turn held"]),
        ([{**BOX, "holder": "dead", "lease_until": "2026-01-01T00:00:00.000Z"}], []),
        ([{**RUN, "claim": "someone"}, PAST], ["run claimed", "fetch due row overdue"]),
        ([RUN], ["run without a due row"]),
    ],
)
def test_leases_and_overdue_work_are_stuck(
    monkeypatch: pytest.MonkeyPatch, rows: list[dict[str, Any]], stuck: list[str]
) -> None:
    """A turn or a claim that nobody gives back is found, and work for which nobody will come; what is over is free."""
    tables = {"connections": rows, "receipts": []}
    monkeypatch.setattr(Records, "rows", lambda _self, table: iter(tables[table]))
    monkeypatch.setattr(Records, "_buried", lambda _self: iter(()))

    assert stuck == Records("").stuck()


def test_work_of_deleted_connections_waits_for_their_purge(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a deleted connection left is not stuck; the same of a living one is."""
    rows = [{"PartitionKey": one, "RowKey": "wd|20260101T000000000Z|hash"} for one in ("conn_1", "conn_2")]
    monkeypatch.setattr(Records, "rows", lambda _self, table: iter(rows if table == "receipts" else []))
    monkeypatch.setattr(Records, "_buried", lambda _self: iter(()))

    assert 1 == len(Records("", gone={"conn_1"}).stuck())


def test_blobs_that_nothing_names_are_orphans() -> None:
    """A blob without a row is found in every container, one with a row is not."""
    verdict = Verdict()

    judge_blobs({"received": ["a", "b"], "outbox": [], "uploads": ["c"]}, {"a"}, verdict)

    assert ["blob received/b", "blob uploads/c"] == verdict.broken["orphans"]


@pytest.mark.parametrize(
    ("entry", "folder", "orphans"),
    [
        (sent("sent"), "drafts", 1),
        (sent("sent"), "recoverableitemsdeletions", 0),
        (sent("cancelled"), "drafts", 1),
        (sent("outcome_unknown"), "drafts", 0),
        (None, "drafts", 1),
        (sent("failed", attempt=1, draft_id="draft"), "drafts", 0),
        (sent("failed", attempt=1, draft_id="another"), "drafts", 1),
        (sent("failed", attempt=0, draft_id="draft"), "drafts", 1),
    ],
)
def test_drafts_that_nobody_will_send_are_orphans(entry: dict[str, Any] | None, folder: str, orphans: int) -> None:
    """Only a draft that may tell what became of a mail stays, and the one that Graph refused to send."""
    verdict = Verdict()
    asked = order(entries={"msg_1"})
    message = {"is_draft": True, "folder": folder, "subject": asked.subject, "immutable_id": "draft"}

    judge_drafts(Model(orders=[asked]), [message], [entry] if entry else [], verdict)

    assert orphans == len(verdict.broken["orphans"])


class Cloud:
    """Stands for the control endpoint: keeps what was scripted and not taken back."""

    def __init__(self) -> None:
        self.faults: dict[str, str] = {}
        self.made = 0

    def add_fault(self, service: str, operation: str, _effect: dict[str, Any], **_details: Any) -> str:
        """Script a fault."""
        self.made += 1
        self.faults[str(self.made)] = f"{service} {operation}"
        return str(self.made)

    def remove_fault(self, identifier: str) -> None:
        """Take it back."""
        del self.faults[identifier]


def staged(**parts: Any) -> Any:
    """Return a stage of nothing but *parts*."""
    return SimpleNamespace(over=False, model=reading(), **parts)


def test_troubles_that_nobody_meets_end() -> None:
    """Were they to wait, all mailboxes would back off in the end, and a long soak would try nothing any more."""
    cloud, receiver = Cloud(), SimpleNamespace(troubles={})
    stage = staged(stack=SimpleNamespace(control=cloud), receiver=receiver, path_of=lambda person: f"{person}-1")
    actors = Actors(stage, lambda *_: None)
    about = {"person": "read0", "times": 3, "pause": 0.0, "host": 0, "anyone": False}
    actors.begin(Action(0, "trouble", 0, {**about, "where": "graph", "name": "list 503"}))
    actors.begin(Action(0, "trouble", 1, {**about, "where": "receiver", "name": "429"}))
    actors.finish()

    assert (1, {}) == (cloud.made, cloud.faults)
    assert {"read0-1": []} == receiver.troubles


@pytest.mark.parametrize(
    ("status", "retrying", "asked"),
    [
        ("active", [], ["PATCH True", "POST fetch"]),
        ("paused", [], ["PATCH False", "PATCH True", "POST fetch"]),
        ("active", ["rcv_1.x"], ["PATCH True", "POST retry", "POST fetch"]),
    ],
)
def test_what_waits_for_long_is_asked_for_at_the_end(status: str, retrying: list[str], asked: list[str]) -> None:
    """A destination that is tried once in 15 minutes, and mail whose next try is as far off, go on at once."""
    calls: list[str] = []

    def insist(method: str, path: str, body: Any = None) -> Any:
        if method != "GET":
            calls.append(f"{method} {body['enabled'] if body else path.rpartition('/')[2]}")
        return SimpleNamespace(json=lambda: {"destination": {"status": status}})

    stage = staged(insist=insist, listed=lambda *_, **__: [{"id": one} for one in retrying])
    Ending(stage, Actors(stage, lambda *_: None), lambda _: None).nudge()

    assert asked == calls
