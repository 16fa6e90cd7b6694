"""What an administrator does with grants, beside having them checked: look, delete."""

from dataclasses import dataclass

from shared.audit import Audit
from shared.codes import Code
from shared.connection_rows import members
from shared.errors import NotFound, RowChanged
from shared.grants import Grant
from shared.ports import Clock, Tables
from shared.refusals import refuse_in_use
from shared.registry import Registry
from shared.tokens import Tokens


@dataclass(frozen=True, slots=True)
class GrantAdmin:
    """The use cases of grants."""

    tables: Tables
    tokens: Tokens
    audit: Audit
    clock: Clock

    def get(self, grant_id: str) -> Grant:
        """Return the grant. Raises `NotFound`."""
        return Registry(self.tables).grant(grant_id).record

    def all(self) -> list[Grant]:
        """Return every grant of every credential."""
        registry = Registry(self.tables)
        return [grant.record for stored in registry.credentials() for grant in registry.grants_of(stored.record.id)]

    def delete(self, grant_id: str) -> None:
        """
        Forget the grant; what the tenant gave stands at Microsoft until it takes it back. No error where it is gone.

        Raises `Conflict` (grant_in_use) that names the connections under it.
        """
        registry = Registry(self.tables)
        while True:
            try:
                stored = registry.grant(grant_id)
            except NotFound:
                return
            grant = stored.record
            found = members(self.tables, grant.credential_id, self.clock(), grant.tenant)
            refuse_in_use(found, Code.GRANT_IN_USE, "grant")
            try:
                registry.delete_grant(stored)
            except RowChanged:
                continue
            self.tokens.forget(grant_id)
            self.audit.write("grant.delete", "done", grant_id=grant_id)
            return
