"""Admin consent: the page before the trip to Microsoft, the trip, what came back, and what it led to."""

import hashlib
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from urllib.parse import urlencode

from shared.audit import Audit
from shared.codes import Code
from shared.consent.answers import judged
from shared.consent.granting import FINISH_AFTER, Granting, unfinished
from shared.consent.sign_in import SigningIn
from shared.credentials import Credential
from shared.errors import Conflict, Gone, NotFound, Refused, RowChanged
from shared.grants import Grant
from shared.identifiers import Token, derived_token, parse_token, same_hash
from shared.ports import Clock, Insert, Tables, Update, Wakeups
from shared.registry import Registry
from shared.rows import decode, encode
from shared.schedule import STATE, DueRow
from shared.settings import Settings
from shared.tickets import (
    COOKIE,
    RESULT,
    RESULT_LIFE,
    STATE_LIFE,
    TICKET,
    Leg,
    State,
    Ticket,
    cookie_name,
    new_state,
    parse_dated,
    partition_of,
    sign_in_state,
    sign_in_tokens,
    state_key,
    ticket_key,
)
from shared.tickets import STATE as STATE_TOKEN
from shared.times import from_text, to_text

log = logging.getLogger("mailgrant.consent")

_FOREIGN = (
    "This answer belongs to another browser, or the browser did not keep our cookie. Open the link again in the "
    "browser in which you sign in, with cookies allowed. Nothing was changed."
)
_TOO_LATE = "This took longer than 15 minutes. Open the link that you were sent once more. Nothing was changed."
_UNKNOWN_STATE = "We do not know this answer. Open the link that you were sent once more. Nothing was changed."


@dataclass(frozen=True, slots=True)
class Trip:
    """Where to send the browser, and the cookie, if any, that binds the answer to it for 15 minutes."""

    location: str
    cookie_name: str = ""
    cookie: str = ""
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
    signing_in: SigningIn
    audit: Audit
    settings: Settings
    clock: Clock

    @property
    def _granting(self) -> Granting:
        return Granting(self.tables, self.wakeups, self.audit, self.clock)

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

    def callback(self, params: Mapping[str, str], cookies: Mapping[str, str]) -> Trip:
        """
        Take what came back from Microsoft and return the way on: the result page, or a sign-in first.

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
                self.audit.write("consent.callback", "unknown_state")
                raise NotFound(_UNKNOWN_STATE, Code.STATE_UNKNOWN)
            cookie = self._own_cookie(state, cookies)
            if state.used_at:
                return self._replayed(state, params, cookie)
            if from_text(state.expires_at) <= self.clock():
                self._tell(state, "expired")
                raise Gone(_TOO_LATE, Code.STATE_EXPIRED)
            used = self._consume(state, row.etag, params, cookie)
            if used is not None:
                return self._way_on(used, cookie)

    def finish(self, state_id: str, due: str = "") -> None:
        """Make the grant of a consumed state whose callback died. Raises `StorageError`."""
        self._granting.finish(state_id, due)

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
        return Outcome(unfinished(state, self.clock()), credential, grant.record if grant else None)

    def _own_cookie(self, state: State, cookies: Mapping[str, str]) -> Token:
        text = cookies.get(cookie_name(state.id, secure=self.settings.secure_cookies), "")
        cookie = parse_token(text, COOKIE)
        if cookie is None or cookie.id != state.id or not same_hash(cookie.secret_hash, state.cookie_hash):
            self._tell(state, "foreign_browser")
            raise Refused(_FOREIGN, Code.COOKIE_MISSING, known=True)
        return cookie

    def _replayed(self, state: State, params: Mapping[str, str], cookie: Token) -> Trip:
        if not same_hash(state.params_hash, _params_hash(params)):
            self._tell(state, "replayed")
            detail = "This answer was used already, with other contents. Open the link that you were sent once more."
            raise Refused(detail, Code.STATE_REPLAYED, known=True)
        return self._way_on(state, cookie)

    def _consume(self, state: State, etag: str, params: Mapping[str, str], cookie: Token) -> State | None:
        """Use the state up with what came back, and act on it; return None where another request was first."""
        credential, now = self._still_meant(state), self.clock()
        used = judged(state, credential, params)
        result = derived_token(RESULT, state.id, cookie.secret)
        used = replace(used, used_at=to_text(now), params_hash=_params_hash(params), result_hash=result.secret_hash)
        if not used.problem and used.leg is Leg.CONSENT and credential.multitenant:
            following = sign_in_state(used, cookie, now)
            self.tables.tickets.commit(partition_of(following.id), [Insert(state_key(following.id), encode(following))])
            used = replace(used, next_id=following.id)
        elif not used.problem:
            due = DueRow(now + FINISH_AFTER, STATE, state.id)
            used = replace(used, due=due.key)
            self._granting.add_due(due)
        try:
            done = self.tables.tickets.commit(partition_of(state.id), [Update(state_key(state.id), encode(used), etag)])
        except RowChanged:
            return None
        if used.leg is Leg.SIGN_IN and not used.problem:
            self._learn(used, done.etags[0], credential, cookie, params["code"])
            return used
        self._tell(used, used.problem or "consented")
        if not used.problem and not used.next_id:
            self._granting.finish(state.id)
        return used

    def _still_meant(self, state: State) -> Credential:
        ticket = self.tables.tickets.get(partition_of(state.ticket_id), ticket_key(state.ticket_id))
        if ticket is None or ticket.values.get("withdrawn_at"):
            self._tell(state, "withdrawn")
            raise Gone("This link was withdrawn meanwhile. Ask whoever sent it for a new one.", Code.LINK_EXPIRED)
        try:
            return Registry(self.tables).credential(state.credential_id).record
        except NotFound:
            self._tell(state, "credential_gone")
            raise Gone("What this link was for has been deleted. Nothing was changed.", Code.LINK_EXPIRED) from None

    def _learn(self, used: State, etag: str, credential: Credential, cookie: Token, code: str) -> None:
        """Ask Microsoft who signed in, write it down, and make the grant."""
        known = self.signing_in.after(used, credential, cookie, code)
        try:
            self.tables.tickets.commit(partition_of(used.id), [Update(state_key(used.id), encode(known), etag)])
        except RowChanged:
            return  # it took so long that the tick gave it up
        self._tell(known, known.problem or "signed_in")
        self._granting.finish(known.id)

    def _tell(self, state: State, outcome: str) -> None:
        action = "consent.callback" if state.leg is Leg.CONSENT else "consent.sign_in"
        who = {"person": state.person} if state.person else {}
        self.audit.write(action, outcome, state_id=state.id, credential_id=state.credential_id, **who)

    def _way_on(self, state: State, cookie: Token) -> Trip:
        """Return where the browser goes from a consumed state: to sign in, or to the result; the same each time."""
        if not state.next_id:
            result = derived_token(RESULT, state.id, cookie.secret)
            return Trip(f"{self.settings.public_base_url}/api/consent/result/{result}")
        credential = self._still_meant(state)
        token, own_cookie = sign_in_tokens(state.next_id, cookie)
        name = cookie_name(state.next_id, secure=self.settings.secure_cookies)
        return Trip(self.signing_in.way_out(credential, token, own_cookie), name, str(own_cookie))

    def _without_state(self, params: Mapping[str, str], cookies: Mapping[str, str]) -> str:
        """Return what to say of an answer without a state: Microsoft leaves it out where somebody cancelled."""
        prefix = cookie_name("", secure=self.settings.secure_cookies)
        ours = [parse_dated(value, COOKIE) for name, value in cookies.items() if name.startswith(prefix)]
        if not params.get("error") or not any(ours):
            return _UNKNOWN_STATE
        return (
            "The consent was cancelled or refused at Microsoft. Open the link again to try anew. Nothing was changed."
        )


def _params_hash(params: Mapping[str, str]) -> str:
    return hashlib.sha256(json.dumps(sorted(params.items())).encode()).hexdigest()
