"""From a consumed state to its grant: in order, repeatable, and finished by the tick where the callback died."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from shared.audit import Audit
from shared.codes import Code
from shared.consent.sign_in import proven
from shared.credentials import Credential
from shared.errors import NotFound, RowChanged, RowExists, RowMissing
from shared.grants import Grant, consented
from shared.identifiers import grant_id as grant_id_of
from shared.ports import ANY, Clock, Tables, Update, Wakeups
from shared.registry import Registry
from shared.rows import Value, decode, encode
from shared.schedule import GRANT, DueRow, Wakeup, shard_for
from shared.tickets import Leg, State, is_dated_id, partition_of, state_key, ticket_key
from shared.times import from_text, to_text
from shared.waking import wake

log = logging.getLogger("mailgrant.consent")

FINISH_AFTER = timedelta(seconds=60)
_UNFINISHED = (
    "We stopped before Microsoft had told us who signed in. Open the link that you were sent once more, accept, and "
    "sign in. Until then no access is used here."
)


@dataclass(frozen=True, slots=True)
class Granting:
    """Makes grants of consumed states."""

    tables: Tables
    wakeups: Wakeups
    audit: Audit
    clock: Clock

    def finish(self, state_id: str, due: str = "") -> None:
        """
        Make the grant of a consumed state, unless that is done; the rest of a callback that died, or of one under way.

        *due* is the due row that fired, which goes in any case. Raises `StorageError`.
        """
        row = self.tables.tickets.get(partition_of(state_id), state_key(state_id)) if is_dated_id(state_id) else None
        state = decode(State, row.values) if row else None
        if row is not None and state is not None:
            if not state.used_at and from_text(state.expires_at) > self.clock():
                return  # its callback may be about to use it, and counts on the row
            if is_asking(state) and not self._given_up(state, row.etag):
                return
            if state.used_at and not state.problem and not state.finished_at and not is_asking(state):
                self._grant(state)
        for key in {due, state.due if state is not None and state.used_at else ""} - {""}:
            Registry(self.tables).drop_due(shard_for(state_id), key)

    def add_due(self, due: DueRow) -> None:
        """Add a due row unless it stands."""
        try:
            self.tables.connections.commit(shard_for(due.id), [due.insert()])
        except RowExists:
            log.info("consent.due_stands")

    def _given_up(self, state: State, etag: str) -> bool:
        """Write that a sign-in was never redeemed; its verifier died with its callback. False while it may still be."""
        given_up = unfinished(state, self.clock())
        if not given_up.problem:
            return False
        try:
            self.tables.tickets.commit(partition_of(state.id), [Update(state_key(state.id), encode(given_up), etag)])
        except RowChanged:
            return False
        self.audit.write("consent.sign_in", given_up.problem, state_id=state.id, credential_id=state.credential_id)
        return True

    def _grant(self, state: State) -> None:
        """Grant first, then link, then state: each may be repeated."""
        registry, now = Registry(self.tables), self.clock()
        try:
            credential = registry.credential(state.credential_id).record
        except NotFound:
            self._change(state_key(state.id), state.id, {"finished_at": to_text(now)})
            return
        if credential.multitenant and state.leg is Leg.CONSENT:
            return  # the callback of a consent proves nothing where anybody may answer: the sign-in makes the grant
        grant = self._upsert_grant(registry, credential, state)
        self._change(ticket_key(state.ticket_id), state.ticket_id, {"grant_id": grant.id})
        self._change(state_key(state.id), state.id, {"grant_id": grant.id, "finished_at": to_text(now)})
        wake(self.wakeups, Wakeup(GRANT, grant.id, grant.seq, grant.due))
        log.info("consent.granted grant_id=%s confirmed=%s", grant.id, grant.confirmed)

    def _upsert_grant(self, registry: Registry, credential: Credential, state: State) -> Grant:
        grant_id = grant_id_of(credential.id, state.tenant)
        confirmed = not credential.multitenant or proven(state)
        while True:
            now = self.clock()
            found = registry.find_grant(grant_id)
            grant = found.record if found else Grant(grant_id, credential.id, state.tenant, to_text(now), to_text(now))
            after = consented(grant, now, confirmed=confirmed)
            if not after.confirmed:
                after = replace(
                    after, signed_in_as=state.signed_in_as, signed_in_at=state.signed_in_at, domain=state.domain
                )
            try:
                return registry.schedule_grant(found, after, now).record
            except (RowChanged, RowExists, RowMissing):
                continue

    def _change(self, key: str, identifier: str, values: Mapping[str, Value]) -> None:
        try:
            self.tables.tickets.commit(partition_of(identifier), [Update(key, values, ANY)])
        except RowMissing:
            log.info("consent.row_gone")


def is_asking(state: State) -> bool:
    """Tell whether a sign-in came back and it is not known yet who signed in."""
    return state.leg is Leg.SIGN_IN and bool(state.used_at) and not state.problem and not state.signed_in_at


def unfinished(state: State, now: datetime) -> State:
    """Return *state* with its problem, where a sign-in came back so long ago that its callback must have died."""
    if not is_asking(state) or from_text(state.used_at) + FINISH_AFTER > now:
        return state
    return replace(state, problem=Code.SIGN_IN_UNFINISHED.value, detail=_UNFINISHED)
