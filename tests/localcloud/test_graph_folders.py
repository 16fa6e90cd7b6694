"""Which folders are found, and what happens to them and to what is in them, when clients change them."""

from typing import Any

import pytest

from localcloud.mail.store import Mailbox
from tests.localcloud.graph_cast import GraphScene

ADDRESS = "ann@contoso.example"
ANN = f"/users/{ADDRESS}"


@pytest.fixture(name="scene")
def _scene() -> GraphScene:
    return GraphScene()


def made(scene: GraphScene, name: str, parent: str = "") -> str:
    """Make a folder and return its id."""
    path = f"{ANN}/mailFolders/{parent}/childFolders" if parent else f"{ANN}/mailFolders"
    return str(scene.post(path, {"displayName": name}).json()["id"])


def names(scene: GraphScene, path: str = f"{ANN}/mailFolders", **options: str) -> list[str]:
    """Return the names of the folders that a list shows."""
    return [folder["displayName"] for folder in scene.get(path, params=options)["value"]]


def refused(scene: GraphScene, method: str, path: str, body: Any = None) -> tuple[int, str]:
    """Return status and code of a refusal."""
    answer = scene.call(method, path, json=body)
    return answer.status_code, answer.json()["error"]["code"]


def mailbox(scene: GraphScene) -> Mailbox:
    """Return Ann's mailbox."""
    found = scene.mailboxes.find(ADDRESS)
    assert found is not None
    return found


def test_lookup_by_name(scene: GraphScene) -> None:
    """A filter on the name shows that folder alone, or none; quotes are doubled."""
    made(scene, "Müller's Rechnungen")

    assert ["Müller's Rechnungen"] == names(scene, **{"$filter": "displayName eq 'müller''s Rechnungen'"})
    assert [] == names(scene, **{"$filter": "displayName eq 'Nothing'"})


def test_order_and_numbers(scene: GraphScene) -> None:
    """Folders come by name unless another order is asked for; a filter may compare counts."""
    scene.arrive(ADDRESS)

    assert ["Archive", "Deleted Items"] == names(scene, **{"$top": "2"})
    assert ["Sent Items", "Outbox"] == names(scene, **{"$top": "2", "$orderby": "displayName desc"})
    assert ["Inbox"] == names(scene, **{"$filter": "unreadItemCount gt 0"})


def test_unknown_options_are_refused(scene: GraphScene) -> None:
    """A property that folders lack, and an option that is not served, are refused and not passed over."""
    assert 400 == refused(scene, "GET", f"{ANN}/mailFolders?$filter=colour eq 'red'")[0]
    assert (400, "ErrorInvalidUrlQuery") == refused(scene, "GET", f"{ANN}/mailFolders?$expand=childFolders")


def test_same_name_is_a_conflict(scene: GraphScene) -> None:
    """A second folder of one name is refused with 409, also by renaming and by moving."""
    made(scene, "Orders")
    other, inner = made(scene, "Other"), made(scene, "orders", "inbox")

    assert (409, "ErrorFolderExists") == refused(scene, "POST", f"{ANN}/mailFolders", {"displayName": "orders"})
    assert 409 == refused(scene, "PATCH", f"{ANN}/mailFolders/{other}", {"displayName": "Orders"})[0]
    assert 409 == refused(scene, "POST", f"{ANN}/mailFolders/{inner}/move", {"destinationId": "msgfolderroot"})[0]


def test_rename_and_move_keep_the_id(scene: GraphScene) -> None:
    """A folder keeps its id and its mail under another name and another parent; SDKs write capital parameters."""
    folder = made(scene, "Orders")
    scene.arrive(ADDRESS, folder=folder)
    renamed = scene.call("PATCH", f"{ANN}/mailFolders/{folder}", json={"displayName": "Old orders"})
    moved = scene.post(f"{ANN}/mailFolders/{folder}/move", {"DestinationId": "archive"})

    assert [(200, folder, "Old orders")] * 2 == [
        (answer.status_code, answer.json()["id"], answer.json()["displayName"]) for answer in (renamed, moved)
    ]
    assert ["Old orders"] == names(scene, f"{ANN}/mailFolders/archive/childFolders")
    assert 1 == scene.get(f"{ANN}/mailFolders/{folder}")["totalItemCount"]


def test_copy_has_copies(scene: GraphScene) -> None:
    """A copy of a folder has new ids, copies of its mail, and copies of the folders in it."""
    folder = made(scene, "Orders")
    made(scene, "2025", folder)
    message = scene.arrive(ADDRESS, folder=folder)
    copy = scene.post(f"{ANN}/mailFolders/{folder}/copy", {"destinationId": "archive"})
    (copied,) = scene.get(f"{ANN}/mailFolders/{copy.json()['id']}/messages")["value"]

    assert 200 == copy.status_code
    assert folder != copy.json()["id"]
    assert message != copied["id"]
    assert ["2025"] == names(scene, f"{ANN}/mailFolders/{copy.json()['id']}/childFolders")
    assert [1, 1] == [scene.get(f"{ANN}/mailFolders/{key}")["totalItemCount"] for key in (folder, copy.json()["id"])]


def test_delete_goes_to_deleted_items_and_then_for_good(scene: GraphScene) -> None:
    """A deleted folder lies in Deleted Items with its mail; deleted there, both are gone."""
    folder = made(scene, "Orders")
    made(scene, "2025", folder)
    message = scene.arrive(ADDRESS, folder=folder)
    first = scene.call("DELETE", f"{ANN}/mailFolders/{folder}").status_code
    inside = names(scene, f"{ANN}/mailFolders/deleteditems/childFolders")
    second = scene.call("DELETE", f"{ANN}/mailFolders/{folder}").status_code

    assert (204, ["Orders"], 204) == (first, inside, second)
    assert (404, "ErrorItemNotFound") == refused(scene, "GET", f"{ANN}/mailFolders/{folder}")
    assert 404 == refused(scene, "GET", f"{ANN}/messages/{message}")[0]
    assert not [item.name for item in mailbox(scene).folders.values() if not item.well_known]


def test_folders_that_every_mailbox_has(scene: GraphScene) -> None:
    """The inbox can be neither deleted nor renamed, and no folder goes into itself."""
    folder = made(scene, "Orders")
    inner = made(scene, "2025", folder)

    assert (400, "ErrorDeleteDistinguishedFolder") == refused(scene, "DELETE", f"{ANN}/mailFolders/inbox")
    assert 400 == refused(scene, "PATCH", f"{ANN}/mailFolders/inbox", {"displayName": "Mine"})[0]
    for verb in ("move", "copy"):
        path = f"{ANN}/mailFolders/{folder}/{verb}"
        assert (400, "ErrorMoveCopyFailed") == refused(scene, "POST", path, {"destinationId": inner})
