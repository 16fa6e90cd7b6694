"""What every form of the `GraphSent` port promises: the in-memory one, and the adapter on the simulated Graph."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import httpx
import pytest

from shared.adapters.graph_http import GraphHttp
from shared.adapters.graph_sending import GraphSender
from shared.adapters.graph_sent import HttpGraphSent
from shared.bounces import read_report
from shared.compose.message import Address, Outgoing
from shared.compose.mime import Envelope, compose
from shared.ports import GraphMailbox, GraphSending, GraphSent
from shared.times import now_utc
from tests.contract.test_graph_sending import ADDRESS, ENTRY, MESSAGE_ID, NOW, ScenePost
from tests.fakes import MovableClock
from tests.fakes.exchange import MemoryExchange
from tests.localcloud.graph_cast import GraphScene

pytestmark = pytest.mark.enable_socket  # the simulator's event loop needs a socket pair of its own

EVER, NEVER = "2020-01-01T00:00:00.000Z", "2040-01-01T00:00:00.000Z"


@dataclass
class Form:
    """One form of the port, beside the one that sends."""

    sent: GraphSent
    sending: GraphSending
    mailbox: GraphMailbox
    scene: GraphScene | None = None

    def draft(self, to: str = "bob@contoso.example") -> str:
        """Make a marked draft and return its id."""
        mail = Outgoing(to=(Address(to),), subject="Hello", text="Hi")
        mime = compose(mail, Envelope(ENTRY, MESSAGE_ID, Address(ADDRESS), NOW)).mime
        return self.sending.create_draft(self.mailbox, mime).id


@pytest.fixture(params=["memory", "simulated"])
def form(request: pytest.FixtureRequest) -> Iterator[Form]:
    """Return each form."""
    if request.param == "memory":
        memory = MemoryExchange(MovableClock())
        yield Form(memory, memory, GraphMailbox("https://graph.microsoft.com", ADDRESS, lambda _: "t"))
        return
    scene = GraphScene()
    http = GraphHttp(httpx.Client(transport=ScenePost(scene)))
    mailbox = GraphMailbox("https://graph.microsoft.com", ADDRESS, lambda _: scene.token)
    yield Form(HttpGraphSent(http), GraphSender(http), mailbox, scene)


def test_a_sent_mail_is_listed_with_its_marker_and_a_draft_is_not(form: Form) -> None:
    """Sent Items name what they hold by marker and Message-ID, from the time that is asked for on."""
    form.draft()
    draft = form.draft()
    form.sending.send(form.mailbox, draft)
    listed = form.sent.sent_copies(form.mailbox, EVER)

    assert [(draft, False, MESSAGE_ID, ENTRY)] == [
        (one.id, one.is_draft, one.internet_message_id, one.marker) for one in listed
    ]
    assert [] == form.sent.sent_copies(form.mailbox, NEVER)


def test_marked_drafts_are_listed_by_age(form: Form) -> None:
    """Old ones that bear our marker, and no others."""
    draft = form.draft()

    assert [(draft, ENTRY)] == [(one.id, one.marker) for one in form.sent.old_drafts(form.mailbox, NEVER)]
    assert [] == form.sent.old_drafts(form.mailbox, EVER)


def test_a_removed_copy_is_listed_no_more_and_may_be_removed_twice(form: Form) -> None:
    """A repeat after a lost answer is harmless."""
    draft = form.draft()
    form.sending.send(form.mailbox, draft)
    form.sent.remove(form.mailbox, draft)
    form.sent.remove(form.mailbox, draft)

    assert [] == form.sent.sent_copies(form.mailbox, EVER)


@pytest.mark.parametrize("searchable", [True, False])
def test_a_report_is_listed_and_names_the_mail_and_the_recipient(searchable: bool) -> None:
    """Found by its class, and by its sender where the mailbox cannot search by class; its content says the rest."""
    scene = GraphScene()
    client = httpx.Client(transport=_Refusing(scene) if not searchable else ScenePost(scene))
    http = GraphHttp(client)
    mailbox = GraphMailbox("https://graph.microsoft.com", ADDRESS, lambda _: scene.token)
    form = Form(HttpGraphSent(http), GraphSender(http), mailbox, scene)
    form.sending.send(form.mailbox, form.draft("nobody@contoso.example"))
    reports = form.sent.reports(form.mailbox, EVER)
    said = read_report(form.sent.report_content(form.mailbox, reports[0].id), now_utc())

    assert (1, [], frozenset({ENTRY})) == (len(reports), form.sent.reports(form.mailbox, NEVER), said.markers)
    assert [("nobody@contoso.example", "5.1.10")] == [(one.address, one.status) for one in said.bounces]
    assert said.message_ids == {MESSAGE_ID}


class _Refusing(ScenePost):
    """A Graph that cannot search by message class."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Answer 400 to such a search, and as the simulator does to anything else."""
        if "0x001A" in str(request.url):
            error = {"error": {"code": "ErrorInvalidUrlQueryFilter", "message": "The query filter is invalid."}}
            return httpx.Response(400, json=error)
        return super().handle_request(request)
