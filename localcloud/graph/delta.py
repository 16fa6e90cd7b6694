"""
What has changed in a folder since a link was given out.

The modes ``delta_empty_pages``, ``delta_duplicates``, ``delta_removed_first`` and ``delta_loses_moved_back`` switch on
what Graph was seen doing, ``delta_generations`` and ``delta_filter_cap`` change its limits.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import replace
from typing import TYPE_CHECKING

from localcloud.graph.delta_states import KEPT_GENERATIONS, Chain, Entry, SyncState, new_chain_id
from localcloud.graph.filters import comparisons
from localcloud.graph.message_lists import chosen
from localcloud.graph.odata import message_view, order, page_size, parsed_filter
from localcloud.graph.rendering import message_json
from localcloud.graph.wire import GRAPH_ROOT, Reply, context
from localcloud.mail.errors import bad_request

if TYPE_CHECKING:
    from localcloud.graph.calls import Call
    from localcloud.mail.fields import Json
    from localcloud.mail.store import Change, Folder

_FILTERED_LIMIT = 5000
_CHANGE_TYPES = ("created", "updated", "deleted")
_KINDS = {"created": "created", "updated": "updated", "deleted": "removed"}


def delta(call: Call) -> Reply:
    """Answer ``mailFolders/{id}/messages/delta``, the first time or from a link."""
    folder, query = call.folder(), call.request.query
    token = query.get("$skiptoken") or query.get("$deltatoken")
    if token:
        chain, state = call.deltas.recall(token, call.mailbox, folder)
    else:
        chain = _first(call, folder)
        state = SyncState(call.mailbox.sequence, _walk(call, chain), first_round=True, empty_pages=_empty_pages(call))
        call.deltas.begin(chain)
    if state.entries is None:
        entries = _changes(call, chain, state.since)
        state = SyncState(call.mailbox.sequence, entries, empty_pages=_empty_pages(call) if entries else 0)
    return _page(call, chain, state)


def _first(call: Call, folder: Folder) -> Chain:
    request = call.request
    condition = parsed_filter(request)
    if condition is not None and any(
        item.path != "receivedDateTime" or item.operator not in ("ge", "gt") for item in comparisons(condition)
    ):
        raise bad_request("The filter is not supported for change tracking.", "ErrorInvalidUrlQueryFilter")
    if order(request) not in ([], [("receivedDateTime", True)]) or "$search" in request.query:
        raise bad_request("The query option is not supported for change tracking.", "ErrorInvalidUrlQuery")
    change_type = request.query.get("changeType", "")
    if change_type and change_type not in _CHANGE_TYPES:
        raise bad_request("Invalid value for changeType.", "ErrorInvalidUrlQuery")
    return Chain(
        new_chain_id(), call.mailbox, folder, message_view(request), change_type, page_size(request), condition
    )


def _empty_pages(call: Call) -> int:
    return int(call.mode("delta_empty_pages", 0))


def _walk(call: Call, chain: Chain) -> list[Entry]:
    """Return everything that is in the folder now, newest first."""
    found = chosen(call, chain.folder.messages.values(), chain.condition)
    found.sort(key=lambda message: message.received_at, reverse=True)
    entries = [Entry(message.immutable_id, message.mutable_id) for message in found]
    if call.mode("delta_removed_first"):
        gone = [change for change in chain.folder.log if change.kind == "removed"]
        entries = [Entry(change.immutable_id, change.mutable_id, removed=True) for change in gone[-1:]] + entries
    return entries


def _changes(call: Call, chain: Chain, since: int) -> list[Entry]:
    """Return one line per message that changed after *since*; nothing to do costs nothing."""
    log = chain.folder.log
    if not log or log[-1].sequence <= since:
        return []
    window: dict[str, list[Change]] = {}
    for change in log[bisect_right(log, since, key=lambda change: change.sequence) :]:
        window.setdefault(change.immutable_id, []).append(change)
    loses = bool(call.mode("delta_loses_moved_back"))
    found = []
    for immutable_id, changes in window.items():
        entry = _outcome(chain, immutable_id, changes, loses_moved_back=loses)
        if entry is not None:
            found.append(entry)
    return found


def _outcome(chain: Chain, immutable_id: str, changes: list[Change], *, loses_moved_back: bool) -> Entry | None:
    message = chain.folder.messages.get(immutable_id)
    kinds = {change.kind for change in changes}
    was_there = changes[0].kind != "created"
    gone = message is None or (loses_moved_back and was_there and "removed" in kinds)
    if gone and not was_there:
        return None
    kind = "removed" if gone else "created" if "created" in kinds else "updated"
    if chain.change_type and kind != _KINDS[chain.change_type]:
        return None
    if message is None or gone:
        return Entry(immutable_id, changes[0].mutable_id, removed=True)
    return Entry(immutable_id, message.mutable_id)


def _page(call: Call, chain: Chain, state: SyncState) -> Reply:
    request, entries = call.request, state.entries or []
    size = page_size(request, chain.size)
    end = state.position if state.empty_pages else min(state.position + size, len(entries))
    value = [item for entry in entries[state.position : end] for item in _shown(call, chain, entry)]
    value = _within_cap(call, chain, value)
    if value and call.mode("delta_duplicates"):
        value.append(value[-1])
    data: Json = {"@odata.context": context("Collection(message)")}
    if state.empty_pages or end < len(entries):
        following = replace(state, position=end, empty_pages=max(0, state.empty_pages - 1))
        data["@odata.nextLink"] = _link(call, chain, following, "$skiptoken")
    else:
        data["@odata.deltaLink"] = _link(call, chain, SyncState(state.since), "$deltatoken")
    data["value"] = value
    return Reply(200, data, items=len(value))


def _shown(call: Call, chain: Chain, entry: Entry) -> list[Json]:
    immutable = call.request.immutable_ids
    head: Json = {"@odata.type": "#microsoft.graph.message"}
    if entry.removed:
        shown_id = entry.immutable_id if immutable else entry.mutable_id
        return [head | {"id": shown_id, "@removed": {"reason": "deleted"}}]
    message = chain.folder.messages.get(entry.immutable_id)
    if message is None or not chosen(call, [message], chain.condition):
        return []  # gone while the round went on; the next round says so
    return [head | message_json(message, replace(chain.view, immutable_ids=immutable))]


def _within_cap(call: Call, chain: Chain, value: list[Json]) -> list[Json]:
    """A filtered delta shows at most 5,000 messages ever, and then is silent."""
    if chain.condition is None:
        return value
    room = max(0, int(call.mode("delta_filter_cap", _FILTERED_LIMIT)) - chain.returned)
    chain.returned += min(room, len(value))
    return value[:room]


def _link(call: Call, chain: Chain, state: SyncState, option: str) -> str:
    kept = int(call.mode("delta_generations", KEPT_GENERATIONS))
    token = call.deltas.remember(chain, state, kept)
    folder = f"{GRAPH_ROOT}/v1.0/users/{call.mailbox.user.id}/mailFolders('{chain.folder.id}')"
    return f"{folder}/messages/delta?{option}={token}"
