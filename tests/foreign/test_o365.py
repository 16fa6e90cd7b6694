"""Does python-o365, unmodified and on production URLs, find the Graph it knows?"""

import hashlib
from collections.abc import Callable
from typing import Any

import pytest

from tests.foreign.conftest import Visit
from tests.foreign.letters import FOLDER, IMAGE, NESTED, PDF
from tests.scenes.graph_contract import faults_in_answer, validators

pytestmark = pytest.mark.enable_socket
SUBJECTS = ["Eight bits", "With a mail", "Files Übersicht", "To be deleted", "To be filed", "Plain text"]


@pytest.fixture(scope="module", name="o365")
def _o365(visit: Callable[[str], Visit]) -> Visit:
    return visit("o365")


def shown(file: dict[str, Any]) -> tuple[str, bool, str | None]:
    """Return what the client told of a file."""
    return file["sha256"], file["inline"], file["content_id"]


def test_folders_are_found_by_name(o365: Visit) -> None:
    """A lookup by name finds that folder or none, lists come in the wanted order, and counts are true."""
    seen = o365.saw["lists_folders"]

    assert o365.saw["authenticates"]
    assert [FOLDER, None] == [seen["named"], seen["missing"]]
    assert ["Sent Items", FOLDER, "Outbox"] == seen["ordered"]
    assert ["Inbox", 6, 6] == seen["inbox"]
    assert {"Inbox", "Sent Items", FOLDER} < set(seen["names"])


def test_folders_are_changed(o365: Visit) -> None:
    """Folders are renamed, copied, moved and deleted; a deleted one lies in Deleted Items."""
    seen = o365.saw["changes_folders"]

    assert [True] * 4 == [seen["renamed"], seen["copied"], seen["moved"], seen["deleted"]]
    assert (["Größer"], []) == (seen["in_target"], seen["in_outer"])
    assert sorted(["Außen", "Größer", "Größer", "Ziel", FOLDER]) == o365.folders()


def test_lists_hold_what_was_asked_for(o365: Visit) -> None:
    """Pages together are the inbox; each filter leaves exactly the mails that it names."""
    seen = o365.saw["lists_messages"]

    assert SUBJECTS == seen["pages"] == seen["unread"] == seen["from"] == seen["recent"] == seen["selected"]
    assert sorted(SUBJECTS) == seen["whole"]
    assert [["Files Übersicht"], ["Plain text"]] == [seen["contains"], seen["starts"]]
    assert ["With a mail", "Files Übersicht"] == seen["has_files"]


def test_messages_are_read_to_the_last_byte(o365: Visit) -> None:
    """Text, files, inline images, nested mails and MIME text are what was delivered, 8-bit bytes included."""
    read = {message["subject"]: message for message in o365.saw["reads_messages"]}
    files = {file["name"]: file for file in read["Files Übersicht"]["files"]}

    assert {item["subject"]: item["sha256"] for item in o365.before} == {name: read[name]["sha256"] for name in read}
    assert ("html", "Schöne Grüße") == (read["Files Übersicht"]["body_type"], read["Files Übersicht"]["text"])
    assert ("text", "Grüße") == (read["Eight bits"]["body_type"], read["Eight bits"]["text"].split()[0])
    assert (hashlib.sha256(PDF).hexdigest(), False, None) == shown(files["Übersicht 2025.pdf"])
    assert (hashlib.sha256(IMAGE).hexdigest(), True, "bild@x") == shown(files["bild.png"])
    (nested,) = read["With a mail"]["files"]
    assert ("Nested mail", hashlib.sha256(NESTED).hexdigest()) == (nested["nested"], nested["sha256"])


def test_marks_stay(o365: Visit) -> None:
    """The mailbox holds what the client marked: read, category and flag with its date."""
    seen = o365.saw["marks_messages"]

    assert [[True] * 3, True, True] == [seen[key] for key in ("marked", "saved", "read")]
    assert (["Blue category"], "Flagged") == (seen["categories"], seen["flag"])
    assert "2030-01-02T00:00:00+00:00" == seen["due"]
    assert {"Plain text"} == {name for name, message in o365.messages("inbox").items() if message["is_read"]}


def test_messages_are_filed(o365: Visit) -> None:
    """A copy lies in the folder, the original in the archive, the deleted one in Deleted Items; bytes are kept."""
    seen = o365.saw["files_messages"]
    copy, original = o365.messages(FOLDER)["To be filed"], o365.messages("archive")["To be filed"]

    assert [["To be filed", True, True], [True, True], True] == [seen[key] for key in ("copied", "moved", "deleted")]
    assert ["To be filed"] == seen["in_folder"]
    assert copy["sha256"] == original["sha256"]
    assert copy["immutable_id"] != original["immutable_id"]
    assert {"To be deleted", "RE: With a mail"} == set(o365.messages("deleteditems"))


def test_immutable_ids_stay(o365: Visit) -> None:
    """Where the client asks for immutable ids, beside other preferences, they stay when mail moves."""
    seen = o365.saw["keeps_immutable_ids"]

    assert {"moved": True, "answered": True, "deleted": True, "back": True, "differs": True} == seen


def test_answers_go_out(o365: Visit) -> None:
    """A reply goes to the author, a forward to the colleague with the files of the original."""
    reply, forward = (o365.saw["answers_messages"][name] for name in ("reply", "forward"))
    copy = o365.arrived("FW: Files Übersicht")
    (external,) = o365.control.external_received("zoe@elsewhere.example")

    assert ["RE: Files Übersicht", ["zoe@elsewhere.example"], True, True] == reply
    assert ["FW: Files Übersicht", True] == forward
    assert "RE: Files Übersicht" == external["subject"]
    assert {hashlib.sha256(PDF).hexdigest(), hashlib.sha256(IMAGE).hexdigest()} == {
        file["sha256"] for file in copy["attachments"]
    }


def test_sent_mail_arrives_with_its_files(o365: Visit) -> None:
    """A small file goes along at once, a large one through an upload session; copies are kept unless refused."""
    small, large = o365.arrived("o365 small"), o365.arrived("o365 large")
    sent = {"RE: Files Übersicht", "FW: Files Übersicht", "o365 small", "o365 large"}

    assert {"small": True, "silent": True} == o365.saw["sends_messages"]
    assert [True] * 3 == [o365.saw["sends_large_files"][key] for key in ("saved", "changed", "sent")]
    assert [("klein ü.txt", hashlib.sha256("Grüße\n".encode("latin-1")).hexdigest())] == [
        (file["name"], file["sha256"]) for file in small["attachments"]
    ]
    assert {"X-Order": "17"} == small["headers"]
    assert [("large.bin", o365.saw["sends_large_files"]["sha256"])] == [
        (file["name"], file["sha256"]) for file in large["attachments"]
    ]
    assert [[201], [200, 201]] == [o365.statuses("uploads.create"), o365.statuses("uploads.put")]
    assert not o365.arrived("o365 silent")["attachments"]
    assert sent == set(o365.messages("sentitems"))
    assert {} == o365.messages("drafts")


def test_a_pause_is_kept(o365: Visit) -> None:
    """Told to wait (429 with Retry-After), the client finds what it needs in that answer to ask again, and succeeds."""
    busy, done = [exchange for exchange in o365.traffic if exchange["operation"] == "folders.list"][:2]

    assert [429, 200] == [busy["status"], done["status"]]
    assert busy["path"] == done["path"]


def test_refusals_are_understood(o365: Visit) -> None:
    """The client finds Graph's status and message in each refusal, and makes its own error of them."""
    refusals = o365.saw["meets_refusals"].items()
    told = {name: (words[:3], words.partition("Error Message: ")[2]) for name, words in refusals}

    assert ("404", "The specified object was not found in the store.") == told["message"]
    assert ("400", "Id is malformed.") == told["folder"]
    assert "409" == told["again"][0]
    assert ("400", "Could not find a property named 'nonsense' on type 'microsoft.graph.message'.") == told["property"]
    assert ("400", "The restriction or sort order is too complex for this operation.") == told["order"]


def test_answers_have_microsofts_types(o365: Visit) -> None:
    """Under this client's options, too, every answer has Microsoft's own types."""
    known = validators()
    if known is None:
        pytest.skip("Microsoft's contract is not beside this checkout")

    assert 40 < len(o365.traffic)
    assert [] == [fault for exchange in o365.traffic for fault in faults_in_answer(exchange, known)]
