"""Do mailsuite's Graph connection and the msgraph-sdk below it, unmodified, find the Graph they know?"""

import hashlib
from collections.abc import Callable

import pytest

from tests.foreign.conftest import Visit
from tests.foreign.letters import FOLDER
from tests.scenes.graph_contract import faults_in_answer, validators

pytestmark = pytest.mark.enable_socket
SUBJECTS = ["Eight bits", "With a mail", "Files Übersicht", "To be deleted", "To be filed", "Plain text"]


@pytest.fixture(scope="module", name="mailsuite")
def _mailsuite(visit: Callable[[str], Visit]) -> Visit:
    return visit("mailsuite")


def test_folders_are_found_and_changed(mailsuite: Visit) -> None:
    """Paths, well-known names and apostrophes lead to the right folder; making one twice is no error."""
    seen = mailsuite.saw["changes_folders"]

    assert {"Berichte": True, "Berichte/Älteste": False, "Papier's Korb/Weg": True} == {
        name: seen[name] for name in ("Berichte", "Berichte/Älteste", "Papier's Korb/Weg")
    }
    assert [True, True, False] == [seen[name] for name in ("Inbox", "inbox", "Nirgends")]
    assert not seen["after deletion"]
    assert sorted(["Berichte", "Papier's Korb", "Weg", FOLDER]) == mailsuite.folders()
    assert 409 in mailsuite.statuses("folders.create")


def test_messages_are_fetched(mailsuite: Visit) -> None:
    """Ids come in pages and with a filter; MIME text is what was delivered, but for bytes that are no UTF-8."""
    seen = mailsuite.saw["fetches_messages"]
    before = {item["subject"]: item["sha256"] for item in mailsuite.before}
    fetched = dict(zip(seen["subjects"], seen["sha256"], strict=True))

    assert [6, 3, 0, 0] == [seen[name] for name in ("count", "at_most", "since", "in_folder")]
    assert SUBJECTS == seen["subjects"]
    # This client decodes every MIME text as UTF-8, and so loses the bytes of that mail itself.
    assert ["Eight bits"] == [subject for subject in SUBJECTS if before[subject] != fetched[subject]]


def test_messages_are_filed(mailsuite: Visit) -> None:
    """The mailbox holds what the client did: one read, one moved, one deleted."""
    inbox = mailsuite.messages("inbox")

    assert {"Plain text"} == {subject for subject, message in inbox.items() if message["is_read"]}
    assert {"Eight bits", "With a mail", "Files Übersicht", "Plain text"} == set(inbox)
    assert ["To be filed"] == list(mailsuite.messages(FOLDER))
    assert ["To be deleted"] == list(mailsuite.messages("deleteditems"))


def test_sent_mail_arrives_with_its_files(mailsuite: Visit) -> None:
    """Files arrive byte for byte; a copy is kept unless refused."""
    copy = mailsuite.arrived("mailsuite small")
    contents = [("klein ü.txt", "Grüße\n".encode("latin-1")), ("bild.png", b"\x89PNG made up")]

    assert [(name, hashlib.sha256(content).hexdigest()) for name, content in contents] == [
        (file["name"], file["sha256"]) for file in copy["attachments"]
    ]
    assert [] == mailsuite.arrived("mailsuite silent")["attachments"]
    assert ["mailsuite small"] == list(mailsuite.messages("sentitems"))


def test_changes_are_tracked(mailsuite: Visit) -> None:
    """msgraph-sdk walks a delta query from its own links: first all, then what was read, moved and deleted."""
    assert sorted(SUBJECTS) == sorted(mailsuite.saw["tracks_changes_first"])
    assert ["Plain text", "removed", "removed"] == sorted(mailsuite.saw["tracks_changes_again"])


def test_a_pause_is_kept(mailsuite: Visit) -> None:
    """Told to wait (429 with Retry-After), the client finds what it needs in that answer to ask again, and succeeds."""
    busy, done = [exchange for exchange in mailsuite.traffic if exchange["operation"] == "folders.list"][:2]

    assert [429, 200] == [busy["status"], done["status"]]
    assert busy["path"] == done["path"]


def test_refusals_are_understood(mailsuite: Visit) -> None:
    """The SDK finds Graph's code in a refusal; a folder that is not there is no failure of the lookup."""
    assert ["ODataError ErrorInvalidIdMalformed", "FolderNotFoundError"] == mailsuite.saw["meets_refusals"]


def test_answers_have_microsofts_types(mailsuite: Visit) -> None:
    """Under this client's options, too, every answer has Microsoft's own types."""
    known = validators()
    if known is None:
        pytest.skip("Microsoft's contract is not beside this checkout")

    assert 40 < len(mailsuite.traffic)
    assert [] == [fault for exchange in mailsuite.traffic for fault in faults_in_answer(exchange, known)]
