"""Which connections there are, how each fares, and what Graph offers to choose from."""

import logging
from dataclasses import dataclass

from shared.connection_admin.views import Shown, effective
from shared.connection_rows import find
from shared.connections import Direction, Status
from shared.errors import NotFound
from shared.identifiers import BOX_LENGTH, split_grant_id
from shared.paging import Page, cursor_of, page_of
from shared.ports import Folder, GraphDirectory, Person, Tables
from shared.registry import Registry
from shared.rows import UnreadableRow
from shared.times import EVER, Span
from shared.tokens import Tokens

log = logging.getLogger("mailgrant.rows")

LOOKED_AT = 100


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which connections a list is to hold; *span* is of when they were made."""

    grant_id: str = ""
    direction: Direction | None = None
    status: Status | None = None
    span: Span = EVER

    @property
    def chooses(self) -> bool:
        """Whether a connection must be read to know if it is wanted."""
        return self.direction is not None or self.status is not None or self.span != EVER

    def fits(self, shown: Shown) -> bool:
        """Tell whether a connection is wanted."""
        return (
            self.direction in (None, shown.connection.direction)
            and (self.status is None or self.status is effective(shown).status)
            and shown.connection.created_at in self.span
        )


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

    def page(self, limit: int, cursor: str, wanted: Wanted | None = None) -> Page[Shown]:
        """
        Return the connections that are *wanted*, newest first; raises `InvalidRequest` for a foreign cursor.

        At most `LOOKED_AT` are read for one page where not all are wanted, so that a page may hold fewer than *limit*.
        """
        wanted = wanted or Wanted()
        keyed = [(_age(identifier), identifier) for identifier in self._ids(wanted.grant_id)]
        page = page_of(keyed, max(limit, LOOKED_AT) if wanted.chooses else limit, cursor)
        shown: list[Shown] = []
        for number, identifier in enumerate(page.items, 1):
            try:
                found = self.get(identifier)
            except NotFound:
                continue  # made or deleted at this moment
            except UnreadableRow as error:
                log.warning("rows.unreadable connection_id=%s reason=%s", identifier, error)
                continue
            if wanted.fits(found):
                shown.append(found)
            if len(shown) == limit and number < len(page.items):
                return Page(shown, cursor_of(_age(identifier)))
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
