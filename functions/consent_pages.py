"""What the consent pages say: the page before the trip, the result, and what went wrong."""

from urllib.parse import urlsplit

import azure.functions as func

from functions.pages import render
from functions.replies import html_reply, status_of
from shared.consent.trip import Outcome
from shared.credentials import Credential
from shared.errors import MailgrantError
from shared.grants import SETTLED, GrantStatus, sentence
from shared.settings import Settings
from shared.tickets import Ticket

REFRESH_SECONDS = 3
RIGHTS = (
    ("Mail.ReadWrite", "Read, change, move and delete mail in every mailbox, unless you limit it to chosen ones."),
    ("Mail.Send", "Send mail as every mailbox, unless you limit it to chosen ones."),
    ("User.Read.All", "Read names and addresses of your organisation's people, to find their mailboxes."),
)
_TITLES = {
    GrantStatus.ACTIVE: ("Authorized successfully", "good"),
    GrantStatus.UNCONFIRMED: ("Consent received, waiting for confirmation", "calm"),
    GrantStatus.UNVERIFIABLE: ("Authorized, but the rights could not be checked", "calm"),
    GrantStatus.PARTIAL: ("Authorized in part", "bad"),
    GrantStatus.DENIED: ("Not authorized", "bad"),
    GrantStatus.REVOKED: ("Authorization was taken back", "bad"),
}
_PROBLEMS = {
    "consent_cancelled": "Consent was cancelled",
    "consent_refused": "Consent was refused",
    "consent_incomplete": "Microsoft's answer was incomplete",
    "wrong_tenant": "Another organisation answered",
    "personal_accounts_unsupported": "Personal accounts cannot consent",
    "state_unknown": "We do not know this answer",
    "state_expired": "This took too long",
    "state_replayed": "This answer was used already",
    "cookie_missing": "This answer belongs to another browser",
    "ticket_unknown": "We do not know this link",
    "link_expired": "This link is no longer valid",
}


def style_url(settings: Settings) -> str:
    """Return the path of the style sheet."""
    return f"{urlsplit(settings.public_base_url).path}/api/consent/style.css"


def start_page(ticket: Ticket, credential: Credential, action: str, settings: Settings) -> func.HttpResponse:
    """Return the page that says who asks for what; it changes nothing."""
    tenant = ticket.expected_tenant or (credential.tenant if not credential.multitenant else "")
    html = render(
        "start.html",
        style_url=style_url(settings),
        name=credential.name,
        organisation=f"the organisation {tenant}" if tenant else "your organisation",
        client_id=credential.client_id,
        rights=RIGHTS,
        action=action,
        expires_at=ticket.expires_at,
    )
    return html_reply(html)


def result_page(outcome: Outcome, settings: Settings) -> func.HttpResponse:
    """Return what came of the trip; while more may happen the page asks again by itself."""
    grant, state = outcome.grant, outcome.state
    facts = [("Organisation", state.tenant), ("Microsoft's code", state.microsoft_code), ("Trace ID", state.trace_id)]
    values = {
        "granted": (),
        "missing": (),
        "excess": (),
        "facts": [fact for fact in facts if fact[1]],
        "waiting": False,
    }
    if state.problem:
        title, mood, detail = _PROBLEMS.get(state.problem, "Not authorized"), "bad", state.detail
        values["facts"] = [("Code", state.problem), *[fact for fact in facts[1:] if fact[1]]]
    elif grant is not None and grant.status in SETTLED:
        title, mood = _TITLES[grant.status]
        detail = sentence(grant) or "Every right that is needed was granted. You can close this page."
        values |= {"granted": grant.granted, "missing": grant.missing, "excess": grant.excess}
    else:
        title, mood, detail = (
            "Consent received, being checked",
            "calm",
            "Microsoft is spreading the rights; this takes a moment.",
        )
        values["waiting"] = True
        if grant is not None:
            detail = sentence(grant) or detail
            values |= {"granted": grant.granted, "missing": grant.missing}
    html = render("result.html", style_url=style_url(settings), title=title, mood=mood, detail=detail, **values)
    return html_reply(html, headers={"Refresh": str(REFRESH_SECONDS)} if values["waiting"] else None)


def problem_page(error: MailgrantError, request_id: str, settings: Settings) -> func.HttpResponse:
    """Return *error* as a page that says what happened and what to do."""
    html = render(
        "problem.html",
        style_url=style_url(settings),
        title=_PROBLEMS.get(error.code.value, error.code.value.replace("_", " ").capitalize()),
        detail=error.detail,
        code=error.code.value,
        request_id=request_id,
    )
    return html_reply(html, status_of(error))
