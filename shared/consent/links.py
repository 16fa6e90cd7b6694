"""Consent links: how an administrator gets one, sees those there are, and withdraws one."""

from dataclasses import dataclass
from datetime import timedelta

from shared.audit import Audit
from shared.codes import Code
from shared.credentials import Credential, GrantType
from shared.errors import Conflict, FieldFault, GrantFault, InvalidRequest, NotFound, RowMissing
from shared.identifiers import is_guid
from shared.ports import ANY, Clock, Entra, Insert, Tables, Update
from shared.refusals import refuse_personal
from shared.registry import Registry
from shared.rows import decode, encode, readable
from shared.settings import Settings
from shared.tickets import LONGEST_LINK_HOURS, Ticket, is_dated_id, new_ticket, partition_of, ticket_key
from shared.times import to_text


@dataclass(frozen=True, slots=True)
class NewLink:
    """A link as its creator sees it, once; *url* holds the ticket."""

    ticket: Ticket
    url: str


@dataclass(frozen=True, slots=True)
class ConsentLinks:
    """Makes, lists and withdraws consent links."""

    tables: Tables
    entra: Entra
    audit: Audit
    settings: Settings
    clock: Clock

    def create(self, credential_id: str, *, expected_tenant: str = "", label: str = "", hours: float = 168) -> NewLink:
        """
        Store a ticket and return its link, whose URL is shown this once.

        Raises `NotFound`, `Conflict` (nothing_to_authorize), `InvalidRequest` for a tenant that cannot be meant.
        """
        credential = Registry(self.tables).credential(credential_id).record
        if credential.grant_type is GrantType.CLIENT_CREDENTIALS:
            detail = (
                "There is nothing to authorize: consent is given in the portal. POST credentials/{id}/verify instead."
            )
            raise Conflict(detail, Code.NOTHING_TO_AUTHORIZE)
        if not credential.ready:
            raise Conflict(
                "The credential's secret is not stored yet. Try again in a moment, or delete the credential."
            )
        tenant = self._expected(credential, expected_tenant.strip().lower())
        ticket, token = new_ticket(credential_id, self.clock(), hours, label=label, expected_tenant=tenant)
        insert = Insert(ticket_key(ticket.id), encode(ticket))
        self.tables.tickets.commit(partition_of(ticket.id), [insert])
        self.audit.write("consent_link.create", "done", credential_id=credential_id, link_id=ticket.id)
        return NewLink(ticket, f"{self.settings.public_base_url}/api/consent/start/{token}")

    def of(self, credential_id: str) -> list[Ticket]:
        """Return the links of a credential that have not expired, newest first. Raises `NotFound`."""
        Registry(self.tables).credential(credential_id)
        today = self.clock()
        days = [(today + timedelta(days=number)).strftime("%Y%m%d") for number in range(LONGEST_LINK_HOURS // 24 + 2)]
        rows = [row for day in days for row in self.tables.tickets.read(day, "t|", "t~").rows]
        mine = [row for row in rows if row.values.get("credential_id") == credential_id]
        tickets = [ticket for row in mine if (ticket := readable(Ticket, row.key, row.values))]
        return sorted(tickets, key=lambda ticket: ticket.created_at, reverse=True)

    def withdraw(self, credential_id: str, link_id: str) -> None:
        """Make the link useless; no error where it is gone or withdrawn."""
        found = self.tables.tickets.get(partition_of(link_id), ticket_key(link_id)) if is_dated_id(link_id) else None
        if found is None:
            return
        ticket = decode(Ticket, found.values)
        if ticket.credential_id != credential_id:
            raise NotFound("There is no such link under this credential.")
        if ticket.withdrawn_at:
            return
        change = {"withdrawn_at": to_text(self.clock())}
        try:
            self.tables.tickets.commit(partition_of(link_id), [Update(ticket_key(link_id), change, ANY)])
        except RowMissing:
            return
        self.audit.write("consent_link.withdraw", "done", credential_id=credential_id, link_id=link_id)

    def _expected(self, credential: Credential, name: str) -> str:
        if not name:
            return "" if credential.multitenant else credential.tenant
        refuse_personal(name, "/expected_tenant")
        try:
            tenant = name if is_guid(name) else self.entra.tenant_of(login_host=credential.place.login_host, name=name)
        except GrantFault as fault:
            raise _tenant_fault(fault.code.value, fault.detail) from None
        refuse_personal(tenant, "/expected_tenant")
        if not credential.multitenant and tenant != credential.tenant:
            detail = "The registration is single-tenant, and this is not its tenant: leave expected_tenant out."
            raise _tenant_fault(Code.WRONG_TENANT.value, detail)
        return tenant


def _tenant_fault(code: str, detail: str) -> InvalidRequest:
    return InvalidRequest(detail, [FieldFault("/expected_tenant", code, detail)])
