"""Whether a mailbox can be read although the token's roles do not say so: Exchange may limit an app to some of them."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice

from shared.codes import Code
from shared.connections import connection_key
from shared.credentials import Credential
from shared.errors import Fault, FieldFault, GrantFault, InvalidRequest, MailboxFault
from shared.grants import Evidence, Grant, reads_mail
from shared.identifiers import shard_of
from shared.ports import AccessToken, GraphDirectory, GraphMailbox, Tables
from shared.registry import Registry

log = logging.getLogger("mailgrant.grants")

MOST_MAILBOXES = 3
_SILENT = frozenset({Code.MAILBOX_NOT_FOUND, Code.MAILBOX_NOT_ENABLED})


@dataclass(frozen=True, slots=True)
class MailboxProbe:
    """
    Reads the inbox's name of one of a grant's mailboxes.

    Source of the need: graph-docs `auth-limit-mailbox-access.md`; a right that Exchange gives by its own role-based
    access is in no token.
    """

    tables: Tables
    directory: GraphDirectory

    def evidence(self, credential: Credential, grant: Grant, token: AccessToken, named: str = "") -> Evidence:
        """
        Return what *token* and, where its roles let no mailbox be read, the mailboxes of *grant* prove.

        *named* is a mailbox that an administrator named just now. Raises `InvalidRequest` where the tenant
        has no such mailbox.
        """
        seen = Evidence(roles=token.roles)
        if reads_mail(token.roles or ()):
            return seen
        denied = False
        silent: Fault | None = None
        for user in islice(self._mailboxes(grant, named), MOST_MAILBOXES):
            mailbox = GraphMailbox(credential.place.graph_root, user, lambda _: token.value)
            try:
                self.directory.folder(mailbox, "inbox")
            except (GrantFault, MailboxFault) as fault:
                if user == named and fault.code is Code.MAILBOX_NOT_FOUND:
                    faults = [FieldFault("/mailbox", fault.code.value, fault.detail)]
                    raise InvalidRequest(fault.detail, faults, fault.code) from None
                silent = fault if fault.code in _SILENT else silent
                denied = denied or fault.code not in _SILENT
            except Fault as fault:
                silent = fault
            else:
                return replace(seen, reached=True)
            log.info("grants.probed grant_id=%s reached=False", grant.id)
        if denied:
            return replace(seen, reached=False)
        if silent is not None and grant.scoped:  # what was reached before is not lost by silence
            return Evidence(fault=silent)
        return seen

    def _mailboxes(self, grant: Grant, named: str) -> Iterator[str]:
        if named:
            yield named
        if grant.probe_mailbox and grant.probe_mailbox != named:
            yield grant.probe_mailbox
        for _, connection_id, _ in Registry(self.tables).notes(grant.credential_id, grant.tenant):
            row = self.tables.connections.get(shard_of(connection_id), connection_key(connection_id))
            if row is not None:
                yield str(row.values["mailbox"])
