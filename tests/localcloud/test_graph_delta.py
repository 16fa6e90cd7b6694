"""What does a delta query answer: rounds, pages, removals, forgotten links, and what Graph was seen getting wrong."""

from typing import Any

import pytest

from tests.localcloud.graph_cast import IMMUTABLE, START, GraphScene

ADDRESS = "ann@contoso.example"
ANN = f"/users/{ADDRESS}"
DELTA = f"{ANN}/mailFolders/inbox/messages/delta?$select=subject,isRead"


def follow(scene: GraphScene, link: str, size: int = 50) -> tuple[list[dict[str, Any]], str, int]:
    """Walk one round and return its entries, the deltaLink and the number of pages."""
    entries, pages = [], 0
    headers = {"Prefer": f'IdType="ImmutableId", odata.maxpagesize={size}'}
    while True:
        page = scene.get(link, headers=headers)
        pages += 1
        entries += page["value"]
        assert ("@odata.nextLink" in page) != ("@odata.deltaLink" in page)
        if "@odata.deltaLink" in page:
            return entries, page["@odata.deltaLink"], pages
        link = page["@odata.nextLink"]


def subjects(entries: list[dict[str, Any]]) -> list[str]:
    """Return the subjects of the entries that are no removals."""
    return [entry["subject"] for entry in entries if "@removed" not in entry]


def test_first_round_walks_everything() -> None:
    """The first round shows what is in the folder, page by page, and the next one nothing."""
    scene = GraphScene()
    for number in range(5):
        scene.arrive(ADDRESS, f"Mail {number}")
    entries, link, pages = follow(scene, DELTA, size=2)

    assert {f"Mail {number}" for number in range(5)} == set(subjects(entries))
    assert 3 == pages
    assert ([], 1) == follow(scene, link)[::2]


def test_options_travel_in_the_links() -> None:
    """A link keeps the $select of the first request, while ids follow each request's own preference."""
    scene = GraphScene()
    _, link, _ = follow(scene, DELTA)
    immutable = scene.arrive(ADDRESS, "New")
    (mutable_entry,) = scene.get(link)["value"]
    (entry,) = scene.get(link, headers=IMMUTABLE)["value"]

    assert {"@odata.type", "@odata.etag", "id", "subject", "isRead"} == set(entry)
    assert immutable == entry["id"] != mutable_entry["id"]


def test_arrivals_changes_and_removals() -> None:
    """A later round has what arrived, what changed and what left, moved or deleted alike."""
    scene = GraphScene()
    ids = {name: scene.arrive(ADDRESS, name) for name in ("kept", "read", "moved", "deleted")}
    _, link, _ = follow(scene, DELTA)
    scene.call("PATCH", f"{ANN}/messages/{ids['read']}", json={"isRead": True})
    scene.post(f"{ANN}/messages/{ids['moved']}/move", {"destinationId": "archive"})
    scene.call("DELETE", f"{ANN}/messages/{ids['deleted']}")
    ids["new"] = scene.arrive(ADDRESS, "new")
    entries, _, _ = follow(scene, link)
    removed = {entry["id"]: entry["@removed"] for entry in entries if "@removed" in entry}

    assert {"read", "new"} == set(subjects(entries))
    assert {ids["moved"]: {"reason": "deleted"}, ids["deleted"]: {"reason": "deleted"}} == removed


@pytest.mark.parametrize(("kind", "expected"), [("created", ["new"]), ("updated", ["read"]), ("deleted", [])])
def test_change_types(kind: str, expected: list[str]) -> None:
    """With changeType, the first round still shows all, later ones only that kind."""
    scene = GraphScene()
    read, gone = scene.arrive(ADDRESS, "read"), scene.arrive(ADDRESS, "gone")
    first, link, _ = follow(scene, f"{DELTA}&changeType={kind}")
    scene.call("PATCH", f"{ANN}/messages/{read}", json={"isRead": True})
    scene.call("DELETE", f"{ANN}/messages/{gone}")
    scene.arrive(ADDRESS, "new")
    entries, _, _ = follow(scene, link)

    assert {"read", "gone"} == set(subjects(first))
    assert expected == subjects(entries)
    assert (kind == "deleted") == any("@removed" in entry for entry in entries)


def test_what_comes_and_goes_between_rounds_is_never_seen() -> None:
    """A message that arrived and left between two rounds is not mentioned."""
    scene = GraphScene()
    _, link, _ = follow(scene, DELTA)
    scene.call("DELETE", f"{ANN}/messages/{scene.arrive(ADDRESS)}")

    assert [] == follow(scene, link)[0]


def test_arrival_in_the_middle_of_a_round() -> None:
    """A message that arrives while a round is walked appears in the next one."""
    scene = GraphScene()
    for number in range(3):
        scene.arrive(ADDRESS, f"Mail {number}")
    page = scene.get(DELTA, headers={"Prefer": "odata.maxpagesize=2"})
    scene.arrive(ADDRESS, "late")
    rest, link, _ = follow(scene, page["@odata.nextLink"])

    assert 1 == len(rest)
    assert ["late"] == subjects(follow(scene, link)[0])


def test_only_the_newest_generations_are_kept() -> None:
    """A link is forgotten once three newer ones of its chain were given out; a fresh walk works."""
    scene = GraphScene()
    _, link, _ = follow(scene, DELTA)
    for _ in range(2):
        follow(scene, link)
    assert 200 == scene.call("GET", link).status_code
    answer = scene.call("GET", link)

    assert (410, "SyncStateNotFound") == (answer.status_code, answer.json()["error"]["code"])
    assert answer.json()["error"]["message"].startswith(
        "The sync state generation is not found; generation=1;[highest=4]"
    )
    assert [] == follow(scene, DELTA)[0]


def test_number_of_generations_is_a_mode() -> None:
    """With no generation kept every link is dead at once."""
    scene = GraphScene()
    scene.world.modes[f"delta_generations:{ADDRESS}"] = 0
    link = scene.get(DELTA)["@odata.deltaLink"]

    assert 410 == scene.call("GET", link).status_code


def test_broken_token() -> None:
    """A token that was never given out is a bad request, and one of another folder is not found."""
    scene = GraphScene()
    link = scene.get(DELTA)["@odata.deltaLink"]
    other = scene.get(f"{ANN}/mailFolders/archive")["id"]
    made_up = link.partition("?")[0] + "?$deltatoken=latest"

    assert 400 == scene.call("GET", made_up).status_code
    assert 410 == scene.call("GET", f"{ANN}/mailFolders/{other}/messages/delta?{link.partition('?')[2]}").status_code


def test_filter_is_bounded_and_then_silent() -> None:
    """A filtered delta shows only what is new enough, and nothing more once its cap is reached."""
    scene = GraphScene()
    scene.world.modes["delta_filter_cap"] = 3
    for number in range(3):
        scene.now = START + number * 3600
        scene.arrive(ADDRESS, f"Mail {number}")
    first, link, _ = follow(scene, f"{DELTA}&$filter=receivedDateTime ge 2025-10-09T09:53:20Z")
    scene.now += 3600
    for number in range(3, 6):
        scene.arrive(ADDRESS, f"Mail {number}")

    assert {"Mail 1", "Mail 2"} == set(subjects(first))
    assert 1 == len(follow(scene, link)[0])


@pytest.mark.parametrize(
    "option",
    [
        "$filter=isRead eq false",
        "$orderby=subject",
        "$search=x",
        "changeType=moved",
        "$filter=receivedDateTime lt 2025-01-01T00:00:00Z",
    ],
)
def test_unsupported_options(option: str) -> None:
    """Delta takes only the filter, order and change types that Graph documents."""
    assert 400 == GraphScene().call("GET", f"{DELTA}&{option}").status_code


def test_size_expansion() -> None:
    """The message size can be expanded in a delta."""
    scene = GraphScene()
    scene.arrive(ADDRESS)
    entries, _, _ = follow(scene, f"{DELTA}&$expand=singleValueExtendedProperties($filter=id eq 'Long 0x0E08')")

    assert ["Long 0xe08"] == [item["id"] for item in entries[0]["singleValueExtendedProperties"]]


def test_quirks() -> None:
    """Empty pages, repeated entries and removals in a first round can each be switched on."""
    scene = GraphScene()
    scene.post(f"{ANN}/messages/{scene.arrive(ADDRESS, 'gone')}/move", {"destinationId": "archive"})
    scene.arrive(ADDRESS, "here")
    scene.world.modes |= {"delta_empty_pages": 2, "delta_duplicates": True, "delta_removed_first": True}
    entries, _, pages = follow(scene, DELTA, size=10)

    assert 3 == pages
    assert ["here", "here"] == subjects(entries)
    assert 1 == sum("@removed" in entry for entry in entries)


@pytest.mark.parametrize(("loses", "expected"), [(False, ["back"]), (True, [])])
def test_moved_out_and_back(loses: bool, expected: list[str]) -> None:
    """A message moved out and back is shown again, or with the known defect reported as removed for good."""
    scene = GraphScene()
    message = scene.arrive(ADDRESS, "back")
    _, link, _ = follow(scene, DELTA)
    scene.world.modes["delta_loses_moved_back"] = loses
    for folder in ("archive", "inbox"):
        scene.post(f"{ANN}/messages/{message}/move", {"destinationId": folder})
    entries, _, _ = follow(scene, link)

    assert expected == subjects(entries)
    assert loses == any("@removed" in entry for entry in entries)


def test_idle_link_does_not_read_the_folder() -> None:
    """An idle round costs the same however many messages the folder holds."""
    scene = GraphScene()
    for number in range(300):
        scene.arrive(ADDRESS, f"Mail {number}")
    _, link, _ = follow(scene, DELTA, size=1000)
    mailbox = scene.mailboxes.find(ADDRESS)
    assert mailbox is not None
    mailbox.folder("inbox").messages = {}  # would show as an error if the round looked at the messages

    assert [] == follow(scene, link)[0]
