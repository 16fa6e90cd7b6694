"""Health, the tick by hand, and what an administrator must know before the first credential."""

import azure.functions as func

from functions.replies import answer, json_reply
from functions.requests import Request
from shared.audit import Audit
from shared.clouds import CLOUDS
from shared.grants import REQUIRED_ROLES
from shared.health import Health
from shared.settings import Settings
from shared.tick import Tick
from shared.version import VERSION


def blueprint(health: Health, tick: Tick, audit: Audit, settings: Settings) -> func.Blueprint:
    """Return the routes of this area."""
    bp = func.Blueprint()

    @bp.function_name("health")
    @bp.route("health", methods=["GET", "HEAD"], auth_level=func.AuthLevel.ANONYMOUS)
    def up(req: func.HttpRequest) -> func.HttpResponse:
        return answer(req, settings, lambda _: json_reply({"status": "ok", "version": VERSION}))

    @bp.function_name("health_details")
    @bp.route("health/details", methods=["GET"], auth_level=func.AuthLevel.FUNCTION)
    def details(req: func.HttpRequest) -> func.HttpResponse:
        def handle(_: Request) -> func.HttpResponse:
            report = health.report()
            body = {"status": "ok" if report.healthy else "unhealthy", "version": VERSION, "checks": report.checks}
            return json_reply(body, 200 if report.healthy else 503)

        return answer(req, settings, handle)

    @bp.function_name("system")
    @bp.route("system", methods=["GET"], auth_level=func.AuthLevel.FUNCTION)
    def system(req: func.HttpRequest) -> func.HttpResponse:
        body = {
            "version": VERSION,
            "redirect_uri": settings.redirect_uri,
            "required_permissions": list(REQUIRED_ROLES),
            "clouds": [{"name": cloud.name, "login_host": cloud.login_host} for cloud in CLOUDS.values()],
        }
        return answer(req, settings, lambda request: json_reply({**body, "role": request.role()}))

    @bp.function_name("tick_now")
    @bp.route("tick", methods=["POST"], auth_level=func.AuthLevel.FUNCTION)
    def tick_now(req: func.HttpRequest) -> func.HttpResponse:
        def handle(request: Request) -> func.HttpResponse:
            request.admin_write()
            result = tick.run()
            audit.write("tick.run", "done")
            return json_reply({"due": result.due, "woken": result.woken})

        return answer(req, settings, handle)

    return bp
