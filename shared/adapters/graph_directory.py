"""Who and which folders Graph knows: users for the picker, folders by id, well-known name or path."""

from collections.abc import Iterator, Mapping
from typing import Any

from shared.adapters.graph_http import GraphHttp
from shared.adapters.graph_wire import has_id, link_of, listed, quoted, unusable
from shared.codes import Code
from shared.errors import ItemFault, Unreachable
from shared.ports import Folder, GraphMailbox, MailCount, Person

PAGE_SIZE = 100
MAX_PAGES = 20
MAX_DEPTH = 20
EARLIEST = "1900-01-01T00:00:00Z"
_PERSON = "id,displayName,mail,userPrincipalName"

# Right in every language. Source: graph-docs `resources/mailfolder.md`.
WELL_KNOWN = frozenset(
    {
        "archive", "clutter", "conflicts", "conversationhistory", "deleteditems", "drafts", "inbox", "junkemail",
        "localfailures", "msgfolderroot", "outbox", "recoverableitemsdeletions", "scheduled", "searchfolders",
        "sentitems", "serverfailures", "syncissues",
    }
)  # fmt: skip


class HttpGraphDirectory:
    """The `GraphDirectory` port over `GraphHttp`."""

    def __init__(self, http: GraphHttp) -> None:
        self._http = http

    def person(self, mailbox: GraphMailbox) -> Person:
        """Return the user. Raises `MailboxFault`, `GrantFault`, `Throttled`, `Unreachable`."""
        return _person(self._http.request(mailbox, "GET", "", params={"$select": _PERSON}).object())

    def people(self, mailbox: GraphMailbox, search: str, limit: int) -> list[Person]:
        """Return users whose name or address starts with *search*."""
        params = {"$select": _PERSON, "$top": str(min(limit, 999))}
        if search:
            text = search.replace("'", "''")
            names = ("displayName", "mail", "userPrincipalName")
            params["$filter"] = " or ".join(f"startswith({name},'{text}')" for name in names)
        answer = self._http.request(mailbox, "GET", "/users", params=params).json()
        return [_person(item) for item in listed(answer)][:limit]

    def folder(self, mailbox: GraphMailbox, name_or_id: str) -> Folder:
        """
        Return the folder of this id, well-known name, or path such as ``Inbox/Support``.

        A path begins at the top of the mailbox or with a well-known name. Raises `ItemFault` (folder_not_found).
        """
        parts = [part.strip() for part in name_or_id.split("/") if part.strip()]
        if not parts or len(parts) > MAX_DEPTH:
            raise _missing(name_or_id)
        if parts[0].lower() in WELL_KNOWN:
            found = self._one(mailbox, parts[0].lower())
        else:
            named = self._child(mailbox, None, parts[0])
            if named is None and len(parts) == 1:
                return self._one(mailbox, parts[0])
            found = named or self._not_there(name_or_id)
        for part in parts[1:]:
            found = self._child(mailbox, found.id, part) or self._not_there(name_or_id)
        return found

    def folders(self, mailbox: GraphMailbox, parent: str | None = None) -> list[Folder]:
        """Return the folders below *parent*, or the top ones."""
        return list(self._below(mailbox, parent))

    def mail_count(self, mailbox: GraphMailbox, folder_id: str, since: str) -> MailCount:
        """Count the mail of a folder that was received at *since* or later, without its drafts where Graph can."""
        received = f"receivedDateTime ge {since or EARLIEST}"
        try:
            return MailCount(self._count(mailbox, folder_id, f"{received} and isDraft eq false"), exact=True)
        except ItemFault as fault:
            if fault.code == Code.FOLDER_NOT_FOUND:
                raise
            return MailCount(self._count(mailbox, folder_id, received), exact=False)

    def _count(self, mailbox: GraphMailbox, folder_id: str, condition: str) -> int:
        params = {"$count": "true", "$top": "1", "$select": "id", "$filter": condition}
        headers = {"ConsistencyLevel": "eventual"}
        path = f"mailFolders/{quoted(folder_id)}/messages"
        answer = self._http.request(mailbox, "GET", path, params=params, headers=headers).object()
        count = answer.get("@odata.count")
        if not isinstance(count, int) or not 0 <= count < 2**31:
            raise Unreachable("Graph did not say how many mails there are. Ask again, or create without a preview.")
        return count

    def _one(self, mailbox: GraphMailbox, identifier: str) -> Folder:
        params = {"$select": "id,displayName"}
        return _folder(self._http.request(mailbox, "GET", f"mailFolders/{quoted(identifier)}", params=params).object())

    def _child(self, mailbox: GraphMailbox, parent: str | None, name: str) -> Folder | None:
        wanted = name.casefold()
        return next((folder for folder in self._below(mailbox, parent) if folder.name.casefold() == wanted), None)

    def _below(self, mailbox: GraphMailbox, parent: str | None) -> Iterator[Folder]:
        path = "mailFolders" if parent is None else f"mailFolders/{quoted(parent)}/childFolders"
        params: Mapping[str, str] | None = {"$select": "id,displayName", "$top": str(PAGE_SIZE)}
        for _ in range(MAX_PAGES):
            page = self._http.request(mailbox, "GET", path, params=params).object()
            yield from (_folder(item) for item in listed(page))
            path, params = link_of(page, "@odata.nextLink"), None
            if not path:
                return

    def _not_there(self, name: str) -> Folder:
        raise _missing(name)


def _person(item: Mapping[str, Any]) -> Person:
    if not has_id(item):
        raise unusable("a user without an id")
    address = item.get("mail") or item.get("userPrincipalName") or ""
    return Person(str(item["id"]), str(address), str(item.get("displayName") or ""))


def _folder(item: Mapping[str, Any]) -> Folder:
    if not has_id(item):
        raise unusable("a folder without an id")
    return Folder(str(item["id"]), str(item.get("displayName") or ""))


def _missing(name: str) -> ItemFault:
    shown = name[:80]
    detail = (
        f"There is no folder '{shown}'. Give its id, a well-known name such as inbox, or a path such as Inbox/Support."
    )
    return ItemFault(detail, Code.FOLDER_NOT_FOUND)
