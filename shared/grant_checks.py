"""The check of a grant: a fresh token, a judgement, and the time of the next check."""

import logging
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from shared.audit import Audit
from shared.credentials import Credential
from shared.errors import Fault, NotFound, RowChanged, RowExists
from shared.grants import Evidence, Grant, Pace, judge, probe_wait, works
from shared.identifiers import grant_id as grant_id_of
from shared.identifiers import new_ulid
from shared.mailbox_probe import MailboxProbe
from shared.ports import Clock
from shared.registry import Registry, Stored
from shared.resuming import Resuming
from shared.schedule import Wakeup, shard_for
from shared.times import from_text, to_text
from shared.tokens import Tokens

log = logging.getLogger("mailgrant.grants")

CLAIM = timedelta(minutes=2)
STORAGE_TICK = timedelta(seconds=1)
"""Storage tells its time in whole seconds."""


@dataclass(frozen=True, slots=True)
class GrantChecks:
    """Checks grants: woken by their due rows, or asked by an administrator."""

    registry: Registry
    tokens: Tokens
    probe: MailboxProbe
    resuming: Resuming
    audit: Audit
    clock: Clock
    pace: Pace

    def handle(self, wakeup: Wakeup) -> None:
        """Check the grant that *wakeup* names, unless it is not due, claimed or changed. Raises `StorageError`."""
        stored, now = self.registry.timed_grant(wakeup.id)
        if stored is None or now is None or wakeup.seq < stored.record.seq:
            self._drop_stray(wakeup, stored.record.due if stored else "")
            return
        grant = stored.record
        if _later(grant.next_at, now + STORAGE_TICK):
            return  # not due, or claimed by a live holder: the due row that stands fires again
        try:
            claim = self.registry.schedule_grant(
                stored, replace(grant, claim=new_ulid()), now + CLAIM, spent=[wakeup.due]
            )
        except RowChanged:
            return  # someone else has it, and their due row stands
        try:
            later = self._probed_by_others(grant)
            if later is None:
                self._check(claim)
            else:
                with suppress(RowChanged):
                    self.registry.schedule_grant(claim, replace(claim.record, claim=""), later)
        except NotFound:
            with suppress(RowChanged):
                self.registry.delete_grant(claim)  # its credential was deleted meanwhile

    def verify(self, grant_id: str, mailbox: str = "") -> Grant:
        """
        Check the grant now, whatever its records say, and return it.

        *mailbox* is one to read where the roles of the token let none be read; it is kept for later checks once it was
        reached. Raises `NotFound`, `InvalidRequest` where the tenant has no such mailbox, `StorageError`.
        """
        return self._check(self.registry.grant(grant_id), mailbox)

    def verify_tenant(self, credential: Credential, tenant: str, mailbox: str = "") -> Grant:
        """
        Check what *tenant* has given *credential*, and keep it as a grant: consent was given in the portal.

        *mailbox* as in `verify`.
        """
        grant_id = grant_id_of(credential.id, tenant)
        found = self.registry.find_grant(grant_id)
        if found is None:
            now = self.clock()
            grant = Grant(grant_id, credential.id, tenant.lower(), to_text(now), to_text(now), confirmed=True)
            try:
                found = self.registry.schedule_grant(None, grant, now + CLAIM)
            except RowExists:
                found = self.registry.grant(grant_id)
        return self._check(found, mailbox)

    def verify_existing(self, credential: Credential, tenant: str, mailbox: str = "") -> Grant:
        """Check what *tenant* has given *credential* by consent. Raises `NotFound` where it never did."""
        grant_id = grant_id_of(credential.id, tenant)
        if self.registry.find_grant(grant_id) is None:
            raise NotFound(
                "This tenant has not consented yet. POST credentials/{id}/consent-links makes a link for it."
            )
        return self.verify(grant_id, mailbox)

    def confirm(self, grant_id: str) -> Grant:
        """Note that the operator knows this tenant, and check the grant. Raises `NotFound`."""
        while True:
            stored = self.registry.grant(grant_id)
            try:
                confirmed = replace(stored.record, confirmed=True)
                stored = self.registry.schedule_grant(stored, confirmed, self.clock())
            except RowChanged:
                continue
            self.audit.write("grant.confirm", "done", grant_id=grant_id)
            return self._check(stored)

    def _probed_by_others(self, grant: Grant) -> datetime | None:
        """
        Return when to look again where the credential is broken and not due for a probe, else None.

        One grant probes for all of a broken credential, with growing gaps; a consent just given is checked at once.
        """
        while grant.checks:
            stored = self.registry.credential(grant.credential_id)
            credential, now = stored.record, self.clock()
            if credential.fault is None:
                return None
            if _later(credential.probe_at, now):
                return from_text(credential.probe_at)
            after = replace(
                credential,
                probes=credential.probes + 1,
                probe_at=to_text(now + probe_wait(credential.probes + 1, self.pace)),
            )
            with suppress(RowChanged):
                self.registry.save_credential(stored, after)
                return None
        return None

    def _check(self, stored: Stored[Grant], mailbox: str = "") -> Grant:
        """Gather evidence once, then write the judgement onto the row as it is by then."""
        grant_id = stored.record.id
        evidence = self._evidence(stored.record, mailbox)
        while True:
            now = self.clock()
            judged, wait = judge(stored.record, evidence, self.pace, now)
            if mailbox and judged.scoped:
                judged = replace(judged, probe_mailbox=mailbox)
            resumes = judged.awaited and works(judged)
            at = now + (CLAIM if resumes else wait)
            try:
                done = self.registry.schedule_grant(stored, replace(judged, claim=""), at)
            except RowChanged:
                stored = self.registry.grant(grant_id)
                continue
            self.tokens.forget(grant_id)
            self._tell(stored.record, done.record)
            return self._resume(done, wait) if resumes else done.record

    def _resume(self, stored: Stored[Grant], wait: timedelta) -> Grant:
        """Wake the connections that waited; whoever dies here leaves a due row that checks and wakes again."""
        self.resuming.wake(stored.record)
        with suppress(RowChanged):
            after = replace(stored.record, awaited=False)
            return self.registry.schedule_grant(stored, after, self.clock() + wait).record
        return stored.record

    def _evidence(self, grant: Grant, mailbox: str) -> Evidence:
        try:
            credential = self.registry.credential(grant.credential_id).record
            token = self.tokens.fresh_for_verification(credential, grant.tenant)
            return self.probe.evidence(credential, grant, token, mailbox)
        except Fault as fault:
            return Evidence(fault=fault)

    def _tell(self, before: Grant, after: Grant) -> None:
        log.info("grant.checked grant_id=%s status=%s checks=%d", after.id, after.status.value, after.checks)
        if before.status != after.status:
            self.audit.write("grant.check", after.status.value, grant_id=after.id, before=before.status.value)

    def _drop_stray(self, wakeup: Wakeup, standing: str) -> None:
        if wakeup.due and wakeup.due != standing:
            self.registry.drop_due(shard_for(wakeup.id), wakeup.due)


def _later(text: str, now: datetime) -> bool:
    return bool(text) and from_text(text) > now
