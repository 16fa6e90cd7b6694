"""A whole fetch and a whole send while answers go wrong, and what must be true once they are right again."""

from __future__ import annotations

import base64
import json
import re
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any
from urllib.parse import unquote

import httpx

from localcloud.fuzz import mutations
from localcloud.fuzz.garbling import DATES, PAGE, STATUSES, Answer, right
from shared.adapters.graph_errors import PROVES_REFUSAL
from shared.adapters.graph_http import GraphHttp
from shared.adapters.graph_reading import HttpGraphReading
from shared.adapters.graph_sending import GraphSender
from shared.connections import Action, AfterFetch, run_key
from shared.errors import StorageUnavailable
from shared.fetch.run import FetchLimits
from shared.identifiers import shard_of
from shared.outbox.work import OPEN, Status
from shared.ports import GraphMailbox, Update
from shared.receipts import ReceiptStatus, hash_of, read_receipt
from shared.times import to_text
from tests.fakes.graph_reading import mime_of
from tests.fakes.intake import World
from tests.scenes.sending import Sending

ROOT = "https://graph.microsoft.com"
MAILS = tuple(f"M{number}" for number in range(7))
MOST_REQUESTS = 1500


@dataclass
class SmallGraph(httpx.BaseTransport):
    """A folder of `MAILS` over the wire, a page of three at a time; *garble* makes of each answer what arrives."""

    garble: Callable[[Answer], Answer]
    is_stored: Callable[[str], bool] = lambda _: True
    read: set[str] = field(default_factory=set)
    requests: int = 0

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Answer one request."""
        self.requests += 1
        assert self.requests < MOST_REQUESTS, "fetch asks without end"
        path, query = unquote(request.url.path), dict(request.url.params)
        if path.endswith("/$batch"):
            asked = json.loads(request.read())["requests"]
            good = right({"responses": [self._step(step) for step in asked]})
        elif path.endswith("/$value"):
            good = right(mime_of(path.split("/")[-2]))
        elif "delta" in path:
            token = query.get("$skiptoken", "0")
            gone = right({"error": {"code": "SyncStateNotFound"}}, 410)
            good = self._delta(int(token)) if token in map(str, range(len(MAILS) + 1)) else gone
        else:
            found = [_item(name) for name in MAILS][int(query.get("$skip", "0")) :]
            good = right({"value": found if _since(query) <= "2026-03-02T09:30:00Z" else []})
        answer = self.garble(good)
        headers = [(name.encode(), value.encode()) for name, value in answer.headers.items()]
        return httpx.Response(answer.status, headers=headers, stream=httpx.ByteStream(answer.content))

    def _delta(self, begin: int) -> Answer:
        page, end = MAILS[begin : begin + 3], min(begin + 3, len(MAILS))
        name = "@odata.nextLink" if end < len(MAILS) else "@odata.deltaLink"
        link = f"{ROOT}/v1.0/users/user/mailFolders/inbox/messages/delta?$skiptoken={end}"
        return right({"value": [_item(one) for one in page], name: link})

    def _step(self, step: dict[str, Any]) -> dict[str, Any]:
        name = unquote(step["url"].partition("?")[0].removesuffix("/$value").rpartition("/")[2])
        if name not in MAILS:
            return {"id": step["id"], "status": 404, "body": {"error": {"code": "ErrorItemNotFound"}}}
        body: Any = _item(name)
        if step["method"] == "PATCH":
            assert self.is_stored(name), "a mail was marked read that is not stored"
            self.read.add(name)
        elif step["url"].endswith("/$value"):
            body = base64.b64encode(mime_of(name)).decode()
        return {"id": step["id"], "status": 200, "headers": {}, "body": body}


def _item(name: str) -> dict[str, Any]:
    size = [{"id": "Long 0xe08", "value": "300000" if name == "M6" else "500"}]
    return {
        "id": name, "receivedDateTime": "2026-03-02T09:30:00Z", "isDraft": False, "subject": name, "parentFolderId": "f",
        "isRead": False, "singleValueExtendedProperties": size,
    }  # fmt: skip


def _since(query: dict[str, str]) -> str:
    found = re.search(r"ge (\S+)", query.get("$filter", ""))
    return found[1] if found else ""


class Garbler:
    """
    Lets about half of the first answers arrive wrong, as *data* says.

    Answers come from several threads: what becomes of one depends on what it is, and not on who was first.
    """

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._left = data[0] % 14 if data else 0
        self._lock = threading.Lock()
        self._seen: Counter[bytes] = Counter()

    def __call__(self, good: Answer) -> Answer:
        """Return what arrives of *good*."""
        with self._lock:
            self._left -= 1
            self._seen[good.content] += 1
            chance = Random(self._data + good.content[:2000] + bytes([self._seen[good.content] % 256]))
        return _wrong(chance, good) if self._left >= 0 and chance.random() < 0.7 else good

    def happens(self) -> bool:
        """Tell whether a send whose answer is wrong happens."""
        return sum(self._data) % 2 == 0


def _wrong(chance: Random, good: Answer) -> Answer:
    status, content, headers = good.status, good.content, dict(good.headers)
    match chance.randrange(7):
        case 0:
            status = chance.choice(STATUSES)
        case 1:
            content, headers = PAGE, {"Content-Type": chance.choice(["text/html", "application/json"])}
        case 2:
            headers[chance.choice(["Retry-After", "Date"])] = chance.choice(DATES)
            status = chance.choice([status, 429, 503])
        case _:
            content = (
                mutations.body(chance, content, good.content) if content[:1] == b"{" else content[: chance.randrange(9)]
            )
    return Answer(status, content, headers)


def check_fetch(data: bytes) -> None:
    """Fetch a folder while answers go wrong; a day of right ones later every mail is stored, and each marked read."""
    wire = SmallGraph(lambda good: good)
    with httpx.Client(transport=wire) as client:
        reading: Any = HttpGraphReading(GraphHttp(client))
        world = World(graph=reading, limits=FetchLimits(page_size=3, pages=5))
        key = world.connect(after_fetch=AfterFetch(Action.READ))
        wire.is_stored = lambda name: _stored(world, key, name)
        wire.garble = Garbler(data)
        for _ in range(3):
            _go(world, key)
        wire.garble = lambda good: good
        for wait in (0, 4000, 90_000, 90_000, 400, 90_000):
            world.clock.advance(wait)
            _go(world, key)
        for name in MAILS:
            assert _stored(world, key, name), f"{name} is not stored, and the folder was read to its end"


def _go(world: World, key: str) -> None:
    run = world.run(key)
    if run.stopped:  # as a person would, once Graph answers again
        again: dict[str, str | int | bool] = {"stopped": False, "next_at": to_text(world.clock()), "failures": 0}
        world.tables.connections.commit(shard_of(key), [Update(run_key(key), again, "*")])
    for _ in range(3):
        world.go_on(key)


def _stored(world: World, key: str, name: str) -> bool:
    row = world.tables.receipts.get(key, f"m|{hash_of(name)}")
    if row is None:
        return False
    receipt = read_receipt(row.values)
    held = receipt.status in (ReceiptStatus.STORED, ReceiptStatus.RETRYING, ReceiptStatus.QUARANTINED)
    whole = bool(world.blobs.received.contents.get(receipt.blob)) or bool(receipt.not_stored)
    return held and (receipt.status != ReceiptStatus.STORED or whole)


@dataclass
class SmallExchange(httpx.BaseTransport):
    """The mailbox of *world* over the wire; *garble* makes of each answer what arrives."""

    world: Sending
    garble: Callable[[Answer], Answer]
    happens: Callable[[], bool] = lambda: True
    lied: bool = False
    requests: int = 0

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Answer one request; a refusal is true, whatever else is said of a send may be wrong."""
        self.requests += 1
        assert self.requests < MOST_REQUESTS, "send asks without end"
        path, body = unquote(request.url.path), request.read()
        answer = self._sent(path) if path.endswith("/send") else self._read(request.method, path, request, body)
        headers = [(name.encode(), value.encode()) for name, value in answer.headers.items()]
        return httpx.Response(answer.status, headers=headers, stream=httpx.ByteStream(answer.content))

    def _sent(self, path: str) -> Answer:
        item = self.world.exchange.items.get(path.split("/")[-2])
        if item is None or not item.is_draft:
            return right({"error": {"code": "ErrorItemNotFound"}}, 404)
        answer = self.garble(right(None, 202))
        html = "text/html" in answer.headers.get("Content-Type", "").lower()
        refused = answer.status in PROVES_REFUSAL and not html
        if not refused and (answer.status == 202 or self.happens()):
            self.world.exchange.send(_mailbox(), item.id)
        return answer

    def _read(self, method: str, path: str, request: httpx.Request, body: bytes) -> Answer:
        exchange, name = self.world.exchange, path.rpartition("/")[2]
        if method == "POST":
            made = exchange.create_draft(_mailbox(), base64.b64decode(body))
            return self.garble(right(_shown(made.id, draft=True), 201))
        if method == "DELETE":
            exchange.items.pop(name, None)
            return self.garble(right(None, 204))
        if name == "messages":
            wanted = re.search(r"'(msg_[^']+)'", request.url.params.get("$filter", ""))
            found = [one for one in exchange.items.values() if wanted and one.marker == wanted[1]]
            good = right({"value": [_shown(one.id, draft=one.is_draft) for one in found]})
        else:
            item = exchange.items.get(name)
            good = (
                right(_shown(name, draft=item.is_draft))
                if item
                else right({"error": {"code": "ErrorItemNotFound"}}, 404)
            )
        answer = self.garble(good)
        self.lied = self.lied or _lies(good, answer)
        return answer


def _lies(good: Answer, answer: Answer) -> bool:
    """Tell whether an answer says of a message what is false in a form that nobody can tell from the truth."""
    words = re.compile(rb'"isDraft": (true|false)')
    return answer.status in (200, 201, 404) and (
        sorted(words.findall(answer.content)) != sorted(words.findall(good.content)) or answer.status != good.status
    )


def _shown(name: str, *, draft: bool) -> dict[str, Any]:
    return {"id": name, "isDraft": draft, "internetMessageId": f"<{name}@x>", "parentFolderId": "f"}


def _mailbox() -> GraphMailbox:
    return GraphMailbox(ROOT, "u", lambda _: "t")


def check_send(data: bytes) -> None:
    """Send two mails while answers go wrong; each goes once at most, and none is called accepted that did not go."""
    world = Sending()
    garbler = Garbler(data)
    wire = SmallExchange(world, garbler, garbler.happens)
    with httpx.Client(transport=wire) as client:
        world.drain = replace(world.drain, graph=GraphSender(GraphHttp(client)))
        ids: Sequence[str] = [world.accept(), world.accept()]
        _drain(world, 2000)
        wire.garble = lambda good: good
        wire.happens = lambda: True
        _drain(world, 3 * 86400, lambda: all(world.entry(one).status not in OPEN for one in ids))
        for identifier in ids:
            entry, copies = world.entry(identifier), world.exchange.copies[identifier]
            assert copies <= 1 or wire.lied, f"{copies} copies"
            assert entry.status not in OPEN, f"stuck in {entry.status}"
            assert entry.status != Status.ACCEPTED or copies or wire.lied, "called accepted, and did not go"
            assert entry.status != Status.FAILED or not copies or wire.lied, "called failed, and went"


def _drain(world: Sending, seconds: float, until: Callable[[], bool] = lambda: False) -> None:
    try:
        world.run(seconds, until)
    except StorageUnavailable:
        raise AssertionError("storage did not fail") from None
