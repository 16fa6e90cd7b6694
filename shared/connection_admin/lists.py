"""Which connections there are, how each fares, and what Graph offers to choose from."""

from dataclasses import dataclass

from shared.connection_admin.views import Shown
from shared.connection_rows import find
from shared.errors import NotFound
from shared.identifiers import BOX_LENGTH, split_grant_id
from shared.paging import Page, page_of
from shared.ports import Folder, GraphDirectory, Person, Tables
from shared.registry import Registry
from shared.tokens import Tokens


@dataclass(frozen=True, slots=True)
class ConnectionLists:
    """Reads connections, mailboxes and folders."""

    tables: Tables
    tokens: Tokens
    directory: GraphDirectory

    def get(self, connection_id: str) -> Shown:
        """Return the connection and how it fares. Raises `NotFound`."""
        found = find(self.tables, connection_id)
        standing = self.tokens.standing(found.connection.grant_id)
        return Shown(found.connection, found.run, found.delivery, standing)

    def page(self, limit: int, cursor: str, grant_id: str = "") -> Page[Shown]:
        """Return connections, newest first, all or those of one grant. Raises `InvalidRequest` for a foreign cursor."""
        page = page_of([(_age(identifier), identifier) for identifier in self._ids(grant_id)], limit, cursor)
        shown = []
        for identifier in page.items:
            try:
                shown.append(self.get(identifier))
            except NotFound:
                continue  # made or deleted at this moment
        return Page(shown, page.next_cursor)

    def people(self, grant_id: str, search: str, limit: int) -> list[Person]:
        """Return mailboxes to choose from. Raises `NotFound` and the grant's or Graph's `Fault`."""
        return self.directory.people(self.tokens.graph_mailbox(grant_id, ""), search, limit)

    def folders(self, grant_id: str, user: str, parent: str | None) -> list[Folder]:
        """Return the folders of a mailbox below *parent*. Raises as `people`."""
        return self.directory.folders(self.tokens.graph_mailbox(grant_id, user), parent)

    def _ids(self, grant_id: str) -> list[str]:
        registry = Registry(self.tables)
        if grant_id:
            parts = split_grant_id(grant_id)
            notes = registry.notes(*parts) if parts else []
        else:
            notes = [note for stored in registry.credentials() for note in registry.notes(stored.record.id)]
        return [connection_id for _, connection_id, _ in notes]


def _age(connection_id: str) -> str:
    """Return the part of an id that sorts by creation."""
    return connection_id.removeprefix("conn_")[BOX_LENGTH:]
