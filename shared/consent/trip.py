"""Admin consent: the page before the trip to Microsoft, the trip, what came back, and what it led to."""

import hashlib
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from urllib.parse import urlencode

from shared.audit import Audit
from shared.codes import Code
from shared.consent.answers import judged
from shared.credentials import Credential
from shared.errors import Conflict, Gone, NotFound, Refused, RowChanged, RowExists, RowMissing
from shared.grants import Grant, consented
from shared.identifiers import Token, derived_token, parse_token, same_hash
from shared.identifiers import grant_id as grant_id_of
from shared.ports import ANY, Clock, Insert, Tables, Update, Wakeups
from shared.registry import Registry
from shared.rows import decode, encode
from shared.schedule import GRANT, STATE, DueRow, Wakeup, shard_for
from shared.settings import Settings
from shared.tickets import (
    COOKIE,
    RESULT,
    RESULT_LIFE,
    STATE_LIFE,
    TICKET,
    State,
    Ticket,
    cookie_name,
    is_dated_id,
    new_state,
    parse_dated,
    partition_of,
    state_key,
    ticket_key,
)
from shared.tickets import STATE as STATE_TOKEN
from shared.times import from_text, to_text
from shared.waking import wake

log = logging.getLogger("mailgrant.consent")

FINISH_AFTER = timedelta(seconds=60)
_FOREIGN = (
    "This answer belongs to another browser, or the browser did not keep our cookie. Open the link again in the "
    "browser in which you sign in, with cookies allowed. Nothing was changed."
)
_UNKNOWN_STATE = "We do not know this answer. Open the link that you were sent once more. Nothing was changed."


@dataclass(frozen=True, slots=True)
class Trip:
    """Where to send the browser, and the cookie that binds the answer to it; the cookie lives 15 minutes."""

    location: str
    cookie_name: str
    cookie: str
    seconds: int = int(STATE_LIFE.total_seconds())


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a result page shows: a *problem* with its *detail*, or the *grant* (None until it is made)."""

    state: State
    credential: Credential | None
    grant: Grant | None


@dataclass(frozen=True, slots=True)
class Consent:
    """Leads an administrator through the consent."""

    tables: Tables
    wakeups: Wakeups
    audit: Audit
    settings: Settings
    clock: Clock

    def invitation(self, text: str) -> tuple[Ticket, Credential]:
        """
        Return the ticket and credential of a link; reads only, since mail scanners open links.

        Raises `NotFound` (ticket_unknown), `Gone` (link_expired), `Conflict` where it has led to a grant.
        """
        token = parse_dated(text, TICKET)
        row = self.tables.tickets.get(partition_of(token.id), ticket_key(token.id)) if token else None
        if token is None or row is None:
            raise NotFound("This link is not known. Check that it was copied whole.", Code.TICKET_UNKNOWN)
        ticket = decode(Ticket, row.values)
        if not same_hash(ticket.secret_hash, token.secret_hash):
            raise NotFound("This link is not known. Check that it was copied whole.", Code.TICKET_UNKNOWN)
        status = ticket.status(self.clock())
        if status == "used":
            raise Conflict("This link has done its work: consent was given. Ask for a new link to consent again.")
        if status != "open":
            raise Gone(f"This link is {status}. Ask whoever sent it for a new one.", Code.LINK_EXPIRED)
        try:
            return ticket, Registry(self.tables).credential(ticket.credential_id).record
        except NotFound:
            detail = "What this link was for has been deleted. Ask whoever sent it for a new one."
            raise Gone(detail, Code.LINK_EXPIRED) from None

    def start(self, text: str) -> Trip:
        """Make a state for one trip and return where the trip goes. Raises as `invitation`."""
        ticket, credential = self.invitation(text)
        if credential.auth_endpoint_url is None:
            detail = "There is nothing to authorize here: consent is given in the portal."
            raise Conflict(detail, Code.NOTHING_TO_AUTHORIZE)
        state, token, cookie = new_state(ticket, self.clock())
        self.tables.tickets.commit(partition_of(state.id), [Insert(state_key(state.id), encode(state))])
        log.info("consent.started credential_id=%s", credential.id)
        query = {
            "client_id": credential.client_id,
            "redirect_uri": self.settings.redirect_uri,
            "scope": f"{credential.place.scope} openid profile",
            "state": str(token),
        }
        name = cookie_name(state.id, secure=self.settings.secure_cookies)
        return Trip(f"{credential.auth_endpoint_url}?{urlencode(query)}", name, str(cookie))

    def callback(self, params: Mapping[str, str], cookies: Mapping[str, str]) -> str:
        """
        Take what came back from Microsoft and return the address of the result page.

        The order is fixed: the state known, unexpired and this browser's; consumed; then an error; then missing fields.
        The state row, not the parameters, knows what was asked. Raises `NotFound` (state_unknown), `Gone`
        (state_expired), `Refused` (cookie_missing, state_replayed); then nothing was changed.
        """
        token = parse_dated(params.get("state", ""), STATE_TOKEN)
        if token is None:
            raise NotFound(self._without_state(params, cookies), Code.STATE_UNKNOWN)
        while True:
            row = self.tables.tickets.get(partition_of(token.id), state_key(token.id))
            state = decode(State, row.values) if row else None
            if row is None or state is None or not same_hash(state.secret_hash, token.secret_hash):
                raise NotFound(_UNKNOWN_STATE, Code.STATE_UNKNOWN)
            cookie = self._own_cookie(state, cookies)
            result = derived_token(RESULT, state.id, cookie.secret)
            if state.used_at:
                return self._replayed(state, params, result)
            if from_text(state.expires_at) <= self.clock():
                detail = (
                    "This took longer than 15 minutes. Open the link that you were sent once more. Nothing was changed."
                )
                raise Gone(detail, Code.STATE_EXPIRED)
            if self._consume(state, row.etag, params, result):
                return self._result_url(result)

    def finish(self, state_id: str, due: str = "") -> None:
        """
        Make the grant of a consumed state, unless that is done; the rest of a callback that died, or of one under way.

        *due* is the due row that fired, which goes in any case. Raises `StorageError`.
        """
        row = self.tables.tickets.get(partition_of(state_id), state_key(state_id)) if is_dated_id(state_id) else None
        state = decode(State, row.values) if row else None
        if state is not None and not state.used_at and from_text(state.expires_at) > self.clock():
            return  # its callback may be about to use it, and counts on the row
        if state is not None and state.used_at and not state.problem and not state.finished_at:
            self._finish(state)
        registry = Registry(self.tables)
        for key in {due, state.due if state is not None and state.used_at else ""} - {""}:
            registry.drop_due(shard_for(state_id), key)

    def outcome(self, text: str) -> Outcome:
        """Return what a result page shows; reads only. Raises `NotFound`, `Gone`."""
        token = parse_dated(text, RESULT)
        row = self.tables.tickets.get(partition_of(token.id), state_key(token.id)) if token else None
        state = decode(State, row.values) if row else None
        if token is None or state is None or not same_hash(state.result_hash, token.secret_hash):
            raise NotFound("There is no such result. Open the link that you were sent once more.")
        if from_text(state.used_at) + RESULT_LIFE <= self.clock():
            raise Gone(
                "A result is shown for 24 hours. Ask whoever sent you the link how it stands.", Code.LINK_EXPIRED
            )
        registry = Registry(self.tables)
        grant = registry.find_grant(state.grant_id) if state.grant_id else None
        try:
            credential = registry.credential(state.credential_id).record
        except NotFound:
            credential = None
        return Outcome(state, credential, grant.record if grant else None)

    def _own_cookie(self, state: State, cookies: Mapping[str, str]) -> Token:
        text = cookies.get(cookie_name(state.id, secure=self.settings.secure_cookies), "")
        cookie = parse_token(text, COOKIE)
        if cookie is None or cookie.id != state.id or not same_hash(cookie.secret_hash, state.cookie_hash):
            self.audit.write(
                "consent.callback", "foreign_browser", state_id=state.id, credential_id=state.credential_id
            )
            raise Refused(_FOREIGN, Code.COOKIE_MISSING, known=True)
        return cookie

    def _replayed(self, state: State, params: Mapping[str, str], result: Token) -> str:
        if not same_hash(state.params_hash, _params_hash(params)):
            self.audit.write("consent.callback", "replayed", state_id=state.id, credential_id=state.credential_id)
            detail = "This answer was used already, with other contents. Open the link that you were sent once more."
            raise Refused(detail, Code.STATE_REPLAYED, known=True)
        return self._result_url(result)

    def _consume(self, state: State, etag: str, params: Mapping[str, str], result: Token) -> bool:
        """Use the state up with what came back, and act on it; return False where another request was first."""
        registry, now = Registry(self.tables), self.clock()
        ticket = self.tables.tickets.get(partition_of(state.ticket_id), ticket_key(state.ticket_id))
        if ticket is None or ticket.values.get("withdrawn_at"):
            raise Gone("This link was withdrawn meanwhile. Ask whoever sent it for a new one.", Code.LINK_EXPIRED)
        try:
            credential = registry.credential(state.credential_id).record
        except NotFound:
            raise Gone("What this link was for has been deleted. Nothing was changed.", Code.LINK_EXPIRED) from None
        used = judged(state, credential, params)
        used = replace(used, used_at=to_text(now), params_hash=_params_hash(params), result_hash=result.secret_hash)
        if not used.problem:
            due = DueRow(now + FINISH_AFTER, STATE, state.id)
            used = replace(used, due=due.key)
            self._add_due(due)
        try:
            self.tables.tickets.commit(partition_of(state.id), [Update(state_key(state.id), encode(used), etag)])
        except RowChanged:
            return False
        outcome = used.problem or "consented"
        self.audit.write("consent.callback", outcome, state_id=state.id, credential_id=state.credential_id)
        if not used.problem:
            self.finish(state.id)
        return True

    def _finish(self, state: State) -> None:
        """Grant first, then link, then state: each may be repeated."""
        registry, now = Registry(self.tables), self.clock()
        try:
            credential = registry.credential(state.credential_id).record
        except NotFound:
            self._change(state_key(state.id), state.id, {"finished_at": to_text(now)})
            return
        grant = self._upsert_grant(registry, credential, state)
        self._change(ticket_key(state.ticket_id), state.ticket_id, {"grant_id": grant.id})
        self._change(state_key(state.id), state.id, {"grant_id": grant.id, "finished_at": to_text(now)})
        wake(self.wakeups, Wakeup(GRANT, grant.id, grant.seq, grant.due))
        log.info("consent.granted grant_id=%s confirmed=%s", grant.id, grant.confirmed)

    def _upsert_grant(self, registry: Registry, credential: Credential, state: State) -> Grant:
        grant_id = grant_id_of(credential.id, state.tenant)
        confirmed = not credential.multitenant or state.expected_tenant == state.tenant
        while True:
            now = self.clock()
            found = registry.find_grant(grant_id)
            grant = found.record if found else Grant(grant_id, credential.id, state.tenant, to_text(now), to_text(now))
            try:
                return registry.schedule_grant(found, consented(grant, now, confirmed=confirmed), now).record
            except (RowChanged, RowExists, RowMissing):
                continue

    def _change(self, key: str, identifier: str, values: Mapping[str, str]) -> None:
        try:
            self.tables.tickets.commit(partition_of(identifier), [Update(key, values, ANY)])
        except RowMissing:
            log.info("consent.row_gone")

    def _add_due(self, due: DueRow) -> None:
        try:
            self.tables.connections.commit(shard_for(due.id), [due.insert()])
        except RowExists:
            log.info("consent.due_stands")

    def _without_state(self, params: Mapping[str, str], cookies: Mapping[str, str]) -> str:
        """Return what to say of an answer without a state: Microsoft leaves it out where somebody cancelled."""
        prefix = cookie_name("", secure=self.settings.secure_cookies)
        ours = [parse_dated(value, COOKIE) for name, value in cookies.items() if name.startswith(prefix)]
        if not params.get("error") or not any(ours):
            return _UNKNOWN_STATE
        return (
            "The consent was cancelled or refused at Microsoft. Open the link again to try anew. Nothing was changed."
        )

    def _result_url(self, result: Token) -> str:
        return f"{self.settings.public_base_url}/api/consent/result/{result}"


def _params_hash(params: Mapping[str, str]) -> str:
    return hashlib.sha256(json.dumps(sorted(params.items())).encode()).hexdigest()
