"""Credentials and their consent links, for administrators."""

from dataclasses import asdict
from typing import Annotated, Any

import azure.functions as func
from pydantic import Field

from functions.grants_http import grant_view
from functions.replies import answer, created, json_reply, no_content
from functions.requests import Body, Request
from shared.connection_admin.views import fault_view
from shared.consent.links import ConsentLinks
from shared.credential_admin import CredentialAdmin
from shared.credentials import AuthMethod, Credential, GrantType, NewCredential
from shared.errors import Conflict
from shared.grant_checks import GrantChecks
from shared.paging import page_of
from shared.settings import Settings
from shared.tickets import LONGEST_LINK_HOURS, Ticket

Name = Annotated[str, Field(min_length=1, max_length=200)]
Secret = Annotated[str, Field(min_length=1, max_length=1000, repr=False)]


class CreateCredential(Body):
    """POST credentials."""

    name: Name
    client_id: str
    grant_type: GrantType
    auth_method: AuthMethod = AuthMethod.SECRET
    client_secret: Secret
    secret_expires_at: str | None = None
    cloud: str | None = None
    tenant: str | None = None
    token_endpoint_url: str | None = None
    auth_endpoint_url: str | None = None


class ChangeCredential(Body):
    """PATCH credentials/{id}."""

    name: Name = ""
    secret_expires_at: str | None = None


class RotateSecret(Body):
    """POST credentials/{id}/secret."""

    client_secret: Secret
    secret_expires_at: str | None = None


class VerifyCredential(Body):
    """POST credentials/{id}/verify."""

    tenant: str = ""


class CreateLink(Body):
    """POST credentials/{id}/consent-links."""

    expected_tenant: str = ""
    label: Annotated[str, Field(max_length=200)] = ""
    expires_in_hours: Annotated[float, Field(gt=0, le=LONGEST_LINK_HOURS)] = 168


def blueprint(admin: CredentialAdmin, checks: GrantChecks, links: ConsentLinks, settings: Settings) -> func.Blueprint:
    """Return the routes of this area."""
    bp = func.Blueprint()
    _credentials(bp, admin, settings)
    _proofs(bp, admin, checks, settings)
    _links(bp, links, settings)
    return bp


def _credentials(bp: func.Blueprint, admin: CredentialAdmin, settings: Settings) -> None:
    @bp.function_name("credentials_create")
    @bp.route("credentials", methods=["POST"], auth_level=func.AuthLevel.FUNCTION)
    def create(req: func.HttpRequest) -> func.HttpResponse:
        def handle(request: Request) -> func.HttpResponse:
            request.admin_write()
            asked = NewCredential(**dict(request.body(CreateCredential)))
            credential = admin.create(asked)
            return created(view(credential, settings), f"{settings.public_base_url}/api/credentials/{credential.id}")

        return answer(req, settings, handle)

    @bp.function_name("credentials_list")
    @bp.route("credentials", methods=["GET"], auth_level=func.AuthLevel.FUNCTION)
    def list_all(req: func.HttpRequest) -> func.HttpResponse:
        def handle(request: Request) -> func.HttpResponse:
            keyed = [(credential.id, view(credential, settings)) for credential in admin.all()]
            page = page_of(keyed, request.limit(), request.query("cursor"))
            return json_reply({"data": page.items, "next_cursor": page.next_cursor})

        return answer(req, settings, handle)

    @bp.function_name("credentials_get")
    @bp.route("credentials/{id}", methods=["GET"], auth_level=func.AuthLevel.FUNCTION)
    def get(req: func.HttpRequest) -> func.HttpResponse:
        return answer(req, settings, lambda request: _shown(admin.get(request.route("id")), settings))

    @bp.function_name("credentials_change")
    @bp.route("credentials/{id}", methods=["PATCH"], auth_level=func.AuthLevel.FUNCTION)
    def change(req: func.HttpRequest) -> func.HttpResponse:
        def handle(request: Request) -> func.HttpResponse:
            request.admin_write()
            changes = request.body(ChangeCredential).model_dump(exclude_unset=True)
            return _shown(admin.change(request.route("id"), changes, request.if_match()), settings)

        return answer(req, settings, handle)

    @bp.function_name("credentials_delete")
    @bp.route("credentials/{id}", methods=["DELETE"], auth_level=func.AuthLevel.FUNCTION)
    def delete(req: func.HttpRequest) -> func.HttpResponse:
        def handle(request: Request) -> func.HttpResponse:
            request.admin_mark()
            admin.delete(request.route("id"))
            return no_content()

        return answer(req, settings, handle)


def _proofs(bp: func.Blueprint, admin: CredentialAdmin, checks: GrantChecks, settings: Settings) -> None:
    @bp.function_name("credentials_rotate")
    @bp.route("credentials/{id}/secret", methods=["POST"], auth_level=func.AuthLevel.FUNCTION)
    def rotate(req: func.HttpRequest) -> func.HttpResponse:
        def handle(request: Request) -> func.HttpResponse:
            request.admin_write()
            body = request.body(RotateSecret)
            done = admin.rotate(request.route("id"), body.client_secret, body.secret_expires_at)
            return json_reply({"proven": done.proven, "detail": done.detail, **view(done.credential, settings)})

        return answer(req, settings, handle)

    @bp.function_name("credentials_verify")
    @bp.route("credentials/{id}/verify", methods=["POST"], auth_level=func.AuthLevel.FUNCTION)
    def verify(req: func.HttpRequest) -> func.HttpResponse:
        def handle(request: Request) -> func.HttpResponse:
            request.admin_write()
            body = request.body(VerifyCredential)
            credential, tenant = admin.verifiable(request.route("id"), body.tenant)
            if not credential.ready:
                raise Conflict("The credential's secret is not stored yet. Try again in a moment, or delete it.")
            if credential.grant_type is GrantType.CLIENT_CREDENTIALS:
                return json_reply(grant_view(checks.verify_tenant(credential, tenant)))
            return json_reply(grant_view(checks.verify_existing(credential, tenant)))

        return answer(req, settings, handle)


def _links(bp: func.Blueprint, links: ConsentLinks, settings: Settings) -> None:
    @bp.function_name("consent_links_create")
    @bp.route("credentials/{id}/consent-links", methods=["POST"], auth_level=func.AuthLevel.FUNCTION)
    def create(req: func.HttpRequest) -> func.HttpResponse:
        def handle(request: Request) -> func.HttpResponse:
            request.admin_write()
            body, credential_id = request.body(CreateLink), request.route("id")
            link = links.create(
                credential_id, expected_tenant=body.expected_tenant, label=body.label, hours=body.expires_in_hours
            )
            place = f"{settings.public_base_url}/api/credentials/{credential_id}/consent-links/{link.ticket.id}"
            return created({**_link_view(link.ticket, "open"), "url": link.url}, place)

        return answer(req, settings, handle)

    @bp.function_name("consent_links_list")
    @bp.route("credentials/{id}/consent-links", methods=["GET"], auth_level=func.AuthLevel.FUNCTION)
    def list_all(req: func.HttpRequest) -> func.HttpResponse:
        def handle(request: Request) -> func.HttpResponse:
            now = links.clock()
            keyed = [
                (f"{ticket.created_at}|{ticket.id}", _link_view(ticket, ticket.status(now)))
                for ticket in links.of(request.route("id"))
            ]
            page = page_of(keyed, request.limit(), request.query("cursor"))
            return json_reply({"data": page.items, "next_cursor": page.next_cursor})

        return answer(req, settings, handle)

    @bp.function_name("consent_links_withdraw")
    @bp.route("credentials/{id}/consent-links/{link_id}", methods=["DELETE"], auth_level=func.AuthLevel.FUNCTION)
    def withdraw(req: func.HttpRequest) -> func.HttpResponse:
        def handle(request: Request) -> func.HttpResponse:
            request.admin_mark()
            links.withdraw(request.route("id"), request.route("link_id"))
            return no_content()

        return answer(req, settings, handle)


def view(credential: Credential, settings: Settings) -> dict[str, Any]:
    """Return the credential as answers show it; never a secret."""
    shown = asdict(credential)
    names = ("id", "name", "client_id", "cloud", "tenant", "secret_expires_at", "status", "version", "created_at")
    return {
        **{name: shown[name] for name in names},
        "provider": "microsoft365",
        "grant_type": credential.grant_type.value,
        "auth_method": credential.auth_method.value,
        "account_type": "multitenant" if credential.multitenant else "single_tenant",
        "redirect_uri": settings.redirect_uri,
        "token_endpoint_url": credential.token_endpoint_url,
        "auth_endpoint_url": credential.auth_endpoint_url,
        "unproven_secret": bool(credential.candidate_version),
        "fault": fault_view(credential.fault),
    }


def _shown(credential: Credential, settings: Settings) -> func.HttpResponse:
    return json_reply(view(credential, settings), headers={"ETag": f'"{credential.version}"'})


def _link_view(ticket: Ticket, status: str) -> dict[str, Any]:
    return {
        "id": ticket.id,
        "label": ticket.label,
        "expected_tenant": ticket.expected_tenant or None,
        "status": status,
        "created_at": ticket.created_at,
        "expires_at": ticket.expires_at,
        "grant_id": ticket.grant_id or None,
    }
