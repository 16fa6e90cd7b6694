"""Does the simulator's traffic have the shapes of Microsoft's own metadata (closed world: unknown properties fail)."""

from __future__ import annotations

import pytest

from tests.localcloud.graph_cast import IMMUTABLE, MARKER, GraphScene, draft, encoded, mail, recipient
from tests.localcloud.test_graph_mime import BROKEN
from tests.scenes import graph_contract
from tests.scenes.graph_contract import MANY, MESSAGE, ONE, Validators, faults_in

ADDRESS = "ann@contoso.example"
ANN = f"/users/{ADDRESS}"


@pytest.fixture(scope="module")
def validators() -> Validators:
    """Return one validator per type of the contract."""
    known = graph_contract.validators()
    if known is None:
        pytest.skip("the contract is not beside this checkout")
    return known


def play(scene: GraphScene) -> None:
    """Use every operation whose answer has a type, on good and on broken mail."""
    mailbox = scene.mailboxes.find(ADDRESS)
    assert mailbox is not None
    for raw in BROKEN.values():
        scene.mailboxes.store(mailbox, raw)
    message = scene.arrive(ADDRESS, "Whole", extra="X-A: 1\r\nImportance: high\r\n")
    expand = "$expand=singleValueExtendedProperties($filter=id eq 'Long 0x0E08'),attachments"
    for path in (
        "/users", f"{ANN}", f"{ANN}/mailFolders?includeHiddenFolders=true", f"{ANN}/mailFolders/inbox",
        f"{ANN}/messages?$top=100&{expand}",
        f"{ANN}/messages/{message}?$select=internetMessageHeaders,uniqueBody,subject",
    ):  # fmt: skip
        scene.get(path, headers=IMMUTABLE)
    link = scene.get(f"{ANN}/mailFolders/inbox/messages/delta?$top=50")["@odata.deltaLink"]
    scene.call("PATCH", f"{ANN}/messages/{message}", json={"isRead": True, "flag": {"flagStatus": "flagged"}})
    scene.post(f"{ANN}/messages/{message}/move", {"destinationId": "archive"})
    scene.get(link)
    play_folders(scene, message)
    play_sending(scene, message)


def play_folders(scene: GraphScene, message: str) -> None:
    """Make, rename, copy and move folders, and a copy of a message."""
    orders = scene.post(f"{ANN}/mailFolders", {"displayName": "Orders"}).json()["id"]
    scene.post(f"{ANN}/messages/{message}/copy", {"destinationId": orders})
    scene.call("PATCH", f"{ANN}/mailFolders/{orders}", json={"displayName": "Old orders"})
    scene.post(f"{ANN}/mailFolders/{orders}/copy", {"destinationId": "inbox"})
    scene.post(f"{ANN}/mailFolders/{orders}/move", {"destinationId": "archive"})


def play_sending(scene: GraphScene, received: str) -> None:
    """Draft, attach, upload, send and answer."""
    file = {"@odata.type": "#microsoft.graph.fileAttachment", "name": "a.txt", "contentBytes": encoded(b"abc")}
    extended = [{"id": MARKER, "value": "m"}]
    body = draft("bob@contoso.example", attachments=[file], singleValueExtendedProperties=extended, from_=None)
    body["from"] = recipient(ADDRESS)
    del body["from_"]
    message = scene.post(f"{ANN}/messages", body, headers=IMMUTABLE).json()["id"]
    plain = {"Content-Type": "text/plain"}
    scene.call("POST", f"{ANN}/messages", content=encoded(mail("Raw")), headers=plain)
    posted = scene.post(f"{ANN}/messages/{message}/attachments", file).json()
    scene.get(f"{ANN}/messages/{message}/attachments/{posted['id']}")
    scene.get(f"{ANN}/messages/{message}/attachments")
    item = {"AttachmentItem": {"attachmentType": "file", "name": "b", "size": 3_000_000}}
    scene.post(f"{ANN}/messages/{message}/attachments/createUploadSession", item)
    scene.post(f"{ANN}/messages/{message}/send")
    scene.get(f"{ANN}/messages/{message}?$expand=singleValueExtendedProperties($filter=id eq '{MARKER}')")
    scene.post(f"{ANN}/messages/{received}/createReplyAll", {"comment": "Thanks"})
    scene.get("/users/bob@contoso.example/mailFolders/inbox/messages")
    scene.get(f"{ANN}/messages", params={"$filter": "isDraft eq true"})


def test_every_recorded_answer_fits_the_contract(validators: Validators) -> None:
    """Every typed operation was recorded, and no answer has a property or value that Graph's metadata does not know."""
    scene = GraphScene()
    play(scene)
    traffic = scene.world.traffic or []

    assert {*ONE, *MANY} <= {exchange["operation"] for exchange in traffic}
    assert [] == [fault for exchange in traffic for fault in faults_in(exchange, validators)]


def test_written_messages_fit_the_contract(validators: Validators) -> None:
    """The request bodies that the simulator accepts as messages are messages of the contract, too."""
    scene = GraphScene()
    play(scene)
    bodies = [
        item["request_body"]
        for item in scene.world.traffic or []
        if item["operation"] == "messages.create" and item["request_body"]
    ]

    assert 1 == len(bodies)
    assert [] == [error.message for body in bodies for error in validators[MESSAGE].iter_errors(body)]


def test_the_contract_test_can_fail(validators: Validators) -> None:
    """An unknown property and a wrong time are noticed."""
    wrong = {
        "operation": "messages.get",
        "status": 200,
        "response_body": {"id": "1", "colour": "red", "receivedDateTime": "today"},
    }

    assert 2 == len(faults_in(wrong, validators))
