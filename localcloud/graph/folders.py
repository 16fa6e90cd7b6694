"""Which folders does a mailbox have, and what can be done with one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from localcloud.graph.filters import Node, matches, paths
from localcloud.graph.odata import order, page_size, parsed_filter, skip_count
from localcloud.graph.rendering import folder_json
from localcloud.graph.wire import GRAPH_ROOT, Reply, context
from localcloud.mail.errors import bad_request

if TYPE_CHECKING:
    from localcloud.graph.calls import Call
    from localcloud.mail.fields import Json
    from localcloud.mail.store import Folder

_PROPERTIES = (
    "id",
    "displayName",
    "parentFolderId",
    "childFolderCount",
    "unreadItemCount",
    "totalItemCount",
    "isHidden",
)


def list_folders(call: Call) -> Reply:
    """Answer ``mailFolders`` and ``childFolders``."""
    parent = call.folder() if "folder" in call.variables else call.mailbox.root
    hidden = call.request.query.get("includeHiddenFolders", "").casefold() == "true"
    found = [folder for folder in call.mailbox.children(parent) if folder.well_known != "purges"]
    found = _chosen(call, [folder for folder in found if hidden or not folder.hidden])
    start, size = skip_count(call.request), page_size(call.request)
    shown = [_selected(call, folder) for folder in found[start : start + size]]
    data: Json = {"@odata.context": context(f"users('{call.mailbox.user.id}')/mailFolders"), "value": shown}
    if start + size < len(found):
        query = urlencode(call.request.query | {"$skip": str(start + size)}, quote_via=quote, safe="$")
        data["@odata.nextLink"] = f"{GRAPH_ROOT}{call.request.path}?{query}"
    return Reply(200, data, items=len(shown))


def _chosen(call: Call, found: list[Folder]) -> list[Folder]:
    """Return those for which ``$filter`` holds, in the wanted order, else by name."""
    refused = next((name for name in ("$expand", "$search") if name in call.request.query), None)
    if refused is not None:
        raise bad_request(f"The query option {refused} is not served for mailFolders here.", "ErrorInvalidUrlQuery")
    condition, ordering = parsed_filter(call.request), order(call.request)
    for path in [*(paths(condition) if condition else ()), *(path for path, _ in ordering)]:
        _check_property(path)
    shown = {folder.id: folder_json(call.mailbox, folder) for folder in found}
    if condition is not None:
        found = [folder for folder in found if _holds(condition, shown[folder.id])]
    for path, descending in reversed([*ordering, ("displayName", False)]):
        found = sorted(found, key=lambda folder: _sortable(shown[folder.id][path]), reverse=descending)
    return found


def _holds(condition: Node, shown: Json) -> bool:
    return matches(condition, lambda path: shown[path])


def _sortable(value: Any) -> Any:
    return value.casefold() if isinstance(value, str) else value


def _check_property(name: str) -> None:
    if name not in _PROPERTIES:
        raise bad_request(f"Could not find a property named '{name}' on type 'microsoft.graph.mailFolder'.")


def get_folder(call: Call) -> Reply:
    """Answer ``GET mailFolders/{id or well-known name}``."""
    return _single(call, call.folder(), 200)


def create_folder(call: Call) -> Reply:
    """Answer ``POST mailFolders`` and ``POST childFolders``."""
    body = call.request.json_object()
    name, hidden = body.get("displayName"), body.get("isHidden", False)
    if (
        not isinstance(name, str)
        or not name.strip()
        or not isinstance(hidden, bool)
        or set(body) - {"displayName", "isHidden", "@odata.type"}
    ):
        raise bad_request("The request body must have a displayName.", "ErrorInvalidRequest")
    parent = call.folder() if "folder" in call.variables else call.mailbox.root
    return _single(call, call.mailbox.create_folder(name, parent, hidden=hidden), 201)


def patch_folder(call: Call) -> Reply:
    """Answer ``PATCH mailFolders/{id}``: a new name, which leaves the id as it is."""
    folder, body = call.folder(), call.request.json_object()
    name = body.get("displayName")
    if not isinstance(name, str) or not name.strip() or set(body) - {"displayName", "@odata.type"}:
        raise bad_request("The request body must have a displayName, and nothing else.", "ErrorInvalidRequest")
    call.mailbox.place_folder(folder, folder.parent or call.mailbox.root, name)
    return _single(call, folder, 200)


def move_folder(call: Call) -> Reply:
    """Answer ``POST mailFolders/{id}/move``: 200 with the folder."""
    folder = call.folder()
    call.mailbox.place_folder(folder, call.destination(), folder.name)
    return _single(call, folder, 200)


def copy_folder(call: Call) -> Reply:
    """Answer ``POST mailFolders/{id}/copy``: 200 with the new folder, whose messages are copies."""
    return _single(call, call.mailbox.copy_folder(call.folder(), call.destination()), 200)


def delete_folder(call: Call) -> Reply:
    """Answer ``DELETE mailFolders/{id}``: into Deleted Items, from there for good, with all that is in it."""
    call.mailbox.delete_folder(call.folder())
    return Reply(204)


def _single(call: Call, folder: Folder, status: int) -> Reply:
    head = {"@odata.context": context(f"users('{call.mailbox.user.id}')/mailFolders/$entity")}
    return Reply(status, head | _selected(call, folder))


def _selected(call: Call, folder: Folder) -> Json:
    whole = folder_json(call.mailbox, folder)
    wanted = call.request.query.get("$select")
    if not wanted:
        return whole
    names = [name.strip() for name in wanted.split(",")]
    for name in names:
        _check_property(name)
    return {name: whole[name] for name in ("id", *names)}
