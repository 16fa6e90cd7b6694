"""What can a test do behind Graph's back."""

from tests.localcloud.graph_cast import GraphScene, encoded, mail

ADDRESS = "ann@contoso.example"
BOX = f"/mailboxes/{ADDRESS}"


def test_bulk_delivery() -> None:
    """Many mails arrive in one request, in the order given."""
    scene = GraphScene()
    answer = scene.control(
        "POST", f"{BOX}/messages/bulk?folder=archive", json=[encoded(mail(name)) for name in ("a", "b")]
    )
    shown = scene.control("GET", BOX).json()["messages"]

    assert answer.json()["ids"] == [message["immutable_id"] for message in shown]
    assert ["a", "b"] == [message["subject"] for message in shown]


def test_folders_and_counts() -> None:
    """The view lists every folder with its count, hidden ones included."""
    scene = GraphScene()
    scene.arrive(ADDRESS)
    counts = {folder["well_known"]: folder["count"] for folder in scene.control("GET", BOX).json()["folders"]}

    assert (1, 0, 0) == (counts["inbox"], counts["drafts"], counts["recoverableitemsdeletions"])


def test_deleting_and_moving() -> None:
    """A message can be deleted for good, deleted as a person would, and moved."""
    scene = GraphScene()
    first, second, third = (scene.arrive(ADDRESS, name) for name in ("a", "b", "c"))

    assert 204 == scene.control("DELETE", f"{BOX}/messages/{first}").status_code
    assert 204 == scene.control("DELETE", f"{BOX}/messages/{second}?to=deleteditems").status_code
    moved = scene.control("POST", f"{BOX}/messages/{third}/move", json={"destination": "archive"}).json()
    places = {message["subject"]: message["folder"] for message in scene.control("GET", BOX).json()["messages"]}
    assert ({"b": "deleteditems", "c": "archive"}, third) == (places, moved["immutable_id"])


def test_raw_bytes_and_faulty_requests() -> None:
    """Raw bytes are served; unknown mailboxes, messages and bad input are told apart."""
    scene = GraphScene()
    message = scene.arrive(ADDRESS)

    assert mail() == scene.control("GET", f"{BOX}/messages/{message}/raw").content
    assert 404 == scene.control("GET", "/mailboxes/nobody@contoso.example").status_code
    assert 404 == scene.control("GET", f"{BOX}/messages/AAkALgx/raw").status_code
    assert 400 == scene.control("POST", f"{BOX}/messages/bulk", json=["?"]).status_code
    assert 400 == scene.control("POST", f"{BOX}/messages?received_at=tomorrow", content=mail()).status_code


def test_received_report() -> None:
    """The report of a delivered copy names what a judge compares: ids, hashes, attachments, x- headers."""
    scene = GraphScene()
    file = {"@odata.type": "#microsoft.graph.fileAttachment", "name": "a.txt", "contentBytes": encoded(b"abc")}
    body = {
        "toRecipients": [{"emailAddress": {"address": "bob@contoso.example"}}],
        "subject": "S",
        "attachments": [file],
        "internetMessageId": "<m@contoso.example>",
    }
    scene.post(f"/users/{ADDRESS}/sendMail", {"message": body})
    (copy,) = scene.control("GET", "/received/bob@contoso.example").json()
    (stored,) = scene.control("GET", "/mailboxes/bob@contoso.example").json()["messages"]

    assert ("S", "<m@contoso.example>", ADDRESS, False) == (
        copy["subject"],
        copy["internet_message_id"],
        copy["from"],
        copy["external"],
    )
    assert [("a.txt", 3)] == [(item["name"], item["size"]) for item in copy["attachments"]]
    assert (stored["sha256"], stored["size"]) == (copy["sha256"], copy["size"])
