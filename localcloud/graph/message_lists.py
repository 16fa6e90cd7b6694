"""Which messages does a list answer, and in what order."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from localcloud.graph.filters import AnyOf, Comparison, Logical, Node, compare, matches, paths
from localcloud.graph.odata import (
    MESSAGE_PROPERTIES,
    check_efficient,
    message_view,
    order,
    page_size,
    parsed_filter,
    property_id,
    skip_count,
)
from localcloud.graph.rendering import INTERNET_HEADERS, extended_value, message_json
from localcloud.graph.wire import GRAPH_ROOT, Reply, context
from localcloud.mail.errors import bad_request
from localcloud.mail.fields import timestamp

if TYPE_CHECKING:
    from collections.abc import Iterable

    from localcloud.graph.calls import Call
    from localcloud.mail.fields import Json
    from localcloud.mail.message import Message

EXTENDED_PROPERTIES = "singlevalueextendedproperties"
_TIMES = frozenset(("receivedDateTime", "sentDateTime", "createdDateTime", "lastModifiedDateTime"))


def list_messages(call: Call) -> Reply:
    """Answer the list of a folder, or of the whole mailbox without its hidden folders."""
    request = call.request
    if "$search" in request.query:
        raise bad_request("The query option $search is not served for messages here.", "ErrorInvalidUrlQuery")
    view, condition, ordering = message_view(request), parsed_filter(request), order(request)
    check_efficient(condition, ordering)
    if condition is not None:
        _check_paths(condition)
    source = call.folder().messages.values() if "folder" in call.variables else call.mailbox.visible_messages()
    found = _ordered(chosen(call, source, condition), ordering)
    start, size = skip_count(request), page_size(request)
    page = found[start : start + size]
    data: Json = {"@odata.context": context(f"users('{call.mailbox.user.id}')/messages")}
    if request.query.get("$count", "").casefold() == "true":
        data["@odata.count"] = len(found)
    data["value"] = [message_json(message, view) for message in page]
    if start + size < len(found):
        query = urlencode(request.query | {"$skip": str(start + size)}, quote_via=quote, safe="$")
        data["@odata.nextLink"] = f"{GRAPH_ROOT}{request.path}?{query}"
    return Reply(200, data, items=len(page))


def chosen(call: Call, source: Iterable[Message], condition: Node | None) -> list[Message]:
    """Return those of *source* for which *condition* holds."""
    if condition is None:
        return list(source)
    header_lost = bool(call.mode("marker_header_lost"))
    return [item for item in source if matches(condition, lambda path, item=item: _value(item, path, header_lost))]  # type: ignore[misc]


def _ordered(found: list[Message], ordering: list[tuple[str, bool]]) -> list[Message]:
    found.sort(key=lambda message: message.received_at, reverse=True)
    for path, descending in reversed(ordering):
        if path not in MESSAGE_PROPERTIES and path.partition("/")[0] not in MESSAGE_PROPERTIES:
            raise bad_request(f"Could not find a property named '{path}' on type 'microsoft.graph.message'.")
        if path == "receivedDateTime":
            found.sort(key=lambda message: message.received_at, reverse=descending)
        else:
            found.sort(key=lambda message: str(_property(message, path) or "").casefold(), reverse=descending)
    return found


def _check_paths(condition: Node) -> None:
    for path in paths(condition):
        if path.partition("/")[0] not in MESSAGE_PROPERTIES and path.casefold() != EXTENDED_PROPERTIES:
            raise bad_request(f"Could not find a property named '{path}' on type 'microsoft.graph.message'.")


def _value(message: Message, path: str, header_lost: bool) -> Any:
    if path.casefold() == EXTENDED_PROPERTIES:
        return lambda condition: _has_property(message, condition, header_lost)
    if path in _TIMES:
        text = timestamp(message.received_at) if path == "receivedDateTime" else message.fields()[path]
        return datetime.fromisoformat(text)
    if path in ("isRead", "isDraft"):
        return message.is_read if path == "isRead" else message.is_draft
    return message.internet_message_id() if path == "internetMessageId" else _property(message, path)


def _property(message: Message, path: str) -> Any:
    if path == "parentFolderId":
        return message.folder_id
    value: Any = message.fields()
    for step in path.split("/"):
        value = value.get(step) if isinstance(value, dict) else None
    return value


def _has_property(message: Message, condition: Node, header_lost: bool) -> bool:
    """Decide ``Any(ep: ep/id eq '…' and ep/value eq '…')``: names exactly, values without regard to case."""
    terms = condition.terms if isinstance(condition, Logical) and condition.operator == "and" else (condition,)
    plain = [term for term in terms if isinstance(term, Comparison)]
    named = [term for term in plain if term.path.casefold() == "id"]
    if len(named) != 1 or len(plain) != len(terms) or isinstance(condition, AnyOf):
        raise bad_request("PropertyId values may only be in one of the supported formats.", "ErrorInvalidProperty")
    name = property_id(named[0])
    if header_lost and name.startswith(INTERNET_HEADERS):
        return False
    value = extended_value(message, name)
    others = [term for term in plain if term is not named[0]]
    return value is not None and all(compare(term.operator, value, term.value) for term in others)
