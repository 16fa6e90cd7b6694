"""Delta pages, MIME and marks of one mailbox: the `GraphReading` port on Graph."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote, urlencode

from shared.adapters.graph_http import CALL_SECONDS, GraphHttp
from shared.adapters.graph_wire import (
    IMMUTABLE_IDS,
    SubAnswer,
    SubRequest,
    link_of,
    listed,
    properties_of,
    quoted,
    unusable,
)
from shared.codes import Code
from shared.errors import Fault, ItemFault
from shared.ports import DeltaPage, GraphMailbox, Listed, Placed, Window

# PR_MESSAGE_SIZE; the message resource has no size of its own (MS-OXPROPS 2.807).
_SIZE = "Long 0x0E08"
_SIZE_NAMES = ("long 0x0e08", "long 0xe08")
# PR_MESSAGE_CLASS; tells chats that Teams and Skype leave in mailboxes from mail (MS-OXPROPS 2.781).
_CLASS = "String 0x001A"
_CLASS_NAMES = ("string 0x001a", "string 0x1a")
_LIGHT = "id,receivedDateTime,isDraft"
_SELECT = f"{_LIGHT},subject,from,internetMessageId"
_EXPAND = f"singleValueExtendedProperties($filter=id eq '{_SIZE}' or id eq '{_CLASS}')"
_IMMUTABLE = {"Prefer": IMMUTABLE_IDS}


class HttpGraphReading:
    """Reads mail through *graph*."""

    def __init__(self, graph: GraphHttp) -> None:
        self._graph = graph

    def first_page(self, mailbox: GraphMailbox, folder_id: str, page_size: int, *, light: bool = False) -> DeltaPage:
        """
        Start a delta walk of one folder; options of the first request are part of every later link.

        Where this mailbox's server refuses the properties that are expanded, the walk does without them.
        """
        path = f"mailFolders/{quoted(folder_id)}/messages/delta"
        if light:
            return self._page(mailbox, path, page_size, {"changeType": "created", "$select": _LIGHT})
        params = {"changeType": "created", "$select": _SELECT, "$expand": _EXPAND}
        try:
            return self._page(mailbox, path, page_size, params)
        except ItemFault as fault:
            if fault.code == Code.FOLDER_NOT_FOUND:
                raise
            return self._page(mailbox, path, page_size, {name: params[name] for name in ("changeType", "$select")})

    def next_page(self, mailbox: GraphMailbox, link: str, page_size: int) -> DeltaPage:
        """Follow a link of the mailbox's own Graph root; raises `OutOfSync` where Graph forgot it."""
        return self._page(mailbox, link, page_size, None)

    def list_page(self, mailbox: GraphMailbox, window: Window, page_size: int, *, light: bool = False) -> DeltaPage:
        """
        List mail by the time it was received, oldest first.

        Properties in ``$orderby`` must be in ``$filter`` too (graph-docs `user-list-messages.md`).
        """
        filters = [f"receivedDateTime ge {window.since}"]
        filters += [f"receivedDateTime le {window.until}"] if window.until else []
        params = {"$filter": " and ".join(filters), "$orderby": "receivedDateTime", "$top": str(page_size)}
        params |= {"$select": _LIGHT} if light else {"$select": _SELECT, "$expand": _EXPAND}
        params |= {"$skip": str(window.skip)} if window.skip else {}
        return self._page(mailbox, f"mailFolders/{quoted(window.folder_id)}/messages", page_size, params)

    def details(self, mailbox: GraphMailbox, ids: Sequence[str]) -> dict[str, Listed | Fault]:
        """Return at most 20 messages as a full page lists them, by one ``$batch``."""
        query = urlencode({"$select": _SELECT, "$expand": _EXPAND}, safe="$,", quote_via=quote)
        requests = [
            SubRequest(str(number), "GET", f"messages/{quoted(identifier)}?{query}", _IMMUTABLE)
            for number, identifier in enumerate(ids)
        ]
        answers = self._graph.batch(mailbox, requests, deadline=CALL_SECONDS)
        return {identifier: _detail(identifier, answer) for identifier, answer in zip(ids, answers, strict=True)}

    def contents(self, mailbox: GraphMailbox, ids: Sequence[str]) -> dict[str, bytes | Fault]:
        """Return the MIME of at most 20 messages by one ``$batch``."""
        requests = [
            SubRequest(str(number), "GET", f"messages/{quoted(identifier)}/$value", _IMMUTABLE)
            for number, identifier in enumerate(ids)
        ]
        answers = self._graph.batch(mailbox, requests, deadline=CALL_SECONDS)
        return {identifier: answer.fault or answer.mime() for identifier, answer in zip(ids, answers, strict=True)}

    def content_stream(self, mailbox: GraphMailbox, message_id: str) -> Iterator[bytes]:
        """Yield the MIME of one message in chunks of at most 256 KiB."""
        return self._graph.stream(mailbox, f"messages/{quoted(message_id)}/$value", headers=_IMMUTABLE)

    def apply(
        self, mailbox: GraphMailbox, action: str, ids: Sequence[str], folder_id: str = ""
    ) -> dict[str, Fault | None]:
        """Mark read (``read``) or move (``move`` to *folder_id*) at most 20 messages by one ``$batch``."""
        requests = [_change(str(number), action, identifier, folder_id) for number, identifier in enumerate(ids)]
        answers = self._graph.batch(mailbox, requests, deadline=CALL_SECONDS)
        return {identifier: answer.fault for identifier, answer in zip(ids, answers, strict=True)}

    def placed(self, mailbox: GraphMailbox, ids: Sequence[str]) -> dict[str, Placed | Fault]:
        """Return where at most 20 messages lie and whether they are read, by one ``$batch``."""
        requests = [
            SubRequest(str(n), "GET", f"messages/{quoted(identifier)}?$select=parentFolderId,isRead", _IMMUTABLE)
            for n, identifier in enumerate(ids)
        ]
        answers = self._graph.batch(mailbox, requests, deadline=CALL_SECONDS)
        return {identifier: answer.fault or _placed(answer) for identifier, answer in zip(ids, answers, strict=True)}

    def _page(self, mailbox: GraphMailbox, path: str, page_size: int, params: Mapping[str, str] | None) -> DeltaPage:
        headers = {"Prefer": f"{IMMUTABLE_IDS}, odata.maxpagesize={page_size}"}
        body = self._graph.request(mailbox, "GET", path, headers=headers, params=params).object()
        messages = [_listed(item) for item in listed(body)]
        next_link, delta_link = link_of(body, "@odata.nextLink"), link_of(body, "@odata.deltaLink")
        return DeltaPage(messages, next_link, "" if next_link else delta_link)


def _listed(item: Mapping[str, Any]) -> Listed:
    return Listed(
        id=str(item["id"]),
        removed="@removed" in item,
        received_at=str(item.get("receivedDateTime") or "")[:40],
        subject=str(item.get("subject") or ""),
        sender=_sender(item),
        internet_message_id=str(item.get("internetMessageId") or ""),
        is_draft=item.get("isDraft") is True,
        size=_size(item),
        item_class=_extended(item, _CLASS_NAMES),
    )


def _detail(identifier: str, answer: SubAnswer) -> Listed | Fault:
    if answer.fault is not None:
        return answer.fault
    if not isinstance(answer.body, dict):
        return unusable("a message without properties")
    return _listed({**answer.body, "id": identifier})


def _sender(item: Mapping[str, Any]) -> str:
    outer = item.get("from")
    inner = outer.get("emailAddress") if isinstance(outer, dict) else None
    return str(inner.get("address") or "") if isinstance(inner, dict) else ""


def _size(item: Mapping[str, Any]) -> int | None:
    text = _extended(item, _SIZE_NAMES)
    size = int(text) if text.isascii() and text.isdigit() and len(text) < 16 else None
    return size if size is not None and size < 2**31 else None  # a Long has 32 bits


def _extended(item: Mapping[str, Any], names: tuple[str, ...]) -> str:
    # Exchange echoes the tag without its leading zero ("Long 0xe08").
    return next((value for name, value in properties_of(item) if name in names), "")


def _change(number: str, action: str, identifier: str, folder_id: str) -> SubRequest:
    path = f"messages/{quoted(identifier)}"
    if action == "read":
        return SubRequest(number, "PATCH", path, _IMMUTABLE, {"isRead": True})
    return SubRequest(number, "POST", f"{path}/move", _IMMUTABLE, {"destinationId": folder_id})


def _placed(answer: SubAnswer) -> Placed | Fault:
    folder = answer.body.get("parentFolderId") if isinstance(answer.body, dict) else None
    if not isinstance(folder, str) or not folder:
        return unusable("a message without a folder")
    return Placed(folder, answer.body.get("isRead") is True)
