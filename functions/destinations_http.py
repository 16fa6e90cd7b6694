"""Destinations of connections, for administrators: try one, rotate its signing secret, deliver mail once more."""

from dataclasses import asdict, dataclass

import azure.functions as func

from functions.connections_bodies import RedeliverBody, RotateSigningSecret
from functions.replies import answer, json_reply
from functions.requests import Request
from shared.connection_admin.lists import ConnectionLists
from shared.connection_admin.redelivery import Redeliveries
from shared.connection_admin.signing import SecretRotation
from shared.connection_admin.trial import DestinationTrial
from shared.connection_admin.views import redelivery_view, view
from shared.settings import Settings


@dataclass(frozen=True, slots=True)
class DestinationUseCases:
    """Everything that an administrator does with destinations."""

    trial: DestinationTrial
    rotation: SecretRotation
    redeliveries: Redeliveries
    lists: ConnectionLists


def blueprint(use: DestinationUseCases, settings: Settings) -> func.Blueprint:
    """Return the routes of this area."""
    bp = func.Blueprint()

    @bp.function_name("destination_test")
    @bp.route("connections/{id}/destination/test", methods=["POST"], auth_level=func.AuthLevel.FUNCTION)
    def test(req: func.HttpRequest) -> func.HttpResponse:
        def handle(request: Request) -> func.HttpResponse:
            request.admin_write()
            return json_reply(asdict(use.trial.run(request.route("id"))))

        return answer(req, settings, handle)

    @bp.function_name("signing_secret_rotate")
    @bp.route("connections/{id}/signing-secret/rotate", methods=["POST"], auth_level=func.AuthLevel.FUNCTION)
    def rotate(req: func.HttpRequest) -> func.HttpResponse:
        def handle(request: Request) -> func.HttpResponse:
            request.admin_write()
            body, connection_id = request.body(RotateSigningSecret), request.route("id")
            connection, secret = use.rotation.rotate(connection_id, body.overlap_hours)
            shown = view(use.lists.get(connection_id)) | {"signing_secret": secret}
            return json_reply(shown, headers={"ETag": f'"{connection.version}"', "Cache-Control": "no-store"})

        return answer(req, settings, handle)

    @bp.function_name("connections_redeliver")
    @bp.route("connections/{id}/redeliver", methods=["POST"], auth_level=func.AuthLevel.FUNCTION)
    def redeliver(req: func.HttpRequest) -> func.HttpResponse:
        def handle(request: Request) -> func.HttpResponse:
            request.admin_write()
            body, connection_id = request.body(RedeliverBody), request.route("id")
            if body.dry_run:
                return json_reply({"dry_run": True, **asdict(use.redeliveries.count(connection_id, body.asked()))})
            return json_reply(redelivery_view(use.redeliveries.start(connection_id, body.asked())), 202)

        return answer(req, settings, handle)

    return bp
