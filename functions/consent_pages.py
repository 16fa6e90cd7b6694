"""What the consent pages say: the page before the trip, the result, and what went wrong."""

from urllib.parse import urlsplit

import azure.functions as func

from functions.pages import render
from functions.replies import hints, html_reply, status_of
from shared.codes import Code
from shared.consent.trip import Outcome
from shared.credentials import Credential
from shared.errors import MailgrantError
from shared.grants import SETTLED, Grant, GrantStatus, sentence
from shared.settings import Settings
from shared.tickets import Ticket

REFRESH_SECONDS = 3
RIGHTS = (
    ("Mail.ReadWrite", "Read, change, move and delete mail in every mailbox, unless you limit it to chosen ones."),
    ("Mail.Send", "Send mail as every mailbox, unless you limit it to chosen ones."),
    ("User.Read.All", "Read names and addresses of your organisation's people, to find their mailboxes."),
)
MAIL_ROLE_IDS = ("e2a3a72e-5f79-4c64-b1b1-878b674786c9", "b633e1c5-b582-4048-a93e-9f11b44c7e96")
"""What Graph calls Mail.ReadWrite and Mail.Send in role assignments. Source: graph-docs `permissions-reference.md`."""
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
    "sign_in_refused": "The sign-in proves nothing",
    "sign_in_unfinished": "The sign-in was not finished",
    "personal_accounts_unsupported": "Personal accounts cannot consent",
    "state_unknown": "We do not know this answer",
    "state_expired": "This took too long",
    "state_replayed": "This answer was used already",
    "cookie_missing": "This answer belongs to another browser",
    "ticket_unknown": "We do not know this link",
    "link_expired": "This link is no longer valid",
    "conflict": "This link has done its work",
    "not_found": "There is no such result",
    "nothing_to_authorize": "There is nothing to authorize here",
    "storage_unavailable": "We cannot answer at the moment",
    "internal_error": "Something failed on our side",
}
_AGAIN = "Nothing is lost. Wait a minute, then load this page again"
_WORDS = {
    "storage_unavailable": f"Our storage gives no answer. {_AGAIN}.",
    "internal_error": f"{_AGAIN}; if it fails once more, give the request below to whoever sent you the link.",
}
_UNCONFIRMED = (
    "Microsoft has given the rights. Whoever sent you the link now confirms that this is the organisation that was "
    "meant. You need not do anything more, and can close this page."
)
_GONE = "What you consented to was removed here meanwhile. Ask whoever sent you the link for a new one."
_NOT_OURS_YET = "You have done your part. Whoever sent you the link has something to mend before it works: "


def style_url(settings: Settings) -> str:
    """Return the path of the style sheet."""
    return f"{urlsplit(settings.public_base_url).path}/api/consent/style.css"


def start_page(ticket: Ticket, credential: Credential, settings: Settings) -> func.HttpResponse:
    """Return the page that says who asks for what; it changes nothing, and posts to its own address, the secret."""
    tenant = ticket.expected_tenant or (credential.tenant if not credential.multitenant else "")
    html = render(
        "start.html",
        style_url=style_url(settings),
        name=credential.name,
        organisation=f"the organisation {tenant}" if tenant else "your organisation",
        client_id=credential.client_id,
        mail_role_ids=MAIL_ROLE_IDS,
        rights=RIGHTS,
        signs_in=credential.multitenant,
        expires_at=ticket.expires_at,
    )
    return html_reply(html)


def result_page(outcome: Outcome, settings: Settings) -> func.HttpResponse:
    """Return what came of the trip; while more may happen the page asks again by itself."""
    grant, state = outcome.grant, outcome.state
    facts = [
        ("Organisation", state.tenant),
        ("Microsoft's error", state.error),
        ("Microsoft's code", state.microsoft_code),
        ("Trace ID", state.trace_id),
        ("Answered", _moment(state.used_at)),
        ("Attempt", state.id),
    ]
    values = {
        "granted": (),
        "missing": (),
        "excess": (),
        "facts": [fact for fact in facts if fact[1]],
        "waiting": False,
        "receipt": (),
        "client_id": outcome.credential.client_id if outcome.credential else "",
        "mail_role_ids": MAIL_ROLE_IDS,
    }
    if state.problem:
        title, mood, detail = _PROBLEMS.get(state.problem, "Not authorized"), "bad", state.detail
        values["facts"] = [("Code", state.problem), *[fact for fact in facts[1:] if fact[1]]]
    elif grant is None and state.finished_at:
        title, mood, detail = "This no longer stands", "bad", _GONE
    elif grant is not None and grant.status in SETTLED and grant.checked_at >= grant.since:
        title, mood = _TITLES[grant.status]
        detail = _settled_words(grant)
        values |= {"granted": grant.granted, "missing": grant.missing, "excess": grant.excess}
        values["receipt"] = _receipt(outcome.credential, grant)
        values["facts"] = [fact for fact in facts[1:] if fact[1]] if values["receipt"] else values["facts"]
    else:
        title, mood, detail = "Consent received, being checked", "calm", _pending_words(grant)
        values["waiting"] = True
        if grant is not None:
            values |= {"granted": grant.granted, "missing": grant.missing}
    html = render("result.html", style_url=style_url(settings), title=title, mood=mood, detail=detail, **values)
    return html_reply(html, headers={"Refresh": str(REFRESH_SECONDS)} if values["waiting"] else None)


def _receipt(credential: Credential | None, grant: Grant) -> list[tuple[str, str]]:
    """Return what an administrator should keep of a consent; nothing where nothing was given."""
    if credential is None or grant.status in (GrantStatus.DENIED, GrantStatus.REVOKED):
        return []
    rights = ", ".join((*grant.granted, *grant.excess)) or "none; Microsoft's token does not show them"
    facts = [
        ("To whom", credential.name),
        ("Application (client) ID", credential.client_id),
        ("Organisation", f"{grant.domain} ({grant.tenant})" if grant.domain else grant.tenant),
        ("Consented", _moment(grant.since)),
        ("Rights seen in a token", rights),
        ("Seen", _moment(grant.checked_at)),
        ("Signed in as", grant.signed_in_as),
        ("Number of this receipt", grant.id),
    ]
    return [fact for fact in facts if fact[1]]


def _moment(text: str) -> str:
    return f"{text[:16].replace('T', ' ')} UTC" if text else ""


def _settled_words(grant: Grant) -> str:
    if grant.status is GrantStatus.UNCONFIRMED:
        return _UNCONFIRMED
    return sentence(grant) or "Every right that is needed was granted. You can close this page."


def _pending_words(grant: Grant | None) -> str:
    """Return what a tenant's administrator is told while nothing is settled; a broken secret is not theirs to mend."""
    if grant is None or grant.status in SETTLED:
        return "Microsoft is spreading the rights; this takes a moment."
    if grant.fault is not None and not grant.fault.retryable:
        return f"{_NOT_OURS_YET}{grant.fault.detail}"
    return sentence(grant)


def problem_page(error: MailgrantError, request_id: str, settings: Settings) -> func.HttpResponse:
    """Return *error* as a page that says what happened and what to do."""
    html = render(
        "problem.html",
        style_url=style_url(settings),
        mood="calm" if error.code is Code.CONFLICT else "bad",
        title=_PROBLEMS.get(error.code.value, error.code.value.replace("_", " ").capitalize()),
        detail=_WORDS.get(error.code.value, error.detail),
        code=error.code.value,
        request_id=request_id,
    )
    status = status_of(error)
    return html_reply(html, status, hints(error, status))
