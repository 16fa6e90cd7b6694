"""The API's description: as an OpenAPI document for programs, and as a page for people."""

import azure.functions as func

from functions.replies import answer, html_reply
from functions.requests import Request
from shared.settings import Settings


def blueprint(settings: Settings) -> func.Blueprint:
    """Return the routes of this area."""
    bp = func.Blueprint()

    @bp.function_name("openapi")
    @bp.route("openapi.json", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
    def openapi(req: func.HttpRequest) -> func.HttpResponse:
        return answer(req, settings, lambda request: _document(request, settings))

    @bp.function_name("reference")
    @bp.route("reference", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
    def reference(req: func.HttpRequest) -> func.HttpResponse:
        return answer(req, settings, lambda _: _page(settings))

    @bp.function_name("reference_style")
    @bp.route("reference/style.css", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
    def style(req: func.HttpRequest) -> func.HttpResponse:
        headers = {"Cache-Control": "public, max-age=3600", "X-Content-Type-Options": "nosniff"}
        return answer(req, settings, lambda _: func.HttpResponse(_style(), mimetype="text/css", headers=headers))

    return bp


def _document(request: Request, settings: Settings) -> func.HttpResponse:
    # The models of answers serve the description alone: building them must not slow every start of the app.
    from functions.openapi.document import document_bytes  # noqa: PLC0415 - see above

    content, etag = document_bytes(settings.public_base_url)
    headers = {"ETag": etag, "Cache-Control": "no-cache", "Access-Control-Allow-Origin": "*"}
    if request.header("if-none-match") == etag:
        return func.HttpResponse(status_code=304, headers=headers)
    return func.HttpResponse(content, mimetype="application/json", headers=headers)


def _page(settings: Settings) -> func.HttpResponse:
    from functions.openapi.reference import page  # noqa: PLC0415 - see _document

    return html_reply(page(settings))


def _style() -> bytes:
    from functions.pages import sheet  # noqa: PLC0415 - see _document

    return sheet("reference.css")
