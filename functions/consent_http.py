"""The public pages of consent: the link, the trip to Microsoft, the way back, the result."""

from collections.abc import Callable
from urllib.parse import quote, urlsplit

import azure.functions as func

from functions.consent_pages import problem_page, result_page, start_page
from functions.pages import style
from functions.replies import answer, log_failure
from functions.requests import Request
from shared.audit import acting
from shared.consent.trip import Consent, Trip
from shared.errors import MailgrantError
from shared.settings import Settings

_MAX_COOKIES = 16_384
_HOST_HEADERS = ("host", "x-forwarded-host", "x-original-host")


def blueprint(consent: Consent, settings: Settings) -> func.Blueprint:
    """Return the routes of this area."""
    bp = func.Blueprint()
    _way_out(bp, consent, settings)
    _way_back(bp, consent, settings)
    return bp


def _way_out(bp: func.Blueprint, consent: Consent, settings: Settings) -> None:
    @bp.function_name("consent_start")
    @bp.route("consent/start/{ticket}", methods=["GET", "HEAD"], auth_level=func.AuthLevel.ANONYMOUS)
    def show(req: func.HttpRequest) -> func.HttpResponse:
        def handle(request: Request) -> func.HttpResponse:
            text = request.route("ticket")
            if _is_elsewhere(request, settings):
                return _redirect(_start_url(text, settings), 307)
            ticket, credential = consent.invitation(text)
            return start_page(ticket, credential, settings)

        return _page(req, settings, handle)

    @bp.function_name("consent_go")
    @bp.route("consent/start/{ticket}", methods=["POST"], auth_level=func.AuthLevel.ANONYMOUS)
    def go(req: func.HttpRequest) -> func.HttpResponse:
        def handle(request: Request) -> func.HttpResponse:
            text = request.route("ticket")
            if _is_elsewhere(request, settings):  # the cookie would be kept for the wrong host
                return _redirect(_start_url(text, settings), 303)
            trip = consent.start(text)
            return _redirect(trip.location, 303, {"Set-Cookie": _set_cookie(trip, settings)})

        return _page(req, settings, handle)


def _way_back(bp: func.Blueprint, consent: Consent, settings: Settings) -> None:
    @bp.function_name("consent_callback")
    @bp.route("consent/callback", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
    def callback(req: func.HttpRequest) -> func.HttpResponse:
        def handle(request: Request) -> func.HttpResponse:
            params = {name: str(value) for name, value in request.raw.params.items()}
            trip = consent.callback(params, _cookies(request))
            return _redirect(trip.location, 303, {"Set-Cookie": _set_cookie(trip, settings)} if trip.cookie else None)

        return _page(req, settings, handle)

    @bp.function_name("consent_result")
    @bp.route("consent/result/{id}", methods=["GET", "HEAD"], auth_level=func.AuthLevel.ANONYMOUS)
    def result(req: func.HttpRequest) -> func.HttpResponse:
        return _page(req, settings, lambda request: result_page(consent.outcome(request.route("id")), settings))

    @bp.function_name("consent_style")
    @bp.route("consent/style.css", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
    def sheet(req: func.HttpRequest) -> func.HttpResponse:
        headers = {"Cache-Control": "public, max-age=3600", "X-Content-Type-Options": "nosniff"}
        return answer(req, settings, lambda _: func.HttpResponse(style(), mimetype="text/css", headers=headers))


def _page(
    req: func.HttpRequest, settings: Settings, handle: Callable[[Request], func.HttpResponse]
) -> func.HttpResponse:
    """Run *handle*; every error becomes a page."""
    request = Request(req, settings)
    try:
        with acting("browser"):
            response = handle(request)
    except MailgrantError as error:
        response = problem_page(error, request.id, settings)
    except Exception:  # noqa: BLE001 - a browser gets a page whatever happens; it is logged
        log_failure(request.id)
        detail = "Something failed on our side. Open the link that you were sent once more."
        response = problem_page(MailgrantError(detail), request.id, settings)
    response.headers["X-Request-Id"] = request.id
    return response


def _start_url(ticket: str, settings: Settings) -> str:
    return f"{settings.public_base_url}/api/consent/start/{quote(ticket, safe='')}"


def _is_elsewhere(request: Request, settings: Settings) -> bool:
    """Tell whether the browser called another host than the public one, whose cookie would not come back."""
    named = [request.header(name).lower() for name in _HOST_HEADERS]
    return any(named) and urlsplit(settings.public_base_url).netloc.lower() not in named


def _redirect(location: str, status: int, headers: dict[str, str] | None = None) -> func.HttpResponse:
    fixed = {"Location": location, "Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}
    return func.HttpResponse(status_code=status, headers={**fixed, **(headers or {})})


def _set_cookie(trip: Trip, settings: Settings) -> str:
    """Return the header; SameSite=Strict would not be sent on the way back from Microsoft."""
    secure = "; Secure" if settings.secure_cookies else ""
    return f"{trip.cookie_name}={trip.cookie}; Max-Age={trip.seconds}; Path=/; HttpOnly; SameSite=Lax{secure}"


def _cookies(request: Request) -> dict[str, str]:
    """Return the cookies that the browser sent; anything odd among them is left alone."""
    pairs = (part.strip().partition("=") for part in request.header("cookie")[:_MAX_COOKIES].split(";"))
    return {name: value for name, _, value in pairs if name}
