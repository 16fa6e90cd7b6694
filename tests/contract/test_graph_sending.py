"""What every form of the `GraphSending` port promises: the in-memory one, and the adapter on the simulated Graph."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from email import message_from_bytes
from typing import Any

import httpx
import pytest

from shared.adapters.graph_http import GraphHttp
from shared.adapters.graph_sending import GraphSender
from shared.codes import Code
from shared.compose.message import Address, File, Outgoing
from shared.compose.mime import Envelope, compose
from shared.errors import ItemFault, Unreachable
from shared.ports import Attachment, GraphMailbox, GraphSending
from tests.fakes import MovableClock
from tests.fakes.exchange import MemoryExchange
from tests.localcloud.graph_cast import GraphScene

pytestmark = pytest.mark.enable_socket  # the simulator's event loop needs a socket pair of its own

ADDRESS = "ann@contoso.example"
ENTRY = "msg_0123456789abcdef01ARZ3NDEKTSV4RRFFQ69G5FAV.01ARZ3NDEKTSV4RRFFQ69G5FAV"
MESSAGE_ID = "<01ARZ3NDEKTSV4RRFFQ69G5FAV@contoso.example>"
NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
PDF = Attachment("a.pdf", "application/pdf")
UMLAUT = Attachment("Übersicht 1.pdf", "application/pdf", "logo", inline=True)


class ScenePost(httpx.BaseTransport):
    """Carries the requests of a synchronous client to the simulated Graph, without a network."""

    def __init__(self, scene: GraphScene) -> None:
        self.scene = scene

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Answer as the simulator does."""
        content = request.read()

        async def work() -> httpx.Response:
            async with self.scene.client() as client:
                return await client.request(
                    request.method, str(request.url), headers=list(request.headers.items()), content=content
                )

        answer: httpx.Response = self.scene.run(work())
        return httpx.Response(answer.status_code, headers=answer.headers, content=answer.content)


@dataclass
class Form:
    """One form of the port, and how often the mail reached Bob."""

    graph: GraphSending
    mailbox: GraphMailbox
    scene: GraphScene | None = None
    memory: MemoryExchange | None = None

    def copies(self) -> int:
        """Return how many copies recipients got."""
        if self.memory is not None:
            return self.memory.copies.total()
        assert self.scene is not None
        return len(self.scene.control("GET", "/received/bob@contoso.example").json())


def simulated() -> Form:
    """Return the adapter on a cloud of its own."""
    scene = GraphScene()
    client = httpx.Client(transport=ScenePost(scene))
    mailbox = GraphMailbox("https://graph.microsoft.com", ADDRESS, lambda _: scene.token)
    return Form(GraphSender(GraphHttp(client)), mailbox, scene=scene)


@pytest.fixture(params=["memory", "simulated"])
def form(request: pytest.FixtureRequest) -> Form:
    """Return each form of the port."""
    if request.param == "simulated":
        return simulated()
    memory = MemoryExchange(MovableClock(NOW))
    return Form(memory, GraphMailbox("https://graph.microsoft.com", ADDRESS, lambda _: "t"), memory=memory)


def mime(**fields: Any) -> bytes:
    """Return the MIME of a mail to Bob."""
    mail = Outgoing(**{"to": (Address("bob@contoso.example"),), "subject": "Hello", "text": "Hi", **fields})
    return compose(mail, Envelope(ENTRY, MESSAGE_ID, Address(ADDRESS, "Ann"), NOW)).mime


def test_a_draft_is_sent_once_and_is_no_draft_any_more(form: Form) -> None:
    """The id that came with the draft still finds it afterwards."""
    draft = form.graph.create_draft(form.mailbox, mime())
    assert draft.is_draft
    assert form.graph.get(form.mailbox, draft.id) == draft

    assert form.graph.send(form.mailbox, draft.id) is None
    seen = form.graph.get(form.mailbox, draft.id)
    assert seen is not None
    assert (False, 1) == (seen.is_draft, form.copies())


def test_each_create_makes_another_draft(form: Form) -> None:
    """Nothing but the id tells them apart, and only one was sent."""
    first, second = (form.graph.create_draft(form.mailbox, mime()) for _ in range(2))
    form.graph.send(form.mailbox, second.id)

    assert first.id != second.id
    assert 1 == form.copies()
    drafts = [message for message in form.graph.find_marked(form.mailbox, ENTRY, "") if message.is_draft]
    assert {first.id} >= {message.id for message in drafts}


def test_a_sent_mail_is_found_by_its_marker_and_by_its_message_id(form: Form) -> None:
    """Each key alone is enough; another entry's finds nothing."""
    draft = form.graph.create_draft(form.mailbox, mime())
    form.graph.send(form.mailbox, draft.id)

    for entry, message_id in ((ENTRY, ""), ("msg_other", MESSAGE_ID)):
        found = form.graph.find_marked(form.mailbox, entry, message_id)
        assert any(not message.is_draft for message in found), (entry, message_id)
    assert [] == form.graph.find_marked(form.mailbox, "msg_other", "<other@contoso.example>")


def test_a_draft_that_is_gone_is_not_found_and_cannot_be_sent(form: Form) -> None:
    """The refusal proves that nothing was sent; removing it again is no error."""
    draft = form.graph.create_draft(form.mailbox, mime())
    form.graph.delete_draft(form.mailbox, draft.id)
    form.graph.delete_draft(form.mailbox, "AAkALgAsim9999")

    assert form.graph.get(form.mailbox, "AAkALgAsim9999") is None
    with pytest.raises(ItemFault) as caught:
        form.graph.send(form.mailbox, "AAkALgAsim9999")
    assert (Code.MESSAGE_NOT_FOUND, False, 0) == (caught.value.code, caught.value.outcome_unknown, form.copies())


def test_a_file_for_a_draft_that_is_gone_is_refused(form: Form) -> None:
    """So the draft is made anew."""
    with pytest.raises(ItemFault) as caught:
        form.graph.attach(form.mailbox, "AAkALgAsim9999", PDF, b"%PDF")

    assert Code.MESSAGE_NOT_FOUND == caught.value.code


def received(form: Form) -> bytes:
    """Return the mail as it reached Bob."""
    assert form.scene is not None
    bob = form.scene.mailboxes.find("bob@contoso.example")
    assert bob is not None
    return next(iter(bob.folder("inbox").messages.values())).mime()


def test_files_of_every_size_arrive_byte_for_byte() -> None:
    """In the MIME, by one request, and by an upload session of several chunks."""
    form = simulated()
    large = bytes(range(256)) * 30_000  # 7.7 MB
    inside = File("in.bin", "application/octet-stream", 3, content=b"abc")
    draft = form.graph.create_draft(form.mailbox, mime(files=(inside,), html='<img src="cid:logo">'))
    form.graph.attach(form.mailbox, draft.id, UMLAUT, b"x" * 2_199_999)
    chunks: Iterator[bytes] = (large[start : start + 1_000_000] for start in range(0, len(large), 1_000_000))
    form.graph.attach_large(form.mailbox, draft.id, PDF, len(large), chunks)
    form.graph.send(form.mailbox, draft.id)

    parts = [part for part in message_from_bytes(received(form)).walk() if part.get_filename()]
    found = {len(part.get_payload(decode=True) or b""): part.get_payload(decode=True) for part in parts}
    assert {3: b"abc", 2_199_999: b"x" * 2_199_999, len(large): large} == found


def test_names_subjects_and_recipients_of_any_script_arrive() -> None:
    """And Bcc reaches its recipient, but nobody reads of it."""
    form = simulated()
    people = (Address("bob@contoso.example", "Bób, „der“ <x@y.zz>"),)
    draft = form.graph.create_draft(
        form.mailbox, mime(to=people, bcc=(Address("cleo@fabrikam.example"),), subject="日本")
    )
    form.graph.send(form.mailbox, draft.id)
    raw = received(form)

    assert b"cleo" not in raw.lower()
    assert form.scene is not None
    assert 1 == len(form.scene.control("GET", "/received/cleo@fabrikam.example").json())
    assert ["日本"] == form.scene.inbox("bob@contoso.example")
    assert re.search(rb"^X-Mailgrant-Entry: msg_", raw, re.MULTILINE)


@pytest.mark.parametrize("mode", ["marker_header_lost", "message_id_rewritten", "id_changes_on_send"])
def test_each_key_may_fail_alone(mode: str) -> None:
    """Whatever Exchange does to one of them, the others find the sent copy."""
    form = simulated()
    assert form.scene is not None
    form.scene.world.modes[f"{mode}:{ADDRESS}"] = True
    draft = form.graph.create_draft(form.mailbox, mime())
    form.graph.send(form.mailbox, draft.id)
    by_id = form.graph.get(form.mailbox, draft.id)
    by_keys = form.graph.find_marked(form.mailbox, ENTRY, MESSAGE_ID)

    assert any(not message.is_draft for message in [*by_keys, *([by_id] if by_id else [])])


@pytest.mark.parametrize("effect", [{"when": "after"}, {"when": "before"}, {"kind": "html"}])
def test_an_answer_of_a_gateway_leaves_the_outcome_unknown(effect: dict[str, Any]) -> None:
    """Whether it was sent or not."""
    form = simulated()
    assert form.scene is not None
    draft = form.graph.create_draft(form.mailbox, mime())
    form.scene.fault("messages.send", **{"kind": "status", "status": 504, **effect})
    with pytest.raises(Unreachable) as caught:
        form.graph.send(form.mailbox, draft.id)

    assert caught.value.outcome_unknown
    assert (1 if effect.get("when") == "after" else 0) == form.copies()


def test_a_file_that_outlook_holds_too_small_for_a_session_goes_by_one_request() -> None:
    """Documented and measured limits differ, and either must do."""
    form = simulated()
    assert form.scene is not None
    form.scene.world.modes["upload_session_min_bytes"] = 3_000_000
    draft = form.graph.create_draft(form.mailbox, mime())
    form.graph.attach_large(form.mailbox, draft.id, PDF, 2_300_000, iter([b"x" * 2_000_000, b"y" * 300_000]))
    form.graph.send(form.mailbox, draft.id)

    parts = [part.get_payload(decode=True) for part in message_from_bytes(received(form)).walk()]
    assert b"x" * 2_000_000 + b"y" * 300_000 in parts
