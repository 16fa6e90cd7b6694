"""Rows of other versions and damaged ones, queue messages that are none: read, or refused by one kind of error."""

from __future__ import annotations

import json
from dataclasses import fields
from typing import Any

from hypothesis import strategies as st

from localcloud.fuzz.garbling import NONSENSE, SCALARS, SECRET, damaged, mutated
from shared.box import Box
from shared.connection_rows import Tombstone
from shared.connections import Connection, Delivery, Direction, Run
from shared.credentials import Credential
from shared.errors import RecordedFault
from shared.grants import Grant
from shared.hooks.rows import Hook
from shared.keep_rows import Keeping
from shared.notices import Pending
from shared.outbox.rows import Entry
from shared.outbox.work import Move, Work
from shared.ports import Row
from shared.receipts import Receipt, ReceiptStatus, works_of
from shared.rows import UnreadableRow, decode, encode
from shared.run_log import RunLine
from shared.schedule import DueRow, Wakeup
from shared.tickets import State, Ticket

FAULT = RecordedFault("graph_throttled", "Wait.", "2026-03-02T09:30:15.000Z", retryable=True)
CONNECTION = "conn_0123456789abcdef01ARZ3NDEKTSV4RRFFQ69G5FAV"
KINDS: tuple[type, ...] = (
    Box, Connection, Run, Delivery, Credential, Grant, Hook, Keeping, Pending, Entry, Work, Receipt, RunLine, Tombstone,
    State, Ticket,
)  # fmt: skip
GOOD: dict[type, dict[str, Any]] = {
    Run: encode(Run(CONNECTION, cursor=f"https://graph/{SECRET}", walk=SECRET, fault=FAULT)),
    Delivery: encode(Delivery(CONNECTION, fault=FAULT)),
    Connection: encode(Connection(CONNECTION, Direction.INCOMING, "n", "g", "t", "m", SECRET, "c")),
    Work: encode(Work("msg_1", SECRET, "2026-03-02T09:30:15.000Z", fault=FAULT, moves=(Move("accept", "a"),))),
    Receipt: encode(Receipt("a" * 32, SECRET, ReceiptStatus.STORED, "2026-03-02T09:30:15.000Z", SECRET)),
    Box: encode(Box(holder="h", lease_until="2026-03-02T09:30:15.000Z")),
}
KEYS = ["due|20260302T093015000Z|fetch|x", "wd|20260302T093015000Z|" + "a" * 32, "due|x|y|z", "wd|", "", "due|", "|||"]


@st.composite
def row_cases(draw: st.DrawFn) -> tuple[type, dict[str, Any]]:
    """Draw a kind of record and the values of a row."""
    kind = draw(st.sampled_from(KINDS))
    values = dict(GOOD.get(kind) or dict.fromkeys([item.name for item in fields(kind)], ""))
    for name in draw(st.sets(st.sampled_from(sorted(values)), max_size=3)):
        odd = draw(st.one_of(SCALARS, NONSENSE.map(_text), st.just("[" * 20_000), st.just("novelty")))
        if draw(st.booleans()):
            values[name] = odd
        else:
            del values[name]
    return kind, {**values, **draw(st.dictionaries(st.just("novelty"), SCALARS, max_size=1))}


def _text(value: Any) -> str:
    return json.dumps(value)


def check_row(case: tuple[type, dict[str, Any]]) -> None:
    """Read a row; what comes back can be written again, and what cannot be read says no value."""
    kind, values = case
    try:
        record: Any = decode(kind, values)
    except UnreadableRow as error:
        assert SECRET not in f"{error!r} {error.__context__!r} {error.__cause__!r}", "an error shows a secret"  # noqa: PT017 - a target is no test
        return
    assert isinstance(record, kind), "another kind of record"
    encode(record)


@st.composite
def message_cases(draw: st.DrawFn) -> bytes:
    """Draw the body of a queue message."""
    kind = draw(
        st.sampled_from(["fetch", "deliver", "send", "grant", "state", "purge", "credential", "notice", "keep", "new"])
    )
    good = {"kind": kind, "id": CONNECTION, "seq": 1, "due": f"due|20260302T093015000Z|{kind}|{CONNECTION}"}
    if draw(st.booleans()):
        return json.dumps(draw(mutated(good))).encode()
    return draw(damaged(json.dumps(good).encode()))


def check_message(body: bytes) -> None:
    """Read a message; a wake-up names only work of its own."""
    try:
        wakeup = Wakeup.from_body(json.loads(body))
    except (ValueError, RecursionError, AttributeError):
        return
    assert wakeup.due == "" or wakeup.due.endswith(f"|{wakeup.kind}|{wakeup.id}"), "a wake-up names another's due row"
    assert wakeup == Wakeup.from_body(wakeup.to_body())


due_cases = st.tuples(st.sampled_from(KEYS) | st.text(max_size=40), st.dictionaries(st.just("seq"), SCALARS))


def check_due(case: tuple[str, dict[str, Any]]) -> None:
    """Read a due row, and a row of work; both are told from what is none."""
    key, values = case
    for work in works_of([Row(key, values, "e")]):
        assert work.attempts == int(values.get("attempts", 0))
    try:
        DueRow.from_row(key, values)
    except (ValueError, OverflowError, TypeError):
        return
