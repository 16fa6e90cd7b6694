"""Sent Items, reports and old drafts by Graph. Source: graph-docs `user-list-messages.md`."""

import time
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

from shared.adapters.graph_http import CALL_SECONDS, GraphHttp
from shared.adapters.graph_sending import MARKERS, GraphSender
from shared.adapters.graph_wire import IMMUTABLE_IDS, link_of, listed, properties_of, quoted
from shared.errors import ItemFault, Unreachable
from shared.ports import REPORTS_LISTED, Found, GraphMailbox, Marked, Report
from shared.times import from_text, to_text

_PREFER = {"Prefer": IMMUTABLE_IDS}
_CLASS = "String 0x001A"
"""PR_MESSAGE_CLASS (MS-OXPROPS 2.781)."""
_NDR = "REPORT.IPM.Note.NDR"
"""The class of non-delivery reports (MS-OXCMAIL 2.1.3.2.12, "report.<original class>.NDR")."""
_DAEMONS = ("microsoftexchange", "postmaster", "mailer-daemon")
_BY_MARKER = "singleValueExtendedProperties($filter={})".format(" or ".join(f"id eq '{name}'" for name in MARKERS))
_PAGES = 4
_PAGE = "250"
REPORT_BYTES = 512 * 1024


class HttpGraphSent:
    """The `GraphSent` port on Graph."""

    def __init__(self, http: GraphHttp) -> None:
        self._http = http
        self._sender = GraphSender(http)

    def sent_copies(self, mailbox: GraphMailbox, since: str) -> list[Marked]:
        """List Sent Items from *since* on, the newest first."""
        return [_marked(item) for item in self._items(mailbox, "mailFolders/sentitems/messages", _since(since, "desc"))]

    def reports(self, mailbox: GraphMailbox, since: str) -> list[Report]:
        """
        List reports by their message class; where a mailbox cannot search by it, by who wrote to its inbox.

        Whether Exchange gives every report this class is not documented. Received mail that an incoming connection
        reads is recognised by what it holds instead.
        """
        params = _since(since, "asc")
        by_class = f"singleValueExtendedProperties/Any(ep: ep/id eq '{_CLASS}' and ep/value eq '{_NDR}')"
        searched = {**params, "$filter": f"{params['$filter']} and {by_class}", "$top": str(REPORTS_LISTED)}
        searched |= {"$select": "id,receivedDateTime"}
        searched.pop("$expand")
        try:
            page = self._page(mailbox, "messages", searched, CALL_SECONDS)
        except ItemFault:
            params |= {"$select": "id,receivedDateTime,from"}
            params.pop("$expand")
            found = self._items(mailbox, "mailFolders/inbox/messages", params)
            return [_report(item) for item in found if _from_daemon(item)][:REPORTS_LISTED]
        return [_report(item) for item in listed(page)]

    def report_content(self, mailbox: GraphMailbox, message_id: str) -> bytes:
        """Return the beginning of a report's MIME."""
        content = b""
        for chunk in self._http.stream(mailbox, f"messages/{quoted(message_id)}/$value", headers=_PREFER, deadline=30):
            content += chunk
            if len(content) >= REPORT_BYTES:
                break
        return content[:REPORT_BYTES]

    def old_drafts(self, mailbox: GraphMailbox, before: str) -> list[Marked]:
        """List marked drafts made before *before*."""
        params = {"$filter": f"createdDateTime lt {before}", "$top": _PAGE, "$expand": _BY_MARKER}
        params["$select"] = "id,isDraft,internetMessageId"
        found = [_marked(item) for item in self._items(mailbox, "mailFolders/drafts/messages", params)]
        return [draft for draft in found if draft.is_draft and draft.marker]

    def get(self, mailbox: GraphMailbox, message_id: str) -> Found | None:
        """Return the message by immutable id, or None."""
        return self._sender.get(mailbox, message_id)

    def remove(self, mailbox: GraphMailbox, message_id: str) -> None:
        """Remove a message; no error where it is gone."""
        self._sender.delete_draft(mailbox, message_id)

    def _items(self, mailbox: GraphMailbox, path: str, params: Mapping[str, str]) -> Iterator[Mapping[str, Any]]:
        """Yield the items of a few pages, within the time of one call."""
        ends = time.monotonic() + CALL_SECONDS
        wanted: Mapping[str, str] | None = params
        for _ in range(_PAGES):
            page = self._page(mailbox, path, wanted, ends - time.monotonic())
            yield from listed(page)
            link = link_of(page, "@odata.nextLink")
            if not link:
                return
            path, wanted = link, None

    def _page(
        self, mailbox: GraphMailbox, path: str, params: Mapping[str, str] | None, left: float
    ) -> Mapping[str, Any]:
        if left <= 0:
            raise Unreachable("Listing the mailbox took too long. It is listed again.")
        return self._http.request(mailbox, "GET", path, headers=_PREFER, params=params, deadline=left).object()


def _since(since: str, direction: str) -> dict[str, str]:
    """Return the query of a list by time; what is in ``$orderby`` must come first in ``$filter``."""
    return {
        "$filter": f"receivedDateTime ge {_whole_seconds(since)}",
        "$orderby": f"receivedDateTime {direction}",
        "$select": "id,isDraft,internetMessageId",
        "$expand": _BY_MARKER,
        "$top": _PAGE,
    }


def _whole_seconds(moment: str) -> str:
    """Return *moment* cut to seconds, since Graph shows no more."""
    at = from_text(moment)
    return to_text(at - timedelta(microseconds=at.microsecond))


def _marked(item: Mapping[str, Any]) -> Marked:
    marker = next((value for name, value in properties_of(item) if "mailgrant-entry" in name), "")
    return Marked(str(item["id"]), item.get("isDraft") is True, str(item.get("internetMessageId") or ""), marker)


def _report(item: Mapping[str, Any]) -> Report:
    return Report(str(item["id"]), str(item.get("receivedDateTime") or ""))


def _from_daemon(item: Mapping[str, Any]) -> bool:
    outer = item.get("from")
    inner = outer.get("emailAddress") if isinstance(outer, Mapping) else None
    address = str(inner.get("address") or "").lower() if isinstance(inner, Mapping) else ""
    return address.startswith(_DAEMONS)
