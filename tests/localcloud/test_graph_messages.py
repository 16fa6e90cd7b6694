"""How are messages listed, read, changed, moved and deleted."""

import hashlib
from urllib.parse import quote

from localcloud.mail.mailboxes import Mailboxes
from tests.localcloud.graph_cast import IMMUTABLE, MARKER, START, GraphScene, mail

ANN = "/users/ann@contoso.example"


def listed(scene: GraphScene, query: str, folder: str = "/mailFolders/inbox") -> list[str]:
    """Return the subjects that a list answers."""
    answer = scene.get(f"{ANN}{folder}/messages?$select=subject&$top=100{query}")
    return [message["subject"] for message in answer["value"]]


def arrive_hourly(scene: GraphScene, count: int) -> list[str]:
    """Let *count* mails arrive, one each hour, and return their ids."""
    ids = []
    for number in range(count):
        scene.now = START + number * 3600
        ids.append(scene.arrive("ann@contoso.example", f"Mail {number}"))
    return ids


def test_newest_first_in_pages() -> None:
    """A list shows the newest first, ten at a time, and its nextLink carries on."""
    scene = GraphScene()
    arrive_hourly(scene, 12)
    first = scene.get(f"{ANN}/mailFolders/inbox/messages?$select=subject&$orderby=receivedDateTime desc")
    second = scene.get(first["@odata.nextLink"])
    subjects = [item["subject"] for item in first["value"] + second["value"]]

    assert [f"Mail {number}" for number in range(11, -1, -1)] == subjects
    assert "@odata.nextLink" not in second


def test_select_still_shows_the_id() -> None:
    """With $select, only the id and the etag come beside what was asked for."""
    scene = GraphScene()
    scene.arrive("ann@contoso.example")
    (message,) = scene.get(f"{ANN}/messages?$select=subject")["value"]

    assert {"@odata.etag", "id", "subject"} == set(message)


def test_filters() -> None:
    """The filters that mail clients need find what they should."""
    scene = GraphScene()
    ids = arrive_hourly(scene, 4)
    scene.call("PATCH", f"{ANN}/messages/{ids[0]}", json={"isRead": True})

    assert ["Mail 3", "Mail 2"] == listed(scene, "&$filter=receivedDateTime ge 2025-10-09T10:53:20Z")
    assert ["Mail 3"] == listed(scene, "&$filter=receivedDateTime gt 2025-10-09T10:53:20Z")
    assert ["Mail 1", "Mail 0"] == listed(scene, "&$filter=receivedDateTime lt 2025-10-09T10:53:20Z")
    assert ["Mail 0"] == listed(scene, "&$filter=isRead eq true")
    assert ["Mail 2"] == listed(scene, "&$filter=internetMessageId eq '<Mail.2@elsewhere.example>'")
    assert [] == listed(scene, "&$filter=isDraft eq true")
    assert ["Mail 3"] == listed(scene, "&$filter=subject eq 'mail 3' and from/emailAddress/address ne 'x@y.example'")


def test_inefficient_filter() -> None:
    """Ordering by something that does not come first in the filter is too complex."""
    scene = GraphScene()
    path = f"{ANN}/messages?$filter=isRead eq false&$orderby=receivedDateTime desc"
    good = (
        f"{ANN}/messages?$filter=receivedDateTime ge 2025-01-01T00:00:00Z and isRead eq false&$orderby=receivedDateTime"
    )

    assert "InefficientFilter" == scene.call("GET", path).json()["error"]["code"]
    assert 200 == scene.call("GET", good).status_code


def test_internet_header_as_a_property() -> None:
    """A message is found by an X- header through the property set of internet headers, unless that is lost."""
    scene = GraphScene()
    scene.arrive("ann@contoso.example", "Marked", extra="X-Mailgrant-Entry: msg_1\r\n")
    scene.arrive("ann@contoso.example", "Plain")
    name = "String {00020386-0000-0000-C000-000000000046} Name X-Mailgrant-Entry"
    query = f"&$filter=singleValueExtendedProperties/Any(ep: ep/id eq '{name}' and ep/value eq 'MSG_1')"

    assert ["Marked"] == listed(scene, query, folder="")
    scene.world.modes["marker_header_lost"] = True
    assert [] == listed(scene, query, folder="")


def test_message_size_as_a_property() -> None:
    """The size can be expanded in a list; its id comes back in Graph's own spelling."""
    scene = GraphScene()
    scene.arrive("ann@contoso.example")
    (message,) = scene.get(
        f"{ANN}/messages?$select=id&$expand=singleValueExtendedProperties($filter=id eq 'Long 0x0E08')"
    )["value"]

    assert [{"id": "Long 0xe08", "value": str(len(mail()))}] == message["singleValueExtendedProperties"]


def test_extended_property_round_trip() -> None:
    """A property set on a draft is not echoed, but can be expanded and searched."""
    scene = GraphScene()
    created = scene.post(
        f"{ANN}/messages", {"singleValueExtendedProperties": [{"id": MARKER, "value": "Msg-1"}]}
    ).json()
    expand = f"$expand=singleValueExtendedProperties($filter=id eq '{MARKER}')"
    shown = scene.get(f"{ANN}/messages/{created['id']}?{expand}")
    wrong_case = MARKER.replace("entry", "Entry")

    assert "singleValueExtendedProperties" not in created
    assert [{"id": MARKER, "value": "Msg-1"}] == shown["singleValueExtendedProperties"]
    assert [""] == listed(
        scene, f"&$filter=singleValueExtendedProperties/any(p:p/id eq '{MARKER}' and p/value eq 'msg-1')", ""
    )
    assert [] == listed(
        scene, f"&$filter=singleValueExtendedProperties/any(p:p/id eq '{wrong_case}' and p/value eq 'msg-1')", ""
    )


def test_mime_is_stable_and_exact() -> None:
    """$value serves the bytes that arrived, the same each time."""
    scene = GraphScene()
    message = scene.arrive("ann@contoso.example", "Exact")
    first, second = (scene.call("GET", f"{ANN}/messages/{message}/$value") for _ in range(2))

    assert mail("Exact") == first.content == second.content
    assert "text/plain" == first.headers["content-type"]


def test_mime_may_vary() -> None:
    """With the mode on, two reads differ in a header only."""
    scene = GraphScene()
    scene.world.modes["mime_varies"] = True
    message = scene.arrive("ann@contoso.example", "Exact")
    first, second = (scene.call("GET", f"{ANN}/messages/{message}/$value").content for _ in range(2))

    assert first != second
    assert first.partition(b"\r\n")[2] == second.partition(b"\r\n")[2] == mail("Exact")


def test_both_kinds_of_id() -> None:
    """Ids are mutable unless the request prefers otherwise; both name the message."""
    scene = GraphScene()
    immutable = scene.arrive("ann@contoso.example")
    answer = scene.call("GET", f"{ANN}/messages/{immutable}", headers=IMMUTABLE)
    mutable = scene.get(f"{ANN}/messages/{immutable}")["id"]

    assert immutable == answer.json()["id"]
    assert 'IdType="ImmutableId"' == answer.headers["preference-applied"]
    assert mutable != immutable
    assert immutable == scene.get(f"{ANN}/messages/{mutable}", headers=IMMUTABLE)["id"]


def test_ids_are_deterministic() -> None:
    """The same mailbox history gives the same ids, so that a run can be repeated."""
    scene = GraphScene()
    again = Mailboxes(scene.world)
    twin = again.store(again.of(scene.contoso, scene.ann), mail())

    assert scene.arrive("ann@contoso.example") == twin.immutable_id


def test_move_changes_the_mutable_id_only() -> None:
    """After a move the old mutable id is gone, the immutable one still works."""
    scene = GraphScene()
    immutable = scene.arrive("ann@contoso.example")
    old = scene.get(f"{ANN}/messages/{immutable}")["id"]
    moved = scene.post(f"{ANN}/messages/{quote(old)}/move", {"destinationId": "archive"})

    assert 201 == moved.status_code
    assert old != moved.json()["id"]
    assert 404 == scene.call("GET", f"{ANN}/messages/{quote(old)}").status_code
    assert scene.get(f"{ANN}/mailFolders/archive")["id"] == scene.get(f"{ANN}/messages/{immutable}")["parentFolderId"]


def test_copy_has_ids_of_its_own() -> None:
    """A copy has the same bytes, flags and categories under new ids, and the original stays; SDKs write capitals."""
    scene = GraphScene()
    original = scene.arrive("ann@contoso.example")
    scene.call("PATCH", f"{ANN}/messages/{original}", json={"isRead": True, "categories": ["Blue"]})
    copy = scene.post(f"{ANN}/messages/{original}/copy", {"DestinationId": "archive"}, headers=dict(IMMUTABLE))
    mime = [scene.call("GET", f"{ANN}/messages/{key}/$value").content for key in (original, copy.json()["id"])]

    assert 201 == copy.status_code
    assert original != copy.json()["id"]
    assert (True, ["Blue"]) == (copy.json()["isRead"], copy.json()["categories"])
    assert [mail(), mail()] == mime
    assert [["Hello"], ["Hello"]] == [scene.subjects("ann@contoso.example", name) for name in ("inbox", "archive")]


def test_search_is_refused() -> None:
    """A search that is not served is refused: an answer with all messages would look like a find."""
    scene = GraphScene()

    assert 400 == scene.call("GET", f'{ANN}/messages?$search="hello"').status_code


def test_html_is_a_whole_document() -> None:
    """What was written as a fragment of HTML comes back with head and body, as Exchange keeps it."""
    scene = GraphScene()
    fragment = scene.post(f"{ANN}/messages", {"body": {"contentType": "HTML", "content": "<p>a</p>"}}).json()["body"]
    whole = {"contentType": "html", "content": "<html><body>b</body></html>"}

    assert "html" == fragment["contentType"]
    assert fragment["content"].startswith("<html><head>")
    assert fragment["content"].endswith("<body><p>a</p></body></html>")
    assert whole == scene.post(f"{ANN}/messages", {"body": whole}).json()["body"]


def test_delete_goes_step_by_step_and_then_for_good() -> None:
    """DELETE leads to Deleted Items, then Recoverable Items, then nowhere."""
    scene = GraphScene()
    message = scene.arrive("ann@contoso.example", "Gone")
    places = []
    for _ in range(3):
        assert 204 == scene.call("DELETE", f"{ANN}/messages/{message}").status_code
        places.append((scene.subjects("ann@contoso.example", "deleteditems"),
                       scene.subjects("ann@contoso.example", "recoverableitemsdeletions")))  # fmt: skip

    assert [(["Gone"], []), ([], ["Gone"]), ([], [])] == places
    assert 404 == scene.call("DELETE", f"{ANN}/messages/{message}").status_code


def test_permanent_delete() -> None:
    """PermanentDelete leaves nothing to be found."""
    scene = GraphScene()
    message = scene.arrive("ann@contoso.example")

    assert 204 == scene.post(f"{ANN}/messages/{message}/permanentDelete").status_code
    assert 404 == scene.call("GET", f"{ANN}/messages/{message}").status_code


def test_patch() -> None:
    """Read state and categories can be changed any time, content only in drafts, unknown properties never."""
    scene = GraphScene()
    message = scene.arrive("ann@contoso.example")
    before = scene.get(f"{ANN}/messages/{message}")
    after = scene.call("PATCH", f"{ANN}/messages/{message}", json={"isRead": True, "categories": ["Blue"]}).json()
    content = scene.call("PATCH", f"{ANN}/messages/{message}", json={"subject": "Other"})
    stale = scene.call(
        "PATCH", f"{ANN}/messages/{message}", json={"isRead": False}, headers={"If-Match": before["@odata.etag"]}
    )

    assert (True, ["Blue"]) == (after["isRead"], after["categories"])
    assert before["changeKey"] != after["changeKey"]
    assert "ErrorInvalidPropertyUpdateSentMessage" == content.json()["error"]["code"]
    assert 412 == stale.status_code
    assert 400 == scene.call("PATCH", f"{ANN}/messages/{message}", json={"colour": 1}).status_code
    assert mail() == scene.call("GET", f"{ANN}/messages/{message}/$value").content


def test_whole_mailbox_leaves_recoverable_items_out() -> None:
    """The list over the mailbox has drafts, sent and deleted mail, but nothing recoverable."""
    scene = GraphScene()
    for folder in ("inbox", "deleteditems", "sentitems", "recoverableitemsdeletions"):
        scene.arrive("ann@contoso.example", folder, folder)

    assert {"inbox", "deleteditems", "sentitems"} == set(listed(scene, "", folder=""))
    assert ["recoverableitemsdeletions"] == listed(scene, "", folder="/mailFolders/recoverableitemsdeletions")


def test_body_as_text() -> None:
    """The body comes as text where the request prefers it."""
    scene = GraphScene()
    message = scene.post(f"{ANN}/messages", {"body": {"contentType": "HTML", "content": "<p>a &amp; b</p>"}}).json()[
        "id"
    ]
    answer = scene.call("GET", f"{ANN}/messages/{message}", headers={"Prefer": 'outlook.body-content-type="text"'})

    assert {"contentType": "text", "content": " a & b "} == answer.json()["body"]
    assert 'outlook.body-content-type="text"' == answer.headers["preference-applied"]


def test_control_shows_what_value_serves() -> None:
    """The control view's hash is that of the bytes that $value serves."""
    scene = GraphScene()
    path = "/mailboxes/ann@contoso.example/messages?folder=archive&received_at=2025-01-02T03:04:05Z"
    answer = scene.control("POST", path, content=mail("Old"))
    (shown,) = scene.control("GET", "/mailboxes/ann@contoso.example").json()["messages"]
    served = scene.call("GET", f"{ANN}/messages/{answer.json()['id']}/$value").content

    assert hashlib.sha256(served).hexdigest() == shown["sha256"]
    assert ("archive", "Old", "2025-01-02T03:04:05Z") == (shown["folder"], shown["subject"], shown["received_at"])
