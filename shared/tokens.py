"""The shared token module: may a grant be used, and with which token; secrets from Key Vault, state from tables."""

import logging
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta

from shared.codes import Code
from shared.credentials import Credential, promoted
from shared.errors import (
    CredentialFault,
    Fault,
    GrantFault,
    NotFound,
    RowChanged,
    RowMissing,
    StorageError,
    Throttled,
    Unreachable,
)
from shared.flights import Flights
from shared.grants import REQUIRED_ROLES, Grant, may_draft
from shared.identifiers import grant_id as grant_id_of
from shared.ports import AccessToken, Clock, Entra, GraphMailbox, Tables, Vault, Wakeups
from shared.proofs import OTHER_MAY_WORK, identity_of, identity_value
from shared.registry import Registry
from shared.schedule import GRANT, Wakeup
from shared.standing import why_not
from shared.times import from_text, to_text
from shared.waking import wake

log = logging.getLogger("mailgrant.tokens")

STANDING_SECONDS = 60.0
BROKEN_SECONDS = 1.0  # what does not work is forgotten early, so that connections resume soon after it does
EARLY_SECONDS = 300.0
LATE_SECONDS = 30.0
INCOMPLETE_SECONDS = 300.0
SUSPECT_GAP = timedelta(minutes=5)
PROBE_GAP = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class _Standing:
    """A grant and its credential as read at some moment, and why they cannot be used, if so; *until* is monotonic."""

    credential: Credential
    grant: Grant
    fault: Fault | None
    until: float


@dataclass(frozen=True, slots=True)
class _Held:
    """A token in memory; used until *until*, good until *dies* (both monotonic)."""

    token: AccessToken = field(repr=False)
    until: float
    dies: float
    incomplete: bool


class Tokens:
    """
    Hands out tokens, one request at a time per tenant and credential version, from a dictionary wherever it can.

    Nothing is ever persisted. Failures are written onto the credential, or the grant is checked; both make their
    connections wait until a check succeeds.
    """

    def __init__(
        self,
        tables: Tables,
        vault: Vault,
        entra: Entra,
        wakeups: Wakeups,
        clock: Clock,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._registry = Registry(tables)
        self._vault = vault
        self._entra = entra
        self._wakeups = wakeups
        self._clock = clock
        self._monotonic = monotonic
        self._flights = Flights()
        self._standings: dict[str, _Standing] = {}
        self._held: dict[tuple[str, str, str], _Held] = {}
        self._secrets: dict[tuple[str, str], str] = {}

    def graph_mailbox(self, grant_id: str, user: str) -> GraphMailbox:
        """
        Return the mailbox of *user* (object id or address) as Graph calls name it.

        Raises `CredentialFault` or `GrantFault` with the sentence where its use is not allowed, `NotFound`.
        """
        standing = self._allowed(grant_id)
        place, drafts = standing.credential.place, may_draft(standing.grant)

        def token(fresh: bool) -> str:
            return self.access_token(grant_id, fresh=fresh).value

        return GraphMailbox(place.graph_root, user, token, place.has_delta, drafts)

    def access_token(self, grant_id: str, *, fresh: bool = False) -> AccessToken:
        """
        Return a token of the grant's tenant; *fresh* returns none that was fetched before this call.

        Raises `CredentialFault`, `GrantFault`, `Throttled`, `Unreachable`, `NotFound`.
        """
        standing = self._allowed(grant_id)
        credential, tenant = standing.credential, standing.grant.tenant
        key = (tenant, credential.id, credential.active_version)
        known = self._held.get(key)
        if known is not None and not fresh and known.until > self._monotonic():
            return known.token
        with self._flights.of(key):
            held = self._held.get(key)
            if held is not None and (held is not known if fresh else held.until > self._monotonic()):
                return held.token
            try:
                return self._obtain(credential, tenant, fresh=fresh or (held is not None and held.incomplete))
            except CredentialFault as fault:
                self._write_fault(credential.id, fault)
                self.suspect(grant_id, PROBE_GAP)
                raise
            except GrantFault as fault:
                self._standings[grant_id] = replace(standing, fault=fault, until=self._monotonic() + STANDING_SECONDS)
                self.suspect(grant_id)
                raise
            except (Unreachable, Throttled):
                if held is None or fresh or held.dies <= self._monotonic():
                    raise
                self._held[key] = replace(held, until=min(held.dies, self._monotonic() + LATE_SECONDS))
                return held.token  # an outage of the sign-in must not fail whoever has a good token

    def fresh_for_verification(self, credential: Credential, tenant: str) -> AccessToken:
        """
        Return a token that no cache has seen, whatever the records say of credential and grant; it is used from now on.

        A failure of the credential is written onto it, a success clears it. Raises as `access_token`.
        """
        if not credential.ready:
            raise CredentialFault("The credential is still being stored. This ends by itself.", retryable=True)
        try:
            token = self._obtain(credential, tenant, fresh=True)
        except CredentialFault as fault:
            self._write_fault(credential.id, fault)
            raise
        self._clear_credential(credential.id, grant_id_of(credential.id, tenant))
        if credential.candidate_version:
            with suppress(Fault):  # a new secret that no tenant could prove so far; the old one works meanwhile
                self.prove(credential, tenant, credential.candidate_version)
                self._promote(credential)
        return token

    def prove(self, credential: Credential, tenant: str, version: str) -> None:
        """Fetch a token with one version of the secret and keep nothing. Raises as `access_token`."""
        self._ask(credential, tenant, version, fresh=True)

    def standing(self, grant_id: str) -> Fault | None:
        """Return why the connections of the grant wait, or None where they need not; at most 60 s old."""
        try:
            return self._standing(grant_id).fault
        except NotFound as error:
            return GrantFault(error.detail, Code.GRANT_NOT_USABLE)

    def forget(self, grant_id: str) -> None:
        """Read the grant and its credential anew at the next use."""
        self._standings.pop(grant_id, None)

    def suspect(self, grant_id: str, gap: timedelta = SUSPECT_GAP) -> None:
        """Have the grant checked once *gap* has passed since its last check; for Graph's 401 and 403. Never raises."""
        try:
            stored = self._registry.find_grant(grant_id)
            if stored is None:
                return
            grant, now = stored.record, self._clock()
            at = max(now, from_text(grant.checked_at) + gap) if grant.checked_at else now
            if grant.next_at and from_text(grant.next_at) <= at:
                return
            done = self._registry.schedule_grant(stored, replace(grant, awaited=True), at).record
            if at == now:
                wake(self._wakeups, Wakeup(GRANT, grant_id, done.seq, done.due))
        except StorageError as error:
            log.warning("tokens.suspect_failed grant_id=%s code=%s", grant_id, error.code.value)

    def _allowed(self, grant_id: str) -> _Standing:
        standing = self._standing(grant_id)
        if standing.fault is not None:
            raise standing.fault
        return standing

    def _standing(self, grant_id: str) -> _Standing:
        known = self._standings.get(grant_id)
        if known is not None and known.until > self._monotonic():
            return known
        with self._flights.of(grant_id):
            known = self._standings.get(grant_id)
            if known is not None and known.until > self._monotonic():
                return known
            began = self._monotonic()
            grant = self._registry.grant(grant_id).record
            credential = self._registry.credential(grant.credential_id).record
            seconds = BROKEN_SECONDS if (fault := why_not(credential, grant)) else STANDING_SECONDS
            known = _Standing(credential, grant, fault, began + seconds)
            self._standings[grant_id] = known
            return known

    def _obtain(self, credential: Credential, tenant: str, *, fresh: bool) -> AccessToken:
        """Fetch a token with the active version, or, where that is refused, with one other that the row pins."""
        started = self._monotonic()
        try:
            token = self._ask(credential, tenant, credential.active_version, fresh=fresh)
        except CredentialFault as fault:
            if fault.code not in OTHER_MAY_WORK:
                raise
            credential, token = self._with_other_version(credential, tenant, fault)
        ends = started + token.expires_in
        incomplete = token.roles is not None and not set(REQUIRED_ROLES) <= set(token.roles)
        until = ends - min(EARLY_SECONDS, token.expires_in / 2)
        until = min(until, started + INCOMPLETE_SECONDS) if incomplete else until
        key = (tenant, credential.id, credential.active_version)
        dies = ends - min(LATE_SECONDS, token.expires_in / 4)
        self._held[key] = _Held(token, until, dies, incomplete)
        return token

    def _with_other_version(self, credential: Credential, tenant: str, fault: Fault) -> tuple[Credential, AccessToken]:
        again = self._registry.credential(credential.id).record
        if again.active_version != credential.active_version:
            self._forget_all(credential.id)  # else each call would try the old version anew for a minute
        version = next((version for version in again.versions() if version != credential.active_version), "")
        if not version:
            raise fault
        try:
            token = self._ask(again, tenant, version, fresh=True)
        except CredentialFault:
            raise fault from None
        return (self._promote(again) if version == again.candidate_version else again), token

    def _promote(self, credential: Credential) -> Credential:
        """Put the candidate into use, unless someone changed the credential meanwhile."""
        with suppress(RowChanged, RowMissing, NotFound):
            stored = self._registry.credential(credential.id)
            if stored.record.candidate_version == credential.candidate_version:
                after = promoted(stored.record, credential.candidate_version, self._clock())
                return self._registry.save_credential(stored, after).record
        return credential

    def _ask(self, credential: Credential, tenant: str, version: str, *, fresh: bool) -> AccessToken:
        cloud = credential.place
        log.info("tokens.request credential_id=%s tenant=%s fresh=%s", credential.id, tenant, fresh)
        return self._entra.token(
            login_host=cloud.login_host,
            tenant=tenant,
            client_id=credential.client_id,
            secret=self._secret(credential, version),
            scope=cloud.scope,
            fresh=fresh,
        )

    def _secret(self, credential: Credential, version: str) -> str:
        if identity := identity_of(version):
            return identity_value(identity, credential.place.token_exchange_audience)
        name, key = credential.secret_name, (credential.secret_name, version)
        if key not in self._secrets:
            with self._flights.of(key):
                if key not in self._secrets:
                    self._secrets[key] = self._vault.get(name, version)
        return self._secrets[key]

    def _clear_credential(self, credential_id: str, by_grant: str) -> None:
        """Note that the credential works; where it did not before, its other grants need wait no longer."""
        if self._write_fault(credential_id, None):
            for stored in self._registry.grants_of(credential_id):
                if stored.record.id != by_grant:
                    self.suspect(stored.record.id, timedelta(0))

    def _write_fault(self, credential_id: str, fault: CredentialFault | None) -> bool:
        """Write what is wrong, or that nothing is; return whether that ended a fault."""
        ended = False
        if fault is not None:
            log.warning("tokens.credential_failed credential_id=%s code=%s", credential_id, fault.code.value)
        with suppress(RowChanged, RowMissing, NotFound):
            stored = self._registry.credential(credential_id)
            before = stored.record.fault
            if (before.code if before else "") != (fault.code.value if fault else ""):
                recorded = fault.recorded(to_text(self._clock())) if fault else None
                after = replace(stored.record, fault=recorded, probes=0, probe_at="")
                self._registry.save_credential(stored, after)
                ended = fault is None
        self._forget_all(credential_id)
        return ended

    def _forget_all(self, credential_id: str) -> None:
        for grant_id, known in list(self._standings.items()):
            if known.credential.id == credential_id:
                self.forget(grant_id)
