"""Whether what must be true after a soak is true: pure functions over the model and what the receiving ends say."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from localcloud.faults.intake import FORMS
from localcloud.faults.outbox import LEFT, OPEN
from localcloud.soak.model import Model, Order, Reader

SLACK = timedelta(seconds=2)
"""Storage, whose time it is, and mailboxes tell whole seconds."""
INVARIANTS = ("lost", "duplicates", "wrong_state", "stuck", "orphans")


@dataclass(frozen=True)
class Announced:
    """One event of received mail, by the connection that it names; *changed* if its bytes differed between posts."""

    id: str
    connection_id: str
    sha256: str
    changed: bool = False


@dataclass(frozen=True)
class Held:
    """A message as its mailbox holds it at the end."""

    person: str
    message: str
    sha256: str
    folder: str
    is_read: bool


@dataclass(frozen=True)
class Copy:
    """What arrived at a recipient: when (RFC 3339), and the SHA-256 of what is attached."""

    subject: str
    address: str
    at: str = ""
    files: tuple[str, ...] = ()


@dataclass
class Verdict:
    """What breaks each invariant, a line each, without addresses or content."""

    broken: dict[str, list[str]] = field(default_factory=lambda: {name: [] for name in INVARIANTS})
    states: Counter[str] = field(default_factory=Counter)

    def add(self, invariant: str, line: str) -> None:
        """Note a breach."""
        self.broken[invariant].append(line)

    def some(self) -> list[str]:
        """Return one line of each invariant that is broken, with how many there are."""
        return [f"{name} {len(lines)}, such as: {lines[0]}" for name, lines in self.broken.items() if lines]

    @property
    def total(self) -> int:
        """How many breaches there are."""
        return sum(map(len, self.broken.values()))

    @property
    def holds(self) -> bool:
        """Whether nothing is broken."""
        return not self.total


def judge_intake(
    model: Model, held: Collection[Held], announced: Collection[Announced], served: Mapping[str, str], verdict: Verdict
) -> None:
    """
    Hold received mail against its events; *served* is the SHA-256 of what was downloaded, by event id.

    Every message was announced, once in each lineage, with the bytes that the mailbox holds, and lies where it should.
    Each lineage that began anew with all there is has announced what stays in its folder.
    """
    lineages = model.lineage_of()
    ids: dict[tuple[str, int], set[str]] = defaultdict(set)
    known = {item.sha256 for item in held}
    for event in announced:
        ids[event.sha256, lineages.get(event.connection_id, 0)].add(event.id)
        for line in _false(event, model, known, served, lineages):
            verdict.add("wrong_state", line)
    # Whatever was still to be done in the mailbox for a mail that was erased is not done any more.
    erased = {event.sha256 for event in announced if event.id in model.erasing}
    for (_, lineage), found in ids.items():
        if len(found) > 1:
            verdict.add("duplicates", f"one message as {' and '.join(sorted(found))} in lineage {lineage}")
    present = {item.message: item for item in held}
    for mail in model.mails:
        item = present.get(mail.message)
        if item is None:
            verdict.add("lost", f"a message of {mail.person} is in no folder any more")
            continue
        for line in _missing(model.readers[mail.person], item, ids):
            verdict.add("lost", line)
        if item.sha256 not in erased and _misplaced(model.readers[mail.person], item):
            verdict.add("wrong_state", f"a message of {mail.person} in {item.folder}, read: {item.is_read}")


def _false(
    event: Announced, model: Model, known: Collection[str], served: Mapping[str, str], lineages: Collection[str]
) -> Iterator[str]:
    if event.changed:
        yield f"bytes of {event.id} changed between attempts"
    content = served.get(event.id)
    if event.id in model.erased and content == event.sha256:
        yield f"content of {event.id} is served, though it was erased"
    if event.id not in model.erasing and content not in (None, event.sha256):
        yield f"content of {event.id} is not what was announced"
    if event.connection_id not in lineages:
        yield f"{event.id} is of a connection that nobody made"
    if event.sha256 not in known:
        yield f"{event.id} announces what no mailbox holds"


def _missing(reader: Reader, item: Held, ids: Mapping[tuple[str, int], set[str]]) -> Iterator[str]:
    numbers = set(reader.lineages.values())
    if not any(ids.get((item.sha256, number)) for number in numbers):
        yield f"a message of {reader.person} was never delivered"
    elif FORMS[reader.form][1] == "inbox" and not ids.get((item.sha256, max(numbers))):
        yield f"a message of {reader.person} was not delivered by the connection that began anew"


def _misplaced(reader: Reader, item: Held) -> bool:
    _, folder, is_read = FORMS[reader.form]
    return item.folder != folder or (is_read is not None and item.is_read is not is_read)


def judge_sending(
    model: Model, entries: Collection[Mapping[str, Any]], copies: Collection[Copy], verdict: Verdict
) -> None:
    """Hold each order against its entry and the *copies* that arrived, by subject and address."""
    arrived: dict[str, list[Copy]] = defaultdict(list)
    for copy in copies:
        arrived[copy.subject].append(copy)
    by_id = {str(entry["id"]): entry for entry in entries}
    by_subject = defaultdict(set)
    for entry in entries:
        if entry.get("subject"):
            by_subject[str(entry["subject"])].add(str(entry["id"]))
    nameless = _nameless(model, entries)
    for order in model.orders:
        found = [by_id[one] for one in sorted(order.entries | order.again | by_subject[order.subject]) if one in by_id]
        mine = arrived.pop(order.subject, [])
        if mine and not found and order.box.gone and nameless[order.box.connection_id]:
            found = [nameless[order.box.connection_id].pop()]
        addresses = Counter(copy.address for copy in mine)
        _judge_order(order, found, [addresses.pop(address, 0) for address in order.recipients], verdict)
        if addresses:
            verdict.add("wrong_state", f"order {order.number} arrived where it was not sent to")
        if any(sorted(copy.files) != sorted(order.files) for copy in mine):
            verdict.add("wrong_state", f"order {order.number} arrived with other files")
        if any(_moment(copy.at) + SLACK < _moment(order.send_at) for copy in mine if order.send_at):
            verdict.add("wrong_state", f"order {order.number} left before its time")
    for _ in arrived:
        verdict.add("duplicates", "a copy of a mail that nobody posted")


def _nameless(model: Model, entries: Collection[Mapping[str, Any]]) -> dict[str, list[Mapping[str, Any]]]:
    """Return by connection the mails that left, of which a purge has left no subject and no answer told the id."""
    told = {one for order in model.orders for one in order.entries | order.again}
    found: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for entry in entries:
        if not entry.get("subject") and entry["id"] not in told and entry["status"] in (*LEFT, "outcome_unknown"):
            found[str(entry["PartitionKey"])].append(entry)
    return found


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _judge_order(order: Order, found: Collection[Mapping[str, Any]], counts: list[int], verdict: Verdict) -> None:
    """Hold an order against the entries *found* of it, and against the *counts* of copies at each recipient."""
    said = f"order {order.number}"
    resent = [entry for entry in found if entry.get("resend_of")]
    if len(found) - len(resent) > 1 or len(resent) > order.resent:
        verdict.add("duplicates", f"{said} has {len(found)} entries, {len(resent)} of them sent again")
    if (order.entries | order.again) - {entry["id"] for entry in found}:
        verdict.add("lost", f"{said} was answered with 202 and is forgotten")
    if order.unanswered:
        verdict.add("wrong_state", f"{said} was never answered, though it was posted till the end")
    if order.refused and not order.box.gone:
        verdict.add("wrong_state", f"{said} was refused with {order.refused}")
    statuses = [str(entry["status"]) for entry in found] or ["no entry"]
    verdict.states.update(statuses)
    says = " and ".join(statuses)
    most = min(sum(status in (*LEFT, "outcome_unknown", *OPEN) for status in statuses), 1 + order.resent)
    if max(counts) > max(most, 1):
        verdict.add("duplicates", f"{said} ({says}) has {counts} copies")
    elif max(counts) > most:
        verdict.add("wrong_state", f"{said} says {says} and has {counts} copies")
    if min(counts) < sum(status in LEFT for status in statuses):
        verdict.add("lost", f"{said} says {says} and has {counts} copies")
    for entry in found:
        for line in _untrue(order, entry, str(entry["status"])):
            verdict.add("wrong_state", f"{said}, {entry['id']}: {line}")


def _untrue(order: Order, entry: Mapping[str, Any], status: str) -> Iterator[str]:
    moves = [move["name"] for move in json.loads(entry.get("moves") or "[]")]
    trail = " ".join(moves)
    abandoned = order.box.discarded and "abandon" in moves
    if status in OPEN:
        yield f"still {status}: {trail}"
    without_drafts = order.box.person.startswith("direct") and "lost_direct" in moves
    if status == "outcome_unknown" and not (abandoned or without_drafts):
        yield f"outcome_unknown where it can be known: {trail}"
    if status == "failed" and not abandoned:
        yield f"failed by {json.loads(entry.get('fault') or '{}').get('code')}: {trail}"
    asked = order.cancel_asked and not entry.get("resend_of")
    if status == "cancelled" and not (asked or abandoned):
        yield f"cancelled, though nobody asked: {trail}"
    if order.cancelled and not entry.get("resend_of") and status != "cancelled":
        yield f"{status}, though the answer said cancelled: {trail}"


def judge_blobs(blobs: Mapping[str, Collection[str]], named: Collection[str], verdict: Verdict) -> None:
    """Hold what lies in each container of storage, all of it older than its grace, against what records name."""
    for container, paths in blobs.items():
        for path in paths:
            if path not in named:
                verdict.add("orphans", f"blob {container}/{path}")


def judge_drafts(
    model: Model, messages: Collection[Mapping[str, Any]], entries: Collection[Mapping[str, Any]], verdict: Verdict
) -> None:
    """
    Hold what a mailbox holds, all of it older than its grace, against the *entries*; evidence may stay.

    So may the draft that an entry names which failed by a refusal: only those of unattempted ones are removed (design,
    6-send, Housekeeping).
    """
    by_id = {str(entry["id"]): entry for entry in entries}
    orders = {order.subject: order for order in model.orders}
    for message in messages:
        if not message["is_draft"] or message["folder"] != "drafts":  # what was removed lies elsewhere, still a draft
            continue
        order = orders.get(message["subject"])
        found = [by_id[one] for one in order.entries | order.again if one in by_id] if order else []
        if not any(_keeps(entry, message["immutable_id"]) for entry in found):
            gone = " of a deleted connection" if order and order.box.gone else ""
            says = sorted(str(entry["status"]) for entry in found)
            verdict.add("orphans", f"draft of order {order.number if order else '?'}{gone}: {says}")


def _keeps(entry: Mapping[str, Any], draft_id: str) -> bool:
    refused = entry["status"] == "failed" and entry.get("attempt") and entry.get("draft_id") == draft_id
    return entry["status"] in ("sending", "outcome_unknown") or bool(refused)
