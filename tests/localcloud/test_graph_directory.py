"""What do people and folders look like to Graph's clients."""

from tests.localcloud.graph_cast import GraphScene

ANN = "/users/ann@contoso.example"
DEFAULT_USER = {
    "@odata.context", "businessPhones", "displayName", "givenName", "id", "jobTitle", "mail", "mobilePhone",
    "officeLocation", "preferredLanguage", "surname", "userPrincipalName",
}  # fmt: skip


def test_user_by_id_and_by_address() -> None:
    """A person is found by object id and by address, with Graph's default properties."""
    scene = GraphScene()
    by_id, by_address = scene.get(f"/users/{scene.ann.id}"), scene.get("/users/ANN@contoso.example")

    assert by_id == by_address
    assert DEFAULT_USER == set(by_id)
    assert ("Ann Adams", "ann@contoso.example") == (by_id["displayName"], by_id["mail"])


def test_users_in_pages() -> None:
    """A list is walked through its nextLink and shows each person once."""
    scene = GraphScene()
    first = scene.get("/users?$top=1&$select=mail")
    second = scene.get(first["@odata.nextLink"])

    assert [{"mail": "ann@contoso.example"}] == first["value"]
    assert [{"mail": "bob@contoso.example"}] == second["value"]
    assert "@odata.nextLink" not in second


def test_users_filter_and_search() -> None:
    """People are found by the beginning of a name or address."""
    scene = GraphScene()
    filtered = scene.get("/users?$filter=startswith(displayName,'bo') or startswith(mail,'nobody')&$select=mail")
    headers = {"ConsistencyLevel": "eventual"}
    searched = scene.get('/users?$search="displayName:brown" OR "mail:zz"&$select=mail', headers=headers)

    assert [{"mail": "bob@contoso.example"}] == filtered["value"]
    assert filtered["value"] == searched["value"]
    assert 400 == scene.call("GET", '/users?$search="displayName:brown"').status_code


def test_unknown_properties_are_refused() -> None:
    """A misspelt property in $select is an error, not silence."""
    scene = GraphScene()

    assert 400 == scene.call("GET", "/users?$select=nickname").status_code
    assert 400 == scene.call("GET", f"{ANN}/messages?$select=titel").status_code
    assert 400 == scene.call("GET", f"{ANN}/mailFolders?$select=colour").status_code


def test_folders_by_name_and_id() -> None:
    """A well-known name and the folder's id name the same folder, with its counts."""
    scene = GraphScene()
    scene.arrive("ann@contoso.example")
    folder = scene.get(f"{ANN}/mailFolders/inbox")

    assert folder["id"] == scene.get(f"{ANN}/mailFolders/{folder['id']}")["id"]
    assert ("Inbox", 1, 1) == (folder["displayName"], folder["totalItemCount"], folder["unreadItemCount"])
    assert 404 == scene.call("GET", f"{ANN}/mailFolders/AAMkAnother").status_code
    assert 400 == scene.call("GET", f"{ANN}/mailFolders/nosuchname").status_code


def test_folder_list_hides_recoverable_items() -> None:
    """The list has the folders that people see; hidden ones only when asked for, Purges never."""
    scene = GraphScene()
    names = {folder["displayName"] for folder in scene.get(f"{ANN}/mailFolders?$top=50")["value"]}
    hidden = {
        folder["displayName"] for folder in scene.get(f"{ANN}/mailFolders?includeHiddenFolders=true&$top=50")["value"]
    }

    assert {"Inbox", "Drafts", "Sent Items", "Deleted Items", "Junk Email", "Archive", "Outbox"} == names
    assert {"Deletions"} == hidden - names
    assert "Deletions" == scene.get(f"{ANN}/mailFolders/recoverableitemsdeletions")["displayName"]


def test_folder_creation() -> None:
    """A folder can be made at the top or inside another, once per name."""
    scene = GraphScene()
    top = scene.post(f"{ANN}/mailFolders", {"displayName": "Orders"})
    child = scene.post(f"{ANN}/mailFolders/{top.json()['id']}/childFolders", {"displayName": "2025"})
    again = scene.post(f"{ANN}/mailFolders", {"displayName": "orders"})

    assert (201, 201) == (top.status_code, child.status_code)
    assert "ErrorFolderExists" == again.json()["error"]["code"]
    children = scene.get(f"{ANN}/mailFolders/{top.json()['id']}/childFolders")["value"]
    assert ["2025"] == [folder["displayName"] for folder in children]
    assert 1 == scene.get(f"{ANN}/mailFolders/{top.json()['id']}")["childFolderCount"]
