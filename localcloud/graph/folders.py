"""Which folders does a mailbox have."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode

from localcloud.graph.odata import page_size, skip_count
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
    found = sorted((folder for folder in found if hidden or not folder.hidden), key=lambda folder: folder.name)
    start, size = skip_count(call.request), page_size(call.request)
    shown = [_selected(call, folder) for folder in found[start : start + size]]
    data: Json = {"@odata.context": context(f"users('{call.mailbox.user.id}')/mailFolders"), "value": shown}
    if start + size < len(found):
        query = urlencode(call.request.query | {"$skip": str(start + size)}, quote_via=quote, safe="$")
        data["@odata.nextLink"] = f"{GRAPH_ROOT}{call.request.path}?{query}"
    return Reply(200, data, items=len(shown))


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


def _single(call: Call, folder: Folder, status: int) -> Reply:
    head = {"@odata.context": context(f"users('{call.mailbox.user.id}')/mailFolders/$entity")}
    return Reply(status, head | _selected(call, folder))


def _selected(call: Call, folder: Folder) -> Json:
    whole = folder_json(call.mailbox, folder)
    wanted = call.request.query.get("$select")
    if not wanted:
        return whole
    names = [name.strip() for name in wanted.split(",")]
    unknown = next((name for name in names if name not in _PROPERTIES), None)
    if unknown is not None:
        raise bad_request(f"Could not find a property named '{unknown}' on type 'microsoft.graph.mailFolder'.")
    return {name: whole[name] for name in ("id", *names)}
