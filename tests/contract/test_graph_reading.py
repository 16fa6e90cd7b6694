"""Reading mail through the real adapter against the simulated Graph: walks, contents, marks, refusals."""

import hashlib

import httpx
import pytest

from shared.adapters.graph_http import GraphHttp
from shared.adapters.graph_reading import HttpGraphReading
from shared.codes import Code
from shared.errors import Fault, ItemFault, MailboxFault, OutOfSync, Throttled
from shared.ports import DeltaPage, GraphMailbox, Placed
from tests.localcloud.graph_cast import GraphScene

pytestmark = pytest.mark.enable_socket

ADDRESS = "ann@contoso.example"


class Cast:
    """A scene with the adapter on it."""

    def __init__(self) -> None:
        self.scene = GraphScene()
        self.requests = 0
        client = httpx.Client(transport=httpx.MockTransport(self._answer))
        self.reading = HttpGraphReading(GraphHttp(client))
        self.mailbox = GraphMailbox("https://graph.microsoft.com", self.scene.ann.id, lambda fresh: self.scene.token)

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.requests += 1
        headers = {name: value for name, value in request.headers.items() if name not in ("authorization", "host")}
        answer = self.scene.call(request.method, str(request.url), headers=headers, content=request.content)
        return httpx.Response(answer.status_code, headers=_plain(answer.headers), content=answer.content)

    def walk(self, size: int = 100, link: str = "") -> list[DeltaPage]:
        """Return the pages of a walk, or of a round from *link*."""
        pages = []
        while True:
            if link:
                page = self.reading.next_page(self.mailbox, link, size)
            else:
                page = self.reading.first_page(self.mailbox, self.folder("inbox"), size)
            pages.append(page)
            if page.delta_link:
                return pages
            link = page.next_link

    def folder(self, name: str) -> str:
        """Return the id of a folder."""
        found: str = self.scene.get(f"/users/{ADDRESS}/mailFolders/{name}?$select=id")["id"]
        return found


def _plain(headers: httpx.Headers) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name not in ("content-encoding", "content-length")}


@pytest.fixture
def cast() -> Cast:
    """Return Ann's mailbox."""
    return Cast()


def test_a_walk_lists_what_is_there_with_its_size(cast: Cast) -> None:
    """Every page follows the one before; sizes are known, so that small mail can go by batch."""
    ids = [cast.scene.arrive(ADDRESS, f"Mail {number}") for number in range(5)]
    pages = cast.walk(size=2)
    listed = [message for page in pages for message in page.messages]

    assert 3 == len(pages)
    assert set(ids) == {message.id for message in listed}
    assert {f"Mail {number}" for number in range(5)} == {message.subject for message in listed}
    assert all(message.size for message in listed)
    assert {"zoe@elsewhere.example"} == {message.sender for message in listed}
    assert all(message.received_at.endswith("Z") and message.internet_message_id for message in listed)


def test_the_live_stream_has_what_arrived_and_not_what_we_changed(cast: Cast) -> None:
    """Our own marks do not come back, and an idle round is one request."""
    first = cast.scene.arrive(ADDRESS, "Old")
    link = cast.walk()[-1].delta_link
    assert {first: None} == cast.reading.apply(cast.mailbox, "read", [first])
    new = cast.scene.arrive(ADDRESS, "New")
    (page,) = cast.walk(link=link)
    assert [new] == [message.id for message in page.messages if not message.removed]
    before = cast.requests
    (idle,) = cast.walk(link=page.delta_link)
    assert ([], 1) == (idle.messages, cast.requests - before)


def test_contents_are_the_same_by_batch_and_by_stream(cast: Cast) -> None:
    """Twenty at once, or one in chunks: the same bytes."""
    ids = [cast.scene.arrive(ADDRESS, f"Mail {number}") for number in range(20)]
    before = cast.requests
    found = cast.reading.contents(cast.mailbox, ids)
    assert (20, 1) == (len(found), cast.requests - before)
    for number, identifier in enumerate(ids):
        mime = found[identifier]
        assert isinstance(mime, bytes)
        assert f"Subject: Mail {number}".encode() in mime
    streamed = b"".join(cast.reading.content_stream(cast.mailbox, ids[0]))
    mime = found[ids[0]]
    assert isinstance(mime, bytes)
    assert hashlib.sha256(mime).hexdigest() == hashlib.sha256(streamed).hexdigest()


def test_marks_and_moves_happen_and_can_be_looked_up(cast: Cast) -> None:
    """A moved message keeps its immutable id, so that what became of it can be asked."""
    read, moved = cast.scene.arrive(ADDRESS, "read"), cast.scene.arrive(ADDRESS, "moved")
    inbox, archive = cast.folder("inbox"), cast.folder("archive")
    assert {read: None} == cast.reading.apply(cast.mailbox, "read", [read])
    assert {moved: None} == cast.reading.apply(cast.mailbox, "move", [moved], "archive")
    assert {read: Placed(inbox, is_read=True), moved: Placed(archive, is_read=False)} == cast.reading.placed(
        cast.mailbox, [read, moved]
    )


def test_a_message_that_is_gone_is_its_own_fault(cast: Cast) -> None:
    """The others of a batch come all the same."""
    kept, gone = cast.scene.arrive(ADDRESS, "kept"), cast.scene.arrive(ADDRESS, "gone")
    cast.scene.call("POST", f"/users/{ADDRESS}/messages/{gone}/permanentDelete", headers={"Content-Length": "0"})
    found = cast.reading.contents(cast.mailbox, [kept, gone])
    assert isinstance(found[kept], bytes)
    fault = found[gone]
    assert isinstance(fault, Fault)
    assert (ItemFault, Code.MESSAGE_NOT_FOUND) == (type(fault), fault.code)
    with pytest.raises(ItemFault):
        list(cast.reading.content_stream(cast.mailbox, gone))
    placed = cast.reading.placed(cast.mailbox, [gone])[gone]
    assert isinstance(placed, ItemFault)


def test_a_mailbox_that_is_not_there_is_the_mailboxes_fault(cast: Cast) -> None:
    """Unknown users and other tenants' alike."""
    for user in ("nobody@contoso.example", cast.scene.cleo.id):
        mailbox = GraphMailbox("https://graph.microsoft.com", user, lambda fresh: cast.scene.token)
        with pytest.raises(MailboxFault):
            cast.reading.first_page(mailbox, "inbox", 10)


def test_a_folder_that_is_not_there_is_the_folders_fault(cast: Cast) -> None:
    """The mailbox is well."""
    folder = cast.folder("archive")
    with pytest.raises(Fault) as caught:
        cast.reading.first_page(cast.mailbox, folder[:-4] + "AAAA", 10)
    assert Code.FOLDER_NOT_FOUND == caught.value.code


def test_a_forgotten_link_is_out_of_sync(cast: Cast) -> None:
    """Graph drops old generations; the walk begins anew."""
    link = cast.walk()[-1].delta_link
    cast.scene.fault("messages.delta", status=410, code="SyncStateNotFound")
    with pytest.raises(OutOfSync):
        cast.reading.next_page(cast.mailbox, link, 10)


def test_throttling_says_how_long(cast: Cast) -> None:
    """The outer 429 is the call's fault."""
    link = cast.walk()[-1].delta_link
    cast.scene.fault("messages.delta", status=429, code="ApplicationThrottled", headers={"Retry-After": "2.5"})
    with pytest.raises(Throttled) as caught:
        cast.reading.next_page(cast.mailbox, link, 10)
    assert 2.5 == caught.value.retry_after
