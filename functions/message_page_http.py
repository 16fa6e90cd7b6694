"""Looking at a received mail: administrators get a link for a minute, and behind it is a page that can do nothing."""

import azure.functions as func

from functions.replies import answer, json_reply
from functions.requests import Request
from shared.audit import Audit
from shared.message_pages import MessagePages
from shared.settings import Settings
from shared.times import to_text

POLICY = (
    "sandbox; default-src 'none'; img-src data:; style-src 'unsafe-inline'; form-action 'none'; base-uri 'none'; "
    "frame-ancestors 'self'"
)
"""A stranger's html: an origin of its own, no scripts, nothing loaded, no forms, framed by our own pages only."""
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": POLICY,
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-DNS-Prefetch-Control": "off",
}


def blueprint(pages: MessagePages, audit: Audit, settings: Settings) -> func.Blueprint:
    """Return the routes of this area."""
    bp = func.Blueprint()

    @bp.function_name("received_page")
    @bp.route("received/{id}/page", methods=["POST"], auth_level=func.AuthLevel.FUNCTION)
    def link(req: func.HttpRequest) -> func.HttpResponse:
        def handle(request: Request) -> func.HttpResponse:
            request.admin_write()
            made = pages.link(request.route("id"))
            audit.write("received.open", "page", received_id=request.route("id"))
            url = f"{settings.public_base_url}/api/content/{made.token}/page"
            return json_reply({"url": url, "expires_at": to_text(made.expires_at)})

        return answer(req, settings, handle)

    @bp.function_name("content_page")
    @bp.route("content/{token}/page", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
    def page(req: func.HttpRequest) -> func.HttpResponse:
        def handle(request: Request) -> func.HttpResponse:
            return func.HttpResponse(pages.html(request.route("token")), mimetype="text/html", charset="utf-8")

        response = answer(req, settings, handle)
        for name, value in HEADERS.items():
            response.headers[name] = value
        return response

    return bp
