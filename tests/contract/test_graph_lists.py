"""Lists by time, details one by one, and messages that Exchange cannot read, through the real adapters."""

from urllib.parse import quote

import httpx
import pytest

from shared.adapters.graph_directory import HttpGraphDirectory
from shared.adapters.graph_http import GraphHttp
from shared.codes import Code
from shared.errors import Fault, Unreachable
from shared.fetch.pages import is_chat
from shared.ports import Listed, MailCount, Window
from tests.contract.test_graph_reading import ADDRESS, Cast
from tests.localcloud.graph_cast import mail

pytestmark = pytest.mark.enable_socket


@pytest.fixture
def cast() -> Cast:
    """Return Ann's mailbox."""
    return Cast()


def arrive(cast: Cast, received_at: str, subject: str = "Mail", **query: str) -> str:
    """Let a mail arrive at a time; return its id."""
    params = {"received_at": received_at, **query}
    answer = cast.scene.control("POST", f"/mailboxes/{ADDRESS}/messages", params=params, content=mail(subject))
    return str(answer.json()["id"])


def poison(cast: Cast, message: str, kind: str) -> None:
    """Make a message unreadable."""
    path = f"/mailboxes/{ADDRESS}/messages/{quote(message)}/poison"
    assert 204 == cast.scene.control("PUT", path, json={"kind": kind}).status_code


def listed(cast: Cast, since: str, until: str = "", skip: int = 0, size: int = 10, *, light: bool = False) -> list[str]:
    """Return the ids of one page of a list."""
    window = Window(cast.folder("inbox"), since, until, skip)
    return [item.id for item in cast.reading.list_page(cast.mailbox, window, size, light=light).messages]


def test_a_list_is_oldest_first_and_includes_both_ends(cast: Cast) -> None:
    """So that the next page can begin at the time of the last mail, and none of that second is missed."""
    ids = [arrive(cast, f"2025-10-0{day}T08:00:00Z") for day in (3, 1, 2)]
    third, first, second = ids
    assert [first, second, third] == listed(cast, "2025-10-01T08:00:00Z")
    assert [first, second] == listed(cast, "2025-10-01T08:00:00Z", "2025-10-02T08:00:00Z")
    assert [third] == listed(cast, "2025-10-01T08:00:00Z", skip=2)
    page = cast.reading.list_page(cast.mailbox, Window("inbox", "2025-10-01T08:00:00Z"), 2)
    assert (2, True) == (len(page.messages), bool(page.next_link))


def test_a_light_page_names_what_a_full_one_describes(cast: Cast) -> None:
    """Id, time and draft; the rest comes with the details, which equal the full page."""
    message = arrive(cast, "2025-10-01T08:00:00Z")
    window = Window(cast.folder("inbox"), "2025-10-01T00:00:00Z")
    (full,) = cast.reading.list_page(cast.mailbox, window, 10).messages
    (light,) = cast.reading.list_page(cast.mailbox, window, 10, light=True).messages
    assert Listed(message, received_at="2025-10-01T08:00:00Z") == light
    assert {message: full} == cast.reading.details(cast.mailbox, [message])
    assert ("Mail", "IPM.Note") == (full.subject, full.item_class)


def test_one_poisoned_message_fails_the_page_but_not_its_id(cast: Cast) -> None:
    """List and delta answer 500 for all of the page; a light one names it, and alone it says its own fault."""
    message, other = arrive(cast, "2025-10-01T08:00:00Z"), arrive(cast, "2025-10-02T08:00:00Z")
    poison(cast, message, "full")
    with pytest.raises(Unreachable) as refused:
        listed(cast, "2025-10-01T00:00:00Z")
    assert "ErrorInternalServerError" == refused.value.microsoft.code
    with pytest.raises(Unreachable):
        cast.reading.first_page(cast.mailbox, cast.folder("inbox"), 10)
    assert [message, other] == listed(cast, "2025-10-01T00:00:00Z", light=True)
    page = cast.reading.first_page(cast.mailbox, cast.folder("inbox"), 10, light=True)
    assert {message, other} == {item.id for item in page.messages}
    details, contents = (ask(cast.mailbox, [message, other]) for ask in (cast.reading.details, cast.reading.contents))
    assert isinstance(details[message], Unreachable)
    assert isinstance(contents[message], Unreachable)
    assert not isinstance(details[other], Fault)
    assert not isinstance(contents[other], Fault)


def test_a_hard_one_fails_even_light_pages_until_it_is_healed(cast: Cast) -> None:
    """It can only be passed over; and a healed message is a message like any other."""
    message, other = arrive(cast, "2025-10-01T08:00:00Z"), arrive(cast, "2025-10-02T08:00:00Z")
    poison(cast, message, "hard")
    with pytest.raises(Unreachable):
        listed(cast, "2025-10-01T00:00:00Z", light=True)
    assert [other] == listed(cast, "2025-10-01T00:00:00Z", skip=1, size=1, light=True)
    poison(cast, message, "")
    assert [message, other] == listed(cast, "2025-10-01T00:00:00Z")


def test_a_chat_of_teams_is_told_by_its_class(cast: Cast) -> None:
    """Its class is expanded together with the size, by delta as by lists."""
    arrive(cast, "2025-10-01T08:00:00Z", "IM", item_class="IPM.SkypeTeams.Message")
    arrive(cast, "2025-10-02T08:00:00Z", "Mail")
    page = cast.reading.first_page(cast.mailbox, cast.folder("inbox"), 10)
    assert {"IM": True, "Mail": False} == {item.subject: is_chat(item) for item in page.messages}
    assert all(item.size for item in page.messages)


def test_mail_is_counted_from_a_time_on(cast: Cast) -> None:
    """Drafts are left out, and nothing but the number is read."""
    directory = HttpGraphDirectory(GraphHttp(httpx.Client(transport=httpx.MockTransport(cast._answer))))
    for day in (1, 2, 3):
        arrive(cast, f"2025-10-0{day}T08:00:00Z")
    cast.scene.post(f"/users/{ADDRESS}/mailFolders/inbox/messages", {"subject": "draft"})
    inbox = cast.folder("inbox")
    assert MailCount(3, exact=True) == directory.mail_count(cast.mailbox, inbox, "")
    assert MailCount(2, exact=True) == directory.mail_count(cast.mailbox, inbox, "2025-10-02T00:00:00Z")
    with pytest.raises(Fault) as refused:
        directory.mail_count(cast.mailbox, inbox[:-4] + "AAAA", "")
    assert Code.FOLDER_NOT_FOUND == refused.value.code
