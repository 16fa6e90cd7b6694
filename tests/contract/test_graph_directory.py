"""What the directory adapter asks of Graph, and what it makes of the answers."""

import httpx
import pytest

from shared.adapters.graph_directory import HttpGraphDirectory
from shared.adapters.graph_http import GraphHttp
from shared.codes import Code
from shared.errors import GrantFault, ItemFault, MailboxFault
from shared.ports import Folder, GraphMailbox
from tests.localcloud.graph_cast import GraphScene

# Each request of the scene runs on an event loop of its own, which needs a socket pair.
pytestmark = pytest.mark.enable_socket

ANN = "ann@contoso.example"


@pytest.fixture
def scene() -> GraphScene:
    """Return a Graph with two people at Contoso."""
    return GraphScene()


@pytest.fixture
def directory(scene: GraphScene) -> HttpGraphDirectory:
    """Return the adapter over a client that reaches the simulated Graph without a network."""

    def forward(request: httpx.Request) -> httpx.Response:
        headers = {name: value for name, value in request.headers.items() if name != "authorization"}
        token = request.headers["authorization"].removeprefix("Bearer ")
        answer = scene.call(request.method, str(request.url), token=token, headers=headers)
        return httpx.Response(answer.status_code, headers=answer.headers, content=answer.content)

    return HttpGraphDirectory(GraphHttp(httpx.Client(transport=httpx.MockTransport(forward))))


def mailbox(scene: GraphScene, user: str = ANN, roles: set[str] | None = None) -> GraphMailbox:
    """Return Ann's mailbox as calls name it."""
    token = scene.token if roles is None else scene.issue(roles)
    return GraphMailbox("https://graph.microsoft.com", user, lambda _: token)


def test_a_person_is_found_by_address_and_by_id(scene: GraphScene, directory: HttpGraphDirectory) -> None:
    """Both name the same person, whose id is kept."""
    person = directory.person(mailbox(scene))

    assert (scene.ann.id, ANN, "Ann Adams") == (person.id, person.address, person.name)
    assert person == directory.person(mailbox(scene, scene.ann.id))


@pytest.mark.parametrize(
    "user", ["nobody@contoso.example", "cleo@fabrikam.example", "$strange@contoso.example", "#EXT#"]
)
def test_a_person_who_is_not_there_is_told(scene: GraphScene, directory: HttpGraphDirectory, user: str) -> None:
    """Unknown here, known elsewhere, or oddly named: no such mailbox."""
    with pytest.raises(MailboxFault) as refused:
        directory.person(mailbox(scene, user))

    assert Code.MAILBOX_NOT_FOUND is refused.value.code


def test_without_the_directory_role_the_grant_is_at_fault(scene: GraphScene, directory: HttpGraphDirectory) -> None:
    """User.Read.All is missing, which the tenant's administrator can change."""
    with pytest.raises(GrantFault) as refused:
        directory.person(mailbox(scene, roles={"Mail.ReadWrite"}))

    assert Code.ROLES_MISSING is refused.value.code


@pytest.mark.parametrize(
    ("search", "names"),
    [("", ["Ann Adams", "Bob Brown"]), ("bob", ["Bob Brown"]), ("ann@", ["Ann Adams"]), ("o'brien", []), ("zz", [])],
)
def test_people_are_found_by_how_name_or_address_begin(
    scene: GraphScene, directory: HttpGraphDirectory, search: str, names: list[str]
) -> None:
    """A quote in the search is text, not syntax."""
    assert names == sorted(person.name for person in directory.people(mailbox(scene, ""), search, 10))


def make_folder(scene: GraphScene, name: str, parent: str = "") -> str:
    """Make a folder in Ann's mailbox and return its id."""
    path = f"/users/{ANN}/mailFolders" + (f"/{parent}/childFolders" if parent else "")
    return str(scene.post(path, {"displayName": name}).json()["id"])


def test_a_folder_is_found_by_id_name_and_path(scene: GraphScene, directory: HttpGraphDirectory) -> None:
    """Well-known names are right in every language; a path begins at the top or with a well-known name."""
    inbox = directory.folder(mailbox(scene), "inbox")
    support = make_folder(scene, "Support", inbox.id)
    posteingang = make_folder(scene, "Posteingang")
    below = make_folder(scene, "Büro", posteingang)

    assert Folder(support, "Support") == directory.folder(mailbox(scene), "Inbox/support")
    assert Folder(below, "Büro") == directory.folder(mailbox(scene), "Posteingang/Büro")
    assert Folder(below, "Büro") == directory.folder(mailbox(scene), below)
    assert [support] == [folder.id for folder in directory.folders(mailbox(scene), inbox.id)]


@pytest.mark.parametrize("name", ["Nirgends", "Inbox/Nirgends", "/", "AAMkAGI2nothing=", "a/b/c/d"])
def test_a_folder_that_is_not_there_is_told(scene: GraphScene, directory: HttpGraphDirectory, name: str) -> None:
    """Whatever its form, a name without a folder is told as that."""
    with pytest.raises(ItemFault) as refused:
        directory.folder(mailbox(scene), name)

    assert Code.FOLDER_NOT_FOUND is refused.value.code


def test_every_page_of_folders_is_read(scene: GraphScene, directory: HttpGraphDirectory) -> None:
    """More folders than one page holds are all there."""
    for number in range(105):
        make_folder(scene, f"Folder {number:03d}")

    names = {folder.name for folder in directory.folders(mailbox(scene))}

    assert {f"Folder {number:03d}" for number in range(105)} <= names
