"""The console: a shell without data and its files, for anybody; all data comes from the API, with its caller's key."""

from urllib.parse import urlsplit

import azure.functions as func

from functions.console_files import FIRST, file, version
from functions.pages import render
from functions.replies import answer, html_reply
from functions.requests import Request
from shared.errors import NotFound
from shared.settings import Settings

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "frame-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
"""No script or style but our files; a text can become no markup, since nothing may make it trusted."""


def blueprint(settings: Settings) -> func.Blueprint:
    """Return the routes of the console."""
    bp = func.Blueprint()
    api = f"{urlsplit(settings.public_base_url).path}/api"

    @bp.function_name("console")
    @bp.route("console", methods=["GET", "HEAD"], auth_level=func.AuthLevel.ANONYMOUS)
    def shell(req: func.HttpRequest) -> func.HttpResponse:
        def handle(_: Request) -> func.HttpResponse:
            files = f"{api}/console/{version()}"
            html = render("console.html", api=api, files=files, auth=settings.admin_auth, modules=FIRST)
            headers = {"Content-Security-Policy": POLICY, "Cross-Origin-Opener-Policy": "same-origin"}
            return html_reply(html, headers=headers)

        return answer(req, settings, handle)

    @bp.function_name("console_file")
    @bp.route("console/{version}/{*path}", methods=["GET", "HEAD"], auth_level=func.AuthLevel.ANONYMOUS)
    def static(req: func.HttpRequest) -> func.HttpResponse:
        def handle(request: Request) -> func.HttpResponse:
            found = file(request.route("path")) if request.route("version") == version() else None
            if found is None:
                raise NotFound("There is no such file of the console. It may have been updated: load the page again.")
            headers = {
                "Cache-Control": "public, max-age=31536000, immutable",
                "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
                "X-Content-Type-Options": "nosniff",
            }
            return func.HttpResponse(found.content, mimetype=found.mimetype, charset="utf-8", headers=headers)

        return answer(req, settings, handle)

    return bp
