"""What an administrator does with credentials: create, change, rotate the secret, delete."""

import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TypeVar

from shared.audit import Audit
from shared.clouds import CLOUDS
from shared.codes import Code
from shared.connection_rows import members
from shared.credentials import Credential, NewCredential, examine, promoted, upkeep_at, without_candidate
from shared.errors import (
    Conflict,
    CredentialFault,
    Fault,
    FieldFault,
    GrantFault,
    InvalidRequest,
    NotFound,
    PreconditionFailed,
    RowChanged,
    RowMissing,
)
from shared.identifiers import is_guid, new_ulid
from shared.ports import Clock, Delete, Entra, Tables, Vault
from shared.proofs import AuthMethod, Proof, TypedProof, examine_proof, expiry_faults
from shared.refusals import refuse_if, refuse_in_use, refuse_personal
from shared.registry import PARTITION, Registry, Stored
from shared.schedule import CREDENTIAL, DueRow, shard_for
from shared.times import to_text
from shared.tokens import Tokens

log = logging.getLogger("mailgrant.credentials")
Result = TypeVar("Result")
_NOUNS = {
    AuthMethod.SECRET: "secret",
    AuthMethod.CERTIFICATE: "certificate",
    AuthMethod.FEDERATED: "managed identity",
}


@dataclass(frozen=True, slots=True)
class Rotated:
    """The credential after a rotation; *proven* tells whether what is new fetched a token and is in use."""

    credential: Credential
    proven: bool
    detail: str


@dataclass(frozen=True, slots=True)
class CredentialAdmin:
    """The use cases of credentials."""

    tables: Tables
    vault: Vault
    entra: Entra
    tokens: Tokens
    audit: Audit
    clock: Clock

    @property
    def registry(self) -> Registry:
        """The rows."""
        return Registry(self.tables)

    def create(self, asked: NewCredential) -> Credential:
        """
        Store a credential: its row first, then the secret, then the row as ready.

        Raises `InvalidRequest` that names every fault together, `CredentialFault` where the vault fails; what is left
        then has the status ``creating`` and can be deleted.
        """
        now = self.clock()
        place, faults = examine(asked, now)
        refuse_if(faults)
        proof, _ = examine_proof(asked.proof, now)
        tenant = self._tenant_id(place.cloud, place.tenant)
        credential_id = f"cred_{new_ulid(int(now.timestamp() * 1000))}"
        credential = Credential(
            id=credential_id,
            name=asked.name,
            client_id=asked.client_id.lower(),
            grant_type=asked.grant_type,
            auth_method=asked.auth_method,
            cloud=place.cloud,
            tenant=tenant,
            secret_name=f"mailgrant-{new_ulid().lower()}",
            created_at=to_text(now),
            secret_expires_at=proof.expires_at,
        )
        stored = self.registry.add_credential(credential)
        version = self._stored(credential, proof)
        ready = replace(credential, active_version=version, status="ready")
        self.registry.save_credential(stored, ready)
        self.audit.write("credential.create", "done", credential_id=credential_id)
        return ready

    def get(self, credential_id: str) -> Credential:
        """Return the credential. Raises `NotFound`."""
        return self.registry.credential(credential_id).record

    def all(self) -> list[Credential]:
        """Return every credential, newest first."""
        return [stored.record for stored in reversed(self.registry.credentials())]

    def change(self, credential_id: str, changes: dict[str, str | None], if_match: int | None = None) -> Credential:
        """
        Set *changes* (``name``, ``secret_expires_at``).

        Raises `NotFound`, `InvalidRequest`, `PreconditionFailed` where *if_match* is not the present version.
        """
        told: dict[str, int | None] = {}
        if "secret_expires_at" in changes:
            refuse_if(self._expiry_faults(credential_id, changes["secret_expires_at"]))
            told = {"expiry_told": None}

        def changed(stored: Stored[Credential]) -> Credential:
            if if_match is not None and if_match != stored.record.version:
                raise PreconditionFailed("The credential has changed since. Read it again and repeat the change.")
            after = replace(stored.record, version=stored.record.version + 1, **changes, **told)  # type: ignore[arg-type]
            return self.registry.save_credential(stored, after).record

        after = self._until_written(credential_id, changed)
        self.audit.write("credential.change", "done", credential_id=credential_id, fields=",".join(sorted(changes)))
        return after

    def delete(self, credential_id: str) -> None:
        """
        Remove the credential, its grants and its secret; no error where it is gone.

        Raises `Conflict` (credential_in_use) that names the connections under it.
        """
        try:
            stored = self.registry.credential(credential_id)
        except NotFound:
            return
        refuse_in_use(members(self.tables, credential_id, self.clock()), Code.CREDENTIAL_IN_USE, "credential")
        for grant in self.registry.grants_of(credential_id):
            try:
                self.registry.delete_grant(grant)
            except RowChanged:  # a connection was made under it, or a check ended: look again
                self.delete(credential_id)
                return
            self.tokens.forget(grant.record.id)
        self.vault.delete(stored.record.secret_name)
        with suppress(RowMissing):
            self.tables.credentials.commit(PARTITION, [Delete(credential_id)])
        if (at := upkeep_at(stored.record)) is not None:
            self.registry.drop_due(shard_for(credential_id), DueRow(at, CREDENTIAL, credential_id).key)
        self.audit.write("credential.delete", "done", credential_id=credential_id)

    def rotate(self, credential_id: str, typed: TypedProof) -> Rotated:
        """
        Store a new proof as candidate, prove it by a token, then make it the active one; the old one is the fallback.

        A proof by another method switches the method in place. Where no tenant can prove it, it stays candidate.
        Raises `NotFound`, `InvalidRequest`, `Conflict` where the first secret was never stored, and `CredentialFault`
        where Microsoft refuses the new proof, which then is forgotten.
        """
        credential = self.get(credential_id)
        proof, faults = examine_proof(typed, self.clock())
        refuse_if(faults)
        if not credential.ready:
            raise Conflict("The credential's first secret was not stored. Delete the credential and create it anew.")
        version = self._stored(credential, proof)
        candidate = {
            "candidate_version": version,
            "candidate_expires_at": proof.expires_at,
            "candidate_method": proof.method,
        }
        stored = self._until_written(
            credential_id,
            lambda s: self.registry.save_credential(s, replace(s.record, **candidate)),  # type: ignore[arg-type]
        )
        try:
            proven = self._prove(stored.record, version)
        except CredentialFault as fault:
            self._until_written(credential_id, lambda s: self._without_candidate(s, version))
            self.audit.write("credential.rotate", fault.code.value, credential_id=credential_id)
            raise
        what = _NOUNS[proof.method]
        if not proven:
            self.audit.write("credential.rotate", "not_proven", credential_id=credential_id)
            detail = f"The new {what} is kept but not proven: no tenant has a grant yet. It is used once one has."
            return Rotated(stored.record, proven=False, detail=detail)
        after = self._until_written(
            credential_id, lambda s: self.registry.save_credential(s, promoted(s.record, version, self.clock())).record
        )
        self._resume(credential_id)
        self.audit.write("credential.rotate", "done", credential_id=credential_id, auth_method=proof.method.value)
        detail = f"The new {what} is in use; what was in use before stays as a fallback for 24 hours."
        return Rotated(after, proven=True, detail=detail)

    def verifiable(self, credential_id: str, name: str) -> tuple[Credential, str]:
        """
        Return the credential and the tenant to verify: *name* (id or domain), or the home tenant where that is ''.

        Raises `NotFound`, `InvalidRequest` where no tenant is named or known.
        """
        credential = self.get(credential_id)
        wanted = name.strip().lower()
        if credential.multitenant and not wanted:
            message = "name the tenant (id or domain): the credential is multitenant"
            refuse_if([FieldFault("/tenant", "missing", message)])
        refuse_personal(wanted, "/tenant")
        tenant = self._tenant_id(credential.cloud, wanted) if wanted else credential.tenant
        if not is_guid(tenant) or (not credential.multitenant and tenant != credential.tenant):
            refuse_if([FieldFault("/tenant", Code.WRONG_TENANT.value, "this is not a tenant of the credential")])
        return credential, tenant

    def _stored(self, credential: Credential, proof: Proof) -> str:
        """Put what there is to keep secret into the vault; return the version to pin."""
        return proof.pin or self.vault.put(credential.secret_name, proof.value)

    def _expiry_faults(self, credential_id: str, text: str | None) -> list[FieldFault]:
        if self.get(credential_id).auth_method is not AuthMethod.SECRET:
            message = "only a client secret's expiry is typed in; a certificate tells its own"
            return [FieldFault("/secret_expires_at", "other_method", message)]
        return expiry_faults(text, self.clock())

    def _resume(self, credential_id: str) -> None:
        """Let what waited for the credential go on."""
        for grant in self.registry.grants_of(credential_id):
            self.tokens.forget(grant.record.id)
            self.tokens.suspect(grant.record.id, timedelta(0))  # what waited for a secret need wait no longer

    def _prove(self, credential: Credential, version: str) -> bool:
        """Fetch a token with *version* from the home tenant, or any tenant that works; False where there is none."""
        home = [] if credential.multitenant else [credential.tenant]
        grants = [stored.record for stored in self.registry.grants_of(credential.id)]
        for tenant in [*home, *(grant.tenant for grant in grants if grant.usable and grant.tenant not in home)]:
            try:
                self.tokens.prove(credential, tenant, version)
            except CredentialFault:
                raise
            except GrantFault:
                continue  # this tenant has not consented, which says nothing about the secret
            except Fault as fault:
                log.info("credentials.not_proven credential_id=%s code=%s", credential.id, fault.code.value)
                return False
            return True
        return False

    def _without_candidate(self, stored: Stored[Credential], version: str) -> Credential:
        if stored.record.candidate_version != version:
            return stored.record
        return self.registry.save_credential(stored, without_candidate(stored.record)).record

    def _until_written(self, credential_id: str, write: Callable[[Stored[Credential]], Result]) -> Result:
        while True:
            try:
                return write(self.registry.credential(credential_id))
            except RowChanged:
                continue

    def _tenant_id(self, cloud: str, name: str) -> str:
        if is_guid(name) or "." not in name:
            return name
        try:
            tenant = self.entra.tenant_of(login_host=CLOUDS[cloud].login_host, name=name)
        except GrantFault as fault:
            raise InvalidRequest(fault.detail, [FieldFault("/tenant", fault.code.value, fault.detail)]) from None
        refuse_personal(tenant, "/tenant")  # outlook.com and its like are domains of it
        return tenant
