"""Drafts, their files, sending and looking, by Graph. Source: graph-docs `message-*.md`."""

import base64
import time
from collections.abc import Iterator, Mapping
from typing import Any

from shared.adapters.graph_http import CALL_SECONDS, GraphAnswer, GraphHttp
from shared.adapters.graph_uploads import put_chunks
from shared.adapters.graph_wire import (
    IMMUTABLE_IDS,
    has_id,
    link_of,
    listed,
    quoted,
    retry_after_seconds,
    unusable,
)
from shared.codes import Code
from shared.errors import ItemFault, Unreachable
from shared.ports import Attachment, Found, GraphMailbox

_PREFER = {"Prefer": IMMUTABLE_IDS}
_SEND = {**_PREFER, "Content-Length": "0"}
_FIELDS = {"$select": "id,isDraft,internetMessageId,parentFolderId"}
# Internet headers are named properties of this set. Its names are case-sensitive in a filter, and whether Exchange
# keeps a header's own case there is not documented.
MARKERS = tuple(
    f"String {{00020386-0000-0000-C000-000000000046}} Name {name}"
    for name in ("X-Mailgrant-Entry", "x-mailgrant-entry")
)
_FOLDERS = ("messages", "mailFolders/recoverableitemsdeletions/messages")
_PAGES = 5
_TOO_SMALL = "errorattachmentsizeshouldnotbelessthanminimumsize"


class GraphSender:
    """The `GraphSending` port on Graph."""

    def __init__(self, http: GraphHttp) -> None:
        self._http = http

    def create_draft(self, mailbox: GraphMailbox, mime: bytes) -> Found:
        """Make a draft from MIME, which Graph takes as base64 in a text/plain body."""
        headers = {**_PREFER, "Content-Type": "text/plain"}
        answer = self._http.request(mailbox, "POST", "messages", content=base64.b64encode(mime), headers=headers)
        made = answer.object()
        if not has_id(made):
            raise Unreachable("Graph made a draft but did not say which. It is tried again.", outcome_unknown=True)
        return Found(made["id"], made.get("isDraft") is True, _message_id(made))

    def attach(self, mailbox: GraphMailbox, draft_id: str, file: Attachment, content: bytes) -> None:
        """Add a file of less than 3 MB."""
        body = {
            "@odata.type": "#microsoft.graph.fileAttachment",
            "name": file.name,
            "contentType": file.content_type,
            "contentBytes": base64.b64encode(content).decode(),
            **_inline(file),
        }
        self._http.request(mailbox, "POST", f"messages/{quoted(draft_id)}/attachments", json=body, headers=_PREFER)

    def attach_large(
        self, mailbox: GraphMailbox, draft_id: str, file: Attachment, size: int, chunks: Iterator[bytes]
    ) -> None:
        """
        Add a file through an upload session, whose URL bears its own right and goes to no log.

        A file that Outlook holds too small for a session goes by one request: documented and measured limits differ.
        """
        try:
            url = self._session(mailbox, draft_id, file, size)
        except ItemFault as fault:
            if fault.microsoft.code.lower() != _TOO_SMALL:
                raise
            self.attach(mailbox, draft_id, file, b"".join(chunks))
            return
        put_chunks(self._http, url, size, chunks)

    def _session(self, mailbox: GraphMailbox, draft_id: str, file: Attachment, size: int) -> str:
        item = {"attachmentType": "file", "name": file.name, "size": size, "contentType": file.content_type}
        path = f"messages/{quoted(draft_id)}/attachments/createUploadSession"
        body = {"AttachmentItem": {**item, **_inline(file)}}
        session = self._http.request(mailbox, "POST", path, json=body, headers=_PREFER).json()
        url = session.get("uploadUrl") if isinstance(session, dict) else None
        if not isinstance(url, str):
            raise Unreachable("Graph opened no upload session. It is tried again.")
        return url

    def send(self, mailbox: GraphMailbox, draft_id: str) -> float | None:
        """Send a draft; only a 202 is a yes, and every other 2xx may be some box between that answered."""
        path = f"messages/{quoted(draft_id)}/send"
        return _accepted(self._http.request(mailbox, "POST", path, content=b"", headers=_SEND))

    def send_mail(self, mailbox: GraphMailbox, mime: bytes) -> float | None:
        """Send MIME by ``sendMail``, which always keeps a copy of it. Source: graph-docs `user-sendmail.md`."""
        headers = {"Content-Type": "text/plain"}
        return _accepted(
            self._http.request(mailbox, "POST", "sendMail", content=base64.b64encode(mime), headers=headers)
        )

    def get(self, mailbox: GraphMailbox, message_id: str) -> Found | None:
        """Return the message by immutable id, or None."""
        try:
            answer = self._http.request(
                mailbox, "GET", f"messages/{quoted(message_id)}", headers=_PREFER, params=_FIELDS
            )
        except ItemFault as fault:
            if fault.code == Code.MESSAGE_NOT_FOUND:
                return None
            raise
        return _found(answer.object())

    def find_marked(self, mailbox: GraphMailbox, entry_id: str, internet_message_id: str) -> list[Found]:
        """Search by marker, then Message-ID, first the mailbox and then its recoverable items, 30 seconds in all."""
        ends = time.monotonic() + CALL_SECONDS
        filters = [_by_marker(marker, entry_id) for marker in MARKERS]
        if internet_message_id:
            filters.append(f"internetMessageId eq {_literal(internet_message_id)}")
        found: list[Found] = []
        for folder in _FOLDERS:
            for wanted in filters:
                found += self._search(mailbox, folder, wanted, ends)
                if any(not message.is_draft for message in found):
                    return found
        return found

    def delete_draft(self, mailbox: GraphMailbox, draft_id: str) -> None:
        """Remove a draft; no error where it is gone."""
        try:
            self._http.request(mailbox, "DELETE", f"messages/{quoted(draft_id)}", headers=_PREFER)
        except ItemFault as fault:
            if fault.code != Code.MESSAGE_NOT_FOUND:
                raise

    def _search(self, mailbox: GraphMailbox, folder: str, wanted: str, ends: float) -> list[Found]:
        found: list[Found] = []
        path, params = folder, {**_FIELDS, "$filter": wanted, "$top": "50"}
        for _ in range(_PAGES):
            left = ends - time.monotonic()
            if left <= 0:
                raise Unreachable("Looking for the mail took too long. It is looked for again.")
            try:
                answer = self._http.request(mailbox, "GET", path, headers=_PREFER, params=params or None, deadline=left)
            except ItemFault:
                return found  # a mailbox without this folder, or that cannot search by this key
            page = answer.object()
            found += [_found(item) for item in listed(page)]
            link = link_of(page, "@odata.nextLink")
            if not link:
                return found
            path, params = link, {}
        return found


def _accepted(answer: GraphAnswer) -> float | None:
    """Return for how long Graph asks to be left alone; raises `Unreachable` for anything that is not a 202."""
    if answer.status != 202:
        detail = f"Graph answered {answer.status} to a send, which means neither yes nor no."
        raise Unreachable(detail, outcome_unknown=True)
    return retry_after_seconds(answer.headers)


def _found(item: Mapping[str, Any]) -> Found:
    """Return the message of a JSON *item*; raises `Unreachable` where it does not say whether it is a draft."""
    if not has_id(item) or not isinstance(item.get("isDraft"), bool):
        raise unusable("a message that may be a draft or not")
    return Found(item["id"], item["isDraft"], _message_id(item))


def _message_id(item: Mapping[str, Any]) -> str:
    return str(item.get("internetMessageId") or "")[:1000]


def _inline(file: Attachment) -> dict[str, Any]:
    content_id = {"contentId": file.content_id} if file.content_id else {}
    return {"isInline": file.inline, **content_id}


def _by_marker(name: str, value: str) -> str:
    return f"singleValueExtendedProperties/Any(ep: ep/id eq {_literal(name)} and ep/value eq {_literal(value)})"


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
