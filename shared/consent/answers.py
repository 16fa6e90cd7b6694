"""What an answer from Microsoft's consent page means; it proves nothing, and only decides what to ask next."""

import re
from collections.abc import Mapping
from dataclasses import replace

from shared.codes import Code
from shared.credentials import PERSONAL_TENANT, Credential
from shared.identifiers import is_guid
from shared.tickets import Leg, State

_CANCELS = frozenset({"permission_denied", "access_denied", "consent_required"})
_NUMBER = re.compile(r"AADSTS\d{4,9}")
_TRACE = re.compile(r"Trace ID: ([0-9a-fA-F-]{36})")
_AGAIN = "Open the link that you were sent once more to try again. Nothing was changed."
_SIGN_IN_AGAIN = "Open the link that you were sent once more, accept, and sign in. Until then no access is used here."
_ADMINISTRATOR_NEEDED = ("AADSTS90093", "AADSTS90094")


def judged(state: State, credential: Credential, params: Mapping[str, str]) -> State:
    """
    Return the state with what came back, and the problem that stands in the way of a grant, if any.

    The state, not the parameters, tells which leg was asked. An ``error`` decides, whatever ``admin_consent`` says
    (entra-docs `v2-admin-consent.md` shows both together); then come missing fields; then the tenant, which may be
    forged and is checked afterwards: by a token, and where any organisation may answer by a sign-in.
    """
    is_consent = state.leg is Leg.CONSENT
    description = params.get("error_description", "")
    number, trace = _NUMBER.search(description), _TRACE.search(description)
    tenant = params.get("tenant", "").strip().lower() if is_consent else state.tenant
    seen = replace(
        state,
        tenant=tenant if is_guid(tenant) else "",
        error=_word(params.get("error", "")),
        microsoft_code=number[0] if number else "",
        trace_id=trace[1] if trace else "",
    )
    code, detail = _problem(seen, credential, params) if is_consent else _sign_in_problem(seen, params)
    return replace(seen, problem=code.value if code else "", detail=detail)


def _problem(seen: State, credential: Credential, params: Mapping[str, str]) -> tuple[Code | None, str]:
    if params.get("error"):
        return _refusal(seen, params)
    if params.get("admin_consent", "").lower() != "true" or not seen.tenant:
        return Code.CONSENT_INCOMPLETE, f"Microsoft's answer was not complete. {_AGAIN}"
    if seen.tenant == PERSONAL_TENANT:
        detail = f"A personal Microsoft account answered; only organisations can consent. {_AGAIN}"
        return Code.PERSONAL_ACCOUNTS_UNSUPPORTED, detail
    expected = seen.expected_tenant if credential.multitenant else credential.tenant
    if expected and seen.tenant != expected:
        detail = f"Another organisation answered than was asked. Sign in with an account of {expected}. {_AGAIN}"
        return Code.WRONG_TENANT, detail
    return None, ""


def _sign_in_problem(seen: State, params: Mapping[str, str]) -> tuple[Code | None, str]:
    """Return what is wrong with the answer to a sign-in; whoever signed in is asked afterwards."""
    if params.get("error"):
        cancelled = params.get("error_subcode") == "cancel" or seen.error in _CANCELS
        what = "The sign-in was cancelled at Microsoft." if cancelled else "Microsoft refused the sign-in."
        return Code.SIGN_IN_REFUSED, f"{what} {_SIGN_IN_AGAIN}"
    if not params.get("code"):
        return Code.CONSENT_INCOMPLETE, f"Microsoft's answer was not complete. {_SIGN_IN_AGAIN}"
    return None, ""


def _refusal(seen: State, params: Mapping[str, str]) -> tuple[Code, str]:
    if seen.microsoft_code in _ADMINISTRATOR_NEEDED:
        detail = f"Your account may not consent: a Privileged Role or Global Administrator is needed. {_AGAIN}"
        return Code.CONSENT_REFUSED, detail
    cancelled = params.get("error_subcode") == "cancel" or seen.error in _CANCELS
    if cancelled:
        return Code.CONSENT_CANCELLED, f"The consent was cancelled at Microsoft. {_AGAIN}"
    detail = f"Microsoft refused the consent. {_AGAIN} If that fails too, send the code below to whoever sent the link."
    return Code.CONSENT_REFUSED, detail


def _word(text: str) -> str:
    """Return an error name fit to be stored and shown; it comes from a URL that anyone can write."""
    return text[:60] if re.fullmatch(r"[A-Za-z0-9_.-]{1,60}", text[:60]) else "error" if text else ""
