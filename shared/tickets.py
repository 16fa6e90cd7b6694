"""Consent links and states: what stands in their rows, and how their tokens find these rows."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from shared.identifiers import Token, derived_token, is_ulid, new_token, new_ulid, parse_token
from shared.times import from_text, to_text

TICKET = "ticket"
STATE = "state"
COOKIE = "cookie"
RESULT = "result"
STATE_LIFE = timedelta(minutes=15)
RESULT_LIFE = timedelta(hours=24)
LONGEST_LINK_HOURS = 720


@dataclass(frozen=True, slots=True)
class Ticket:
    """A consent link; only the SHA-256 of its secret is stored. *grant_id* is set once a grant resulted."""

    id: str
    credential_id: str
    created_at: str
    expires_at: str
    secret_hash: str
    label: str = ""
    expected_tenant: str = ""
    withdrawn_at: str = ""
    grant_id: str = ""

    def status(self, now: datetime) -> str:
        """Return ``open``, ``used``, ``withdrawn`` or ``expired``."""
        if self.withdrawn_at:
            return "withdrawn"
        if self.grant_id:
            return "used"
        return "expired" if from_text(self.expires_at) <= now else "open"


class Leg(StrEnum):
    """Which way to Microsoft and back a state stands for: the admin consent, or the sign-in that follows it."""

    CONSENT = "consent"
    SIGN_IN = "sign_in"


@dataclass(frozen=True, slots=True)
class State:
    """
    One trip of one browser to Microsoft and back.

    *used_at* is set once, with what came back; *problem* and *detail* say why no grant results, and *finished_at* that
    nothing is left to do. *due* is the due row that finishes the work if the callback dies.

    *next_id* is the sign-in's state where a consent is followed by one. A sign-in's *tenant* is the one that consent
    named; *signed_in_at* is set once Microsoft told who signed in: *person* (an object id), *signed_in_as*, *domain*
    (only where it is known to be the tenant's) and whether they are an *administrator* who may consent.
    """

    id: str
    ticket_id: str
    credential_id: str
    created_at: str
    expires_at: str
    secret_hash: str
    cookie_hash: str
    expected_tenant: str = ""
    used_at: str = ""
    tenant: str = ""
    error: str = ""
    microsoft_code: str = ""
    trace_id: str = ""
    params_hash: str = ""
    result_hash: str = ""
    problem: str = ""
    detail: str = ""
    grant_id: str = ""
    finished_at: str = ""
    due: str = ""
    leg: Leg = Leg.CONSENT
    next_id: str = ""
    signed_in_at: str = ""
    signed_in_as: str = ""
    person: str = ""
    domain: str = ""
    administrator: bool = False


def new_dated_id(expires_at: datetime) -> str:
    """Return an id that begins with the day of its expiry, which is its row's partition."""
    return f"{expires_at.strftime('%Y%m%d')}.{new_ulid()}"


def partition_of(identifier: str) -> str:
    """Return the partition of a ticket or state."""
    return identifier.partition(".")[0]


def ticket_key(identifier: str) -> str:
    """Return the row key of a ticket."""
    return f"t|{identifier.partition('.')[2]}"


def state_key(identifier: str) -> str:
    """Return the row key of a state."""
    return f"s|{identifier.partition('.')[2]}"


def is_dated_id(text: str) -> bool:
    """Tell whether *text* has the form of `new_dated_id`."""
    day, _, ulid = text.partition(".")
    return len(day) == 8 and day.isdigit() and day.isascii() and is_ulid(ulid)


def parse_dated(text: str, kind: str) -> Token | None:
    """Return the token that *text* is, or None where its form, checksum or id are wrong; needs no storage."""
    token = parse_token(text, kind)
    return token if token is not None and is_dated_id(token.id) else None


def new_ticket(
    credential_id: str, now: datetime, hours: float, *, label: str = "", expected_tenant: str = ""
) -> tuple[Ticket, Token]:
    """Return a ticket that is good for *hours*, and its token, which is shown once."""
    expires_at = now + timedelta(hours=hours)
    token = new_token(TICKET, new_dated_id(expires_at))
    ticket = Ticket(
        token.id,
        credential_id,
        to_text(now),
        to_text(expires_at),
        token.secret_hash,
        label=label,
        expected_tenant=expected_tenant,
    )
    return ticket, token


def new_state(ticket: Ticket, now: datetime) -> tuple[State, Token, Token]:
    """Return a state for one trip, its token for the URL, and its cookie for the browser."""
    expires_at = now + STATE_LIFE
    token = new_token(STATE, new_dated_id(expires_at))
    cookie = new_token(COOKIE, token.id)
    state = State(
        token.id,
        ticket.id,
        ticket.credential_id,
        to_text(now),
        to_text(expires_at),
        token.secret_hash,
        cookie.secret_hash,
        expected_tenant=ticket.expected_tenant,
    )
    return state, token, cookie


def sign_in_state(consent: State, cookie: Token, now: datetime) -> State:
    """Return the state of the sign-in that follows *consent*; its token and cookie are `sign_in_tokens`."""
    expires_at = now + STATE_LIFE
    identifier = new_dated_id(expires_at)
    token, own_cookie = sign_in_tokens(identifier, cookie)
    return State(
        identifier,
        consent.ticket_id,
        consent.credential_id,
        to_text(now),
        to_text(expires_at),
        token.secret_hash,
        own_cookie.secret_hash,
        expected_tenant=consent.expected_tenant,
        tenant=consent.tenant,
        leg=Leg.SIGN_IN,
    )


def sign_in_tokens(identifier: str, cookie: Token) -> tuple[Token, Token]:
    """Return token and cookie of a sign-in's state: whoever has the consent's *cookie* can make them again."""
    return derived_token(STATE, identifier, cookie.secret), derived_token(COOKIE, identifier, cookie.secret)


def cookie_name(state_id: str, *, secure: bool) -> str:
    """Return the name of a state's own cookie; the prefix binds it to this host and to https."""
    name = f"mg-{state_id.partition('.')[2]}"
    return f"__Host-{name}" if secure else name
