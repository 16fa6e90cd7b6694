"""Every reader of Graph's answers, against answers that are wrong."""

from __future__ import annotations

import base64
import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import httpx
from hypothesis import strategies as st

from localcloud.fuzz.garbling import SECRET, Answer, answers, right
from shared.adapters.graph_directory import HttpGraphDirectory
from shared.adapters.graph_http import GraphHttp
from shared.adapters.graph_reading import HttpGraphReading
from shared.adapters.graph_sending import GraphSender
from shared.adapters.graph_sent import HttpGraphSent
from shared.errors import Fault
from shared.ports import Attachment, GraphMailbox, Listed, Placed, Window

ROOT = "https://graph.microsoft.com"
MOST_REQUESTS = 60
"""So many requests make no call of a port: more means that it follows something round and round."""

LINK = f"{ROOT}/v1.0/users/u/mailFolders/inbox/messages/delta?$skiptoken={SECRET}"
MIME = b"From: ann@contoso.example\r\nSubject: hello\r\n\r\nbody\r\n"
IDS = ("AAA=", "BBB=", "CCC=")
MAILBOX = GraphMailbox(ROOT, "u", lambda fresh: f"{SECRET}{int(fresh)}")


@dataclass
class Wire(httpx.BaseTransport):
    """Gives *script* out in order, the last answer for ever, and counts."""

    script: list[Answer]
    requests: list[httpx.Request] = field(default_factory=list)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Answer as the script says."""
        assert len(self.requests) < MOST_REQUESTS, "a reader asks without end"
        assert request.url.host in ("graph.microsoft.com", "outlook.office.com"), "a request went to another host"
        answer = self.script[min(len(self.requests), len(self.script) - 1)]
        self.requests.append(request)
        headers = [(name.encode(), value.encode("utf-8")) for name, value in answer.headers.items()]
        return httpx.Response(answer.status, headers=headers, stream=httpx.ByteStream(answer.content))


@dataclass(frozen=True)
class Reader:
    """A call of a port, the right answer to it, and what must hold of whatever it returns."""

    call: Callable[[GraphHttp], Any]
    good: Answer
    holds: Callable[[Any, Wire], bool]


def _item(identifier: str) -> dict[str, Any]:
    return {
        "id": identifier,
        "receivedDateTime": "2026-03-02T09:30:00Z",
        "isDraft": False,
        "subject": "hello",
        "from": {"emailAddress": {"address": "ann@contoso.example"}},
        "internetMessageId": "<a@b>",
        "parentFolderId": "inbox",
        "isRead": True,
        "singleValueExtendedProperties": [
            {"id": "Long 0xe08", "value": "500"},
            {"id": "String 0x1a", "value": "IPM.Note"},
            {"id": "String {00020386-0000-0000-C000-000000000046} Name X-Mailgrant-Entry", "value": "msg_1"},
        ],
    }


def _page(**more: Any) -> Answer:
    return right({"value": [_item(identifier) for identifier in IDS], **more})


def _batch(bodies: Mapping[str, Any], status: int = 200) -> Answer:
    return right(
        {
            "responses": [
                {"id": key, "status": status, "headers": {"Content-Type": "text/plain"}, "body": body}
                for key, body in bodies.items()
            ]
        }
    )


def _is_page(found: Any, _: Wire) -> bool:
    texts = all(isinstance(text, str) for text in (found.next_link, found.delta_link))
    return texts and all(_is_listed(item) for item in found.messages)


def _is_listed(item: Any) -> bool:
    size = item.size is None or isinstance(item.size, int)
    return bool(isinstance(item, Listed) and item.id and size)


def _each(kind: type) -> Callable[[Any, Wire], bool]:
    def holds(found: Any, _: Wire) -> bool:
        return set(IDS) == set(found) and all(isinstance(value, (kind, Fault)) for value in found.values())

    return holds


def _is_whole(found: Any, wire: Wire) -> bool:
    """Tell whether no content is empty: no mail is."""
    return _each(bytes)(found, wire) and all(value for value in found.values())


def _was_accepted(_: Any, wire: Wire) -> bool:
    return 202 in [wire.script[min(n, len(wire.script) - 1)].status for n in range(len(wire.requests))]


def _texts(found: Any, _: Wire) -> bool:
    return all(isinstance(one.id, str) and one.id for one in found)


def _anything(_found: Any, _wire: Wire) -> bool:
    return True


def _one(found: Any, _: Wire) -> bool:
    return found is None or (isinstance(found.id, str) and bool(found.id))


def _reading() -> Iterator[tuple[str, Reader]]:
    window = Window("inbox", "2026-03-01T00:00:00Z", "")
    delta = _page(**{"@odata.nextLink": LINK})
    yield "first_page", Reader(lambda g: HttpGraphReading(g).first_page(MAILBOX, "inbox", 9), delta, _is_page)
    last = _page(**{"@odata.deltaLink": LINK})
    yield "next_page", Reader(lambda g: HttpGraphReading(g).next_page(MAILBOX, LINK, 9), last, _is_page)
    yield "list_page", Reader(lambda g: HttpGraphReading(g).list_page(MAILBOX, window, 9), delta, _is_page)
    numbered = [str(number) for number in range(len(IDS))]
    details = _batch({key: _item(IDS[int(key)]) for key in numbered})
    yield "details", Reader(lambda g: HttpGraphReading(g).details(MAILBOX, IDS), details, _each(Listed))
    mimes = _batch(dict.fromkeys(numbered, base64.b64encode(MIME).decode()))
    yield "contents", Reader(lambda g: HttpGraphReading(g).contents(MAILBOX, IDS), mimes, _is_whole)
    yield (
        "content_stream",
        Reader(
            lambda g: b"".join(HttpGraphReading(g).content_stream(MAILBOX, "AAA=")),
            right(MIME),
            lambda found, _: len(found) > 0,
        ),
    )
    done = _batch({key: {"id": "AAA="} for key in numbered})
    yield "apply", Reader(lambda g: HttpGraphReading(g).apply(MAILBOX, "move", IDS, "f"), done, _each(type(None)))
    yield "placed", Reader(lambda g: HttpGraphReading(g).placed(MAILBOX, IDS), details, _each(Placed))


def _sending() -> Iterator[tuple[str, Reader]]:
    made, file = (
        right({"id": "AAA=", "isDraft": True, "internetMessageId": "<a@b>"}, 201),
        Attachment("a.txt", "text/plain"),
    )
    yield "create_draft", Reader(lambda g: GraphSender(g).create_draft(MAILBOX, MIME), made, _one)
    yield "attach", Reader(lambda g: GraphSender(g).attach(MAILBOX, "AAA=", file, b"x"), made, _anything)
    session = right(
        {"uploadUrl": f"https://outlook.office.com/api/up?authtoken={SECRET}", "nextExpectedRanges": ["0-"]}
    )
    yield (
        "attach_large",
        Reader(lambda g: GraphSender(g).attach_large(MAILBOX, "AAA=", file, 9, iter([b"x" * 9])), session, _anything),
    )
    yield "send", Reader(lambda g: GraphSender(g).send(MAILBOX, "AAA="), right(None, 202), _was_accepted)
    yield "send_mail", Reader(lambda g: GraphSender(g).send_mail(MAILBOX, MIME), right(None, 202), _was_accepted)
    yield "get", Reader(lambda g: GraphSender(g).get(MAILBOX, "AAA="), right(_item("AAA=")), _one)
    found = _page(**{"@odata.nextLink": LINK})
    yield "find_marked", Reader(lambda g: GraphSender(g).find_marked(MAILBOX, "msg_1", "<a@b>"), found, _texts)
    yield "delete_draft", Reader(lambda g: GraphSender(g).delete_draft(MAILBOX, "AAA="), right(None, 204), _anything)
    since = "2026-03-01T00:00:00.000Z"
    yield "sent_copies", Reader(lambda g: HttpGraphSent(g).sent_copies(MAILBOX, since), found, _texts)
    yield "reports", Reader(lambda g: HttpGraphSent(g).reports(MAILBOX, since), found, _texts)
    yield "report_content", Reader(lambda g: HttpGraphSent(g).report_content(MAILBOX, "A"), right(MIME), _anything)
    yield "old_drafts", Reader(lambda g: HttpGraphSent(g).old_drafts(MAILBOX, since), found, _texts)


def _directory() -> Iterator[tuple[str, Reader]]:
    person = {"id": "5e0f", "displayName": "Ann", "mail": "ann@contoso.example", "userPrincipalName": "a@b"}
    folder = {"id": "AAA=", "displayName": "Inbox"}
    folders = right({"value": [folder, {**folder, "displayName": "Support"}], "@odata.nextLink": LINK})
    yield "person", Reader(lambda g: HttpGraphDirectory(g).person(MAILBOX), right(person), _one)
    yield "people", Reader(lambda g: HttpGraphDirectory(g).people(MAILBOX, "a", 9), right({"value": [person]}), _texts)
    yield "folder", Reader(lambda g: HttpGraphDirectory(g).folder(MAILBOX, "inbox"), right(folder), _one)
    yield "folder_path", Reader(lambda g: HttpGraphDirectory(g).folder(MAILBOX, "A/Support"), folders, _one)
    yield "folders", Reader(lambda g: HttpGraphDirectory(g).folders(MAILBOX), folders, _texts)
    count = right({"value": [folder], "@odata.count": 7})
    yield (
        "mail_count",
        Reader(
            lambda g: HttpGraphDirectory(g).mail_count(MAILBOX, "f", ""),
            count,
            lambda found, _: isinstance(found.mails, int) and found.mails >= 0,
        ),
    )


@cache
def readers() -> dict[str, Reader]:
    """Return every reader by its name."""
    return dict([*_reading(), *_sending(), *_directory()])


@st.composite
def cases(draw: st.DrawFn) -> tuple[str, list[Answer]]:
    """Draw a reader and one to three answers to it."""
    name = draw(st.sampled_from(sorted(readers())))
    return name, draw(st.lists(answers(readers()[name].good), min_size=1, max_size=3))


class Heard(logging.Handler):
    """Keeps what was logged."""

    def __init__(self) -> None:
        super().__init__()
        self.text = ""

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one line with its traceback."""
        self.text += logging.Formatter().format(record)


def check(case: tuple[str, list[Answer]]) -> None:
    """Let one reader read; raises whatever is not a `Fault`, and AssertionError where something does not hold."""
    name, script = case
    reader, wire = readers()[name], Wire(script)
    heard, logger = Heard(), logging.getLogger("mailgrant")
    logger.addHandler(heard)
    try:
        with httpx.Client(transport=wire) as client:
            found = reader.call(GraphHttp(client))
    except Fault as fault:
        assert SECRET not in f"{fault!r} {fault.detail} {fault.recorded('')!r}", "an error shows a secret"  # noqa: PT017 - a target is no test
    else:
        assert reader.holds(found, wire), f"{name} returned what cannot be: {found!r}"
    finally:
        logger.removeHandler(heard)
    assert SECRET not in heard.text, "a log line shows a secret"
