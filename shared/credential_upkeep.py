"""What credentials need from time to time: warnings before they die, old fallbacks forgotten, wrecks removed."""

import logging
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from shared.audit import Audit
from shared.credentials import Credential, kept, outlook, upkeep_at
from shared.errors import CredentialFault, RowChanged, RowMissing
from shared.ports import Vault
from shared.registry import Registry, Stored
from shared.schedule import CREDENTIAL, DueRow, Wakeup, shard_for
from shared.times import from_text

log = logging.getLogger("mailgrant.credentials")

STORAGE_TICK = timedelta(seconds=1)
"""Storage tells its time in whole seconds."""


@dataclass(frozen=True, slots=True)
class CredentialUpkeep:
    """Woken by the due row that every credential with something ahead of it has; a repeat does nothing."""

    registry: Registry
    vault: Vault
    audit: Audit

    def handle(self, wakeup: Wakeup) -> None:
        """Do what is due for the credential that *wakeup* names. Raises `StorageError`."""
        stored, now = self.registry.timed_credential(wakeup.id)
        at = upkeep_at(stored.record) if stored else None
        if stored is None or at is None or at > now + STORAGE_TICK:
            if at is None or wakeup.due != DueRow(at, CREDENTIAL, wakeup.id).key:
                self._drop(wakeup)
            return
        try:
            if stored.record.ready:
                self._keep(stored, max(now, at))
            else:
                self._remove(stored)
        except (RowChanged, RowMissing):
            return  # somebody changed it meanwhile: the due row fires once more
        except CredentialFault as fault:
            log.warning("credentials.upkeep_failed credential_id=%s code=%s", wakeup.id, fault.code.value)
            return
        self._drop(wakeup)

    def _keep(self, stored: Stored[Credential], now: datetime) -> None:
        """
        Tell of a proof that ends, once for each threshold.

        The audit's entry comes first, and its key makes a repeat harmless; the notice is written with the note of it.
        """
        credential = stored.record
        ahead = outlook(credential, now)
        if ahead.tell is not None and credential.secret_expires_at:
            moment = from_text(credential.secret_expires_at) - timedelta(days=ahead.tell)
            outcome = "expired" if ahead.tell == 0 else f"{ahead.tell}_days"
            mark = f"{credential.id}.{ahead.tell}"
            if self.audit.once(mark, moment, "credential.expiring", outcome, credential_id=credential.id):
                log.warning("credential.expiring credential_id=%s days=%d", credential.id, ahead.tell)
        told = ahead.tell if credential.secret_expires_at else None
        self.registry.save_credential(stored, kept(credential, now), expires_in=told)

    def _remove(self, stored: Stored[Credential]) -> None:
        """Remove what was never finished; marked first, so that a slow creator cannot finish it meanwhile."""
        marked = self.registry.save_credential(stored, replace(stored.record, status="removing"))
        self.vault.delete(marked.record.secret_name)
        with suppress(RowMissing):
            self.registry.remove_credential(marked)
        self.audit.write("credential.remove_unfinished", "done", credential_id=marked.record.id)

    def _drop(self, wakeup: Wakeup) -> None:
        if wakeup.due:
            self.registry.drop_due(shard_for(wakeup.id), wakeup.due)
